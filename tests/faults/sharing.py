"""Homes that share a remote through a proxy, and what one of them has to push."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from disdat.catalog.queries import Filter
from disdat.context import Context, Home, now_us
from disdat.ops import bundles, contexts, fetching, find, localizing, maintain, push, remotes
from disdat.ops.bundles import Birth
from tests.faults.processes import child
from tests.servers.faults import HoldRequest
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

State = dict[str, tuple[str, dict[str, str]]]
"""Of each name the uuid of its latest version, and its tags."""
Act = Callable[[Context], object]
CONTEXT = "work"


@dataclass(frozen=True, slots=True)
class Remote:
    """A bucket that all reach through a proxy."""

    server: S3Server
    proxy: Proxy
    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/some/prefix"

    def joined(self, home: Path, *, clock_us: Callable[[], int] = now_us, name: str = CONTEXT) -> Context:
        """The context in a home, which is made where there is none, bound to the remote."""
        opened = Home(home, clock_us=clock_us)
        context = opened.context(name) if name in opened.context_names() else contexts.create(opened, name)
        return remotes.bind(context, "shared", self.url, layout="packed").context

    def keys(self, below: str) -> list[str]:
        """What is kept below a key, behind the proxy's back."""
        return [key.removeprefix("some/prefix/") for key in self.server.keys(self.bucket, f"some/prefix/{below}")]


def fill(home: Path, place: Path) -> None:
    """Make a home whose context has bundles of every kind: values, large and small files, a tree, a large manifest."""
    context = contexts.create(Home(home), CONTEXT)
    for name, sizes, stem in (
        ("large", [100_000, 300_000], "f"),
        ("small", [10, 2000], "f"),
        ("tree", [50] * 260, "f"),
    ):
        add(context, name, files(place / name, sizes, stem))
    add(context, "manifest", files(place / "manifest", [40] * 150, "n" * 180))
    add(context, "array", np.arange(30_000))
    add(context, "literal", {"x": 1})


def files(directory: Path, sizes: list[int], stem: str = "f") -> Path:
    """A directory of files, all different."""
    directory.mkdir(parents=True)
    for number, size_bytes in enumerate(sizes):
        unlike = f"{directory.name} {number} ".encode()
        (directory / f"{stem}{number}").write_bytes((unlike * size_bytes)[:size_bytes])
    return directory


def add(context: Context, name: str, value: object) -> str:
    """Add a bundle and commit it; its uuid."""
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return made.uuid


def state(context: Context) -> State:
    """What is seen in a context."""
    return {row.name: (row.uuid, dict(row.tags)) for row in reversed(find.search(context, Filter()))}


def change_and_add(context: Context, number: int) -> None:
    """What a push is about: a new version with a large object, a new name with small ones, a tag of an old bundle."""
    bundles.tag(context, find.need(context, "literal"), set_to={"checked": str(number)})
    add(context, "array", np.arange(number, number + 20_000))
    add(context, "text", f"{number} " * 20_000)


def push_all(context: Context) -> object:
    return push.push(context, push.selected(context))


def fetch_all(context: Context) -> object:
    return fetching.fetch(context)


def localize_all(context: Context) -> object:
    return localizing.localize(context, find.search(context, Filter()))


def check_whole(context: Context) -> None:
    """All bytes of all bundles that are seen can be had, and are right."""
    localize_all(context)
    assert maintain.verify(context).findings == ()
    for row in find.search(context, Filter()):
        bundles.value(context, row.uuid)


def kill_at(proxy: Proxy, nth: int, context: Context, act: Act, *, arrives: bool) -> bool:
    """
    Let a process act on a context, and kill it at its *nth* request, which *arrives* after that, or never does.

    False if it ended before.
    """
    proxy.reset()
    proxy.fail_nth(nth, HoldRequest())
    root, name = context.home.root, context.name
    with child(lambda _: act(Home(root).context(name))) as (pid, reading):
        held = until_held_or_ended(proxy, pid)
        if not held:
            assert not all_of(reading)
    if held and arrives:
        proxy.release()
        _until_answered(proxy, held[0])
    proxy.reset()
    return bool(held)


def until_held_or_ended(proxy: Proxy, pid: int) -> list[int]:
    """Wait until the proxy holds a request of a process, or that has ended; the numbers of what is held."""
    while not (held := proxy.held()) and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)
    return held


def all_of(reading: int) -> bytes:
    """All that a process says until it ends."""
    return b"".join(iter(lambda: os.read(reading, 1 << 16), b""))


def _until_answered(proxy: Proxy, number: int) -> None:
    deadline_s = time.monotonic() + 10
    while not proxy.requests()[number - 1].status:
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
