"""
Homes that share one remote in virtual time: pushes, removals, undos and collections, each cut off or asleep anywhere.

After every step, whatever is published and present has all its bytes where it is said to have them.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core import event, manifest
from disdat.core.digest import Digest, of_bytes
from disdat.core.event import Event
from disdat.core.tree import Tree
from disdat.durable import Disk
from disdat.errors import DisdatError
from disdat.ops import bundles, contexts, fetching, find, push, remotegc, remoteoutputs, remotes, rmr, undo
from disdat.ops.bundles import Birth, BundleWriter, Captured
from disdat.ops.gc import Policy
from disdat.ops.intake import Intake
from disdat.ops.push import PushResult
from disdat.ops.remotegc import RemoteDone
from disdat.remote import compaction, condemned
from disdat.remote.known import Known
from disdat.remote.mirror import Mirror
from disdat.store.backend import BACKENDS, Backend
from disdat.values import files
from tests.stateful.network import (
    HOUR_US,
    Action,
    Killed,
    Line,
    World,
    answer_lost,
    asleep,
    delayed,
    killed_after,
    killed_before,
    meanwhile,
    refused,
    repeated,
)

HOMES = ("ann", "bob", "cat")
AHEAD_US = {"ann": 0, "bob": HOUR_US, "cat": -HOUR_US - 7 * 60_000_000}
"""By how much each home's clock is wrong."""
POLICY = Policy(retention_us=HOUR_US, grace_us=2 * HOUR_US)
NAPS_US = [60_000_000, 20 * 60_000_000, HOUR_US, 3 * HOUR_US, 23 * HOUR_US, 25 * HOUR_US, 50 * HOUR_US]
DELAYS_US = [60_000_000, 20 * 60_000_000, 50 * 60_000_000]
"""What was sent arrives within an hour, or never."""
VALUES = [
    "a" * 100_000,
    "b" * 100_000,
    [np.full(5000, 1.0), np.full(20_000, 7.0)],
    [np.full(5000, 1.0), np.full(5000, 2.0)],
    [np.full(5000, 2.0), np.full(5000, 3.0)],
    "f",
]
"""Objects of 64 KiB and more lie by themselves, others in packs, and what is small in no object at all."""
FILES = [b"f" * 10, b"g" * 20, b"h" * 100_000]
"""What is written on the remote itself."""
LAST = 40
"""About so many requests one thing that somebody does takes at most."""

_OPEN: dict[str, Line] = {}

if "world" not in BACKENDS:
    BACKENDS.add("world", lambda url, _: _OPEN[url])


class Unsynced(Disk):
    """No power cut is tested here."""

    def sync(self, file: object) -> None:
        pass

    def sync_path(self, path: Path) -> None:
        pass

    def sync_dir(self, path: Path) -> None:
        pass


@contextmanager
def quick() -> Iterator[None]:
    """Nobody waits in real time, and snapshots are made of a few publications."""
    before = condemned.WAIT_S, compaction.MANY, remoteoutputs.SCHEMES
    condemned.WAIT_S, compaction.MANY, remoteoutputs.SCHEMES = -1.0, 12, ("world://", "s3://")
    try:
        yield
    finally:
        condemned.WAIT_S, compaction.MANY, remoteoutputs.SCHEMES = before


