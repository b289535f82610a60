"""Many processes and threads on one context: nothing is lost, nothing is half there, nobody hears "locked"."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.catalog.catalog import Catalog
from disdat.catalog.queries import Filter
from disdat.core import event
from tests.catalog.contexts import add, add_now, bundle, committed, dump, open_catalog, removed

SOURCE = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "context"


def fork(act: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return pid


def wait_for(pids: list[int]) -> None:
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


def increment(directory: Path, times: int, worker: str) -> None:
    """Read a counter kept in a tag and write it back one greater, under the lock."""
    catalog = open_catalog(directory, writer=worker)

    def drafts(_: object) -> list[event.Draft]:
        row = next(iter(other.search(Filter(name="counter"))))
        return [event.tagged(row.uuid, set_to={"n": str(int(row.tags["n"]) + 1)})]

    other = open_catalog(directory)
    for _ in range(times):
        catalog.commit(drafts)


def test_increments_by_many_processes_are_all_there(directory: Path) -> None:
    add(open_catalog(directory), bundle("counter", tags={"n": "0"}))
    wait_for([fork(lambda i=i: increment(directory, 40, f"w{i}")) for i in range(4)])  # type: ignore[misc]
    catalog = open_catalog(directory)
    [row] = catalog.search(Filter(name="counter"))
    assert row.tags["n"] == "160"
    seqs = Counter(each.writer for each in catalog.events())
    assert seqs == {"w0": 40, "w1": 40, "w2": 40, "w3": 40, "01HOME0000000000000000000A": 1}
    for writer in ("w0", "w1"):
        assert [each.seq for each in catalog.events() if each.writer == writer] == list(range(1, 41))


def mixed_work(directory: Path, seed: int, acknowledged: Path) -> None:
    """Add, tag, commit and remove, and note what was acknowledged."""
    catalog, chance = open_catalog(directory), random.Random(seed)
    mine: dict[str, dict[str, str] | None] = {}
    for step in range(60):
        uuid = chance.choice([u for u, tags in mine.items() if tags is not None] or [""])
        act = chance.choice(["add", "tag", "remove", "commit", "read"]) if uuid else "add"
        if act == "add":
            mine[add_now(catalog, f"n{chance.randrange(3)}")] = {}
        elif act == "tag":
            catalog.commit([event.tagged(uuid, set_to={"step": str(step)})])
            mine[uuid] = {"step": str(step)}
        elif act == "remove":
            catalog.commit([removed(uuid)])
            mine[uuid] = None
        elif act == "commit":
            catalog.commit([committed(uuid)])
        row = catalog.get(uuid) if uuid else None
        assert (None if row is None else row.tags) == mine.get(uuid)
    acknowledged.write_text(repr(mine))


@pytest.mark.slow
def test_processes_that_do_everything_at_once_leave_what_was_acknowledged(directory: Path, tmp_path: Path) -> None:
    notes = [tmp_path / f"notes{i}" for i in range(4)]
    wait_for([fork(lambda i=i, note=note: mixed_work(directory, i, note)) for i, note in enumerate(notes)])  # type: ignore[misc]
    expected = {uuid: tags for note in notes for uuid, tags in eval(note.read_text()).items()}
    catalog = open_catalog(directory)
    found = {row.uuid: row.tags for row in catalog.search(Filter())}
    assert found == {uuid: tags for uuid, tags in expected.items() if tags is not None}
    before = dump(directory)
    catalog.reindex()
    assert dump(directory) == before
    catalog.check_log()


def test_threads_share_a_catalog(directory: Path) -> None:
    catalog = open_catalog(directory)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                uuid = add_now(catalog)
                assert catalog.get(uuid) is not None
                assert catalog.search(Filter(limit=5))
        except BaseException as exc:
            failures.append(exc)
            raise

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert catalog.counts().bundles == 180


def test_a_child_opens_connections_of_its_own(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_now(catalog)

    def child() -> None:
        for _ in range(20):
            add_now(catalog)
        assert catalog.counts().bundles >= 21

    pids = [fork(child) for _ in range(2)]
    for _ in range(20):
        add_now(catalog)
        assert catalog.search(Filter(limit=1))
    wait_for(pids)
    assert catalog.counts().bundles == 61
    with catalog._indexed.database.connection() as lent:  # what SQLite says of its file
        assert lent.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
def test_deleting_the_catalog_again_and_again_loses_nothing(directory: Path) -> None:
    """Readers and writers go on while the catalog is deleted and remade under them."""
    catalog = open_catalog(directory)
    add_now(catalog)

    def work() -> None:
        mine = open_catalog(directory)
        for _ in range(60):
            uuid = add_now(mine)
            assert mine.get(uuid) is not None

    pids = [fork(work) for _ in range(2)]
    for number in range(30):
        time.sleep(0.01)
        if number % 3 == 0:
            catalog.reindex()
        elif number % 3 == 1:
            (directory / "catalog.db").unlink(missing_ok=True)
        else:
            for path in directory.glob("catalog*"):
                path.unlink(missing_ok=True)
        assert catalog.counts().bundles >= 1
    wait_for(pids)
    assert catalog.counts().bundles == 121
    before = dump(directory)
    catalog.reindex()
    assert dump(directory) == before


def test_readers_never_wait_for_a_change_to_be_drafted_nor_see_half_of_it(directory: Path) -> None:
    catalog = open_catalog(directory)
    add_now(catalog)
    drafting, go_on = threading.Event(), threading.Event()

    def drafts(_: object) -> list[event.Draft]:
        drafting.set()
        assert go_on.wait(30)
        return [event.tagged(uuid, set_to={"half": "1"}), event.tagged(uuid, set_to={"whole": "1"})]

    [uuid] = [row.uuid for row in catalog.search(Filter())]
    writer = threading.Thread(target=lambda: open_catalog(directory).commit(drafts))
    writer.start()
    assert drafting.wait(30)
    row = catalog.get(uuid)
    assert row is not None
    assert row.tags == {}
    go_on.set()
    writer.join()
    row = catalog.get(uuid)
    assert row is not None
    assert row.tags == {"half": "1", "whole": "1"}


WRITER = """
import sys
from pathlib import Path
from tests.catalog.contexts import add, bundle, open_catalog
from disdat.core import event
catalog = open_catalog(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    [uuid, other] = add(catalog, bundle("x"), bundle("x"))
    print("added", uuid, other, flush=True)
    catalog.commit([event.tagged(uuid, set_to={"done": "1"})])
    print("tagged", uuid, flush=True)
"""


def kill_writer(directory: Path, delay_s: float) -> list[list[str]]:
    """Run a writer, kill it *delay_s* after it began, and give what it had acknowledged."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        return [line.split() for line in writer.stdout if line.endswith("\n")]


def check_after_kill(catalog: Catalog, acknowledged: list[list[str]]) -> None:
    for what, *uuids in acknowledged:
        for uuid in uuids:
            row = catalog.get(uuid)
            assert row is not None
            if what == "tagged":
                assert row.tags == {"done": "1"}
    assert catalog.counts().bundles % 2 == 0  # two by two, or not at all
    catalog.check_log()


def loop(directory: Path, times: int) -> None:
    catalog, chance = open_catalog(directory), random.Random(7)
    acknowledged: list[list[str]] = []
    for _ in range(times):
        acknowledged += kill_writer(directory, chance.uniform(0, 0.02))
        check_after_kill(catalog, acknowledged)
        add(catalog, bundle("y"), bundle("y"))
    before = dump(directory)
    catalog.reindex()
    assert dump(directory) == before


@pytest.mark.slow
def test_a_writer_that_is_killed_loses_nothing_it_acknowledged(directory: Path) -> None:
    loop(directory, 6)


@pytest.mark.soak
def test_writers_that_are_killed_two_hundred_times_lose_nothing(directory: Path) -> None:
    loop(directory, 200)
