"""
Contexts of two homes that fetch, drop, copy, remove and collect, with bytes that many bundles share.

After every step each bundle that is present has all its bytes: here, or, where its context has a remote, there.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from disdat.catalog.queries import Filter, Row
from disdat.context import Context, Home
from disdat.core.digest import Digest
from disdat.errors import InvalidInput, ObjectNotFound
from disdat.ops import (
    bundles,
    contexts,
    delocalizing,
    fetching,
    find,
    gc,
    localizing,
    moves,
    presence,
    push,
    remotes,
    undo,
)
from disdat.ops.bundles import Birth
from disdat.ops.gc import Policy, Step
from disdat.remote.known import Presence
from disdat.store.packs import PackReader
from tests.stateful.sharing import Unsynced

VALUES: list[list[int]] = [[20_000], [20_001], [20_000, 500], [500, 501, 502], [501, 20_001], [7]]
"""How long the arrays are that a value consists of: equal lengths are equal bytes; what is short lies in packs."""
CONTEXTS = {"a": "ann", "b": "ann", "alone": "ann", "c": "bob"}
"""Of each context the home; the one that is alone has no remote."""
SCRATCH = Path("/dev/shm")

_some_context = st.sampled_from(sorted(CONTEXTS))
_some_bundle = st.integers(0, 30)


def made(lengths: list[int]) -> list[np.ndarray]:
    return [np.arange(length, dtype=np.int64) for length in lengths]


class PlacesMachine(RuleBasedStateMachine):
    """Of each bundle the value is known; where its bytes are is up to the code."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir=SCRATCH if SCRATCH.is_dir() else None))
        self.values: dict[str, list[int]] = {}
        homes = {who: Home(self.root / who, disk=Unsynced()) for who in ("ann", "bob")}
        self.contexts = {name: self._context(homes[who], name) for name, who in CONTEXTS.items()}

    def teardown(self) -> None:
        if hasattr(self, "root"):
            for context in self.contexts.values():
                context.catalog.close()
                context.home.store.close()
            shutil.rmtree(self.root)

    def _context(self, home: Home, name: str) -> Context:
        context = contexts.create(home, name)
        if name == "alone":
            return context
        return remotes.bind(context, "shared", f"file://{self.root}/remote", layout="packed").context

    @rule(name=_some_context, value=st.integers(0, len(VALUES) - 1))
    def add(self, name: str, value: int) -> None:
        context = self.contexts[name]
        bundle = bundles.write(context, made(VALUES[value]), Birth(name=f"n{value}"))
        bundles.commit(context, [find.by_uuid(context, bundle.uuid)])
        self.values[bundle.uuid] = VALUES[value]

    @rule(name=_some_context)
    def push(self, name: str) -> None:
        context = self.contexts[name]
        if context.binding is not None:
            push.push(context, push.selected(context))

    @rule(name=_some_context)
    def fetch(self, name: str) -> None:
        if self.contexts[name].binding is not None:
            fetching.fetch(self.contexts[name])

    @precondition(lambda self: self.values)
    @rule(name=_some_context, number=_some_bundle)
    def delocalize(self, name: str, number: int) -> None:
        context = self.contexts[name]
        row = self._row(name, number)
        if context.binding is None or row is None:
            return
        with suppress(InvalidInput):  # it was not pushed
            done = delocalizing.delocalize(context, [row])
            if not done.kept:
                inline = all(frame.digest is None for frame in context.catalog.bundle(row.uuid).frames)
                expected = Presence.LOCAL if inline else Presence.REMOTE
                assert presence.of_rows(context, [row.uuid]) == {row.uuid: expected}

    @precondition(lambda self: self.values)
    @rule(name=_some_context, number=_some_bundle)
    def localize(self, name: str, number: int) -> None:
        context, row = self.contexts[name], self._row(name, number)
        if context.binding is not None and row is not None:
            localizing.localize(context, [row])
            assert presence.of_rows(context, [row.uuid]) == {row.uuid: Presence.LOCAL}

    @precondition(lambda self: self.values)
    @rule(name=_some_context, number=_some_bundle)
    def read(self, name: str, number: int) -> None:
        row = self._row(name, number)
        if row is not None:
            found = bundles.value(self.contexts[name], row.uuid)
            assert isinstance(found, list)
            for each, expected in zip(found, made(self.values[row.uuid]), strict=True):
                assert np.array_equal(each, expected)

    @precondition(lambda self: self.values)
    @rule(name=_some_context, to=_some_context, number=_some_bundle)
    def copy(self, name: str, to: str, number: int) -> None:
        row = self._row(name, number)
        if row is not None and name != to and CONTEXTS[name] == CONTEXTS[to]:
            with suppress(InvalidInput):  # its bytes are on a remote only
                moves.copy(self.contexts[name], self.contexts[to], [row])

    @precondition(lambda self: self.values)
    @rule(name=_some_context, number=_some_bundle)
    def remove(self, name: str, number: int) -> None:
        row = self._row(name, number)
        if row is not None:
            bundles.remove(self.contexts[name], [row], force=True)

    @rule(name=_some_context)
    def undo(self, name: str) -> None:
        with suppress(InvalidInput, ObjectNotFound):  # there is nothing to undo, or bytes were purged
            undo.undo(self.contexts[name], force=True)

    @rule(name=_some_context, retention_us=st.sampled_from([0, 10**12]))
    def collect(self, name: str, retention_us: int) -> None:
        home = self.contexts[name].home
        done = gc.collect(home, Policy(retention_us, 0), frozenset(Step))
        remotes_of = [each.remote.known for each in self.contexts.values() if each.home is home and each.binding]
        assert done.plan.missing == 0 or not all(known.number("cursor") for known in remotes_of)

    @rule(name=_some_context)
    def forget(self, name: str) -> None:
        """Lose what is known of the remote."""
        context = self.contexts[name]
        if context.binding is not None:
            context.remote.known.close()
            for path in context.directory.glob("mirror.db*"):
                path.unlink()

    @invariant()
    def every_byte_is_somewhere(self) -> None:
        there = self._on_remote() if hasattr(self, "root") else set()
        for context in self.contexts.values() if hasattr(self, "root") else ():
            for row in context.catalog.search(Filter()):
                absent = presence.absent(context, context.catalog.bundle(row.uuid)).keys()
                lost = absent - (there if context.binding is not None else set())
                assert not lost, f"{row.name} {row.uuid} in {context.name} lacks {lost}"

    def _row(self, name: str, number: int) -> Row | None:
        rows = sorted(self.contexts[name].catalog.search(Filter()))
        return rows[number % len(rows)] if rows else None

    def _on_remote(self) -> set[Digest]:
        remote = self.root / "remote"
        found = {Digest(f"blake3:{path.name}") for path in remote.glob("objects/*/*/*")}
        for path in remote.glob("packs/*.pack"):
            with PackReader(path) as reader:
                found |= {entry.digest for entry in reader.contents}
        return found