class Sharing:
    """Three homes, each with a context that is bound to the remote: two to one remote context, one to another."""

    def __init__(self, root: Path) -> None:
        self.world = World()
        self.root = root
        self.names = itertools.count()
        self.lines = {name: Line(self.world, f"{id(self)}-{name}") for name in HOMES}
        _OPEN.update({line.url: line for line in self.lines.values()})
        self.contexts = {name: self._context(name) for name in HOMES}
        self.looks = 0
        self.unpushed: dict[str, tuple[str, str, bytes]] = {}
        """Of bundles that were not pushed yet who made them, and the key and the bytes of the file they have there."""

    def close(self) -> None:
        for line in self.lines.values():
            del _OPEN[line.url]
        for context in self.contexts.values():
            context.catalog.close()
            context.remote.known.close()

    def _context(self, name: str) -> Context:
        home = Home(self.root / name, disk=Unsynced(), clock_us=lambda: self.world.now_us + AHEAD_US[name])
        context = contexts.create(home, "work")
        remote = "other" if name == "cat" else "shared"
        return remotes.bind(
            context, remote, self.lines[name].url, layout="plain" if name == "bob" else "packed"
        ).context

    def act(self, who: str, do: Callable[[], object], script: dict[int, Action]) -> None:
        """Let somebody do something, which may fail as the script has it; what is not an error of ours is one."""
        line = self.lines[who]
        line.plan(script)
        try:
            with suppress(DisdatError, Killed):
                do()
        finally:
            line.plan({})

    def add(self, who: str, value: int) -> None:
        context = self.contexts[who]
        made = bundles.write(context, VALUES[value], Birth(name=f"n{next(self.names)}"))
        bundles.commit(context, [find.by_uuid(context, made.uuid)])

    def write(self, who: str, value: int, *, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Make a bundle of a file that was written on the remote some time before, and is nowhere else; its uuid."""
        context, data = self.contexts[who], FILES[value]
        writer = BundleWriter(context)
        url = writer.remote_url("file")
        key = url.removeprefix(context.remote.backend.url + "/")
        self.world.store.put(key, data)
        meanwhile()
        with bundles.batch_in(context) as batch:
            intake = Intake(batch, writer.path, own_place=writer.remote_place)
            frames = tuple(files.capture([files.Link(url, "it")], intake))  # of a str only URLs that all know are taken
            birth = Birth(name=f"n{next(self.names)}")
            captured = Captured(writer.uuid, frames, intake.tree, birth, elsewhere=intake.elsewhere)
            [made] = bundles.publish(context, batch, [captured])
        self.unpushed[made.uuid] = who, key, data
        bundles.commit(context, [find.by_uuid(context, made.uuid)])
        return made.uuid

    def push(self, who: str, *, at_most: int | None = None) -> Callable[[], PushResult]:
        context = self.contexts[who]
        return lambda: push.push(context, push.selected(context)[:at_most], jobs=1)

    def remove(self, who: str, number: int) -> Callable[[], object]:
        context = self.contexts[who]

        def do() -> None:
            fetching.fetch(context)
            if rows := find.search(context, Filter(committed=True)):
                first = number % len(rows)
                some = [row.uuid for row in rows[first : first + 1 + number % 3]]
                rmr.remove(context, rmr.selected(context, some))

        return do

    def undo(self, who: str) -> Callable[[], object]:
        return lambda: undo.undo(self.contexts[who], force=True)

    def collect(self, who: str) -> Callable[[], RemoteDone]:
        return lambda: remotegc.collect(self.contexts[who], POLICY)

    def fetch(self, who: str) -> Callable[[], object]:
        return lambda: fetching.fetch(self.contexts[who])

    def check(self) -> None:
        """
        Whatever is published and present has all its bytes where it is said to have them.

        And so has what is not pushed yet, as long as the home that made it has it.
        """
        self.looks += 1
        published: set[str] = set()
        for remote in ("shared", "other"):
            directory = self.root / f"look-{self.looks}-{remote}"
            directory.mkdir()
            known = Known(directory, disk=Unsynced())
            published |= check_present(self.world.store, remote, known, self.world.now_us)
            known.close()
            shutil.rmtree(directory)
        for uuid, (who, key, data) in list(self.unpushed.items()):
            if uuid in published or not self.contexts[who].catalog.present([uuid]):
                del self.unpushed[uuid]
            else:
                assert self.world.store.get(key) == data


def check_present(backend: Backend, remote: str, known: Known, now_us: int) -> set[str]:
    """As somebody sees it who never saw it before; all that was ever published."""
    events: list[Event] = []
    mirror = Mirror(backend, remote, known, writer="0" * 26 + "." + "0" * 26, clock_us=lambda: now_us)
    fetched = mirror.fetch(lambda some, _: events.extend(some))
    assert not fetched.refused
    for uuid, state in event.fold(events).items():
        assert state.body is not None
        bundle = manifest.decode(state.body)
        wanted = [frame.digest for frame in bundle.frames if frame.digest is not None]
        if bundle.lineage.run is not None and bundle.lineage.run.packages is not None:
            wanted.append(bundle.lineage.run.packages)
        assert isinstance(bundle.tree, Tree)
        wanted += [entry.digest for _, entry in bundle.tree.items()]
        missing = set(lacking(backend, known, wanted))
        assert not missing, f"{uuid} of {remote} lacks {missing}"
    return {uuid for each in events for uuid in each.subjects}


def lacking(backend: Backend, known: Known, wanted: Iterable[Digest]) -> Iterator[Digest]:
    """Yield the objects that are not where they are said to be, wherever that is."""
    places = known.places(wanted)
    for digest in wanted:
        found = False
        for place in places.get(digest, ()):
            with suppress(DisdatError):
                found = found or of_bytes(backend.get_range(place.key, place.offset, place.length)) == digest
        if not found:
            yield digest


who = st.sampled_from(HOMES)
naps = st.sampled_from(NAPS_US)
numbers = st.integers(0, 7)
fates = st.one_of(
    st.sampled_from([killed_before, killed_after, refused, answer_lost, repeated]),
    st.sampled_from(DELAYS_US).map(delayed),
    naps.map(asleep),
)
requests = st.integers(1, LAST)


class SharingMachine(RuleBasedStateMachine):
    """Does to it whatever may be done."""

    def __init__(self) -> None:
        super().__init__()
        self._root = Path(tempfile.mkdtemp(prefix="disdat-sharing-"))
        self._quick = quick()
        self._quick.__enter__()
        self.all = Sharing(self._root)

    @initialize(values=st.lists(st.tuples(who, st.integers(0, len(VALUES) - 1)), max_size=3))
    def begin(self, values: list[tuple[str, int]]) -> None:
        for each, value in values:
            self.all.add(each, value)
            self.all.act(each, self.all.push(each), {})

    @rule(who=who, value=st.integers(0, len(VALUES) - 1))
    def add(self, who: str, value: int) -> None:
        self.all.add(who, value)

    @rule(
        who=who,
        value=st.integers(0, len(FILES) - 1),
        nap=st.sampled_from([0, *NAPS_US]),
        script=st.dictionaries(requests, fates, max_size=2),
    )
    def write(self, who: str, value: int, nap: int, script: dict[int, Action]) -> None:
        self.all.act(who, lambda: self.all.write(who, value, meanwhile=lambda: self.all.world.advance(nap)), script)

    @rule(us=naps)
    def wait(self, us: int) -> None:
        self.all.world.advance(us)

    @rule(who=who, at_most=st.sampled_from([1, None, None]), script=st.dictionaries(requests, fates, max_size=2))
    def push(self, who: str, at_most: int | None, script: dict[int, Action]) -> None:
        self.all.act(who, self.all.push(who, at_most=at_most), script)

    @rule(who=who, number=numbers, script=st.dictionaries(requests, fates, max_size=1))
    def remove(self, who: str, number: int, script: dict[int, Action]) -> None:
        self.all.act(who, self.all.remove(who, number), script)

    @rule(who=who)
    def undo(self, who: str) -> None:
        self.all.act(who, self.all.undo(who), {})

    @rule(who=who)
    def fetch(self, who: str) -> None:
        self.all.act(who, self.all.fetch(who), {})

    @rule(who=who, script=st.dictionaries(requests, fates, max_size=2))
    def collect(self, who: str, script: dict[int, Action]) -> None:
        self.all.act(who, self.all.collect(who), script)

    @rule(who=who, number=numbers)
    def forget(self, who: str, number: int) -> None:
        """Remove, wait for longer than anything, and collect as often as it takes."""
        self.all.act(who, self.all.remove(who, number), {})
        for _ in range(3):
            self.all.world.advance(25 * HOUR_US)
            self.all.act(who, self.all.collect(who), {})

    @rule(maker=who, collector=who, value=st.integers(0, len(FILES) - 1), times=st.integers(1, 3), nap=naps)
    def push_late(self, maker: str, collector: str, value: int, times: int, nap: int) -> None:
        """What was written there is pushed after others collected, whenever: every byte can be read."""
        self.all.act(maker, lambda: self.all.write(maker, value), {})
        for _ in range(times):
            self.all.world.advance(nap)
            self.all.act(collector, self.all.collect(collector), {})
        self.all.act(maker, self.all.push(maker), {})

    @rule(
        first=who,
        second=who,
        at=st.lists(requests, min_size=1, max_size=3, unique=True),
        nap=naps,
        others=st.lists(st.sampled_from(["push", "collect", "remove"]), min_size=1, max_size=3),
        do=st.sampled_from(["push", "collect"]),
    )
    def interleave(self, first: str, second: str, at: list[int], nap: int, others: list[str], do: str) -> None:
        """One falls asleep at some requests, and another one does things meanwhile."""
        if first == second:
            return

        def theirs() -> None:
            for each in others:
                self.all.act(second, self._of(each, second), {})
                self.all.world.advance(nap)

        self.all.act(first, self._of(do, first), {number: meanwhile(theirs) for number in at})

    def _of(self, what: str, who: str) -> Callable[[], object]:
        if what == "remove":
            return self.all.remove(who, 0)
        return self.all.push(who) if what == "push" else self.all.collect(who)

    @invariant()
    def nothing_published_lacks_a_byte(self) -> None:
        self.all.check()

    def teardown(self) -> None:
        self._quick.__exit__(None, None, None)
        self.all.close()
        shutil.rmtree(self._root)
