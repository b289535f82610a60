"""How many requests it takes: a cost that follows what changed, whatever the remote holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.ops import bundles, contexts, fetching, find, localizing, push, remotes
from disdat.ops.bundles import Birth
from disdat.remote import compaction
from tests.remote.conftest import Opened
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.slow

Join = Callable[[str], Context]


@pytest.fixture
def join(through_proxy: Opened, tmp_path: Path) -> Join:
    url = through_proxy().url

    def join(who: str) -> Context:
        return remotes.bind(contexts.create(Home(tmp_path / who), "work"), "shared", url, layout="packed").context

    return join


def add(context: Context, name: str, value: object) -> str:
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return made.uuid


def push_all(context: Context) -> None:
    push.push(context, push.selected(context))


@contextmanager
def requests(proxy: Proxy) -> Iterator[list[str]]:
    """What is asked for meanwhile: methods, and the first parts of keys."""
    proxy.reset()
    asked: list[str] = []
    yield asked
    asked += [f"{each.method} {_part(each.target)}" for each in proxy.requests()]


def _part(target: str) -> str:
    if "list-type" in target:
        return "?" + target.partition("prefix=")[2].partition("&")[0].rpartition("prefix%2F")[2].replace("%2F", "/")
    return target.partition("prefix/")[2].removeprefix("context/shared/").partition("/")[0]


NOTHING_NEW = ["GET disdat.json", "GET ?context/shared/events", "GET ?context/shared/snapshots"]


def test_pushing_and_fetching_nothing_new_takes_three_requests(join: Join, proxy: Proxy) -> None:
    ann = join("ann")
    for number in range(5):
        add(ann, f"n{number}", number)
        push_all(ann)
    for act in (push_all, fetching.fetch):
        with requests(proxy) as asked:
            act(ann)
        assert len(asked) == 3, asked


def test_what_is_said_of_bundles_alone_takes_five_requests(join: Join, proxy: Proxy) -> None:
    ann = join("ann")
    add(ann, "n", 1)
    push_all(ann)
    bundles.tag(ann, find.need(ann, "n"), set_to={"a": "b"})
    with requests(proxy) as asked:
        push_all(ann)
    assert len(asked) == 5, asked
    assert asked.count("PUT events") == 1


def test_a_thousand_small_objects_take_as_many_requests_as_one(join: Join, proxy: Proxy, tmp_path: Path) -> None:
    ann, bob = join("ann"), join("bob")
    add(ann, "warm", 0)
    push_all(ann)
    counts = []
    for count in (1, 1000):
        directory = tmp_path / f"files{count}"
        directory.mkdir()
        for number in range(count):
            (directory / f"{number}").write_text(f"{count} {number}")
        add(ann, f"n{count}", directory)
        with requests(proxy) as asked:
            push_all(ann)
        counts.append(len(asked))
        assert len(asked) <= 12, asked
        fetching.fetch(bob)
        with requests(proxy) as asked:
            localizing.localize(bob, [find.need(bob, f"n{count}")])
        assert len(asked) <= 4, asked
    assert counts[1] == counts[0] + 1  # the directory of a thousand is over 64 KiB, and so lies by itself


def test_a_fresh_clone_reads_one_snapshot_instead_of_many_publications(join: Join, proxy: Proxy) -> None:
    ann, bob = join("ann"), join("bob")
    for number in range(80):
        add(ann, f"n{number}", number)
        push_all(ann)
    with ann.remote.mirror() as mirror:
        compaction.compact(mirror)
    with requests(proxy) as asked:
        fetching.fetch(bob)
    assert len(find.search(bob, Filter())) == 80
    assert len(asked) <= 5, asked
    assert "GET events" not in asked
    with requests(proxy) as asked:
        assert fetching.fetch(bob).new == ()
    assert len(asked) == 3, asked
