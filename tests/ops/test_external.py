"""Files elsewhere that a value names by `s3://` URLs become part of the bundle, as files here do."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

import disdat
from disdat.context import Context, Home
from disdat.core.digest import of_bytes
from disdat.errors import BadLinkError, InvalidInput, NotConfigured, PermissionDenied, Unavailable
from disdat.ops import add, bundles, contexts, external, find, maintain, pull, push, remotes
from disdat.ops.bundles import Birth
from disdat.values.markers import Text
from tests.servers.s3 import S3Server

SMALL = b"small"
LARGE = os.urandom(external.SMALL_BYTES) + b"more"


class Theirs:
    """A bucket of somebody else's, with some files."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.fresh_bucket()
        self.put("small.txt", SMALL)
        self.put("deep/large.bin", LARGE)

    def put(self, key: str, content: bytes) -> str:
        self.server.write(self.bucket, key, content)
        return self.url(key)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


@pytest.fixture
def theirs(ministack: S3Server, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    return Theirs(ministack)


def stored(context: Context, value: object) -> object:
    """What a value is read as."""
    return bundles.value(context, bundles.write(context, value, Birth(name="v")).uuid)


def content(path: object) -> bytes:
    assert isinstance(path, str)
    return Path(path).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("key", "expected"), [("small.txt", SMALL), ("deep/large.bin", LARGE)], ids=["small", "large"])
def test_a_url_reads_back_as_a_path_to_its_bytes(context: Context, theirs: Theirs, key: str, expected: bytes) -> None:
    found = stored(context, theirs.url(key))
    assert content(found) == expected
    assert Path(str(found)).name == key.rpartition("/")[2]


