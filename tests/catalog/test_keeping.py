"""What a catalog tells collection follows its events: what is present, what is gone, and since when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.keeping import Gone, Keeping, Refolded
from disdat.catalog.log import Log
from disdat.context import Context, Home
from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.digest import Digest, of_bytes
from disdat.errors import Corrupt, DigestMismatch, UnknownFormat
from disdat.ops import bundles, contexts
from disdat.ops.bundles import Birth

UUID = "00000000-0000-4000-8000-000000000007"


@pytest.fixture
def context(home: Path) -> Context:
    return contexts.create(Home(home), "demo")


def gone(context: Context) -> list[Gone]:
    return context.catalog.keeping(lambda keeping: list(keeping.gone()))


def needed_by(context: Context, bundle: Gone) -> list[str]:
    """The names in the manifests of a bundle that is gone."""
    return context.catalog.keeping(lambda keeping: [needed.name for needed in keeping.needed_by(bundle)])


def last(context: Context) -> event.Event:
    return list(context.catalog.events())[-1]


def test_a_removed_bundle_is_gone_since_the_last_event_that_spoke_of_it(context: Context) -> None:
    made = bundles.write(context, np.arange(100), Birth("n"))
    assert gone(context) == []
    bundles.remove(context, [*context.catalog.versions("n")])
    removal = last(context)
    [found] = gone(context)
    assert (found.uuid, found.since_us) == (made.uuid, removal.time_us)
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(removal.id,))])
    assert gone(context) == []
    undo = last(context)
    context.catalog.commit([event.Draft(event.UNDO, {}, undoes=(undo.id,))])
    [found] = gone(context)
    assert found.since_us == last(context).time_us, "an undo of an undo speaks of what that was about"


def test_what_a_bundle_that_is_gone_needed_is_read_from_the_log(context: Context) -> None:
    made = bundles.write(context, np.arange(100), Birth("n", params={"long": "p" * 40_000}))
    here = {raw for raw, _ in context.catalog.keeping(lambda keeping: list(keeping.objects()))}
    bundles.remove(context, context.catalog.versions("n"))
    assert context.catalog.keeping(lambda keeping: list(keeping.objects())) == []
    [found] = gone(context)
    [needed] = context.catalog.keeping(lambda keeping: list(keeping.needed_by(found)))
    assert needed.name == "n"
    assert needed.root is None
    assert {digest.raw for digest in needed.digests} == here
    assert len(here) == 2, "its value, and its manifest"
    assert made.uuid == found.uuid


@pytest.mark.parametrize(
    ("change", "error"),
    [({"format": 2}, UnknownFormat), ({"requires": ["later"]}, UnknownFormat), ({"format": None}, UnknownFormat)],
    ids=str,
)
def test_a_manifest_of_a_later_version_is_refused_though_its_bundle_is_gone(
    context: Context, change: dict[str, Json], error: type[Corrupt]
) -> None:
    body: dict[str, Json] = {"format": 1, "uuid": UUID, "name": "n", "created": 1} | change
    _add_and_remove(context, body, of_bytes(canonical.encode(body)))
    with pytest.raises(error):
        needed_by(context, gone(context)[0])


def test_a_manifest_that_is_not_the_one_that_was_added_is_refused_though_its_bundle_is_gone(context: Context) -> None:
    _add_and_remove(context, {"format": 1, "uuid": UUID, "name": "n", "created": 1}, of_bytes(b"another"))
    with pytest.raises(DigestMismatch):
        needed_by(context, gone(context)[0])


def _add_and_remove(context: Context, body: dict[str, Json], digest: Digest) -> None:
    added: dict[str, Json] = {"uuid": UUID, "manifest": str(digest), "body": body}
    context.catalog.commit([event.Draft(event.ADD, added)])
    context.catalog.commit([event.Draft(event.REMOVE, {"uuids": [UUID]})])


def test_a_log_that_is_folded_anew_is_asked_as_of_one_moment(context: Context) -> None:
    bundles.write(context, 1, Birth("n"))
    refolded = Refolded(Log(context.directory / "log", disk=context.home.disk), context.home.store.read)
    first = refolded.keeping(lambda keeping: len(list(keeping.present())), seen=context.catalog.keeping(Keeping.seen))
    bundles.write(context, 2, Birth("n"))
    again = refolded.keeping(lambda keeping: len(list(keeping.present())), seen=context.catalog.keeping(Keeping.seen))
    refolded.close()
    assert (first, again) == (1, 1)


def test_events_of_kinds_that_are_not_known_are_told(context: Context) -> None:
    assert context.catalog.keeping(Keeping.unknown_kinds) == []
    context.catalog.commit([event.Draft("teleport", {}), event.Draft("beam", {})])
    assert context.catalog.keeping(Keeping.unknown_kinds) == ["beam", "teleport"]


def test_those_that_went_last_come_first(context: Context) -> None:
    for name in "abc":
        bundles.write(context, 1, Birth(name))
    for name in "bac":
        bundles.remove(context, context.catalog.versions(name))
    found = gone(context)
    assert [needed_by(context, each) for each in found] == [["c"], ["a"], ["b"]]
