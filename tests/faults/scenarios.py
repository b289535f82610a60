"""Changes to a home that a crash may interrupt, each with what was there before and what is there after."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from disdat.context import Context, Home
from disdat.ops import add, bundles, contexts, find, fork, moves, undo
from disdat.ops.bundles import Birth, BundleWriter

LARGE_BYTES = 100_000
State = dict[str, object]
"""What a context holds: for each name its versions' contents, tags and commitment, oldest first."""


@dataclass(frozen=True)
class Scenario:
    """One change, made to a context named ``demo`` in which :func:`prepare` was run."""

    name: str
    act: Callable[[Context, Path], None]


def prepare(root: Path) -> None:
    """
    Make a home with two versions of ``old`` in it, one committed, and another context, and files to add beside it.

    What was done last is the removal of a bundle.
    """
    context = contexts.create(Home(root / "home"), "demo")
    contexts.create(context.home, "other")
    for number in range(2):
        bundles.write(context, {"number": number, "array": np.arange(20_000)}, Birth("old", tags={"k": "v"}))
    bundles.write(context, {"array": np.arange(30_000)}, Birth("gone"))
    bundles.commit(context, [find.resolve(context, "old@-1")])
    bundles.remove(context, context.catalog.versions("gone"))
    source = root / "source"
    (source / "sub").mkdir(parents=True)
    (source / "small.txt").write_bytes(b"small")
    (source / "sub" / "large.bin").write_bytes(os.urandom(LARGE_BYTES))


def state(home: Home) -> State:
    """All that a user sees of a home, every byte read and verified."""
    return {name: _context_state(home.context(name)) for name in home.context_names()}


def _context_state(context: Context) -> object:
    found: dict[str, list[object]] = {}
    for name in context.catalog.names():
        versions = context.catalog.versions(name)
        found[name] = [
            (_content(bundles.value(context, row.uuid)), sorted(row.tags.items()), row.committed) for row in versions
        ]
    return found


def _content(value: object) -> object:
    if isinstance(value, dict):
        return {key: _content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_content(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return Path(value).read_bytes() if isinstance(value, str) else value


def _scalar(context: Context, root: Path) -> None:
    bundles.write(context, {"n": 7}, Birth("new"))


def _many(context: Context, root: Path) -> None:
    bundles.write_many(context, [(number, Birth("new")) for number in range(20)])


def _add(context: Context, root: Path) -> None:
    add.add(context, "new", [root / "source"])


def _output(context: Context, root: Path) -> None:
    writer = BundleWriter(context)
    directory = writer.directory()
    (directory / "large.bin").write_bytes(b"x" * LARGE_BYTES)
    (directory / "small.txt").write_bytes(b"y")
    files = [str(directory / "large.bin"), str(directory / "small.txt")]
    writer.close({"files": files, "array": np.ones(20_000)}, Birth("new"))


def _large_manifest(context: Context, root: Path) -> None:
    bundles.write(context, 1, Birth("new", params={"long": "p" * 40_000}))


def _tag(context: Context, root: Path) -> None:
    bundles.tag(context, find.resolve(context, "old"), set_to={"k": "changed", "more": ""})


def _commit(context: Context, root: Path) -> None:
    bundles.commit(context, [find.resolve(context, "old")])


def _remove(context: Context, root: Path) -> None:
    bundles.remove(context, context.catalog.versions("old"), force=True)


def _undo(context: Context, root: Path) -> None:
    undo.undo(context)


def _create_context(context: Context, root: Path) -> None:
    contexts.create(context.home, "another")


def _delete_context(context: Context, root: Path) -> None:
    contexts.delete(context.home, "demo")


def _rename(context: Context, root: Path) -> None:
    moves.rename(context, context.catalog.versions("old"), "new")


def _copy(context: Context, root: Path) -> None:
    moves.copy(context, context.home.context("other"), context.catalog.versions("old"))


def _fork(context: Context, root: Path) -> None:
    fork.fork(context, "another")


SCENARIOS = [
    Scenario("a scalar", _scalar),
    Scenario("many scalars at once", _many),
    Scenario("an added directory", _add),
    Scenario("an output with files of its own", _output),
    Scenario("a manifest too large for its event", _large_manifest),
    Scenario("a tag", _tag),
    Scenario("a commit", _commit),
    Scenario("a removal", _remove),
    Scenario("an undo that brings a bundle back", _undo),
    Scenario("a new context", _create_context),
    Scenario("a deleted context", _delete_context),
    Scenario("another name", _rename),
    Scenario("copies in another context", _copy),
    Scenario("a forked context", _fork),
]
