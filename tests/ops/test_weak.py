"""A file that is too large to be read for its digest is the object that S3 had then, and no other."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disdat.catalog.queries import Row
from disdat.cli import describe, listing
from disdat.context import Context, Home
from disdat.core import canonical
from disdat.core.digest import of_bytes
from disdat.core.tree import Entry
from disdat.errors import Corrupt, DigestMismatch, InvalidInput
from disdat.ops import (
    bundles,
    checkout,
    contexts,
    delocalizing,
    details,
    find,
    localizing,
    maintain,
    moves,
    presence,
    pull,
    push,
    remotes,
    repairing,
    sharing,
    verifyremote,
)
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.details import Details
from disdat.remote.known import Presence
from tests.ops.conftest import place_of
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

FROM_BYTES = 100_000
DATA = os.urandom(1000) * 120
OTHER = DATA[::-1]
SMALL = b"small"


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DISDAT_REMOTE_WEAK_FROM", str(FROM_BYTES))
    return place_of("ministack", request, tmp_path, monkeypatch)


def put(context: Context, url: str, content: bytes) -> str:
    """Write as another program does, by the URL; which is returned."""
    key = url.removeprefix(f"{context.remote.backend.url}/")
    context.remote.backend.put_file(key, io.BytesIO(content), len(content))
    return url


def written(context: Context, content: bytes = DATA, name: str = "v") -> Row:
    """A bundle of one file that its maker wrote on the remote."""
    writer = BundleWriter(context)
    made = writer.close(put(context, writer.remote_url("out/large.bin"), content), Birth(name=name))
    return find.by_uuid(context, made.uuid)


def published(context: Context, content: bytes = DATA) -> Row:
    row = written(context, content)
    bundles.commit(context, [row])
    push.push(context, push.selected(context))
    return row


def entry(context: Context, row: Row) -> Entry:
    [found] = details.of(context, row).files.values()
    return found


def url_of(context: Context, row: Row) -> str:
    return f"{context.remote.backend.url}/context/shared/files/{row.uuid}/out/large.bin"


def read(context: Context, row: Row) -> bytes:
    return Path(str(bundles.value(context, row.uuid))).read_bytes()


def as_json(found: Details) -> dict[str, Any]:
    """What `dsdt show --json` prints."""
    shown: dict[str, Any] = json.loads(canonical.encode(describe.as_json(found)))
    return shown


def test_others_get_the_bytes_which_are_known_from_then_on(ann: Context, bob: Context) -> None:
    row = published(ann)
    assert list(ann.home.store.iter_digests()) == []
    weak = entry(ann, row)
    assert weak.weak is not None
    assert weak.digest == weak.weak.digest(len(DATA)) != of_bytes(DATA)
    assert pull.pull(bob, "v").rows
    assert entry(bob, row).weak == weak.weak
    assert verifyremote.verify(bob).is_sound
    assert read(bob, row) == DATA
    assert bob.home.store.content(weak.digest) == of_bytes(DATA)
    assert presence.of_rows(bob, [row.uuid]) == {row.uuid: Presence.LOCAL}
    assert not maintain.verify(bob).findings
    assert push.push(bob, push.selected(bob)).sent == ()


def test_show_says_so(ann: Context) -> None:
    row = published(ann)
    assert presence.weak(ann) == {row.uuid}
    listed = listing.long(
        [row], widths=listing.PADS, params=False, presence={row.uuid: "remote"}, weak=presence.weak(ann)
    )
    assert "remote~" in list(listed)[1]
    found = details.of(ann, row)
    assert [line.split() for line in describe.lines(found) if "large.bin" in line][-1] == (
        ["out/large.bin", "120.0", "kB", "weak"]
    )
    [before] = as_json(found)["tree"]
    localizing.localize(ann, [row])
    found = details.of(ann, row)
    assert any(line.endswith("weak, read here") for line in describe.lines(found))
    [after] = as_json(found)["tree"]
    assert (before["content"], after["content"]) == (None, of_bytes(DATA))
    weak = entry(ann, row).weak
    assert weak is not None
    assert before["weak"] == after["weak"] == weak.to_json()


def test_another_object_in_its_place_is_refused_until_it_is_put_back(ann: Context, bob: Context) -> None:
    row = published(ann)
    pull.pull(bob)
    put(ann, url_of(ann, row), OTHER)
    with pytest.raises(Corrupt, match="another object") as told:
        localizing.localize(bob, [row])
    assert row.uuid in str(told.value)
    assert "put that one back" in told.value.hint
    assert list(bob.home.store.iter_digests()) == []
    report = verifyremote.verify(bob)
    [finding] = report.findings
    assert finding.uses[0].uuid == row.uuid
    assert "another object" in finding.wrong
    assert "never hashed" in finding.remedy
    with pytest.raises(Corrupt, match="another object"):
        sharing.share(bob, "v", expires_s=600)
    put(ann, url_of(ann, row), DATA)
    assert verifyremote.verify(bob).is_sound
    assert read(bob, row) == DATA


def test_what_is_replaced_while_it_is_read_is_not_taken_for_it(ann: Context, bob: Context) -> None:
    """Neither is what came kept, nor is it noted as what it is."""
    row = published(ann)
    pull.pull(bob)
    with pytest.raises(Corrupt, match="another object"):
        localizing.localize(bob, [row], progress=lambda *_: put(ann, url_of(ann, row), OTHER))
    assert list(bob.home.store.iter_digests()) == []
    assert bob.home.store.content(entry(bob, row).digest) == entry(bob, row).digest
    put(ann, url_of(ann, row), DATA)
    assert read(bob, row) == DATA


def test_where_one_was_replaced_an_equal_one_is_read(ann: Context, bob: Context) -> None:
    first, second = written(ann), written(ann)
    bundles.commit(ann, [first, second])
    push.push(ann, [first, second])
    put(ann, url_of(ann, first), OTHER)
    pull.pull(bob, "v", every_version=True)
    assert read(bob, first) == read(bob, second) == DATA


def test_what_was_read_is_known_by_its_bytes(ann: Context, url: str) -> None:
    row = published(ann)
    localizing.localize(ann, [row])
    assert delocalizing.delocalize(ann, [row]).objects == 1
    assert list(ann.home.store.iter_digests()) == []
    put(ann, url_of(ann, row), OTHER)
    with pytest.raises(Corrupt, match="another object"):
        localizing.localize(ann, [row])
    put(ann, url_of(ann, row), DATA)
    assert read(ann, row) == DATA
    put(ann, url_of(ann, row), OTHER)
    with pytest.raises(DigestMismatch, match="nothing was dropped"):
        delocalizing.delocalize(ann, [row])
    assert read(ann, row) == DATA


def test_who_has_the_bytes_does_not_send_them_elsewhere(ann: Context, url: str) -> None:
    """It would be another object than the one that everybody else knows."""
    row = published(ann)
    localizing.localize(ann, [row])
    ann.remote.backend.delete(url_of(ann, row).removeprefix(f"{ann.remote.backend.url}/"))
    report = verifyremote.verify(ann)
    assert "is missing" in report.findings[0].wrong
    assert repairing.repair(ann, report.findings).left == (entry(ann, row).digest,)
    other = contexts.create(ann.home, "other")
    other = remotes.bind(other, "elsewhere", url, layout="plain").context
    moves.copy(ann, other, [row])
    with pytest.raises(InvalidInput, match="not among those of elsewhere at"):
        push.push(other, push.selected(other))
    assert read(other, row) == DATA


def test_equal_is_what_s3_says_the_same_of(ann: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = written(ann), written(ann), written(ann, OTHER)
    monkeypatch.setenv("DISDAT_REMOTE_WEAK_FROM", "0")
    hashed = written(ann)
    logical = [ann.catalog.bundle(row.uuid).logical for row in (first, again, other, hashed)]
    assert logical[0] == logical[1]
    assert len(set(logical)) == 3
    assert entry(ann, hashed) == Entry(of_bytes(DATA), len(DATA))


def test_of_a_directory_only_what_is_large_is_not_read(ann: Context, bob: Context) -> None:
    writer = BundleWriter(ann)
    root = writer.remote_url("parts")
    contents = {"a": SMALL, "b": DATA, "c": DATA[:FROM_BYTES], "d": DATA[: FROM_BYTES - 1]}
    for name, content in contents.items():
        put(ann, f"{root}/{name}", content)
    made = writer.close(root, Birth(name="v"))
    row = find.by_uuid(ann, made.uuid)
    weak = {path: each.weak is not None for path, each in details.of(ann, row).files.items()}
    assert weak == {"parts/a": False, "parts/b": True, "parts/c": True, "parts/d": False}
    bundles.commit(ann, [row])
    push.push(ann, push.selected(ann))
    pull.pull(bob, "v", with_bytes=True)
    found = Path(str(bundles.value(bob, row.uuid)))
    assert {path.name: path.read_bytes() for path in found.iterdir()} == contents


def test_what_came_in_parts_is_known_too(ann: Context, bob: Context) -> None:
    row = published(ann, content := DATA * 80)
    found = entry(ann, row).weak
    assert found is not None
    assert "-" in found.etag
    pull.pull(bob)
    assert read(bob, row) == content


def test_a_large_file_elsewhere_is_copied_and_not_read(
    ann: Context, bob: Context, ministack: S3Server, tmp_path: Path
) -> None:
    bucket = ministack.fresh_bucket()
    ministack.write(bucket, "large.bin", big := DATA * 10)
    made = bundles.write(ann, f"s3://{bucket}/large.bin", Birth(name="v"))
    row = find.by_uuid(ann, made.uuid)
    assert entry(ann, row).weak is not None
    bundles.commit(ann, [row])
    push.push(ann, push.selected(ann))
    ministack.wipe(bucket)
    pull.pull(bob)
    assert read(bob, row) == big


def test_in_the_plain_layout_it_is_its_url_and_stays(make: Callable[..., Context]) -> None:
    cat, dan = make("cat", layout="plain"), make("dan", layout="plain")
    row = published(cat)
    pull.pull(dan)
    assert bundles.value(dan, row.uuid) == url_of(cat, row)
    assert push.push(cat, push.selected(cat)).sent == ()
    localizing.localize(dan, [row])
    assert read(dan, row) == DATA


def test_what_is_replaced_before_the_bundle_is_closed_is_the_file(ann: Context) -> None:
    writer = BundleWriter(ann)
    url = put(ann, writer.remote_url("file"), OTHER)
    put(ann, url, DATA)
    made = writer.close(url, Birth(name="v"))
    assert read(ann, find.by_uuid(ann, made.uuid)) == DATA


def test_it_is_checked_out_as_others_are(ann: Context, tmp_path: Path) -> None:
    row = published(ann)
    for _ in range(2):
        checkout.checkout(ann, "v", tmp_path / "there")
        assert (tmp_path / "there" / "out" / "large.bin").read_bytes() == DATA
    (tmp_path / "there" / "out" / "large.bin").unlink()
    checkout.checkout(ann, "v", tmp_path / "there", link=True)
    assert (tmp_path / "there" / "out" / "large.bin").samefile(ann.home.store.loose_path(entry(ann, row).digest))
    again = bundles.write(ann, tmp_path / "there", Birth(name="again"))
    assert entry(ann, find.by_uuid(ann, again.uuid)) == Entry(of_bytes(DATA), len(DATA))


def test_elsewhere_than_on_s3_files_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISDAT_REMOTE_WEAK_FROM", "1")
    context = contexts.create(Home(tmp_path / "eve"), "work")
    bound = remotes.bind(context, "shared", f"file://{tmp_path}/there", layout="packed").context
    row = written(bound)
    assert entry(bound, row) == Entry(of_bytes(DATA), len(DATA))
    assert entry(bound, row).weak is None
