"""
Anything that may be done to a home, in any order, by two processes' worth of objects, cut short at any step.

After every step what is on the disk is what the model says: every bundle there is complete and right, its latest
version is the latest, and a name finds that very name.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import AlreadyExists, InvalidInput, ObjectNotFound
from disdat.ops import add, bundles, contexts, find, fork, gc, maintain, moves, undo
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.gc import Policy, Step
from disdat.testing.faults import Crash, FailingDisk
from tests.catalog.contexts import dump
from tests.stateful.model import Known, Model, content, observed

MEMORY = Path("/dev/shm")
DAY_US = 86_400_000_000

HOMES = st.integers(0, 1)
CRASHES = st.none() | st.integers(1, 6) | st.integers(1, 30)
CONTEXTS = st.sampled_from(["one", "two", "three"])
NAMES = st.sampled_from(["a", "A", "a*", "[ab]", "%", "_", "a' OR 1=1 --", "é\n", "a@2026", "../a", "."])
ANY_NAMES = NAMES | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
KEYS = st.sampled_from(["k", "K", "k:", "%"])
TAGS = st.dictionaries(KEYS, st.sampled_from(["", "v", "w"]), max_size=2)
FILES = st.sampled_from([0, 5, 6, 65_536, 70_000]).map(lambda size: b"x" * size)
VALUES = st.sampled_from(
    [
        None,
        7,
        "text",
        [1, {"a": (2.5, None)}],
        np.arange(5),
        np.arange(10_000),
        pd.DataFrame({"n": [1, 2], "s": ["a", None]}),
    ]
)
PICKS = st.integers(0, 1000)
STEPS = st.sets(st.sampled_from(Step), min_size=1)

Act = Callable[[Home], object]
Effect = Callable[[Model, list[str]], None]


class HomeMachine(RuleBasedStateMachine):
    """The rules. Each takes which of the two homes acts, and at which of its steps it is killed, if at all."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self.root = self.place / "home"
        self.ahead_us = 0
        self.purged = False
        self.model = Model()
        self.homes = [self.opened(), self.opened()]
        self.turn = 0

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    def now_us(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us

    def opened(self) -> Home:
        return Home(self.root, clock_us=self.now_us)

    def perform(
        self,
        which: int,
        crash: int | None,
        act: Act,
        effect: Effect,
        *,
        made: int | Callable[[], int] = 0,
        context: str = "",
        halfway: Effect | None = None,
    ) -> None:
        """Do it, and hold what is there against the model; killed on the way, it is done, *halfway* done, or not."""
        was_cut = False
        home = self.homes[which]
        if crash is not None:
            home = Home(self.root, disk=FailingDisk(crash, error=Crash), clock_us=self.now_us)
        try:
            act(home)
        except Crash:
            was_cut = True
        now = observed(self.opened())
        before = self.model
        new = [uuid for uuid in now.contexts.get(context, {}) if uuid not in before.contexts.get(context, {})]
        for each in [effect, *([halfway] if halfway and was_cut else [])]:
            after = before.copy()
            if len(new) == (made if isinstance(made, int) else made()):
                each(after, new)
                if now.listed() == after.listed():
                    self.model = after
                    return
        assert was_cut, f"acknowledged, but there is {now}, not {after}"
        assert now.listed() == before.listed(), f"neither done nor undone: {now}"

    # Making bundles

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, name=ANY_NAMES, value=VALUES, tags=TAGS)
    def write(self, which: int, crash: int | None, pick: int, name: str, value: object, tags: dict[str, str]) -> None:
        context = self.any_context(pick)

        def effect(model: Model, new: list[str]) -> None:
            model.change(context)
            model.contexts[context][new[0]] = Known(name, content(value), tags)

        act: Act = lambda home: bundles.write(home.context(context), value, Birth(name, tags=tags))  # noqa: E731
        self.perform(which, crash, act, effect, made=1, context=context)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, names=st.lists(NAMES, min_size=1, max_size=4), value=VALUES)
    def write_many(self, which: int, crash: int | None, pick: int, names: list[str], value: object) -> None:
        context = self.any_context(pick)
        values = [[number, value] for number in range(len(names))]

        def effect(model: Model, new: list[str]) -> None:
            model.change(context)
            for uuid, name, each in zip(new, names, values, strict=True):
                model.contexts[context][uuid] = Known(name, content(each), {})

        def act(home: Home) -> None:
            births = [(each, Birth(name)) for each, name in zip(values, names, strict=True)]
            bundles.write_many(home.context(context), births)

        self.perform(which, crash, act, effect, made=len(names), context=context)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, name=NAMES, files=st.lists(FILES, min_size=1, max_size=3))
    def write_files(self, which: int, crash: int | None, pick: int, name: str, files: list[bytes]) -> None:
        """As a pipeline does: files written at the bundle's own paths."""
        context = self.any_context(pick)

        def effect(model: Model, new: list[str]) -> None:
            stored = ["list", *((f"{n}.bin", data) for n, data in enumerate(files))]
            model.change(context)
            model.contexts[context][new[0]] = Known(name, stored, {})

        def act(home: Home) -> None:
            writer = BundleWriter(home.context(context))
            paths = [writer.file(f"{n}.bin") for n in range(len(files))]
            for path, data in zip(paths, files, strict=True):
                path.write_bytes(data)
            writer.close([str(path) for path in paths], Birth(name))

        self.perform(which, crash, act, effect, made=1, context=context)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, name=NAMES, data=FILES, tags=TAGS)
    def add(self, which: int, crash: int | None, pick: int, name: str, data: bytes, tags: dict[str, str]) -> None:
        context = self.any_context(pick)
        source = self.place / "source.bin"
        source.write_bytes(data)

        def effect(model: Model, new: list[str]) -> None:
            model.change(context)
            model.contexts[context][new[0]] = Known(name, ("source.bin", data), tags)

        act: Act = lambda home: add.add(home.context(context), name, [source], tags=tags)  # noqa: E731
        self.perform(which, crash, act, effect, made=1, context=context)

    # Changing what is said of them

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, key=KEYS, value=st.sampled_from(["1", "2"]))
    def tag(self, which: int, crash: int | None, pick: int, key: str, value: str) -> None:
        context, uuid = self.any_bundle(pick)

        def effect(model: Model, _: list[str]) -> None:
            model.change(context)
            model.contexts[context][uuid].tags[key] = value

        self.change(which, crash, context, uuid, lambda c, row: bundles.tag(c, row, set_to={key: value}), effect)

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def untag(self, which: int, crash: int | None, pick: int) -> None:
        context, uuid = self.any_bundle(pick)
        keys = sorted(self.model.contexts[context][uuid].tags)[:1]

        def effect(model: Model, _: list[str]) -> None:
            if keys:
                model.change(context)
            for key in keys:
                del model.contexts[context][uuid].tags[key]

        self.change(which, crash, context, uuid, lambda c, row: bundles.tag(c, row, unset=keys), effect)

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def commit(self, which: int, crash: int | None, pick: int) -> None:
        context, uuid = self.any_bundle(pick)

        def effect(model: Model, _: list[str]) -> None:
            if not model.contexts[context][uuid].committed:
                model.change(context)
            model.contexts[context][uuid].committed = True

        self.change(which, crash, context, uuid, lambda c, row: bundles.commit(c, [row]), effect)

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, all_versions=st.booleans())
    def remove(self, which: int, crash: int | None, pick: int, all_versions: bool) -> None:
        context, uuid = self.any_bundle(pick)
        name = self.model.contexts[context][uuid].name

        def effect(model: Model, _: list[str]) -> None:
            known = model.contexts[context].items()
            model.remove(context, [each for each, of in known if each == uuid or (all_versions and of.name == name)])

        def change(of: Context, row: Row) -> None:
            rows = of.catalog.versions(name) if all_versions else [row]
            bundles.remove(of, rows, force=True)

        self.change(which, crash, context, uuid, change, effect)

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def reaffirm(self, which: int, crash: int | None, pick: int) -> None:
        context, uuid = self.any_bundle(pick)

        def effect(model: Model, _: list[str]) -> None:
            model.change(context)
            model.made_anew(context, uuid)

        self.change(which, crash, context, uuid, lambda c, row: bundles.reaffirm(c, [row.uuid]), effect)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def undo(self, which: int, crash: int | None, pick: int) -> None:
        """The last change; where bytes were purged it may be refused, and then nothing was done."""
        context = self.any_context(pick)
        refused = False
        before = self.model.before.get(context, [])
        back = before[-1][0].keys() - self.model.contexts[context].keys() if before else set()

        def act(home: Home) -> None:
            nonlocal refused
            try:
                undo.undo(home.context(context), force=True)
            except InvalidInput:
                assert not before
                refused = True
            except ObjectNotFound:
                assert self.purged
                assert back
                refused = True

        def effect(model: Model, _: list[str]) -> None:
            if not refused:
                model.undo(context)

        self.perform(which, crash, act, effect, made=lambda: 0 if refused else len(back), context=context)

    @precondition(lambda self: self.has_bundles)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, name=ANY_NAMES)
    def rename(self, which: int, crash: int | None, pick: int, name: str) -> None:
        context, uuid = self.any_bundle(pick)

        def effect(model: Model, _: list[str]) -> None:
            if model.contexts[context][uuid].name != name:
                model.change(context)
            model.contexts[context][uuid].name = name

        self.change(which, crash, context, uuid, lambda c, row: moves.rename(c, [row], name) and None, effect)

    # Between contexts

    @precondition(lambda self: self.has_bundles and len(self.model.contexts) > 1)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, other=PICKS, all_versions=st.booleans())
    def copy(self, which: int, crash: int | None, pick: int, other: int, all_versions: bool) -> None:
        source, target, uuids = self.any_copy(pick, other, all_versions)

        def act(home: Home) -> None:
            moves.copy(home.context(source), home.context(target), self.rows(home, source, uuids))

        made = len(self.model.absent(source, target, uuids))
        self.perform(which, crash, act, lambda m, _: m.take(source, target, uuids), made=made, context=target)

    @precondition(lambda self: self.has_bundles and len(self.model.contexts) > 1)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, other=PICKS, all_versions=st.booleans())
    def move(self, which: int, crash: int | None, pick: int, other: int, all_versions: bool) -> None:
        """Killed halfway the bundles are in both contexts, and moving them again completes it."""
        source, target, uuids = self.any_copy(pick, other, all_versions)

        def act(home: Home) -> None:
            moves.move(home.context(source), home.context(target), self.rows(home, source, uuids))

        def effect(model: Model, _: list[str]) -> None:
            model.take(source, target, uuids)
            model.remove(source, uuids)

        halfway: Effect = lambda model, _: model.take(source, target, uuids)  # noqa: E731
        made = len(self.model.absent(source, target, uuids))
        self.perform(which, crash, act, effect, made=made, context=target, halfway=halfway)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS, name=CONTEXTS)
    def fork(self, which: int, crash: int | None, pick: int, name: str) -> None:
        source = self.any_context(pick)
        is_there = name in self.model.contexts

        def act(home: Home) -> None:
            try:
                fork.fork(home.context(source), name)
            except AlreadyExists:
                assert is_there

        effect: Effect = _nothing if is_there else lambda model, _: model.fork(source, name)
        self.perform(which, crash, act, effect)

    # Contexts

    @rule(which=HOMES, crash=CRASHES, name=CONTEXTS)
    def create_context(self, which: int, crash: int | None, name: str) -> None:
        def act(home: Home) -> None:
            try:
                contexts.create(home, name)
            except AlreadyExists:
                assert name in self.model.contexts

        self.perform(which, crash, act, lambda model, _: model.contexts.setdefault(name, {}) and None)

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def switch(self, which: int, crash: int | None, pick: int) -> None:
        name = self.any_context(pick)
        self.perform(which, crash, lambda home: home.switch(name), lambda model, _: setattr(model, "current", name))

    @precondition(lambda self: len(self.model.contexts) > 1)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def delete_context(self, which: int, crash: int | None, pick: int) -> None:
        name = self.any_context(pick)
        self.perform(which, crash, lambda home: contexts.delete(home, name), lambda model, _: model.delete(name))

    # What must change nothing

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def reindex(self, which: int, crash: int | None, pick: int) -> None:
        """Killed or not; row by row it is the catalog that was there."""
        context = self.homes[which].context(self.any_context(pick))
        context.catalog.counts()
        before = dump(context.directory)
        self.perform(which, crash, lambda home: maintain.reindex(home.context(context.name)), _nothing)
        assert context.catalog.counts().bundles == len(self.model.contexts[context.name])
        assert dump(context.directory) == before

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, crash=CRASHES, pick=PICKS)
    def lose_the_catalog(self, which: int, crash: int | None, pick: int) -> None:
        context = self.any_context(pick)
        for path in (self.root / "context" / context).glob("catalog*"):
            path.unlink()
        self.perform(which, crash, lambda home: home.context(context).catalog.counts(), _nothing)

    @rule(
        which=HOMES, crash=CRASHES, days=st.sampled_from([0, 1, 30]), steps=st.sets(st.sampled_from(Step), min_size=1)
    )
    def collect(self, which: int, crash: int | None, days: int, steps: set[Step]) -> None:
        """Whatever goes, no bundle that is there needs it; the other home may have it open."""
        policy = Policy(retention_us=days * DAY_US, grace_us=days * DAY_US)
        self.purged |= Step.PURGE in steps
        self.perform(which, crash, lambda home: gc.collect(home, policy, frozenset(steps)), _nothing)

    @rule(what=st.sampled_from(["state.db", "leases", "staging"]))
    def lose_what_may_be_lost(self, what: str) -> None:
        path = self.root / "store" / what
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)

    @precondition(lambda self: self.has_bundles)
    @rule(pick=PICKS)
    def lose_what_users_see(self, pick: int) -> None:
        context, uuid = self.any_bundle(pick)
        shutil.rmtree(self.root / "context" / context / "objects" / uuid, ignore_errors=True)

    @rule(which=HOMES)
    def reopen(self, which: int) -> None:
        self.homes[which] = self.opened()

    @rule(days=st.sampled_from([-1, 1, 400]))
    def set_the_clock(self, days: int) -> None:
        self.ahead_us += days * DAY_US

    @precondition(lambda self: self.model.contexts)
    @rule(which=HOMES, pick=PICKS)
    def verify(self, which: int, pick: int) -> None:
        assert maintain.verify(self.homes[which].context(self.any_context(pick))).findings == ()

    # What holds after every step

    @invariant()
    def either_home_sees_what_there_is(self) -> None:
        """Whoever acted last."""
        self.turn = 1 - self.turn
        assert observed(self.homes[self.turn]).listed() == self.model.listed()

    @invariant()
    def a_name_is_that_name_and_its_latest_is_the_newest(self) -> None:
        for context, known in self.model.contexts.items():
            catalog = self.homes[self.turn].context(context).catalog
            names = {each.name for each in known.values()}
            assert catalog.names() == sorted(names)
            for name in names | {"a", "a*", "%", "."}:
                versions = [uuid for uuid, each in known.items() if each.name == name]
                assert [row.uuid for row in catalog.versions(name)] == versions[::-1]
                latest = find.get(self.homes[self.turn].context(context), name)
                assert (latest.uuid if latest else None) == (versions[-1] if versions else None)

    @property
    def has_bundles(self) -> bool:
        return any(self.model.contexts.values())

    def any_context(self, pick: int) -> str:
        return sorted(self.model.contexts)[pick % len(self.model.contexts)]

    def any_bundle(self, pick: int) -> tuple[str, str]:
        known = [(context, uuid) for context, bundles in self.model.contexts.items() for uuid in bundles]
        return random.Random(pick).choice(known)

    def any_copy(self, pick: int, other: int, all_versions: bool) -> tuple[str, str, list[str]]:
        """Bundles of a context, in order, and another context."""
        source, uuid = self.any_bundle(pick)
        known = self.model.contexts[source]
        others = sorted(self.model.contexts.keys() - {source})
        same = [each for each in known if each == uuid or (all_versions and known[each].name == known[uuid].name)]
        return source, others[other % len(others)], same

    def rows(self, home: Home, context: str, uuids: list[str]) -> list[Row]:
        return list(home.context(context).catalog.rows(uuids).values())

    def change(
        self,
        which: int,
        crash: int | None,
        context: str,
        uuid: str,
        change: Callable[[Context, Row], None],
        effect: Effect,
    ) -> None:
        def act(home: Home) -> None:
            of = home.context(context)
            change(of, find.by_uuid(of, uuid))

        self.perform(which, crash, act, effect)


def _nothing(_: Model, __: list[str]) -> None:
    """Leave the model as it is."""
