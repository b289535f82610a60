"""What waits to be indexed is seen by everybody, protected as the rest of the log is, and never waits for long."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disdat.catalog import endnote, indexed
from disdat.catalog.asof import CatalogThen
from disdat.catalog.catalog import Catalog, looking_at
from disdat.catalog.database import connect
from disdat.catalog.index import state
from disdat.catalog.indexed import MOST_WAITING
from disdat.catalog.lock import ContextLock
from disdat.catalog.log import START, Log, Position
from disdat.catalog.queries import Filter, counts
from disdat.catalog.readonly import Snapshot
from disdat.core import event
from disdat.durable import Disk
from disdat.errors import AlreadyExists, Conflict, Corrupt, StorageError
from disdat.openfiles import MOST
from disdat.testing.faults import Crash, FailingDisk, RecordingDisk, crash_states
from tests.catalog.contexts import (
    START_US,
    Store,
    add,
    add_now,
    added,
    bundle,
    dump,
    open_catalog,
    removed,
    rich_bundle,
)
from tests.conftest import examples

SOURCE = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "context"


def is_indexed(directory: Path) -> bool:
    """Whether the index has seen the whole log."""
    with closing(connect(directory / "catalog.db", "mode=ro")) as connection:
        return state(connection).position == log_of(directory).end()


def log_of(directory: Path) -> Log:
    return Log(directory / "log", disk=Disk())


def killed(directory: Path, act: Callable[[Catalog], object]) -> None:
    """Let a process do something to a context and die before it can end."""
    pid = os.fork()
    if pid == 0:
        act(open_catalog(directory))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def add_some(catalog: Catalog, count: int = 4) -> list[str]:
    return [add_now(catalog, "n") for _ in range(count)]


def test_changes_one_after_another_are_written_and_synced_and_indexed_together(directory: Path) -> None:
    directory.mkdir()
    disk = RecordingDisk(directory)
    catalog = open_catalog(directory, disk=disk)
    add_now(catalog)
    disk.calls.clear()
    add_some(catalog, MOST_WAITING)
    assert [call.name for call in disk.calls] == ["write", "sync"] * MOST_WAITING
    add_now(catalog)
    assert [call.name for call in disk.calls[-3:]] == ["write", "sync", "sql_commit"]
    assert is_indexed(directory)


def test_a_batch_does_not_wait(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_now(catalog)
    add(catalog, *(bundle() for _ in range(MOST_WAITING + 1)))
    assert is_indexed(directory)


def test_who_asks_after_each_change_finds_it_indexed(directory: Path) -> None:
    """Each alone would be indexed by the question, after looking for it in vain and taking the lock again."""
    catalog = open_catalog(directory)
    for count in range(1, 4):
        add_now(catalog)
        assert is_indexed(directory)
        assert catalog.counts().bundles == count
    add_some(catalog, 2)
    assert not is_indexed(directory)


READERS: dict[str, Callable[[Path, Catalog], int]] = {
    "who wrote it": lambda _, catalog: catalog.counts().bundles,
    "another": lambda directory, _: open_catalog(directory).counts().bundles,
    "a reader that writes nothing": lambda directory, _: snapshot(directory).read(counts).bundles,
    "as of now": lambda _, catalog: len(CatalogThen(catalog, START_US * 2).search(Filter())),
    "its log": lambda _, catalog: catalog.check_log(),
    "another index": lambda directory, _: open_catalog(directory).reindex(),
}


def snapshot(directory: Path) -> Snapshot:
    return Snapshot(directory, log=log_of(directory), fetch=Store().fetch)


@pytest.mark.parametrize("reader", READERS)
def test_what_waits_is_seen_at_once(directory: Path, reader: str) -> None:
    catalog = open_catalog(directory)
    for count in range(3, 12, 3):
        add_some(catalog, 3)
        assert not is_indexed(directory)
        assert READERS[reader](directory, catalog) == count


def test_what_is_asked_for_before_a_change_counts_what_waits(directory: Path) -> None:
    catalog = open_catalog(directory)
    uuid, other, gone = add_some(catalog, 3)
    catalog.commit([removed(gone)])
    waiting = add_now(catalog)
    for taken in (uuid, gone, waiting):
        with pytest.raises(AlreadyExists, match=taken):
            catalog.commit([], unused=[taken])
        with pytest.raises(AlreadyExists, match=taken):
            catalog.commit([added(bundle(uuid=taken))], unused=[taken])
        add_now(catalog)  # so that there is something that waits
    last = add_now(catalog)

    def refuse(found: object) -> None:
        raise Conflict(repr(sorted(found)))  # type: ignore[call-overload]

    with pytest.raises(Conflict, match=last):
        catalog.commit([removed(last)], check=looking_at([last, gone], refuse))
    catalog.commit([event.tagged(add_now(catalog), set_to={"k": "v"})])
    assert len(catalog.search(Filter(tags={"k": "v"}))) == 1
    catalog.commit([added(bundle(uuid=other))])  # nobody forbade it: it is added twice
    assert catalog.counts().bundles == len(catalog.search(Filter()))
    before = dump(directory)
    catalog.reindex()
    assert dump(directory) == before
    catalog.check_log()


ACTS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["add", "rich", "twice", "tag", "remove", "read", "close", "forget"])),
    max_size=40,
)


@settings(max_examples=examples(25))
@given(acts=ACTS)
def test_whoever_does_what_in_turn_finds_all_and_the_index_is_that_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, str]]
) -> None:
    """Three who change a context in any order; one that is forgotten leaves what waited as a killed process does."""
    directory = tmp_path_factory.mktemp("turns") / "context"
    catalogs = [open_catalog(directory, writer=f"w{i % 2}") for i in range(3)]
    there: dict[str, dict[str, str]] = {}
    for who, act in acts:
        catalog, some = catalogs[who], next(iter(there), None)
        if act == "add":
            there[add_now(catalog)] = {}
        elif act == "rich":
            there[add_now(catalog, tags={"a": "b"}, params={"x": "1"})] = {"a": "b"}
        elif act == "twice":
            there |= {uuid: {} for uuid in add(catalog, bundle(), bundle())}
        elif act == "tag" and some:
            catalog.commit([event.tagged(some, set_to={"n": act})])
            there[some] = there[some] | {"n": act}
        elif act == "remove" and some:
            catalog.commit([removed(some)])
            del there[some]
        elif act == "read":
            assert {row.uuid: dict(row.tags) for row in catalog.search(Filter())} == there
        elif act == "close":
            catalog.close()
        elif act == "forget":
            catalogs[who] = open_catalog(directory, writer=f"w{who % 2}")
    last = open_catalog(directory)
    assert {row.uuid: dict(row.tags) for row in last.search(Filter())} == there
    before = dump(directory)
    last.reindex()
    assert dump(directory) == before
    last.check_log()


def test_what_waited_when_a_process_was_killed_is_there(directory: Path) -> None:
    killed(directory, lambda catalog: add_some(catalog, 5))
    assert not is_indexed(directory)
    assert snapshot(directory).read(counts).bundles == 5
    assert open_catalog(directory).counts().bundles == 5
    assert is_indexed(directory)


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "a bit": lambda whole, _: whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
    "the last byte": lambda whole, _: whole[:-1],
    "the last record": lambda whole, last: whole[:last],
    "its frame": lambda whole, last: whole[: last + 3],
}
ASKING: dict[str, Callable[[Path], object]] = {
    "a question": lambda directory: open_catalog(directory).counts(),
    "a reader that writes nothing": lambda directory: snapshot(directory).read(counts),
    "a change": lambda directory: add_now(open_catalog(directory)),
    "another index": lambda directory: open_catalog(directory).reindex(),
    "reading the log": lambda directory: open_catalog(directory).check_log(),
}


@pytest.fixture(scope="module", params=[1, 4])
def waiting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Give a number of bundles, and a context where so many waited when its writer was killed; to be copied."""
    context = tmp_path_factory.mktemp("killed") / "context"
    killed(context, lambda catalog: add_some(catalog, 1 + request.param))
    return request.param, context


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("what", DAMAGE)
def test_damage_to_the_last_record_that_was_acknowledged_is_no_torn_tail(
    directory: Path, what: str, asking: str, waiting: tuple[int, Path]
) -> None:
    """Though nobody indexed it before its writer was killed."""
    count, context = waiting
    shutil.copytree(context, directory, symlinks=True)
    segment = directory / "log" / "00000001.log"
    whole, last = segment.read_bytes(), list(log_of(directory).records())[-1].start
    segment.write_bytes(DAMAGE[what](whole, last.offset))
    damaged = segment.read_bytes()
    with pytest.raises(Corrupt, match=r"00000001\.log"):
        ASKING[asking](directory)
    assert segment.read_bytes() == damaged
    segment.write_bytes(whole)
    assert open_catalog(directory).counts().bundles == 1 + count


