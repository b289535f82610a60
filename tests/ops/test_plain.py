"""On a plain remote files lie under their own names: who lacks them is told their URLs, and fetches when told to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.ops import bundles, find, localizing, pull, push
from disdat.ops.bundles import Birth


@pytest.fixture
def layout() -> str:
    """Files lie under their own names."""
    return "plain"


def add(context: Context, name: str, value: object) -> Row:
    """Add a bundle and commit it."""
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return find.by_uuid(context, made.uuid)


def shared(ann: Context, bob: Context, value: object) -> Row:
    """Push a value and pull what is known of it."""
    row = add(ann, "v", value)
    push.push(ann, push.selected(ann))
    pull.pull(bob)
    return row


def read(context: Context, url: str) -> bytes:
    """What others read by a URL, which begins with that of the remote."""
    if url.startswith("file://"):
        return Path(unquote(urlsplit(url).path)).read_bytes()
    return context.remote.backend.get(url.removeprefix(context.remote.backend.url + "/"))


def a_file(tmp_path: Path, name: str = "a b.csv", content: bytes = b"x") -> str:
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_an_absent_file_is_its_url_until_it_is_localized(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, bob, a_file(tmp_path))
    found = bundles.value(bob, row.uuid)
    assert found == f"{bob.remote.backend.url}/context/shared/files/{row.uuid}/a{_space(bob)}b.csv"
    assert read(bob, found) == b"x"
    assert list(bob.home.store.iter_digests()) == []
    localizing.localize(bob, [find.by_uuid(bob, row.uuid)])
    here = bundles.value(bob, row.uuid)
    assert isinstance(here, str)
    assert Path(here).read_bytes() == b"x"


def _space(context: Context) -> str:
    return "%20" if context.remote.backend.url.startswith("file://") else " "


def test_who_made_a_file_has_its_path(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, bob, a_file(tmp_path))
    assert Path(str(bundles.value(ann, row.uuid))).read_bytes() == b"x"


def test_of_several_files_each_is_where_it_is(ann: Context, bob: Context, tmp_path: Path) -> None:
    one, two = a_file(tmp_path, "one", b"1"), a_file(tmp_path, "two", b"2")
    add(bob, "mine", one)
    row = shared(ann, bob, [one, two])
    found = bundles.value(bob, row.uuid)
    assert isinstance(found, list)
    assert Path(found[0]).read_bytes() == b"1"
    assert found[1].startswith(bob.remote.backend.url)
    assert read(bob, found[1]) == b"2"


def test_cells_are_urls(ann: Context, bob: Context, tmp_path: Path) -> None:
    cells = [a_file(tmp_path, "one", b"1"), None, a_file(tmp_path, "two", b"2")]
    row = shared(ann, bob, pd.DataFrame({"file": cells}))
    frame = bundles.value(bob, row.uuid)
    assert isinstance(frame, pd.DataFrame)
    assert [read(bob, cell) for cell in frame["file"].dropna()] == [b"1", b"2"]
    assert frame["file"].isna().tolist() == [False, True, False]


def test_a_path_comes_out_as_a_path_and_is_fetched(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, bob, Path(a_file(tmp_path)))
    found = bundles.value(bob, row.uuid)
    assert isinstance(found, Path)
    assert found.read_bytes() == b"x"


def test_a_directory_is_the_url_of_its_files(ann: Context, bob: Context, tmp_path: Path) -> None:
    writer = bundles.BundleWriter(ann)
    (writer.subdirectory("parts") / "one").write_bytes(b"1")
    (writer.subdirectory("parts") / "two").write_bytes(b"2")
    made = writer.close(str(writer.path / "parts"), Birth(name="d"))
    bundles.commit(ann, [find.by_uuid(ann, made.uuid)])
    push.push(ann, push.selected(ann))
    pull.pull(bob)
    found = bundles.value(bob, made.uuid)
    assert isinstance(found, str)
    assert read(bob, f"{found}/two") == b"2"


def test_what_does_not_lie_plainly_is_fetched(make: Callable[..., Context], bob: Context, tmp_path: Path) -> None:
    packed = make("cat", layout="packed")
    row = shared(packed, bob, a_file(tmp_path))
    assert Path(str(bundles.value(bob, row.uuid))).read_bytes() == b"x"


def test_a_packed_remote_gives_paths(make: Callable[..., Context], ann: Context, tmp_path: Path) -> None:
    packed = make("cat", layout="packed")
    row = shared(ann, packed, a_file(tmp_path))
    assert Path(str(bundles.value(packed, row.uuid))).read_bytes() == b"x"


def test_equal_bytes_are_sent_once_and_copied_there(ann: Context, bob: Context, tmp_path: Path) -> None:
    add(ann, "v", [a_file(tmp_path, "one", b"x" * 1000), a_file(tmp_path, "two", b"x" * 1000)])
    first = push.push(ann, push.selected(ann))
    assert first.bytes_sent == 1000
    row = add(ann, "w", a_file(tmp_path, "one", b"x" * 1000))
    planned = push.plan(ann, push.selected(ann))
    assert (planned.objects, planned.bytes_sent) == (0, 0)
    assert push.push(ann, push.selected(ann)).bytes_sent == 0
    pull.pull(bob)
    assert read(bob, str(bundles.value(bob, row.uuid))) == b"x" * 1000


def test_what_was_to_be_copied_and_is_gone_is_sent(ann: Context, tmp_path: Path) -> None:
    first = add(ann, "v", a_file(tmp_path, "one", b"x" * 1000))
    push.push(ann, push.selected(ann))
    ann.remote.backend.delete(f"context/shared/files/{first.uuid}/one")
    row = add(ann, "w", a_file(tmp_path, "one", b"x" * 1000))
    assert push.push(ann, push.selected(ann)).bytes_sent == 1000
    assert ann.remote.backend.get(f"context/shared/files/{row.uuid}/one") == b"x" * 1000


NAMES = ["50%.csv", "día.csv", "a#b?c", "line\nbreak", "back\\slash", os.fsdecode(b"\xff"), "a%0A", "n" * 255]


def test_files_of_any_name_come_back(ann: Context, bob: Context, tmp_path: Path) -> None:
    row = shared(ann, bob, [a_file(tmp_path, name, name.encode("utf-8", "surrogateescape")) for name in NAMES])
    urls = bundles.value(bob, row.uuid)
    assert isinstance(urls, list)
    assert [read(bob, url) for url in urls] == [os.fsencode(name) for name in NAMES]
    localizing.localize(bob, [find.by_uuid(bob, row.uuid)])
    found = bundles.value(bob, row.uuid)
    assert isinstance(found, list)
    assert [(Path(path).name, Path(path).read_bytes()) for path in found] == [(n, os.fsencode(n)) for n in NAMES]


def test_a_path_that_no_key_can_have_is_packed(ann: Context, bob: Context, tmp_path: Path) -> None:
    deep = "/".join(["d" * 200] * 6)
    root = tmp_path / "root"
    a_file(root, f"{deep}/file", b"deep")
    row = shared(ann, bob, root / "mine")
    found = bundles.value(bob, row.uuid)
    assert isinstance(found, Path)
    assert (found / deep / "file").read_bytes() == b"deep"
