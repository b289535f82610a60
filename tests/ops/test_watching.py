"""Who watches hears what is asked of a context, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter, Row
from disdat.context import Context, Home
from disdat.ops import bundles, contexts, find, watching
from disdat.ops.bundles import Birth


class Heard:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Filter, list[str]]] = []

    def __call__(self, context: Context, wanted: Filter, found: Sequence[Row]) -> None:
        self.told.append((context.name, wanted, [row.name for row in found]))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    context = contexts.create(Home(tmp_path / "home"), "demo")
    bundles.write(context, 1, Birth(name="one"))
    return context


def test_every_question_is_told_with_its_answer(context: Context) -> None:
    heard = Heard()
    with watching.watched(heard):
        row = find.need(context, "one")
        find.get(context, "none")
        find.search(context, Filter(tags={"a": "b"}))
        find.resolve(context, row.uuid[:13])
    assert heard.told == [
        ("demo", Filter(name="one", limit=1), ["one"]),
        ("demo", Filter(name="none", limit=1), []),
        ("demo", Filter(tags={"a": "b"}), []),
        ("demo", Filter(name=row.uuid[:13], limit=1), []),
        ("demo", Filter(uuid_prefix=row.uuid[:13], limit=6), ["one"]),
    ]


def test_nobody_hears_what_is_asked_outside_the_block_or_in_one_for_nobody(context: Context) -> None:
    heard = Heard()
    with watching.watched(heard), watching.watched(None):
        find.need(context, "one")
    find.need(context, "one")
    assert heard.told == []
