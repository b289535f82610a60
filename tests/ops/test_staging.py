"""A lead and its helpers, in homes of their own: what is told, what is sent, and who sees what when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.core.publication import Said
from disdat.errors import NotConfigured, Unavailable
from disdat.ops import bundles, contexts, fetching, find, presence, remotes, runs, staging
from disdat.ops.bundles import Birth
from disdat.ops.staging import Lead
from disdat.remote import condemned
from disdat.remote.condemned import Condemned
from disdat.remote.known import Presence

LARGE = "x" * 200_000
SMALL = "y" * 5_000


@pytest.fixture
def home_of(tmp_path: Path) -> Callable[[str], Context]:
    """Make a context in a home of its own, bound to one directory."""

    def made(who: str) -> Context:
        context = contexts.create(Home(tmp_path / who), "work")
        return remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout="packed").context

    return made


def told(context: Context, said: Said) -> bytes:
    return staging.encode(context, said)


@pytest.mark.parametrize("value", [1, SMALL, LARGE, {"large": LARGE, "small": SMALL, "more": list(range(10))}])
def test_a_helper_reads_what_it_was_told_of_and_nobody_else_does(
    home_of: Callable[[str], Context], value: object
) -> None:
    lead, helper, bob = home_of("lead"), home_of("helper"), home_of("bob")
    given = bundles.write(lead, value, Birth(name="given", tags={"k": "v"}))
    with Lead(lead, runs.of_process()) as leading:
        staging.learn(helper, staging.decode(told(lead, leading.tell([given.uuid]))))
        assert bundles.value(helper, given.uuid) == value
        assert find.need(helper, "given").tags["k"] == "v"
    assert fetching.fetch(bob).new == ()
    assert not find.need(lead, "given").committed


@pytest.mark.parametrize("value", [1, SMALL, LARGE])
def test_what_a_helper_made_is_seen_when_the_lead_has_it(home_of: Callable[[str], Context], value: object) -> None:
    lead, helper, bob = home_of("lead"), home_of("helper"), home_of("bob")
    with Lead(lead, runs.of_process()) as leading:
        made = bundles.write(helper, value, Birth(name="made"))
        said = staging.decode(told(helper, staging.made(helper, made.uuid))).said
        assert fetching.fetch(bob).new == ()
        assert find.get(lead, "made") is None
        leading.take([said])
        assert find.need(lead, "made").committed
    assert fetching.fetch(bob).new == (made.uuid,)
    for who in (lead, bob):
        assert bundles.value(who, made.uuid) == value


def test_what_one_helper_made_another_reads(home_of: Callable[[str], Context]) -> None:
    lead, first, second = home_of("lead"), home_of("first"), home_of("second")
    with Lead(lead, runs.of_process()) as leading:
        made = bundles.write(first, LARGE, Birth(name="made"))
        leading.take([staging.made(first, made.uuid)])
        staging.learn(second, staging.decode(told(lead, leading.tell([made.uuid]))))
        assert bundles.value(second, made.uuid) == LARGE
    assert presence.of_rows(lead, [made.uuid]) == {made.uuid: Presence.REMOTE}


def test_what_is_transient_comes_to_the_lead_alone(home_of: Callable[[str], Context]) -> None:
    lead, helper, bob = home_of("lead"), home_of("helper"), home_of("bob")
    with Lead(lead, runs.of_process()) as leading:
        made = bundles.write(helper, LARGE, Birth(name="made", tags={"__transient": "True"}))
        leading.take([staging.made(helper, made.uuid)])
    assert presence.of_rows(lead, [made.uuid]) == {made.uuid: Presence.LOCAL}
    assert bundles.value(lead, made.uuid) == LARGE
    assert fetching.fetch(bob).new == ()


def test_nothing_is_published_that_a_collection_deletes(home_of: Callable[[str], Context]) -> None:
    """It was condemned before the lead began, and its bytes go while the helper counts on them."""
    lead, helper = home_of("lead"), home_of("helper")
    made = bundles.write(helper, LARGE, Birth(name="made"))
    said = staging.made(helper, made.uuid)
    keys = frozenset(place.key for _, place in said.places("shared"))
    backend = lead.remote.backend
    listed = f"{condemned.PREFIX}01JDAAAAAAAAAAAAAAAAAAAAAA.json"
    backend.put(listed, condemned.encode(Condemned(keys)))
    with Lead(lead, runs.of_process()) as leading:
        leading.take([said])  # struck off in time
        assert condemned.there(backend) == frozenset()
        assert find.get(lead, "made") is not None


def test_without_a_remote_nobody_leads(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="no remote"):
        Lead(contexts.create(Home(tmp_path / "alone"), "work"), runs.of_process())


def test_a_lead_needs_its_remote(home_of: Callable[[str], Context], tmp_path: Path) -> None:
    lead = home_of("lead")
    (tmp_path / "remote" / "disdat.json").unlink()
    with pytest.raises(Unavailable), Lead(lead, runs.of_process()):
        pass
