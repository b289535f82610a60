"""Processes that change one context at once: what each was told is what there is, and nobody hears "locked"."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.digest import of_bytes
from disdat.ops import add, bundles, contexts, find, maintain
from disdat.ops.bundles import Birth, BundleWriter
from tests.catalog.contexts import dump
from tests.faults.processes import child

PROCESSES = 8
SHARED = 4
SAME = b"the same for everybody" * 5000

Line = list[object]
State = dict[str, tuple[str, str, dict[str, str], bool]]
"""For each uuid: name, digest of the content, tags, whether it is committed."""


class Member:
    """One of the processes: does this and that, and writes down each thing that was acknowledged."""

    def __init__(self, context: Context, number: int, directory: Path) -> None:
        self.context = context
        self.number = number
        self.chance = random.Random(number)
        self.directory = directory
        self.log = (directory / f"{number}.log").open("a", encoding="utf-8")
        self.mine: list[str] = []
        self.count = 0

    def run(self, until_s: float) -> None:
        acts = [
            self.write,
            self.write,
            self.write_files,
            self.add_same,
            self.tag,
            self.tag_shared,
            self.commit,
            self.remove,
        ]
        while time.monotonic() < until_s:
            self.count += 1
            self.chance.choice(acts)()
            self.look()

    def write(self) -> None:
        name, value = self.chance.choice("abc"), f"{self.number}.{self.count}"
        made = bundles.write(self.context, {"v": value}, Birth(name, tags={"by": str(self.number)}))
        self.made(made.uuid, name, json.dumps({"v": value}).encode())

    def write_files(self) -> None:
        data = b"%d %d " % (self.number, self.count) * 10_000
        writer = BundleWriter(self.context)
        writer.file("large.bin").write_bytes(data)
        made = writer.close(str(writer.path / "large.bin"), Birth("files", tags={"by": str(self.number)}))
        self.made(made.uuid, "files", data)

    def add_same(self) -> None:
        """What all others add too, at this moment perhaps."""
        made = add.add(self.context, "same", [self.directory / "same.bin"], tags={"by": str(self.number)})
        self.made(made.uuid, "same", SAME)

    def made(self, uuid: str, name: str, content: bytes) -> None:
        self.mine.append(uuid)
        self.note("made", uuid, name, of_bytes(content), {"by": str(self.number)})

    def tag(self) -> None:
        for uuid in self.some_of_mine():
            bundles.tag(self.context, find.by_uuid(self.context, uuid), set_to={"n": str(self.count)})
            self.note("tagged", uuid, "n", str(self.count))

    def tag_shared(self) -> None:
        """A bundle that all others tag too, each with a key of its own."""
        row = find.resolve(self.context, f"shared{self.chance.randrange(SHARED)}")
        bundles.tag(self.context, row, set_to={f"p{self.number}": str(self.count)})
        self.note("tagged", row.uuid, f"p{self.number}", str(self.count))

    def commit(self) -> None:
        for uuid in self.some_of_mine():
            bundles.commit(self.context, [find.by_uuid(self.context, uuid)])
            self.note("committed", uuid)

    def remove(self) -> None:
        for uuid in self.some_of_mine():
            bundles.remove(self.context, [find.by_uuid(self.context, uuid)], force=True)
            self.mine.remove(uuid)
            self.note("removed", uuid)

    def look(self) -> None:
        """What was acknowledged to us is there, whatever the others do."""
        for uuid in self.some_of_mine():
            row = find.by_uuid(self.context, uuid)
            assert row.tags["by"] == str(self.number)
            assert bundles.value(self.context, uuid) is not None
        assert find.get(self.context, "shared0") is not None

    def some_of_mine(self) -> list[str]:
        return self.chance.sample(self.mine, min(1, len(self.mine)))

    def note(self, *line: object) -> None:
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def member(root: Path, number: int, directory: Path, until_s: float) -> Callable[[Callable[[str], None]], None]:
    return lambda say: Member(Home(root).context("demo"), number, directory).run(until_s)


def told(lines: list[Line], state: State) -> None:
    """Lay over *state* what one process wrote down."""
    for what, uuid, *rest in lines:
        assert isinstance(uuid, str)
        if what == "made":
            name, content, tags = rest
            state[uuid] = (str(name), str(content), dict(tags), False)  # type: ignore[call-overload]
        elif what == "tagged":
            state[uuid][2][str(rest[0])] = str(rest[1])
        elif what == "committed":
            state[uuid] = (*state[uuid][:3], True)
        else:
            del state[uuid]


def found(context: Context) -> State:
    return {
        row.uuid: (row.name, _content(bundles.value(context, row.uuid)), row.tags, row.committed)
        for row in context.catalog.search(Filter())
    }


def _content(value: object) -> str:
    return of_bytes(Path(value).read_bytes() if isinstance(value, str) else json.dumps(value).encode())


def crowd(root: Path, directory: Path, seconds: float) -> int:
    """Let the processes do what they like for so long, and hold what there is against what they say; their changes."""
    context = contexts.create(Home(root), "demo")
    shared = bundles.write_many(context, [({"n": n}, Birth(f"shared{n}")) for n in range(SHARED)])
    expected: State = {
        bundle.uuid: (f"shared{n}", of_bytes(json.dumps({"n": n}).encode()), {}, False)
        for n, bundle in enumerate(shared)
    }
    (directory / "same.bin").write_bytes(SAME)
    until_s = time.monotonic() + seconds
    with ExitStack() as stack:
        readings = [
            stack.enter_context(child(member(root, number, directory, until_s)))[1] for number in range(PROCESSES)
        ]
        failures = [os.read(reading, 1 << 16) for reading in readings]
    assert failures == [b""] * PROCESSES
    changes = 0
    for number in range(PROCESSES):
        lines = [json.loads(line) for line in (directory / f"{number}.log").read_text("utf-8").splitlines()]
        changes += len(lines)
        told(lines, expected)
    fresh = Home(root).context("demo")
    assert found(fresh) == expected
    assert maintain.verify(fresh).findings == ()
    before = dump(fresh.directory)
    maintain.reindex(fresh)
    assert dump(fresh.directory) == before
    seqs = [event.seq for event in fresh.catalog.events()]
    assert seqs == list(range(1, len(seqs) + 1))
    times = [event.time_us for event in fresh.catalog.events()]
    assert sorted(set(times)) == times
    same = fresh.home.store.loose_path(of_bytes(SAME))
    assert same.stat().st_size == len(SAME)
    return changes


@pytest.mark.slow
def test_what_eight_processes_were_told_is_what_there_is(tmp_path: Path) -> None:
    assert crowd(tmp_path / "home", tmp_path, 5) > 100


@pytest.mark.soak
def test_what_eight_processes_were_told_in_a_minute_is_what_there_is(tmp_path: Path) -> None:
    assert crowd(tmp_path / "home", tmp_path, 60) > 1000