@pytest.mark.slow
def test_urls_stand_in_containers_and_columns(context: Context, theirs: Theirs, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    small, large = theirs.url("small.txt"), theirs.url("deep/large.bin")
    assert isinstance(pair := stored(context, [small, large, small]), list)
    assert [content(each) for each in pair] == [SMALL, LARGE, SMALL]
    assert isinstance(named := stored(context, {"a": (large,), "n": 1, "t": "text"}), dict)
    assert (content(named["a"][0]), named["n"], named["t"]) == (LARGE, 1, "text")
    assert isinstance(mixed := stored(context, [small, "text", str(tmp_path / "mine")]), list)
    assert (content(mixed[0]), mixed[1:]) == (SMALL, ["text", str(tmp_path / "mine")])
    frame = stored(context, pd.DataFrame({"f": [small, None, large], "n": [1, 2, 3]}))
    assert isinstance(frame, pd.DataFrame)
    assert [content(cell) for cell in frame["f"].dropna()] == [SMALL, LARGE]


@pytest.mark.slow
def test_equal_content_has_equal_digests_wherever_it_lies(context: Context, theirs: Theirs, tmp_path: Path) -> None:
    here = tmp_path / "small.txt"
    here.write_bytes(SMALL)
    from_there = bundles.write(context, theirs.url("small.txt"), Birth(name="v"))
    from_here = bundles.write(context, str(here), Birth(name="v"))
    assert from_there.logical == from_here.logical
    assert str(from_there.logical).startswith("file1:")


@pytest.mark.slow
def test_two_of_one_name_both_survive(context: Context, theirs: Theirs) -> None:
    urls = [theirs.put("one/data.csv", b"1"), theirs.put("two/data.csv", b"2")]
    assert isinstance(found := stored(context, urls), list)
    assert [content(each) for each in found] == [b"1", b"2"]


@pytest.mark.slow
def test_names_of_many_kinds_are_found(context: Context, theirs: Theirs) -> None:
    names = ["a b.csv", "50%.csv", "a#b?c=d", "día.csv", "x+y&z"]
    assert isinstance(found := stored(context, [theirs.put(name, name.encode()) for name in names]), list)
    assert [(Path(each).name, content(each)) for each in found] == [(name, name.encode()) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["gone", "deep", "deep/", "", "a//b", "../small.txt"])
def test_what_is_not_there_is_refused_by_url_and_place(context: Context, theirs: Theirs, key: str) -> None:
    url = theirs.url(key)
    with pytest.raises(BadLinkError, match="cannot store value") as whole:
        stored(context, url)
    assert url in str(whole.value)
    with pytest.raises(BadLinkError, match=r"value\['a'\]\[1\]") as inside:
        stored(context, {"a": [theirs.url("small.txt"), url]})
    assert url in str(inside.value)
    with pytest.raises(BadLinkError, match="column 'f' row 1"):
        stored(context, pd.DataFrame({"f": [theirs.url("small.txt"), url]}))
    assert context.catalog.latest("v") is None


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(context: Context, theirs: Theirs) -> None:
    with pytest.raises(BadLinkError, match="s3://no-such-bucket-here/key"):
        stored(context, "s3://no-such-bucket-here/key")


@pytest.mark.slow
def test_who_may_not_read_is_told_so(
    context: Context, ministack_iam: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Theirs(ministack_iam)
    elsewhere = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::another/*"}
    nobody = ministack_iam.user(f"of-{theirs.bucket}", {"Version": "2012-10-17", "Statement": [elsewhere]})
    for name, text in nobody.environment().items():
        monkeypatch.setenv(name, text)
    with pytest.raises(PermissionDenied):
        stored(context, theirs.url("small.txt"))


def test_without_credentials_the_url_is_named(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(NotConfigured, match="cannot read s3://bucket/key: there are no AWS credentials"):
        stored(context, ["s3://bucket/key"])


def test_text_stays_text(context: Context) -> None:
    assert stored(context, Text("s3://bucket/key")) == "s3://bucket/key"
    assert stored(context, {"url": disdat.text("s3://bucket/key")}) == {"url": "s3://bucket/key"}


@pytest.mark.slow
def test_cells_of_a_table_that_is_added_are_taken_in(context: Context, theirs: Theirs) -> None:
    Path("here.txt").write_bytes(b"here")
    Path("t.csv").write_text(f"n,where\n1,{theirs.url('small.txt')}\n2,here.txt\n3,{theirs.url('deep/large.bin')}\n")
    frame = bundles.value(context, add.add_inline(context, "n", "t.csv").uuid)
    assert isinstance(frame, pd.DataFrame)
    assert [content(cell) for cell in frame["where"]] == [SMALL, b"here", LARGE]


@pytest.mark.slow
def test_a_cell_of_which_nothing_is_there_is_named(context: Context, theirs: Theirs) -> None:
    Path("t.csv").write_text(f"n,where\n1,{theirs.url('small.txt')}\n2,{theirs.url('gone')}\n")
    with pytest.raises(BadLinkError, match=f"column 'where' row 1: {theirs.url('gone')} is not there"):
        add.add_inline(context, "n", "t.csv")
    assert context.catalog.latest("n") is None


@pytest.mark.slow
def test_urls_are_added_by_themselves(context: Context, theirs: Theirs, tmp_path: Path) -> None:
    told: list[int] = []
    one = add.add(context, "n", [theirs.url("deep/large.bin")], progress=told.append)
    assert content(bundles.value(context, one.uuid)) == LARGE
    assert sum(told) == len(LARGE)
    assert one.params == {"path": theirs.url("deep/large.bin")}
    both = bundles.value(context, add.add(context, "n", [theirs.url("small.txt"), theirs.url("deep/large.bin")]).uuid)
    assert isinstance(both, list)
    assert [content(each) for each in both] == [SMALL, LARGE]
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match="is a path, and s3://"):
        add.add(context, "n", [str(tmp_path / "mine"), theirs.url("small.txt")])


@pytest.mark.slow
def test_many_small_files_are_read_together(context: Context, theirs: Theirs) -> None:
    urls = [theirs.put(f"many/{number}", b"%d" % number) for number in range(150)]
    assert isinstance(found := stored(context, urls), list)
    assert [content(each) for each in found] == [b"%d" % number for number in range(150)]


@pytest.fixture(params=["packed", "plain"])
def bound(request: pytest.FixtureRequest, context: Context, theirs: Theirs) -> Context:
    """The context, bound to a remote in a bucket of its own."""
    url = f"s3://{theirs.server.fresh_bucket()}/ours"
    return remotes.bind(context, "shared", url, layout=request.param).context


def on_remote(context: Context, uuid: str) -> list[str]:
    """The names of a bundle's files that lie on the remote as people see them."""
    backend = context.remote.backend
    prefix = f"context/shared/files/{uuid}/"
    return [each.key.removeprefix(prefix) for each in backend.list(prefix)]


@pytest.mark.slow
def test_a_large_file_is_copied_by_the_remote_itself(bound: Context, theirs: Theirs, tmp_path: Path) -> None:
    urls = [theirs.url("small.txt"), theirs.url("deep/large.bin")]
    made = bundles.write(bound, urls, Birth(name="v"))
    assert on_remote(bound, made.uuid) == ["large.bin"]
    assert list(bound.home.store.iter_digests()) == [of_bytes(SMALL)]
    bundles.commit(bound, [find.by_uuid(bound, made.uuid)])
    assert push.push(bound, push.selected(bound)).bytes_sent < len(LARGE)
    theirs.server.wipe(theirs.bucket)
    other = contexts.create(Home(tmp_path / "other"), "work")
    assert bound.binding is not None
    other = remotes.bind(other, "shared", bound.binding.url, layout="packed").context
    pull.pull(other, "v", with_bytes=True)
    assert isinstance(found := bundles.value(other, made.uuid), list)
    assert [content(each) for each in found] == [SMALL, LARGE]
    assert not maintain.verify(other).findings


@pytest.mark.slow
def test_what_the_remote_copied_is_equal_to_what_is_here(bound: Context, theirs: Theirs, tmp_path: Path) -> None:
    here = tmp_path / "large.bin"
    here.write_bytes(LARGE)
    there = bundles.write(bound, theirs.url("deep/large.bin"), Birth(name="v"))
    assert bundles.write(bound, str(here), Birth(name="v")).logical == there.logical


@pytest.mark.slow
def test_a_remote_that_cannot_copy_gets_it_from_here(context: Context, theirs: Theirs, tmp_path: Path) -> None:
    bound = remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout="packed").context
    made = bundles.write(bound, theirs.url("deep/large.bin"), Birth(name="v"))
    assert list(bound.home.store.iter_digests()) == [of_bytes(LARGE)]
    assert content(bundles.value(bound, made.uuid)) == LARGE


@pytest.mark.slow
def test_what_is_replaced_while_it_is_read_is_refused(theirs: Theirs) -> None:
    [found] = external.look({theirs.url("deep/large.bin"): "value"})
    assert external.hashed(found).digest == of_bytes(LARGE)
    theirs.put("deep/large.bin", b"other" + LARGE)
    with pytest.raises(Unavailable, match="was replaced"):
        external.hashed(found)
