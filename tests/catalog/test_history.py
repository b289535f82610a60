"""What a catalog knows of what happened is the same whether it was asked about something else before or not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disdat.catalog import history
from disdat.catalog.history import History, Kinds, Learned
from disdat.catalog.rows import EventRow
from disdat.core import event
from disdat.core.event import Event
from tests.catalog.contexts import open_catalog
from tests.catalog.test_index import append, histories, store
from tests.conftest import examples

ALL = Kinds(frozenset(), False)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=histories(), data=st.data())
def test_what_was_learned_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    """Whichever events are asked for, in whatever order; the core's fold says which count."""
    directory = tmp_path_factory.mktemp("context")
    for each in events:  # each a change of its own
        append(directory, [each])
    catalog = open_catalog(directory, fetch=store().fetch)
    learned = Learned()
    counted = {each.write_key for each in event.valid(events)}
    rows = history.ask(catalog, lambda of: of.newest(ALL, count=1000))
    for row in data.draw(st.permutations(rows)):

        def void(of: History, row: EventRow = row) -> dict[str, EventRow]:
            return of.undone([row])

        def undone(of: History, row: EventRow = row) -> set[str]:
            return of.undone_bundles(*of.events([row]))

        def closure(of: History, row: EventRow = row) -> set[str]:
            [each] = of.events([row])
            return of.spoken_of(of.same_write(each.undoes))

        afresh = history.ask(catalog, void)
        assert history.ask(catalog, void, learned=learned) == afresh
        assert (row.write_key in afresh) == (row.write_key not in counted)
        spoken_of = history.ask(catalog, closure)
        assert history.ask(catalog, undone) == spoken_of
        assert history.ask(catalog, undone, learned=learned) == spoken_of
    catalog.close()
