"""The catalog: what is committed is found, whatever happens to the file that finds it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from disdat.catalog import database
from disdat.catalog.catalog import Catalog
from disdat.catalog.indexed import Moment
from disdat.catalog.log import START, Log
from disdat.catalog.queries import Edge, Filter
from disdat.core import digest, event, manifest
from disdat.core.bundle import Run
from disdat.core.event import Draft
from disdat.durable import Disk
from disdat.errors import (
    AlreadyExists,
    BadQuery,
    BundleNotFound,
    ContextNotFound,
    Corrupt,
    DigestMismatch,
    UnknownFormat,
)
from tests.catalog.contexts import (
    HOME,
    PACKAGES,
    START_US,
    Clock,
    Store,
    add,
    add_now,
    added,
    bundle,
    committed,
    dump,
    open_catalog,
    reaffirmed,
    removed,
    renamed,
    rich_bundle,
    undone,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "context"


@pytest.fixture
def catalog(directory: Path) -> Catalog:
    return open_catalog(directory)


def names(catalog: Catalog, **wanted: object) -> list[str]:
    return [row.name for row in catalog.search(Filter(**wanted))]  # type: ignore[arg-type]  # tables of cases


def test_a_bundle_that_was_added_comes_back_equal(catalog: Catalog) -> None:
    made = rich_bundle(inputs=["u1", "u2"])
    add(catalog, made)
    assert catalog.bundle(made.uuid) == made


def test_a_row_shows_what_the_manifest_and_the_events_say(catalog: Catalog) -> None:
    made = rich_bundle()
    add(catalog, made)
    row = catalog.get(made.uuid)
    assert row is not None
    assert (row.name, row.processing_name, row.owner) == ("rich", "task_x_1", "me")
    assert (row.created_us, row.made_us) == (START_US, START_US)
    assert (row.committed, row.root_task, row.tainted) == (False, True, False)
    assert (row.tags, row.params) == ({"kind": "rich", "root_task": "True"}, {"x": "1"})
    assert (row.size_bytes, row.file_count) == (made.size_bytes, 2)
    assert row.manifest == digest.of_bytes(manifest.encode(made))


def test_what_is_not_there_is_none_or_says_so(catalog: Catalog) -> None:
    assert catalog.get("nothing") is None
    assert catalog.latest("nothing") is None
    assert catalog.run("nothing") is None
    assert catalog.search(Filter()) == []
    with pytest.raises(BundleNotFound, match="context"):
        catalog.bundle("nothing")


def test_times_of_events_grow_though_the_clock_stands_still_or_goes_back(directory: Path) -> None:
    clock = Clock()
    catalog = open_catalog(directory, now_us=clock)
    moments: list[int] = []

    def drafts(moment: Moment) -> list[Draft]:
        moments.extend(moment.time_us(i) for i in range(2))
        return [added(bundle()), added(bundle())]

    catalog.commit(drafts)
    clock.now_us -= 86_400_000_000
    catalog.commit(drafts)
    events = list(catalog.events())
    assert [each.time_us for each in events] == moments == sorted(set(moments))
    assert moments[0] == START_US


def test_each_writer_counts_its_own_events_from_one_without_gaps(directory: Path) -> None:
    one, other = open_catalog(directory, writer="one"), open_catalog(directory, writer=lambda: "other")
    for catalog in (one, other, one, one, other):
        add_now(catalog)
    seqs = {writer: [e.seq for e in one.events() if e.writer == writer] for writer in ("one", "other")}
    assert seqs == {"one": [1, 2, 3], "other": [1, 2]}


def test_an_event_carries_its_actor_and_write_id(catalog: Catalog) -> None:
    first, second = catalog.commit([added(bundle()), added(bundle())], actor="me@host", write_ids=["w1", "w2"])
    assert [(each.actor, each.write_id) for each in (first, second)] == [("me@host", "w1"), ("me@host", "w2")]
    assert list(catalog.events()) == [first, second]


def test_a_change_that_raises_while_it_is_drafted_changes_nothing(catalog: Catalog, directory: Path) -> None:
    add_now(catalog)
    before = dump(directory)

    def drafts(moment: Moment) -> list[Draft]:
        raise KeyError(moment.time_us())

    with pytest.raises(KeyError):
        catalog.commit(drafts)
    assert dump(directory) == before
    add_now(catalog)
    assert catalog.counts().bundles == 2


def test_a_uuid_that_is_to_be_unused_is_so_though_others_commit_meanwhile(catalog: Catalog, directory: Path) -> None:
    """A bundle that was removed, and one whose event alone is known, have their uuids too."""
    here, gone, tagged = add_now(catalog), add_now(catalog), bundle().uuid
    catalog.commit([removed(gone), event.tagged(tagged, set_to={"k": "v"})])
    before = (directory / "log" / "00000001.log").read_bytes()
    new = bundle()
    for taken in (here, gone, tagged):
        with pytest.raises(AlreadyExists, match=taken):
            catalog.commit([added(new)], unused=[new.uuid, taken])
    assert (directory / "log" / "00000001.log").read_bytes() == before
    assert catalog.known([here, gone, tagged, new.uuid]) == {here, gone, tagged}
    catalog.commit([added(new)], unused=[new.uuid])
    assert catalog.get(new.uuid) is not None


def test_nothing_to_change_writes_nothing(catalog: Catalog, directory: Path) -> None:
    assert catalog.commit([]) == []
    assert not (directory / "log").exists()


def test_search_gives_the_newest_first_and_equal_times_by_uuid(catalog: Catalog) -> None:
    uuids = [add_now(catalog, "a") for _ in range(3)]
    assert [row.uuid for row in catalog.search(Filter())] == uuids[::-1]


CASES = [
    ({"name": "my.data"}, ["my.data"]),
    ({"name": "my*"}, []),
    ({"name_glob": "my*"}, ["my_data", "my.data"]),
    ({"name_glob": "MY*"}, []),
    ({"name_glob": "my?data"}, ["my_data", "my.data"]),
    ({"name_glob": "data"}, []),
    ({"name_regex": r"my\.data"}, ["my.data"]),
    ({"name_regex": "data$"}, ["my_data", "my.data"]),
    ({"name": "'; DROP TABLE bundles; --"}, ["'; DROP TABLE bundles; --"]),
    ({"name": ""}, [""]),
    ({"name": "uuid"}, []),
    ({"tags": {"k": "1"}}, ["", "my_data", "my.data"]),
    ({"tags": {"k": "1", "l": "2"}}, ["my.data"]),
    ({"tags": {"l": "2", "k": "1"}, "name": "my.data"}, ["my.data"]),
    ({"tags": {"k": "%"}}, []),
    ({"processing_name": "p1"}, ["my_data"]),
    ({"processing_name": ""}, ["rich", "", "'; DROP TABLE bundles; --", "my.data"]),
    ({"committed": True}, ["my_data"]),
    ({"committed": False}, ["rich", "", "'; DROP TABLE bundles; --", "my.data"]),
    ({"root": True}, ["rich"]),
    ({"before_us": START_US + 1}, ["my_data", "my.data"]),
    ({"after_us": START_US + 3}, ["rich", ""]),
    ({"after_us": START_US + 1, "before_us": START_US + 1}, ["my_data"]),
    ({"limit": 2}, ["rich", ""]),
    ({"limit": 0}, []),
    ({"task_key": digest.of_bytes(b"key")}, ["rich"]),
    ({"run_id": "01RUN"}, ["rich"]),
]


@pytest.mark.parametrize(("wanted", "found"), CASES)
def test_a_filter_finds_those_that_pass_all_of_it(
    catalog: Catalog, wanted: dict[str, object], found: list[str]
) -> None:
    """Names are data: only a glob is a glob, and nothing is SQL."""
    made = [
        bundle("my.data", created_us=START_US, tags={"k": "1", "l": "2"}),
        bundle("my_data", created_us=START_US + 1, tags={"k": "1"}, processing_name="p1"),
        bundle("'; DROP TABLE bundles; --", created_us=START_US + 2),
        bundle("", created_us=START_US + 3, tags={"k": "1"}),
        rich_bundle(created_us=START_US + 4, processing_name=""),
    ]
    add(catalog, *made)
    catalog.commit([committed(made[1].uuid)])
    assert names(catalog, **wanted) == found


def test_a_bad_regular_expression_is_a_bad_query(catalog: Catalog) -> None:
    with pytest.raises(BadQuery, match="regular expression"):
        catalog.search(Filter(name_regex="("))


def test_latest_only_is_applied_after_all_other_filters(catalog: Catalog) -> None:
    first, second = add_now(catalog, "a"), add_now(catalog, "a")
    other = add_now(catalog, "b")
    catalog.commit([committed(first)])
    assert [row.uuid for row in catalog.search(Filter(latest_only=True))] == [other, second]
    assert [row.uuid for row in catalog.search(Filter(latest_only=True, committed=True))] == [first]
    assert [row.uuid for row in catalog.search(Filter(latest_only=True, tags={"k": "v"}))] == []
    assert [row.uuid for row in catalog.search(Filter(latest_only=True, limit=1))] == [other]


def test_latest_is_the_newest_made_of_those_that_pass(catalog: Catalog) -> None:
    first = add_now(catalog, "a", tags={"k": "1"})
    second = add_now(catalog, "a")

    def latest(**wanted: object) -> str | None:
        row = catalog.latest("a", **wanted)  # type: ignore[arg-type]  # a table of cases
        return row.uuid if row else None

    assert latest() == second
    assert latest(tags={"k": "1"}) == first
    catalog.commit([committed(first)])
    assert (latest(committed=True), latest(committed=False)) == (first, second)


def test_reaffirming_makes_a_bundle_the_latest_again_and_leaves_its_creation(catalog: Catalog) -> None:
    first, second = add_now(catalog), add_now(catalog)
    created = {row.uuid: row.created_us for row in catalog.versions("a")}
    catalog.commit([reaffirmed(first)])
    assert [row.uuid for row in catalog.versions("a")] == [first, second]
    assert {row.uuid: row.created_us for row in catalog.versions("a")} == created


def test_tags_are_set_and_unset_and_the_last_writer_wins(catalog: Catalog) -> None:
    uuid = add_now(catalog, tags={"birth": "1", "gone": "1"})
    catalog.commit([event.tagged(uuid, set_to={"k": "1"}, unset=["gone"]), event.tagged(uuid, set_to={"k": "2"})])
    row = catalog.get(uuid)
    assert row is not None
    assert row.tags == {"birth": "1", "k": "2"}
    assert [row.uuid for row in catalog.search(Filter(tags={"k": "2"}))] == [uuid]
    assert catalog.search(Filter(tags={"gone": "1"})) == catalog.search(Filter(tags={"k": "1"})) == []


def test_a_renamed_bundle_is_found_by_its_new_name_alone(catalog: Catalog) -> None:
    uuid = add_now(catalog, "old")
    catalog.commit([renamed(uuid, "new")])
    assert (catalog.latest("old"), [row.uuid for row in catalog.versions("new")]) == (None, [uuid])
    assert catalog.names() == ["new"]
    assert catalog.bundle(uuid).name == "old"


def test_a_removal_can_be_undone_and_the_undoing_too(catalog: Catalog) -> None:
    made = rich_bundle(inputs=["u1"])
    add(catalog, made)
    [removal] = catalog.commit([removed(made.uuid)])
    assert catalog.get(made.uuid) is None
    assert catalog.search(Filter(tags={"kind": "rich"})) == []
    assert catalog.used_by("u1") == []
    [undo] = catalog.commit([undone(removal.id)])
    assert catalog.bundle(made.uuid) == made
    assert [row.uuid for row in catalog.search(Filter(tags={"kind": "rich"}))] == [made.uuid]
    catalog.commit([undone(undo.id)])
    assert catalog.get(made.uuid) is None


def test_edges_lead_both_ways_in_the_order_of_the_manifest(catalog: Catalog) -> None:
    source = add_now(catalog)
    first, second = rich_bundle(inputs=[source, "elsewhere"]), rich_bundle(inputs=[source])
    add(catalog, first, second)
    assert catalog.inputs_of(first.uuid) == [
        Edge(first.uuid, "argument0", source),
        Edge(first.uuid, "argument1", "elsewhere"),
    ]
    assert [edge.bundle for edge in catalog.used_by(source)] == [first.uuid, second.uuid]
    assert catalog.edges([first.uuid, second.uuid, source]) == {
        first.uuid: [("argument0", source), ("argument1", "elsewhere")],
        second.uuid: [("argument0", source)],
    }


def test_prefixes_of_uuids_are_no_patterns(catalog: Catalog) -> None:
    made = [bundle(uuid=f"{start}-1111-4222-8333-123456789abc") for start in ("abcd0001", "abcd0002", "abce0001")]
    add(catalog, *made)
    assert catalog.uuids_starting("abcd") == [made[0].uuid, made[1].uuid]
    assert catalog.uuids_starting("abcd", limit=1) == [made[0].uuid]
    assert catalog.uuids_starting("abc%") == catalog.uuids_starting("abc_") == catalog.uuids_starting("b") == []
    assert {row.uuid for row in catalog.search(Filter(uuid_prefix="abce"))} == {made[2].uuid}


def test_many_rows_and_bundles_come_in_one_question(catalog: Catalog) -> None:
    made = [bundle() for _ in range(3)]
    add(catalog, *made)
    uuids = [each.uuid for each in made]
    assert set(catalog.rows([*uuids, "nothing"])) == set(uuids)
    assert catalog.bundles([*uuids, "nothing"]) == {each.uuid: each for each in made}


def test_counts_add_up(catalog: Catalog) -> None:
    made = rich_bundle()
    add(catalog, made, bundle("a"), bundle("a"))
    catalog.commit([committed(made.uuid)])
    counts = catalog.counts()
    assert (counts.bundles, counts.names, counts.committed, counts.uncommitted) == (3, 2, 1, 2)
    assert (counts.files, counts.size_bytes) == (2, made.size_bytes)
    assert counts.digests == len({PACKAGES, *(digest.of_bytes(each) for each in (b"t", b"b", b"c"))})


def test_a_run_is_found_by_its_id(catalog: Catalog) -> None:
    run = Run("01RUN", user="me", host="here", argv=("dsdt", "add"), started_us=START_US)
    made = rich_bundle()
    catalog.commit([Draft(event.RUN, {"run": manifest.run_to_json(run)}), added(made)])
    decided = [{"task": "A()", "why": "forced"}]
    catalog.commit([Draft(event.DECISIONS, {"run": "01RUN", "tasks": decided})])
    assert catalog.run("01RUN") == run
    assert catalog.decisions("01RUN") == decided
    assert catalog.decisions("nothing") == []
    assert [row.uuid for row in catalog.search(Filter(run_id="01RUN"))] == [made.uuid]


def test_bundles_are_found_by_what_made_them(catalog: Catalog) -> None:
    made = [rich_bundle(), rich_bundle()]
    uuids = add(catalog, *made)
    assert {row.uuid for row in catalog.search(Filter(task_key=digest.of_bytes(b"key")))} == set(uuids)
    assert {row.uuid for row in catalog.by_processing_name("task_x_1")} == set(uuids)


def test_several_searches_at_once_give_what_each_gives_alone(catalog: Catalog) -> None:
    add(catalog, *(bundle(name) for name in ("a", "b", "a")))
    wanted = [Filter(name="a"), Filter(name="nothing"), Filter(name="a", limit=1), Filter(name="b")]
    assert catalog.search_each(wanted) == [catalog.search(each) for each in wanted]


def test_a_manifest_may_be_an_object(directory: Path) -> None:
    store, made = Store(), rich_bundle()
    name = store.put(manifest.encode(made))
    catalog = open_catalog(directory, fetch=store.fetch)
    catalog.commit([event.added(made.uuid, name, None)])
    assert catalog.bundle(made.uuid) == made
    [removal] = catalog.commit([removed(made.uuid)])
    catalog.commit([undone(removal.id)])
    assert catalog.bundle(made.uuid) == made
    digests = [found for uuid, found in dump(directory)["objects"] if uuid == made.uuid]
    assert name.raw in digests


def test_one_manifest_that_cannot_be_read_hides_one_bundle_only(directory: Path) -> None:
    store, made = Store(), bundle()
    name = store.put(manifest.encode(made))
    lost = digest.of_bytes(b"lost")
    catalog = open_catalog(directory, fetch=store.fetch)
    catalog.commit([event.added("u-lost", lost, None), event.added(made.uuid, name, None)])
    catalog.commit([event.added("u-odd", name, None), event.added("u-bad", lost, {"format": 1, "uuid": "u-bad"})])
    assert [row.uuid for row in catalog.search(Filter())] == [made.uuid]
    assert set(catalog.unreadable()) == {"u-lost", "u-odd", "u-bad"}
    before = dump(directory)
    assert catalog.reindex() == 1
    assert dump(directory) == before
    catalog.commit([removed("u-odd")])
    assert set(catalog.unreadable()) == {"u-lost", "u-bad"}


HOSTILE: dict[str, dict[str, object]] = {
    "text that is no Unicode": {"name": "\ud800"},
    "a tag that is no Unicode": {"tags": {"k": "\udcff"}},
    "tags that are a list": {"tags": ["k"]},
    "tags that are numbers": {"tags": {"k": [1]}},
    "params that are text": {"params": "x"},
    "a metric that is text": {"metrics": {"m": "high"}},
    "a metric beyond all floats": {"metrics": {"m": 10**400}},
    "a time out of range": {"created": 1 << 64},
    "a time that is text": {"created": "yesterday"},
    "a name that is a number": {"name": 1},
    "an owner who is a list": {"owner": ["me"]},
    "a frame without a kind": {"frames": [{"name": ""}]},
    "a frame whose size is text": {"frames": [{"name": "", "kind": "k", "logical": f"x1:{PACKAGES}", "size": "9"}]},
    "a file outside the bundle": {"tree": {"entries": [{"name": "../x", "digest": PACKAGES, "size": 1}]}},
    "a file whose size is text": {"tree": {"entries": [{"name": "x", "digest": PACKAGES, "size": "1"}]}},
    "a tree whose count is text": {"tree": {"root": PACKAGES, "files": "many", "size": 1}},
    "an input without a uuid": {"inputs": [{"argument": "x"}]},
    "an input whose uuid is a list": {"inputs": [{"argument": "x", "uuid": []}]},
    "a run that is text": {"run": "r"},
    "a format to come": {"format": 2},
    "a feature to come": {"requires": ["time-travel"]},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_made_to_break_the_catalog_breaks_one_bundle_only(catalog: Catalog, what: str) -> None:
    """It is not listed, or says that it is corrupt when it is read."""
    odd, good = bundle("odd", tags={"k": "v"}), bundle("good")
    body: dict[str, Any] = {**manifest.to_json(odd), **HOSTILE[what]}
    catalog.commit([event.added(odd.uuid, digest.of_json(body), body), added(good)])
    catalog.commit([event.tagged(odd.uuid, set_to={"x": "y"}), committed(odd.uuid)])
    for _ in range(2):
        assert catalog.latest("good") is not None
        if catalog.get(odd.uuid) is None:
            assert set(catalog.unreadable()) == {odd.uuid}
        else:
            with pytest.raises(Corrupt):
                catalog.bundle(odd.uuid)
        catalog.reindex()


def test_a_uuid_that_could_be_a_path_hides_one_bundle_only(catalog: Catalog) -> None:
    """The files of a bundle are placed in a directory named by its uuid."""
    good = add_now(catalog, "good")
    body = {**manifest.to_json(bundle("odd")), "uuid": "../../../elsewhere"}
    catalog.commit([event.added("../../../elsewhere", digest.of_json(body), body)])
    for _ in range(2):
        assert [row.uuid for row in catalog.search(Filter())] == [good]
        assert set(catalog.unreadable()) == {"../../../elsewhere"}
        catalog.reindex()


def test_a_tag_or_name_no_row_can_hold_hides_one_bundle_only(catalog: Catalog) -> None:
    tagged, renamed_, good = add(catalog, bundle(), bundle(), bundle())
    catalog.commit([event.tagged(tagged, set_to={"k": "\ud800"}), renamed(renamed_, "\ud800")])
    assert [row.uuid for row in catalog.search(Filter())] == [good]
    assert set(catalog.unreadable()) == {tagged, renamed_}


def test_a_manifest_that_is_not_the_one_added_is_not_believed(catalog: Catalog) -> None:
    made = bundle()
    catalog.commit([event.added(made.uuid, digest.of_bytes(b"another"), manifest.to_json(made))])
    with pytest.raises(DigestMismatch, match="manifest"):
        catalog.bundle(made.uuid)


@pytest.mark.parametrize("what", ["missing", "empty", "no database", "other version", "damaged", "link to nothing"])
def test_a_catalog_that_is_lost_or_unusable_is_made_again(directory: Path, what: str) -> None:
    catalog = open_catalog(directory)
    add(catalog, rich_bundle(inputs=["u1"]), *(bundle(f"n{i}") for i in range(200)))
    before = dump(directory)
    catalog.close()
    file = (directory / "catalog.db").resolve()
    if what == "missing":
        (directory / "catalog.db").unlink()
    elif what == "empty":
        file.write_bytes(b"")
    elif what == "no database":
        file.write_bytes(b"nothing like a database" * 500)
    elif what == "other version":
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA user_version = 999")
            connection.execute("DROP TABLE bundles")
        connection.close()
    elif what == "damaged":
        content = bytearray(file.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        file.write_bytes(content)
    else:
        file.unlink()
    for found in (catalog, open_catalog(directory)):
        assert found.counts().bundles == 201
    assert dump(directory) == before
    assert len(list(directory.glob("catalog-*.db"))) == 1


def test_a_damaged_catalog_does_not_stop_a_change(directory: Path) -> None:
    catalog = open_catalog(directory)
    add(catalog, *(bundle(f"n{i}") for i in range(200)))
    catalog.close()
    file = (directory / "catalog.db").resolve()
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    uuid = add_now(catalog, "new")
    assert catalog.counts().bundles == 201
    assert catalog.get(uuid) is not None


def test_a_catalog_found_damaged_after_the_commit_point_does_not_repeat_the_change(directory: Path) -> None:
    catalog = open_catalog(directory)
    add(catalog, *(bundle(f"n{i}") for i in range(200)))
    catalog.close()
    file = (directory / "catalog.db").resolve()
    with closing(sqlite3.connect(file)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'bundles_uuid'")
    content = bytearray(file.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    [event_] = catalog.commit([added(bundle("once"))])
    assert [each.id for each in catalog.events()][200:] == [event_.id]
    assert len(catalog.versions("once")) == 1


@pytest.mark.parametrize("fault", ["network", "no links"])
def test_where_a_write_ahead_log_is_unsafe_the_rollback_journal_is_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """On a network's file system, and where there are no symbolic links to tell catalogs apart."""
    directory.mkdir()
    if fault == "network":
        monkeypatch.setattr(database, "NETWORK", {database.file_system(directory)})
    else:
        monkeypatch.setattr(Path, "symlink_to", _no_links)
    catalog, other = open_catalog(directory), open_catalog(directory)
    for number in range(5):
        add_now(catalog)
        add_now(other)
        if number == 2:
            (directory / "catalog.db").unlink()
    assert catalog.counts().bundles == other.counts().bundles == 10
    assert (directory / "catalog.db").is_symlink() == (fault == "network")
    with closing(sqlite3.connect(directory / "catalog.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert len(list(directory.glob("catalog*"))) == (3 if fault == "network" else 2)
    before = dump(directory)
    catalog.reindex()
    assert dump(directory) == before


def _no_links(*_: object) -> None:
    raise OSError(1, "Operation not permitted")


def test_a_catalog_that_is_deleted_under_an_open_one_is_noticed(directory: Path) -> None:
    """The open one never goes on with the file that is gone, nor does closing it harm the new one."""
    one, other = open_catalog(directory), open_catalog(directory)
    add_now(one)
    assert other.counts().bundles == 1
    (directory / "catalog.db").unlink()
    add_now(other)
    assert one.counts().bundles == 2
    add_now(one)
    other.close()
    one.close()
    assert open_catalog(directory).counts().bundles == 3


def test_a_catalog_behind_the_log_catches_up(directory: Path, tmp_path: Path) -> None:
    """As after a power cut, which may take what SQLite had not synced."""
    catalog = open_catalog(directory)
    add_now(catalog)
    catalog.close()
    old = (directory / "catalog.db").read_bytes()
    add_now(catalog)
    catalog.close()
    before = dump(directory)
    (directory / "catalog.db").resolve().write_bytes(old)
    assert open_catalog(directory).counts().bundles == 2
    assert dump(directory) == before


def test_reindex_counts_the_bundles_and_changes_no_row(catalog: Catalog, directory: Path) -> None:
    uuids = [add_now(catalog, f"n{i}") for i in range(5)]
    [removal] = catalog.commit([removed(uuids[0])])
    catalog.commit([renamed(uuids[1], "x"), event.tagged(uuids[2], set_to={"k": "v"}), undone(removal.id)])
    before = dump(directory)
    assert catalog.reindex() == 5
    assert dump(directory) == before


def test_a_context_that_is_gone_is_not_found(catalog: Catalog, directory: Path) -> None:
    add_now(catalog)
    directory.rename(directory.with_name("elsewhere"))
    with pytest.raises(ContextNotFound):
        catalog.counts()
    with pytest.raises(ContextNotFound):
        add_now(catalog)


def test_the_log_is_checked_for_damage_gaps_and_missing_ends(directory: Path) -> None:
    catalog = open_catalog(directory)
    for _ in range(3):
        add_now(catalog)
    catalog.check_log()
    segment = directory / "log" / "00000001.log"
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(content)
    with pytest.raises(Corrupt, match=r"00000001\.log at offset 16"):
        catalog.check_log()


def test_an_event_of_this_home_that_is_missing_is_found(directory: Path, tmp_path: Path) -> None:
    catalog = open_catalog(directory)
    add_now(catalog)
    first = (directory / "log" / "00000001.log").stat().st_size
    add_now(catalog)
    second = (directory / "log" / "00000001.log").stat().st_size
    add_now(catalog)
    content = (directory / "log" / "00000001.log").read_bytes()
    copy = open_catalog(tmp_path / "copy")
    (tmp_path / "copy" / "log").mkdir()
    (tmp_path / "copy" / "log" / "00000001.log").write_bytes(content[:first] + content[second:])
    assert copy.counts().bundles == 2
    with pytest.raises(Corrupt, match="lacks 1 event"):
        copy.check_log()


def test_an_event_that_needs_an_unknown_feature_stops_the_reader(directory: Path) -> None:
    directory.mkdir()
    unknown = event.Event(event.ulid(1), 1, HOME, 1, "strange", requires=("time-travel",))
    Log(directory / "log", disk=Disk()).append(START, [unknown])
    with pytest.raises(UnknownFormat, match="time-travel"):
        open_catalog(directory).counts()


def test_events_of_unknown_kinds_are_kept_and_ignored(catalog: Catalog) -> None:
    uuid = add_now(catalog)
    [strange] = catalog.commit([Draft("strange", {"uuid": uuid, "more": 1})])
    assert catalog.counts().bundles == 1
    assert list(catalog.events())[-1] == strange


def test_a_context_may_be_reached_through_a_symbolic_link(directory: Path, tmp_path: Path) -> None:
    catalog = open_catalog(directory)
    add_now(catalog)
    (tmp_path / "link").symlink_to(directory)
    linked = open_catalog(tmp_path / "link")
    assert linked.reindex() == 1
    add_now(linked)
    assert catalog.counts().bundles == 2
    assert (directory / "catalog.db").exists()


@pytest.mark.parametrize("kind", ["remove", "tag", "undo"])
def test_a_change_that_needs_a_damaged_event_is_refused_and_others_can_be_made(tmp_path: Path, kind: str) -> None:
    """Of a bundle whose `add` is damaged behind the catalog nothing can be said; what is said of others goes on."""
    directory = tmp_path / "context"
    catalog = open_catalog(directory)
    lost, other = bundle("lost"), bundle("other")
    [add_of_lost] = catalog.commit([added(lost)])
    catalog.commit([added(other)])
    log = directory / "log" / "00000001.log"
    log.write_bytes(log.read_bytes().replace(b'"kind":"add"', b'"kind";"add"', 1))
    before = log.read_bytes()
    change = {
        "remove": removed(lost.uuid, other.uuid),
        "tag": event.tagged(lost.uuid, set_to={"k": "v"}),
        "undo": event.undone([add_of_lost]),
    }[kind]
    with pytest.raises(Corrupt):
        catalog.commit([change])
    assert log.read_bytes() == before
    assert [row.name for row in catalog.search(Filter())] == ["other", "lost"]
    catalog.commit([event.tagged(other.uuid, set_to={"k": "v"})])
    assert catalog.rows([other.uuid])[other.uuid].tags == {"k": "v"}
    assert len(catalog.search(Filter())) == 2
    catalog.close()
