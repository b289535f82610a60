"""What nobody needs is deleted from a remote, and nothing that is published or about to be, whoever sleeps or dies."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from _pytest.mark import ParameterSet

from disdat.catalog.queries import Filter
from disdat.context import Home
from disdat.core import canonical, event, publication
from disdat.core.digest import of_bytes
from disdat.core.places import context_key, file_key, share_key
from disdat.core.tree import Entry
from disdat.errors import (
    BadLinkError,
    Corrupt,
    DisdatError,
    InvalidInput,
    ObjectNotFound,
    UnknownFormat,
)
from disdat.ops import bundles, fetching, find, localizing, push, remotegc, remoteoutputs, rmr, undo
from disdat.ops.bundles import Birth
from disdat.ops.fork import fork
from disdat.ops.marks import Amount
from disdat.ops.remotegc import RemoteDone
from disdat.remote import collecting, condemned, leases, refs
from disdat.remote.leases import Lease
from disdat.store.backend import Unsupported
from tests.stateful.network import HOUR_US, Action, Killed, Line, killed_after, killed_before, meanwhile
from tests.stateful.sharing import POLICY, Sharing, quick

DAY_US = 24 * HOUR_US
LARGE, SMALL, INLINE = 0, 3, 5
"""Values: an object of its own, objects that lie in a pack, and none."""


def at_length(value: object) -> ParameterSet:
    """A case that takes as long as the others and tells little more."""
    return pytest.param(value, marks=pytest.mark.soak)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], Sharing]]:
    """Make homes that share a remote where nothing is yet."""
    made: list[Sharing] = []

    def make() -> Sharing:
        made.append(Sharing(tmp_path / str(len(made))))
        return made[-1]

    with quick():
        yield make
    for each in made:
        each.close()


@pytest.fixture
def all_(make: Callable[[], Sharing]) -> Sharing:
    return make()


def collect(all_: Sharing, who: str = "bob") -> RemoteDone:
    return remotegc.collect(all_.contexts[who], POLICY)


def objects(all_: Sharing) -> set[str]:
    """What is there that may be collected."""
    found = all_.world.store.list()
    return {each.key for each in found if each.key.startswith(("objects/", "packs/")) or "/files/" in each.key}


def remove_all(all_: Sharing, who: str) -> None:
    context = all_.contexts[who]
    rows = find.search(context, Filter())
    rmr.remove(context, rmr.selected(context, [row.uuid for row in rows]))


def publish(all_: Sharing, who: str, *values: int) -> None:
    for value in values:
        all_.add(who, value)
    all_.push(who)()


def garbage(all_: Sharing, who: str = "ann") -> set[str]:
    """Have something there that nobody needs any more; its keys. What runs need stays."""
    publish(all_, who, INLINE)
    before = objects(all_)
    publish(all_, who, LARGE, SMALL)
    left = objects(all_) - before
    remove_all(all_, who)
    all_.world.advance(DAY_US)
    return left


def test_what_nobody_needs_goes_after_the_grace_and_what_is_needed_stays(all_: Sharing) -> None:
    gone = garbage(all_)
    publish(all_, "ann", 1, INLINE)
    kept = objects(all_) - gone
    first = collect(all_)
    assert (first.condemned, first.deleted) == (len(gone), 0) == (2, 0)
    again = collect(all_)
    assert (again.condemned, again.deleted) == (0, 0)
    assert [each.why for each in again.plan.waiting] == ["due in 2 h"]
    all_.world.advance(POLICY.grace_us)
    last = collect(all_)
    assert last.deleted == first.condemned
    assert objects(all_) == kept
    assert list(condemned.listed(all_.world.store)) == []
    all_.check()


def test_files_of_a_bundle_are_kept_however_late_it_is_pushed(all_: Sharing) -> None:
    uuid = all_.write("ann", 2)
    for _ in range(4):
        all_.world.advance(100 * DAY_US)
        done = collect(all_)
        assert (done.condemned, done.deleted, done.released) == (0, 0, 0)
    ann = all_.contexts["ann"]
    [kept] = remotegc.plan(all_.contexts["bob"], POLICY).unpublished
    assert (kept.home, kept.bundles, kept.files) == (ann.home.id, 1, Amount(1, 100_000))
    all_.push("ann")()
    assert remotegc.plan(all_.contexts["bob"], POLICY).unpublished == ()
    bob = all_.contexts["bob"]
    fetching.fetch(bob)
    localizing.localize(bob, [find.by_uuid(bob, uuid)])
    assert Path(str(bundles.value(bob, uuid))).read_bytes() == b"h" * 100_000


def test_files_of_a_bundle_that_its_home_has_no_more_go(all_: Sharing) -> None:
    uuid = all_.write("ann", 0)
    ann = all_.contexts["ann"]
    bundles.remove(ann, [find.by_uuid(ann, uuid)], force=True)
    assert collect(all_, "ann").released == 0, "it can be brought back within the retention"
    all_.world.advance(DAY_US)
    assert collect(all_, "bob").released == 0, "only the home knows"
    done = collect(all_, "ann")
    assert (done.released, done.condemned) == (1, 1)
    all_.world.advance(DAY_US)
    assert collect(all_, "bob").deleted == 1
    assert not objects(all_)
    assert collect(all_, "ann").released == 0, "it was said"


def test_files_of_a_bundle_that_never_was_go(all_: Sharing) -> None:
    """Its maker is killed after having published where they lie, and before there is a bundle."""
    ann = all_.contexts["ann"]
    before = all_.world.store.list_below("context/shared/events/")
    for number in itertools.count(1):
        all_.lines["ann"].plan({number: killed_after})
        with suppress(Killed):
            all_.write("ann", 0)
        if all_.world.store.list_below("context/shared/events/") != before:
            break
    all_.lines["ann"].plan({})
    assert find.search(ann, Filter()) == []
    all_.world.advance(DAY_US)
    assert collect(all_, "ann").released == 1
    all_.world.advance(2 * DAY_US)
    collect(all_, "ann")
    assert not objects(all_)


def test_who_is_about_to_have_a_bundle_is_not_taken_for_one_who_lost_it(all_: Sharing) -> None:
    ann, uuid = all_.contexts["ann"], str(uuid4())
    all_.world.store.put(file_key("shared", uuid, "file"), b"f")
    with remoteoutputs.announced(ann, {uuid: {"file": Entry(of_bytes(b"f"), 1)}}):
        all_.world.advance(DAY_US)
        assert collect(all_, "ann").released == 0
    assert collect(all_, "ann").released == 1


def test_a_fork_may_push_what_the_first_context_removed(all_: Sharing) -> None:
    uuid = all_.write("ann", 0)
    ann = all_.contexts["ann"]
    other = fork(ann, "other")
    bundles.remove(ann, [find.by_uuid(ann, uuid)], force=True)
    all_.world.advance(DAY_US)
    done = collect(all_, "ann")
    assert (done.released, done.condemned) == (0, 0)
    push.push(other, [find.by_uuid(other, uuid)])
    all_.check()
    other.catalog.close()
    other.remote.known.close()


def test_a_home_that_does_not_come_back_is_forgotten_when_somebody_says_so(all_: Sharing) -> None:
    uuid = all_.write("ann", 0)
    ann, bob = all_.contexts["ann"], all_.contexts["bob"]
    all_.world.advance(DAY_US)
    done = remotegc.collect(bob, POLICY, forget={ann.home.id})
    assert (done.released, done.condemned) == (1, 1)
    all_.world.advance(DAY_US)
    assert remotegc.collect(bob, POLICY).deleted == 1
    with pytest.raises(ObjectNotFound):  # it came back after all
        push.push(ann, [find.by_uuid(ann, uuid)])
    del all_.unpushed[uuid]
    all_.check()
    with pytest.raises(InvalidInput, match="no home"):
        remotegc.collect(bob, POLICY, forget={ann.home.id})
    all_.write("bob", 0)
    with pytest.raises(InvalidInput, match="is this home"):
        remotegc.collect(bob, POLICY, forget={bob.home.id})


def test_a_copy_of_a_home_has_its_bundles_too(all_: Sharing) -> None:
    uuid = all_.write("ann", 0)
    ann = all_.contexts["ann"]
    ann.catalog.close()
    shutil.copytree(ann.home.root, all_.root / "copy")
    copy = Home(all_.root / "copy", clock_us=ann.home.clock_us).context("work")
    copy.home.ensure()
    assert copy.home.id != ann.home.id
    all_.world.advance(DAY_US)
    assert remotegc.collect(copy, POLICY, forget={ann.home.id}).released == 0
    bundles.remove(copy, [find.by_uuid(copy, uuid)], force=True)
    all_.world.advance(DAY_US)
    assert remotegc.collect(copy, POLICY).released == 0, "the one it was copied from may push it"
    assert remotegc.collect(copy, POLICY, forget={ann.home.id}).released == 1
    copy.catalog.close()
    copy.remote.known.close()


def test_who_comes_back_before_its_files_were_deleted_pushes_them(all_: Sharing) -> None:
    all_.write("ann", 0)
    all_.world.advance(DAY_US)
    remotegc.collect(all_.contexts["bob"], POLICY, forget={all_.contexts["ann"].home.id})
    assert all_.push("ann")().sent
    all_.world.advance(DAY_US)
    assert collect(all_).deleted == 0
    all_.check()


def test_a_file_that_nobody_pushes_stays_for_others_that_need_its_bytes(all_: Sharing) -> None:
    uuid = all_.write("ann", 2)
    all_.write("ann", 2)
    ann = all_.contexts["ann"]
    fetching.fetch(ann)
    [other] = [row for row in find.search(ann, Filter()) if row.uuid != uuid]
    push.push(ann, [other])
    all_.world.store.delete(all_.unpushed[other.uuid][1])  # so what is left is the one that was not pushed
    bundles.remove(ann, [find.by_uuid(ann, uuid)], force=True)
    all_.world.advance(DAY_US)
    assert collect(all_, "ann").released == 1
    all_.world.advance(DAY_US)
    assert collect(all_, "ann").deleted == 0
    all_.check()


def collecting_all(all_: Sharing) -> Callable[[], None]:
    """Give what lets so much time go by, with collections, that what nobody needs is gone."""

    def do() -> None:
        for _ in range(3):
            all_.world.advance(DAY_US)
            collect(all_)

    return do


def test_a_bundle_whose_files_went_while_it_was_open_is_not_made(all_: Sharing) -> None:
    with pytest.raises(BadLinkError, match="was not written"):
        all_.write("ann", 1, meanwhile=collecting_all(all_))
    assert find.search(all_.contexts["ann"], Filter()) == []


def test_a_bundle_whose_files_go_while_it_is_closed_is_not_made(all_: Sharing) -> None:
    """Its maker falls asleep before any one request: either its file is still there, and stays, or it is not made."""
    line, failed, fired = all_.lines["ann"], 0, True
    for number in itertools.count(1):
        fired = False

        def gone() -> None:
            nonlocal fired
            fired = True
            collecting_all(all_)()

        line.plan({number: meanwhile(gone)})
        try:
            all_.write("ann", 1)
        except DisdatError:
            failed += 1
        if not fired:
            break
        collecting_all(all_)()
        all_.check()
    line.plan({})
    assert 1 <= failed < number
    assert len(all_.unpushed) == len(find.search(all_.contexts["ann"], Filter())) == number - failed


def test_what_was_removed_is_kept_for_the_retention(all_: Sharing) -> None:
    publish(all_, "ann", LARGE)
    all_.world.advance(DAY_US)
    remove_all(all_, "ann")
    assert collect(all_).condemned == 0
    all_.world.advance(POLICY.retention_us)
    assert collect(all_).condemned == 1


def test_a_removal_that_was_undone_saves_what_was_condemned(all_: Sharing) -> None:
    kept = garbage(all_)
    collect(all_)
    undo.undo(all_.contexts["ann"])
    all_.push("ann")()
    all_.world.advance(DAY_US)
    assert collect(all_).deleted == 0
    assert objects(all_) >= kept
    all_.check()


def test_what_was_collected_is_sent_again_by_who_has_it_when_the_removal_is_undone(all_: Sharing) -> None:
    kept = garbage(all_)
    for _ in range(2):
        collect(all_)
        all_.world.advance(DAY_US)
    assert not objects(all_) & kept
    undo.undo(all_.contexts["ann"])
    assert all_.push("ann")().objects
    all_.check()
    bob = all_.contexts["bob"]
    fetching.fetch(bob)
    localizing.localize(bob, find.search(bob, Filter()))


def test_what_was_removed_together_comes_back_together(all_: Sharing) -> None:
    """Who pushes one bundle, whose removal was undone, publishes that the other ones are there again too."""
    gone = garbage(all_)
    for _ in range(2):
        collect(all_)
        all_.world.advance(DAY_US)
    assert not objects(all_) & gone
    ann = all_.contexts["ann"]
    undo.undo(ann)
    [first, *others] = find.search(ann, Filter())
    bundles.remove(ann, [others[0]], force=True)  # here only
    push.push(ann, [first])
    all_.check()
    bob = all_.contexts["bob"]
    fetching.fetch(bob)
    assert {row.uuid for row in find.search(bob, Filter())} == {first.uuid, *(row.uuid for row in others)}


def test_a_plan_changes_nothing(all_: Sharing) -> None:
    garbage(all_)
    before = {each.key for each in all_.world.store.list()}
    plan = remotegc.plan(all_.contexts["bob"], POLICY)
    assert plan.garbage.count == 2
    assert plan.contexts == ("shared",)
    assert {each.key for each in all_.world.store.list()} == before


def test_all_contexts_of_the_remote_count(all_: Sharing) -> None:
    """Two contexts have one object; each of them alone keeps it."""
    garbage(all_)
    publish(all_, "cat", LARGE)
    kept = objects(all_)
    for _ in range(3):
        collect(all_)
        all_.world.advance(DAY_US)
    assert any(key.startswith("objects/") for key in objects(all_) & kept)
    all_.check()


def test_what_a_ref_points_at_is_kept(all_: Sharing) -> None:
    publish(all_, "ann", LARGE)
    [row] = find.search(all_.contexts["ann"], Filter())
    refs.move(all_.world.store, "shared", "best", expected=None, target=row.uuid, write_id="1")
    remove_all(all_, "ann")
    all_.world.advance(DAY_US)
    assert collect(all_).plan.kept.count >= 1
    assert any(key.startswith("objects/") for key in objects(all_) if not _is_listed(all_, key))


def _is_listed(all_: Sharing, key: str) -> bool:
    return any(key in each.condemned.keys for each in condemned.listed(all_.world.store))


def test_large_trees_and_what_publications_say_are_kept(
    all_: Sharing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "INLINE_BYTES", 500)
    directory = tmp_path / "files"
    directory.mkdir()
    for number in range(400):
        (directory / f"{number:03}").write_bytes(number.to_bytes(2, "big") * 50)
    ann, bob = all_.contexts["ann"], all_.contexts["bob"]
    made = bundles.write(ann, directory, Birth(name="files"))
    bundles.commit(ann, [find.by_uuid(ann, made.uuid)])
    all_.push("ann")()
    garbage(all_)
    for _ in range(3):
        all_.world.advance(DAY_US)
        collect(all_)
    fetching.fetch(bob)
    localizing.localize(bob, [row for row in find.search(bob, Filter()) if row.name == "files"])
    assert [each.size_bytes for each in all_.world.store.list(context_key("shared", "events/"))]


@pytest.mark.slow
@pytest.mark.parametrize("value", [SMALL, at_length(LARGE)])
@pytest.mark.parametrize("nap_us", [3 * HOUR_US, at_length(HOUR_US), at_length(DAY_US + HOUR_US)])
def test_a_push_asleep_at_any_request_counts_on_nothing_that_was_deleted(
    make: Callable[[], Sharing], value: int, nap_us: int
) -> None:
    """It meant to count on what was there; while it slept that was condemned and deleted."""
    for number in _until_all_were_asked():
        all_ = make()
        garbage(all_)
        all_.add("ann", value)

        def others(all_: Sharing = all_) -> None:
            for _ in range(3):
                collect(all_)
                all_.world.advance(nap_us)
            collect(all_)

        _act(all_, "ann", all_.push("ann"), number, meanwhile(others))
        all_.check()
        all_.push("ann")()
        all_.check()
        assert find.search(all_.contexts["ann"], Filter())


@pytest.mark.slow
@pytest.mark.parametrize("nap_us", [0, at_length(3 * HOUR_US), at_length(DAY_US + HOUR_US)])
def test_a_push_asleep_that_was_condemned_before_it_began_counts_on_nothing_that_was_deleted(
    make: Callable[[], Sharing], nap_us: int
) -> None:
    for number in _until_all_were_asked():
        all_ = make()
        garbage(all_)
        collect(all_)
        all_.world.advance(POLICY.grace_us)
        all_.add("ann", SMALL)
        all_.add("ann", LARGE)

        def others(all_: Sharing = all_) -> None:
            collect(all_)
            all_.world.advance(nap_us)

        _act(all_, "ann", all_.push("ann"), number, meanwhile(others))
        all_.check()
        all_.push("ann")()
        all_.check()


@pytest.mark.slow
@pytest.mark.parametrize("nap_us", [at_length(3 * HOUR_US), at_length(0)])
def test_a_collection_asleep_at_any_request_deletes_nothing_that_was_sent_again(
    make: Callable[[], Sharing], nap_us: int
) -> None:
    """Another one takes over meanwhile, and what it deleted is pushed again."""
    for number in _until_all_were_asked():
        all_ = make()
        garbage(all_)
        collect(all_)
        all_.world.advance(DAY_US)

        def others(all_: Sharing = all_) -> None:
            all_.world.advance(nap_us)
            collect(all_, "cat")
            for value in (LARGE, SMALL):
                all_.add("ann", value)
            all_.act("ann", all_.push("ann"), {})
            all_.check()

        _act(all_, "bob", all_.collect("bob"), number, meanwhile(others))
        all_.check()
        all_.act("ann", all_.push("ann"), {})
        all_.check()


@pytest.mark.slow
@pytest.mark.parametrize("fate", [at_length(killed_after), at_length(killed_before)])
def test_a_collection_killed_at_any_request_is_gone_on_with(make: Callable[[], Sharing], fate: Action) -> None:
    for number in _until_all_were_asked():
        all_ = make()
        gone = garbage(all_)
        publish(all_, "ann", 1)
        kept = objects(all_) - gone
        collect(all_)
        all_.world.advance(DAY_US)
        _act(all_, "bob", all_.collect("bob"), number, fate)
        all_.check()
        for _ in range(3):
            all_.world.advance(DAY_US)
            collect(all_, "cat")
        assert objects(all_) == kept
        assert list(condemned.listed(all_.world.store)) == []
        all_.check()


@pytest.mark.slow
@pytest.mark.parametrize("by_us", [9 * 60_000_000, at_length(60_000_000), at_length(50 * 60_000_000)])
def test_a_publication_that_arrives_after_its_sender_gave_up_lacks_nothing(
    make: Callable[[], Sharing], by_us: int
) -> None:
    """Its lease is left, so that nothing it counts on goes before it arrives, or does not count any more."""

    def late(by_us: int) -> Action:
        def act(line: Line, request: Callable[[], object]) -> None:
            line.world.later(by_us, request)
            killed_or_refused(line, request)

        return act

    def killed_or_refused(_: Line, __: Callable[[], object]) -> None:
        raise DisdatError("no answer")

    for number in _until_all_were_asked():
        all_ = make()
        garbage(all_)
        collect(all_)
        all_.world.advance(POLICY.grace_us)
        all_.add("ann", SMALL)
        _act(all_, "ann", all_.push("ann"), number, late(by_us))
        for _ in range(3):
            collect(all_)
            all_.world.advance(by_us // 2)
            all_.check()
        all_.world.advance(3 * DAY_US)
        collect(all_)
        all_.check()


def test_a_lease_that_was_left_keeps_what_it_may_count_on_for_a_day(all_: Sharing) -> None:
    gone = garbage(all_)
    all_.add("cat", 1)
    _act(all_, "cat", all_.push("cat"), 4, killed_before)
    assert leases.live(all_.world.store, now_us=all_.world.now_us)
    collect(all_)
    all_.world.advance(POLICY.grace_us)
    done = collect(all_)
    assert done.deleted == 0
    assert [each.why for each in done.plan.waiting] == [
        "a push that began before it is still running, or left its lease"
    ]
    all_.world.advance(DAY_US)
    collect(all_)
    assert not objects(all_) & gone
    all_.world.advance(3 * DAY_US)
    collect(all_)
    assert list(all_.world.store.list("leases/")) == []


@pytest.mark.parametrize("damage", [b"no publication", b""])
def test_what_cannot_be_read_may_say_what_is_needed(all_: Sharing, damage: bytes) -> None:
    garbage(all_)
    before = objects(all_)
    id_ = event.ulid(all_.world.now_us)
    all_.world.store.put(context_key("shared", f"events/{id_}-{id_}.json"), damage)
    with pytest.raises(Corrupt, match="nothing is collected"):
        collect(all_)
    assert objects(all_) == before
    assert list(all_.world.store.list("gc/")) == []


def test_what_a_later_version_says_may_say_what_is_needed(all_: Sharing) -> None:
    garbage(all_)
    before = objects(all_)
    time_us = all_.world.now_us
    id_ = event.ulid(time_us)
    unknown: dict[str, canonical.Json] = {
        "id": id_,
        "time": time_us,
        "writer": "w",
        "seq": 0,
        "kind": "promise",
        "payload": {},
    }
    head: dict[str, canonical.Json] = {
        "format": 1,
        "id": id_,
        "write": id_,
        "time": time_us,
        "writer": f"{'0' * 26}.{'0' * 26}",
        "seq": 1,
        "valid_until": time_us + 600_000_000,
        "events": [unknown],
    }
    text = canonical.encode(head)
    data = b"%b\n%b\n" % (text, of_bytes(text).hex.encode())
    all_.world.store.put(context_key("other", f"events/{id_}-{id_}.json"), data)
    with pytest.raises(UnknownFormat, match="nothing is collected"):
        collect(all_)
    assert objects(all_) == before


def test_what_disdat_did_not_write_is_left_alone(all_: Sharing) -> None:
    publish(all_, "ann", LARGE)
    strange = [
        "objects/readme.txt",
        "packs/mine.pack",
        "data/x",
        "context/shared/files/notes.txt",
        "objects/blake3/ab/cd",
    ]
    for key in strange:
        all_.world.store.put(key, b"mine")
    for _ in range(3):
        all_.world.advance(DAY_US)
        collect(all_)
    assert {each.key for each in all_.world.store.list()} >= set(strange)


def test_nothing_is_collected_without_conditional_writes(all_: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: object) -> None:
        raise Unsupported("no such thing")

    garbage(all_)
    before = objects(all_)
    monkeypatch.setattr(type(all_.world.store), "put_if_match", cannot)
    with pytest.raises(Unsupported, match="no conditional writes"):
        collect(all_)
    assert objects(all_) == before


def test_shares_go_when_their_time_is_over(all_: Sharing) -> None:
    now_us = all_.world.now_us
    over, running = (share_key(event.ulid(now_us + by_us), "x") for by_us in (HOUR_US, 3 * DAY_US))
    publish(all_, "ann", LARGE)
    for key in (over, running):
        all_.world.store.put(key, b"x")
    collect(all_)
    assert {over, running} == {each.key for each in all_.world.store.list("shares/")}
    all_.world.advance(2 * HOUR_US + 5_000_000)
    assert remotegc.plan(all_.contexts["bob"], POLICY).shares == 1
    collect(all_)
    assert {running} == {each.key for each in all_.world.store.list("shares/")}


def test_a_lease_is_renewed_unless_it_ended(all_: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", -1.0)
    world = all_.world
    with Lease(world.store, writer="w", actor="a", now_us=lambda: world.now_us) as lease:
        first = lease.ends_us
        world.advance(23 * HOUR_US)
        lease.renew()
        assert lease.ends_us - first >= 23 * HOUR_US
        ends = lease.ends_us
        world.advance(25 * HOUR_US)
        lease.renew()
        assert lease.ends_us == ends  # somebody may have acted on its end: it is none to count on
    assert list(world.store.list("leases/")) == []


def test_what_is_needed_is_struck_from_a_list_and_waited_for_where_it_is_being_deleted(all_: Sharing) -> None:
    garbage(all_)
    collect(all_)
    store = all_.world.store
    [listed] = condemned.listed(store)
    key = min(listed.condemned.keys)
    spared = condemned.spare(store, lambda: {key, "other"})
    assert not spared.gone
    assert spared.lists == {listed.key}
    [struck] = condemned.listed(store)
    assert struck.condemned.keys == listed.condemned.keys - {key}

    all_.world.advance(POLICY.grace_us)
    lists = collecting.Lists(store, by="me", clock_us=lambda: all_.world.now_us)
    [turn] = lists.due(grace_us=POLICY.grace_us)
    key = min(turn.listed.condemned.keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(condemned, "WAIT_S", 60.0)
        deleted = condemned.spare(store, lambda: {key}, sleep=lambda _: lists.delete(turn, told=_nobody_counts))
    assert deleted.gone == {key}
    assert deleted.lists == frozenset()


def _nobody_counts(_: int) -> None:
    """Nobody is told how many keys went."""


def test_only_one_collection_at_a_time_deletes_a_list(all_: Sharing) -> None:
    garbage(all_)
    collect(all_)
    all_.world.advance(POLICY.grace_us)
    first, second = (
        collecting.Lists(all_.world.store, by=by, clock_us=lambda: all_.world.now_us) for by in ("first", "second")
    )
    [turn] = first.due(grace_us=POLICY.grace_us)
    assert second.due(grace_us=POLICY.grace_us) == []
    all_.world.advance(collecting.TURN_US + collecting.AFTER_US + 2_000_000)
    [_] = second.due(grace_us=POLICY.grace_us)
    with pytest.raises(DisdatError, match="another collection"):
        first.go_on(turn)


def _until_all_were_asked() -> Iterator[int]:
    """Yield 1, 2, 3 … for as long as something happened at the last of them."""
    _fired.clear()
    number = 1
    while True:
        before = len(_fired)
        yield number
        if len(_fired) == before:
            assert number > 5, "hardly anything was asked of the remote"
            return
        number += 1


_fired: list[int] = []


def _act(all_: Sharing, who: str, do: Callable[[], object], number: int, action: Action) -> None:
    def noted(line: Line, request: Callable[[], object]) -> None:
        _fired.append(number)
        action(line, request)

    all_.act(who, do, {number: noted})