def test_with_the_catalog_moved_aside_a_damaged_end_is_dropped(directory: Path) -> None:
    """As the message about the damage says."""
    killed(directory, add_some)
    segment = directory / "log" / "00000001.log"
    segment.write_bytes(segment.read_bytes()[:-1])
    (directory / "catalog.db").rename(directory / "aside")
    catalog = open_catalog(directory)
    assert catalog.counts().bundles == 3
    assert len(list((directory / "log").glob("cut-*"))) == 1
    assert not [path.name for path in directory.glob("*-end") if path.stat().st_size]
    add_now(catalog)
    catalog.check_log()


@pytest.mark.parametrize("note", [b"", b"\0" * 32, b"\xff" * 32, b"half of it"])
def test_a_note_that_was_lost_or_damaged_harms_nothing(directory: Path, note: bytes) -> None:
    killed(directory, add_some)
    [path] = directory.glob("*-end")
    assert endnote.read_beside((directory / "catalog.db").resolve()) == log_of(directory).end()
    path.write_bytes(note)
    assert endnote.read_beside((directory / "catalog.db").resolve()) == START
    assert snapshot(directory).read(counts).bundles == 4
    assert open_catalog(directory).counts().bundles == 4


def test_the_bytes_of_the_note_are_those_of_the_format(tmp_path: Path) -> None:
    note = endnote.EndNote(str(tmp_path / "catalog"))
    assert note.read() == START
    note.write(Position(3, 4711))
    assert note.read() == Position(3, 4711)
    note.close()
    position = (3).to_bytes(8, "little") + (4711).to_bytes(8, "little")
    written = (tmp_path / "catalog-end").read_bytes()
    assert (written[:16], len(written)) == (position, 32)
    assert written[16:].hex() == "ec19ca921e10011840b0de52e04ceb89"


