"""Processes that work on a home until they are killed, and say what they are about to do and what is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.ops import add, bundles, find, undo
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.history import log
from disdat.pipeline.run import apply
from tests.faults.tasks import Doubled

LARGE_BYTES = 100_000
MANY = 5
OLD = 400
ADDED = 60

Contents = dict[str, list[object]]
"""The values of every version, newest first, by name."""


def large(number: int) -> bytes:
    """Bytes for a file of its own, different for every number."""
    return b"%d " % number * (LARGE_BYTES // 4)


class Work:
    """One kind of change, made again and again with growing numbers to a context."""

    late_s = 0.06
    """After this long some were made."""

    def prepare(self, context: Context) -> None:
        """Make what the first change needs."""

    def change(self, context: Context, number: int, directory: Path) -> None:
        raise NotImplementedError

    def check(self, context: Context, done: int, begun: int) -> None:
        """Hold what is there against changes 0 up to *done* that were acknowledged, and *begun* that were begun."""
        raise NotImplementedError


class Adding(Work):
    def change(self, context: Context, number: int, directory: Path) -> None:
        source = directory / f"source{number}"
        source.mkdir()
        (source / "small.txt").write_text(str(number))
        (source / "large.bin").write_bytes(large(number))
        add.add(context, "added", [source])

    def check(self, context: Context, done: int, begun: int) -> None:
        found = values(context, "added")
        assert len(found) in {done, begun}
        assert found == [[large(number), b"%d" % number] for number in reversed(range(len(found)))]


class Closing(Work):
    def change(self, context: Context, number: int, directory: Path) -> None:
        writer = BundleWriter(context)
        paths = [writer.file("large.bin"), writer.file("sub/small.txt")]
        paths[0].write_bytes(large(number))
        paths[1].write_text(str(number))
        writer.close({"files": [str(path) for path in paths], "n": number}, Birth("closed", tags={"n": str(number)}))

    def check(self, context: Context, done: int, begun: int) -> None:
        found = values(context, "closed")
        assert len(found) in {done, begun}
        files = [[large(number), b"%d" % number] for number in range(len(found))]
        assert found == [{"files": files[number], "n": number} for number in reversed(range(len(found)))]


class WritingMany(Work):
    def change(self, context: Context, number: int, directory: Path) -> None:
        array = np.full(20_000, number)
        bundles.write_many(context, [([array, each], Birth("many")) for each in range(MANY)])

    def check(self, context: Context, done: int, begun: int) -> None:
        found = values(context, "many")
        assert len(found) in {MANY * done, MANY * begun}, "a part of what is made at once is there alone"
        for place, (array, each) in enumerate(reversed(found)):  # type: ignore[misc]
            assert each == place % MANY
            assert np.array_equal(array, np.full(20_000, place // MANY))


class Tagging(Work):
    def prepare(self, context: Context) -> None:
        bundles.write(context, 1, Birth("tagged", tags={"n": "-1"}))

    def change(self, context: Context, number: int, directory: Path) -> None:
        row = find.resolve(context, "tagged")
        bundles.tag(context, row, set_to={"n": str(number), f"only{number}": ""}, unset=self._last(number))
        if number % 7 == 0:
            bundles.commit(context, [row])

    def check(self, context: Context, done: int, begun: int) -> None:
        row = find.resolve(context, "tagged")
        last = int(row.tags["n"])
        assert last + 1 in {done, begun}
        assert row.tags.keys() == {"n", *self._last(last + 1)}
        assert row.committed or done == 0

    def _last(self, number: int) -> list[str]:
        return [f"only{number - 1}"] if number else []


class Removing(Work):
    def prepare(self, context: Context) -> None:
        bundles.write_many(context, [(number, Birth("old")) for number in range(OLD)])

    def change(self, context: Context, number: int, directory: Path) -> None:
        bundles.remove(context, [find.resolve(context, "old")])

    def check(self, context: Context, done: int, begun: int) -> None:
        found = values(context, "old")
        assert OLD - len(found) in {done, begun}
        assert found == list(reversed(range(len(found))))


class Undoing(Work):
    def prepare(self, context: Context) -> None:
        for number in range(ADDED):
            bundles.write(context, number, Birth("undone"))

    def change(self, context: Context, number: int, directory: Path) -> None:
        undo.undo(context)

    def check(self, context: Context, done: int, begun: int) -> None:
        found = values(context, "undone")
        assert ADDED - len(found) in {done, begun}
        assert found == list(reversed(range(len(found))))
        for change in [each.id for each in log(context, kinds=["undo"]) if each.counts]:
            undo.undo(context, change)
        assert values(context, "undone") == list(reversed(range(ADDED)))


class Applying(Work):
    late_s = 0.5

    def change(self, context: Context, number: int, directory: Path) -> None:
        apply(context, Doubled, {"n": number})

    def check(self, context: Context, done: int, begun: int) -> None:
        doubled, digits = values(context, "Doubled"), values(context, "Digits")
        assert len(doubled) in {done, begun}
        assert len(digits) in {len(doubled), begun}
        assert doubled == [2 * number for number in reversed(range(len(doubled)))]
        expected = [[f"{number:100000}".encode(), b"%d" % number] for number in range(len(digits))]
        assert digits == expected[::-1]
        if begun:
            apply(context, Doubled, {"n": begun - 1})
            assert values(context, "Doubled")[0] == 2 * (begun - 1)


def values(context: Context, name: str) -> list[object]:
    """The values of all versions of a name, newest first, files as their bytes."""
    return [_content(bundles.value(context, row.uuid)) for row in context.catalog.search(Filter(name=name))]


def _content(value: object) -> object:
    if isinstance(value, dict):
        return {key: _content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_content(inner) for inner in value]
    return Path(value).read_bytes() if isinstance(value, str) else value


WORKS: dict[str, Work] = {
    "add": Adding(),
    "close": Closing(),
    "write_many": WritingMany(),
    "tag": Tagging(),
    "rm": Removing(),
    "undo": Undoing(),
    "apply": Applying(),
}


@contextmanager
def child(act: Callable[[Callable[[str], None]], None]) -> Iterator[tuple[int, int]]:
    """
    A process of its own that runs *act*, which is given how to say a line; its id and where its lines are read.

    Forked, because what a change needs is imported here already; killed at the end, if it still runs.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _run(lambda line: _say(writing, line), act)
    os.close(writing)
    try:
        yield pid, reading
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)


def _say(writing: int, line: str) -> None:
    os.write(writing, line.encode() + b"\n")  # one write, and so never half a line


def _run(say: Callable[[str], None], act: Callable[[Callable[[str], None]], None]) -> None:
    code = 1
    try:
        act(say)
        code = 0
    except BaseException as exc:  # noqa: BLE001 - the parent is told, and this process ends
        say(f"failed {exc!r}")
    finally:
        os._exit(code)


def forever(work: Work, root: Path, name: str, directory: Path) -> Callable[[Callable[[str], None]], None]:
    """Make the changes of *work*, saying ``begin N`` before each, and ``done N`` when it was acknowledged."""

    def act(say: Callable[[str], None]) -> None:
        context = Home(root).context(name)
        number = 0
        say("ready")
        while True:
            say(f"begin {number}")
            work.change(context, number, directory)
            say(f"done {number}")
            number += 1

    return act
