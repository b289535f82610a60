"""By a URL anybody reads what is shared, and nothing else; a place that has no such URLs says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context, Home
from disdat.errors import BundleNotFound, InvalidInput, NotConfigured, ObjectNotFound
from disdat.ops import bundles, contexts, fetching, find, push, remotes, sharing
from disdat.ops.bundles import Birth
from tests.servers.s3 import S3Server

DAY_S = 86_400


@pytest.fixture
def make(ministack: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Context]:
    """Make a context of a home of its own, bound to a bucket."""
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    url = f"s3://{ministack.fresh_bucket()}/some/prefix"

    def made(who: str) -> Context:
        return remotes.bind(contexts.create(Home(tmp_path / who), "work"), "shared", url, layout="packed").context

    return made


def add(context: Context, name: str, value: object) -> Row:
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    push.push(context, push.selected(context))
    return find.by_uuid(context, made.uuid)


def read(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:
        data: bytes = answer.read()
    return data


def test_anybody_reads_files_and_values_by_their_urls(make: Callable[[str], Context], tmp_path: Path) -> None:
    ann = make("ann")
    directory = tmp_path / "files"
    (directory / "in").mkdir(parents=True)
    (directory / "large.bin").write_bytes(b"l" * 200_000)
    (directory / "in" / "small é.txt").write_bytes(b"small")
    add(ann, "files", directory)
    shared = sharing.share(ann, "files", expires_s=600)
    found = {link.name: (link.size_bytes, read(link.url)) for link in shared.links}
    assert found == {"files/in/small é.txt": (5, b"small"), "files/large.bin": (200_000, b"l" * 200_000)}


def test_values_are_shared_in_the_formats_they_have(make: Callable[[str], Context], tmp_path: Path) -> None:
    ann = make("ann")
    add(ann, "array", np.arange(10))
    add(ann, "table", pd.DataFrame({"a": [1, 2]}))
    add(ann, "literal", {"x": 1})
    found = {name: sharing.share(ann, name, expires_s=600).links[0] for name in ("array", "table", "literal")}
    assert [each.name for each in found.values()] == ["value.npy", "value.parquet", "value.json"]
    for name, link in found.items():
        (tmp_path / name).write_bytes(read(link.url))
    assert (np.load(tmp_path / "array") == np.arange(10)).all()
    assert list(pd.read_parquet(tmp_path / "table")["a"]) == [1, 2]
    assert json.loads((tmp_path / "literal").read_text("utf-8")) == {"dict": [["x", 1]]}


def test_a_url_gives_away_nothing_but_what_is_shared(make: Callable[[str], Context]) -> None:
    """Small objects lie in packs: who could read a pack could read its neighbours."""
    ann = make("ann")
    secret, public = np.frombuffer(b"secret--" * 100), np.arange(7)
    add(ann, "both", [secret, public])
    add(ann, "public", public)
    shared = sharing.share(ann, "public", expires_s=600)
    assert all("/shares/" in link.url and b"secret" not in read(link.url) for link in shared.links)
    with pytest.raises(HTTPError):
        read(shared.links[0].url.replace("value.npy", "other.npy"))


def test_who_never_had_the_bytes_shares_them_too(make: Callable[[str], Context]) -> None:
    add(make("ann"), "n", np.arange(100_000))
    bob = make("bob")
    fetching.fetch(bob)
    assert len(read(sharing.share(bob, "n", expires_s=600).links[0].url)) == 800_128
    assert list(bob.home.store.iter_digests()) == []


def test_what_was_not_pushed_is_shared_from_here(make: Callable[[str], Context]) -> None:
    ann = make("ann")
    bundles.write(ann, np.arange(3), Birth(name="draft"))
    assert len(read(sharing.share(ann, "draft", expires_s=600).links[0].url)) == 152


@pytest.mark.parametrize("url", ["file://{}/remote", "memory://sharing"])
def test_a_place_without_such_urls_says_so(tmp_path: Path, url: str) -> None:
    context = contexts.create(Home(tmp_path / "home"), "work")
    bound = remotes.bind(context, "shared", url.format(tmp_path), layout="packed").context
    add(bound, "n", 1)
    with pytest.raises(InvalidInput, match="no URLs that others can read"):
        sharing.share(bound, "n", expires_s=600)


@pytest.mark.parametrize("expires_s", [0, 7 * DAY_S + 1])
def test_a_url_is_good_for_a_week_at_most(tmp_path: Path, expires_s: int) -> None:
    context = contexts.create(Home(tmp_path / "home"), "work")
    bound = remotes.bind(context, "shared", "memory://week", layout="packed").context
    with pytest.raises(InvalidInput, match="cannot be good for"):
        sharing.share(bound, "n", expires_s=expires_s)


def test_what_cannot_be_shared_is_told(make: Callable[[str], Context], tmp_path: Path) -> None:
    ann = make("ann")
    with pytest.raises(BundleNotFound):
        sharing.share(ann, "none", expires_s=600)
    with pytest.raises(NotConfigured):
        sharing.share(contexts.create(Home(tmp_path / "dan"), "work"), "none", expires_s=600)
    row = add(ann, "n", np.arange(100_000))
    bob = make("bob")
    fetching.fetch(bob)
    for each in list(bob.remote.backend.list("objects/")):
        bob.remote.backend.delete(each.key)
    with pytest.raises(ObjectNotFound, match="neither here nor at"):
        sharing.share(bob, row.uuid, expires_s=600)