def test_a_process_that_ends_indexes_what_waits(directory: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.catalog.contexts import add_now, open_catalog\n"
        "catalog = open_catalog(Path(sys.argv[1]))\n"
        "for _ in range(5): add_now(catalog)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, "-c", script, str(directory)], check=True, env=environment)
    assert is_indexed(directory)
    assert open_catalog(directory).counts().bundles == 5


def test_closing_indexes_what_waits_and_waits_for_nobody(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_some(catalog)
    with ContextLock(directory).held():
        catalog.close()
    assert not is_indexed(directory)
    catalog.close()
    assert is_indexed(directory)


def test_closing_a_context_that_is_gone_is_no_error(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_some(catalog)
    directory.rename(directory.with_name("elsewhere"))
    catalog.close()
    assert open_catalog(directory.with_name("elsewhere")).counts().bundles == 4


def test_parent_and_child_may_both_go_on_from_what_waits(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_some(catalog)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            add_some(catalog)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    add_some(catalog)
    assert catalog.counts().bundles == 12
    assert [each.seq for each in catalog.events()] == list(range(1, 13))


def test_a_log_that_was_put_in_its_place_is_not_taken_for_the_one_that_was_left(directory: Path) -> None:
    """Even one as long: what is remembered is of another file."""
    catalog, segment = open_catalog(directory), directory / "log" / "00000001.log"
    add_some(catalog)
    whole = segment.read_bytes()
    add_some(catalog, 2)
    segment.write_bytes(whole)
    with pytest.raises(Corrupt):  # less than was acknowledged
        add_now(catalog)


@pytest.mark.parametrize("error", [Crash, pytest.param(None, marks=pytest.mark.slow)])
def test_changes_in_a_row_that_fail_at_any_step_are_made_or_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    """Whether the disk refuses or the process dies: what was acknowledged is there, of the next all or nothing."""
    monkeypatch.setattr(indexed, "MOST_WAITING", 3)
    at, reached = 0, True
    while reached:
        at += 1
        directory = tmp_path / f"context{at}"
        disk = FailingDisk(at, error=error) if error else FailingDisk(at)
        catalog, acknowledged = open_catalog(directory, disk=disk), 0
        try:
            for _ in range(9):
                add(catalog, bundle(), rich_bundle())
                acknowledged += 2
        except (StorageError, Crash):
            assert disk.reached
        found = open_catalog(directory).counts().bundles
        assert found in (acknowledged, acknowledged + 2)
        add_now(open_catalog(directory))
        before = dump(directory)
        assert open_catalog(directory).reindex() == found + 1
        assert dump(directory) == before
        reached = disk.reached
    assert at > 20


def test_a_power_cut_among_changes_in_a_row_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed, "MOST_WAITING", 2)
    directory, initial = tmp_path / "context", tmp_path / "initial"
    directory.mkdir()
    initial.mkdir()
    disk = RecordingDisk(directory)
    catalog, marks = open_catalog(directory, disk=disk), [0]
    for _ in range(5):
        add_now(catalog)
        marks.append(len(disk.calls))
    for number, (what, left) in enumerate(crash_states(initial, disk.calls, tmp_path)):
        done = number // 2
        acknowledged = sum(mark <= done for mark in marks[1:])
        assert open_catalog(left).counts().bundles in (acknowledged, acknowledged + 1), what


def test_a_catalog_nobody_has_any_more_leaves_no_file_open(tmp_path: Path) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    for number in range(5):
        add(open_catalog(tmp_path / str(number)), bundle())
    assert opened() == before


@pytest.mark.slow
def test_a_process_may_use_more_catalogs_than_it_may_have_files_open(tmp_path: Path) -> None:
    """All of them are at hand, and what waits in one to be indexed is not lost when its files are closed."""
    before = len(os.listdir("/proc/self/fd"))
    catalogs = [open_catalog(tmp_path / str(number)) for number in range(3 * MOST)]
    for _ in range(2):
        for each in catalogs:
            add(each, bundle())
        assert len(os.listdir("/proc/self/fd")) - before <= 4 * MOST
    assert {each.counts().bundles for each in catalogs} == {2}
    assert len(os.listdir("/proc/self/fd")) - before <= 4 * MOST
