"""What the maker of a bundle writes on the remote itself is part of the bundle, and is not moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from disdat import api
from disdat.context import Context, Home
from disdat.errors import BadLinkError, InvalidInput, NotConfigured
from disdat.ops import bundles, contexts, find, localizing, maintain, presence, pull, push, remotes
from disdat.ops.bundles import Birth, BundleWriter
from disdat.remote.known import Presence
from tests.ops.conftest import DIRECTORY_OR_S3, place_of


@pytest.fixture(params=DIRECTORY_OR_S3)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a remote whose name has to be quoted in URLs."""
    directory = tmp_path / "re mote"
    directory.mkdir()
    return place_of(request.param, request, directory, monkeypatch)


def write(context: Context, url: str, content: bytes) -> str:
    """Write as another program does, by the URL; which is returned."""
    if url.startswith("file://"):
        path = Path(unquote(urlsplit(url).path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    else:
        context.remote.backend.put(url.removeprefix(context.remote.backend.url + "/"), content)
    return url


def share(context: Context, uuid: str) -> None:
    bundles.commit(context, [find.by_uuid(context, uuid)])
    push.push(context, push.selected(context))


def test_a_file_is_part_of_the_bundle_and_is_not_moved(ann: Context, bob: Context) -> None:
    writer = BundleWriter(ann)
    url = write(ann, writer.remote_url("out/a b.csv"), b"x" * 100_000)
    assert url.startswith(f"{ann.remote.backend.url}/context/shared/files/{writer.uuid}/out/a")
    made = writer.close({"file": url}, Birth(name="v"))
    assert list(ann.home.store.iter_digests()) == []
    assert presence.of_rows(ann, [made.uuid]) == {made.uuid: Presence.REMOTE}
    share(ann, made.uuid)
    assert ann.remote.backend.list_below("objects/") == []
    assert pull.pull(bob, "v").rows
    for context in (ann, bob):
        found = bundles.value(context, made.uuid)
        assert isinstance(found, dict)
        assert Path(found["file"]).read_bytes() == b"x" * 100_000
        assert Path(found["file"]).name == "a b.csv"


def test_it_can_be_read_before_it_is_pushed(ann: Context) -> None:
    writer = BundleWriter(ann)
    made = writer.close(write(ann, writer.remote_url("file"), b"x"), Birth(name="v"))
    assert localizing.localize(ann, [find.by_uuid(ann, made.uuid)]).bytes_received == 1
    assert not maintain.verify(ann).findings
    assert Path(str(bundles.value(ann, made.uuid))).read_bytes() == b"x"


def test_it_has_the_digest_of_a_file_here(ann: Context) -> None:
    there, here = BundleWriter(ann), BundleWriter(ann)
    here.file("file").write_bytes(b"x")
    from_there = there.close(write(ann, there.remote_url("file"), b"x"), Birth(name="v"))
    from_here = here.close(str(here.path / "file"), Birth(name="v"))
    assert from_there.logical == from_here.logical


def test_on_a_plain_remote_it_is_its_url(make: Callable[..., Context]) -> None:
    cat = make("cat", layout="plain")
    writer = BundleWriter(cat)
    url = write(cat, writer.remote_url("a b.csv"), b"x")
    made = writer.close(pd.DataFrame({"file": [url, None]}), Birth(name="v"))
    frame = bundles.value(cat, made.uuid)
    assert isinstance(frame, pd.DataFrame)
    assert frame["file"].iloc[0] == url
    share(cat, made.uuid)
    assert push.push(cat, push.selected(cat)).sent == ()


def test_a_directory_is_all_that_was_written_below(ann: Context, bob: Context) -> None:
    writer = BundleWriter(ann)
    url = writer.remote_url("parts")
    for name in ("part-0", "day=1/part-1", "_SUCCESS", "at=12%3A00"):
        write(ann, f"{url}/{name}", name.encode())
    made = writer.close(f"{url}/", Birth(name="v"))
    assert made.file_count == 4
    share(ann, made.uuid)
    pull.pull(bob)
    found = Path(str(bundles.value(bob, made.uuid)))
    assert (found / "day=1" / "part-1").read_bytes() == b"day=1/part-1"
    if url.startswith("s3://"):
        assert (found / "at=12%3A00").read_bytes() == b"at=12%3A00"


def test_all_that_was_written_is_a_directory_too(ann: Context, bob: Context) -> None:
    writer = BundleWriter(ann)
    root = writer.remote_directory_url()
    assert writer.remote_url("b/c") == f"{root}/b/c"
    for name in ("a", "b/c"):
        write(ann, f"{root}/{name}", name.encode())
    made = writer.close(root, Birth(name="v"))
    assert made.file_count == 2
    share(ann, made.uuid)
    pull.pull(bob)
    found = Path(str(bundles.value(bob, made.uuid)))
    assert (found / "b" / "c").read_bytes() == b"b/c"
    assert (found / "a").read_bytes() == b"a"


def test_a_directory_is_no_cell(ann: Context) -> None:
    writer = BundleWriter(ann)
    write(ann, writer.remote_url("parts/one"), b"1")
    with pytest.warns(UserWarning, match="gc --remote"), pytest.raises(BadLinkError, match="is a directory"):
        writer.close(pd.DataFrame({"file": [writer.remote_url("parts")]}), Birth(name="v"))


def test_what_was_not_written_is_named_and_nothing_is_stored(ann: Context) -> None:
    writer = BundleWriter(ann)
    url = writer.remote_url("file")
    with pytest.warns(UserWarning, match="gc --remote"), pytest.raises(BadLinkError, match="was not written") as told:
        writer.close([url], Birth(name="v"))
    assert url in str(told.value)
    assert ann.catalog.latest("v") is None


def test_who_abandons_is_told_what_stays(ann: Context) -> None:
    writer = BundleWriter(ann)
    url = write(ann, writer.remote_url("file"), b"x")
    with pytest.warns(UserWarning, match=writer.uuid):
        writer.abandon()
    assert ann.remote.backend.get(f"context/shared/files/{writer.uuid}/file") == b"x"
    assert url.endswith("/file")


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/a", "a//b", "n" * 1000])
def test_a_name_that_leads_out_or_is_too_long_is_refused(ann: Context, name: str) -> None:
    with pytest.raises(InvalidInput):
        BundleWriter(ann).remote_url(name)


def test_one_name_is_not_two_files(ann: Context) -> None:
    writer = BundleWriter(ann)
    writer.file("file").write_bytes(b"here")
    url = write(ann, writer.remote_url("file"), b"there")
    with pytest.warns(UserWarning, match="gc --remote"), pytest.raises(InvalidInput, match="both 'file'"):
        writer.close([str(writer.path / "file"), url], Birth(name="v"))


def test_without_a_remote_there_is_no_url(context: Context) -> None:
    with pytest.raises(NotConfigured, match="no remote"):
        BundleWriter(context).remote_url("file")


def test_a_remote_that_is_named_by_no_url_is_refused(tmp_path: Path) -> None:
    context = contexts.create(Home(tmp_path / "home"), "work")
    bound = remotes.bind(context, "shared", "memory://outputs", layout="packed").context
    with pytest.raises(InvalidInput, match="memory://outputs"):
        BundleWriter(bound).remote_url("file")


def test_a_bundle_gives_urls_while_it_is_open(ann: Context) -> None:
    with api.Bundle(ann, "v") as bundle:
        one = write(ann, bundle.get_remote_file("one"), b"1")
        two = bundle.get_remote_directory("two")
        write(ann, f"{two}/part", b"2")
        assert one == f"{bundle.remote_dir}/one"
        bundle.add_data({"one": one, "two": two})
    assert Path(bundle.data["one"]).read_bytes() == b"1"
    assert Path(bundle.data["two"], "part").read_bytes() == b"2"
