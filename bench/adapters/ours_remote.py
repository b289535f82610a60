"""Remotes: pushing files and pulling them elsewhere; pushing nothing; cloning much; many who publish at once."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from bench import material, remote
from bench.meter import Meter
from bench.spec import Spec
from disdat.catalog.queries import Row
from disdat.context import Context, Home, now_us
from disdat.core import event, publication
from disdat.core.event import Event
from disdat.core.publication import Said
from disdat.durable import Disk
from disdat.ops import add, bundles, contexts, fetching, pull, push, remotes
from disdat.ops.bundles import Birth
from disdat.remote.known import Known
from disdat.remote.mirror import Mirror
from disdat.store.backend import open_backend

NAME = "b"
BATCH = 1000
TIMES = 20
LAST = 50
"""So many bundles of a large context are pushed one by one."""
WRITERS, PROCESSES, LATENCY_MS = 48, 4, 30

T = TypeVar("T")


def bound(root: Path, url: str = remote.URL) -> Context:
    """A context of a home of its own, bound."""
    context = contexts.create(Home(root), NAME)
    return remotes.bind(context, NAME, url, layout="packed").context


def warmed(context: Context) -> Context:
    """The context after a push of a bundle of little: imports, and connections, do not count."""
    push.push(context, [_committed(context, "warm", 1)])
    return context


def send(meter: Meter, spec: Spec) -> None:
    """The push alone, of a bundle that is there, and with what adding it took."""
    context = warmed(bound(Path("home")))
    started_s = time.perf_counter()
    with meter.op("add", **spec.amount):
        _add_files(context, spec)
    added_s = time.perf_counter() - started_s
    with meter.op("push", **spec.amount):
        done = push.push(context, push.selected(context, "data"))
    assert done.bytes_sent >= spec.sizes["bytes"], done
    meter.value("add+push s", added_s + meter.taken[-1].wall_s)


def receive(meter: Meter, spec: Spec) -> None:
    """Into another home, which knows nothing of the bundle yet."""
    here = warmed(bound(Path("home")))
    there = bound(Path("other"))
    pull.pull(there, with_bytes=True)
    _add_files(here, spec)
    push.push(here, push.selected(here, "data"))
    with meter.op("pull", **spec.amount):
        done = pull.pull(there, "data", with_bytes=True)
    assert done.bytes_received >= spec.sizes["bytes"], done


def prepare_many(_meter: Meter, spec: Spec) -> None:
    """Bundles pushed together, and the last of them one by one; and all that is in the bucket then, as files."""
    context = bound(Path("home"))
    values = iter(material.small_values(spec.sizes["bundles"], names=spec.sizes["names"], tags=spec.sizes["tags"]))
    for some in _batches(values, spec.sizes["bundles"] - LAST):
        written = bundles.write_many(context, [(value, Birth(name, tags=tags)) for name, tags, value in some])
        _commit(context, [each.uuid for each in written])
    push.push_all(context)
    for name, _, value in values:
        push.push(context, [_committed(context, name, value)])
    backend = open_backend(remote.URL)
    for each in backend.list():
        path = Path("bucket", each.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(map(bytes, backend.read_pieces(each.key))))


def many(meter: Meter, spec: Spec) -> None:
    """Pushing with nothing new; a clone; and the same through a proxy, which counts."""
    backend = open_backend(remote.URL)
    for path in material.below(Path("bucket")):
        backend.put(path.relative_to("bucket").as_posix(), path.read_bytes())
    _nothing(meter, "nothing", TIMES)
    _clone(meter, spec, "clone")
    with remote.through_proxy():
        _nothing(meter, "nothing counted", 1)
        _clone(meter, spec, "clone counted")


def publish(meter: Meter, spec: Spec) -> None:
    """Writers of one remote context, each in a loop; *slowest* is of all that were acknowledged, and all were."""
    bound(Path("home"))
    spawn = multiprocessing.get_context("spawn")
    ready, told = spawn.Barrier(PROCESSES + 1), spawn.SimpleQueue()
    each = spec.sizes["publications"] // WRITERS
    with remote.through_proxy(latency_ms=LATENCY_MS):
        workers = [spawn.Process(target=_write, args=(number, each, ready, told)) for number in range(PROCESSES)]
        for worker in workers:
            worker.start()
        ready.wait()
        with meter.op("publish", count=each * WRITERS):
            took = [s for _ in workers for s in told.get()]
        for worker in workers:
            worker.join()
    kept = list(open_backend(remote.URL).list(f"context/{NAME}/events/"))
    assert len(kept) == len(took) == each * WRITERS, (len(kept), len(took))
    meter.value("slowest s", max(took))


class _Barrier(Protocol):
    def wait(self) -> int: ...


class _Queue(Protocol):
    def put(self, item: Sequence[float]) -> None: ...


def _write(number: int, each: int, ready: _Barrier, told: _Queue) -> None:
    """A share of the writers, as threads of this process; each has a mirror of its own."""
    count = WRITERS // PROCESSES
    context = contexts.create(Home(Path(f"home{number}")), NAME)
    bundles.write_many(context, [(i, Birth(f"n{number}")) for i in range(count * each)])
    events = [made for made in context.catalog.events() if made.kind == "add"]
    shares = [events[start::count] for start in range(count)]
    mirrors = [_mirror(Path(f"home{number}", f"writer{writer}")) for writer in range(count)]
    for mirror in mirrors:
        mirror.backend.get("disdat.json")
    ready.wait()
    with ThreadPoolExecutor(count) as pool:
        told.put([s for some in pool.map(_publish_each, mirrors, shares) for s in some])


def _mirror(directory: Path) -> Mirror:
    directory.mkdir(parents=True)
    writer = publication.writer(event.ulid(now_us()), event.ulid(now_us()))
    known = Known(directory, disk=Disk())
    return Mirror(open_backend(remote.URL), NAME, known, writer=writer, clock_us=now_us)


def _publish_each(mirror: Mirror, events: Iterable[Event]) -> list[float]:
    took = []
    for each in events:
        start = time.perf_counter()
        mirror.publish(Said([each]), actor="bench")
        took.append(time.perf_counter() - start)
    return took


def _nothing(meter: Meter, op: str, times: int) -> None:
    """Everything committed is pushed once more, by who had done so before."""
    context = Home(Path("home")).context(NAME)
    push.push_all(context)
    before = _requests(op)
    with meter.op(op, count=times):
        for _ in range(times):
            done = push.push_all(context)
            assert not done.sent, done.sent
    if op.endswith("counted"):
        meter.value("requests of pushing nothing", _requests(op) - before)
    context.catalog.close()


def _clone(meter: Meter, spec: Spec, op: str) -> None:
    shutil.rmtree(op, ignore_errors=True)  # of the repetition before: only what was prepared is kept
    before = _requests(op)
    with meter.op(op):
        fetched = fetching.fetch(bound(Path(op)))
    if op.endswith("counted"):
        meter.value("requests of a clone", _requests(op) - before)
    assert len(fetched.new) == spec.sizes["bundles"], len(fetched.new)


def _requests(op: str) -> int:
    return remote.requests() if op.endswith("counted") else 0


def _committed(context: Context, name: str, value: object) -> Row:
    return _commit(context, [bundles.write(context, value, Birth(name)).uuid])[0]


def _commit(context: Context, uuids: Sequence[str]) -> list[Row]:
    bundles.commit(context, list(context.catalog.rows(uuids).values()))
    return list(context.catalog.rows(uuids).values())


def _add_files(context: Context, spec: Spec) -> None:
    source = material.first_file(Path(spec.data)) if spec.variant == "big" else Path(spec.data)
    _commit(context, [add.add(context, "data", [source]).uuid])


def _batches(items: Iterator[T], count: int) -> Iterator[list[T]]:
    """Yield the first *count* of some items, so many together."""
    first = islice(items, count)
    while some := list(islice(first, BATCH)):
        yield some
