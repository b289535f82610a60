"""What a remote lacks, or has wrong, is found, with whose it is, and sent again by who has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.queries import Filter, Row
from disdat.context import Context, Home
from disdat.errors import BundleNotFound, InvalidInput, NotConfigured
from disdat.ops import bundles, contexts, fetching, find, localizing, push, remotes, repairing, rmr, verifyremote
from disdat.ops.bundles import Birth
from disdat.ops.verifyremote import RemoteReport


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Context]:
    """Make a context of a home of its own, bound to the remote."""

    def made(who: str, layout: str = "packed") -> Context:
        context = contexts.create(Home(tmp_path / who), "work")
        return remotes.bind(context, "shared", f"file://{tmp_path}/remote", layout=layout).context

    return made


@pytest.fixture
def ann(make: Callable[..., Context], tmp_path: Path) -> Context:
    """Somebody who pushed a value of its own object, values in a pack, and a large tree."""
    context = make("ann")
    add(context, "loose", np.arange(50_000))
    add(context, "packed", [np.full(5000, 1.0), np.full(5000, 2.0)])
    directory = tmp_path / "files"
    directory.mkdir()
    for number in range(300):
        (directory / f"{number:03}").write_bytes(number.to_bytes(2, "big") * 40)
    add(context, "tree", directory)
    push.push(context, push.selected(context))
    return context


def add(context: Context, name: str, value: object) -> Row:
    made = bundles.write(context, value, Birth(name=name))
    bundles.commit(context, [find.by_uuid(context, made.uuid)])
    return find.by_uuid(context, made.uuid)


def kept(tmp_path: Path, kind: str) -> list[Path]:
    """The files of the remote below ``objects`` or ``packs``, the largest first."""
    found = [path for path in (tmp_path / "remote" / kind).rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def whose(report: RemoteReport) -> set[str]:
    return {use.name for finding in report.findings for use in finding.uses}


def test_what_was_pushed_is_there_and_right(ann: Context) -> None:
    looked = verifyremote.verify(ann)
    assert (looked.bundles, looked.objects_read, looked.size_bytes, looked.findings) == (3, 0, 0, ())
    read = verifyremote.verify(ann, sample=1.0)
    assert read.objects_read == read.objects == looked.objects > 300
    assert read.size_bytes > 480_000
    assert read.is_sound


def test_what_is_missing_is_found_without_reading(ann: Context, tmp_path: Path) -> None:
    kept(tmp_path, "objects")[0].unlink()
    report = verifyremote.verify(ann)
    assert whose(report) == {"loose"}
    assert "is missing" in report.findings[0].wrong
    assert report.findings[0].key.startswith("objects/blake3/")


def test_what_is_cut_short_is_found_without_reading(ann: Context, tmp_path: Path) -> None:
    for path in [kept(tmp_path, "objects")[0], kept(tmp_path, "packs")[0]]:
        path.write_bytes(path.read_bytes()[:1000])
    assert {"loose", "packed"} <= whose(verifyremote.verify(ann))
    assert whose(verifyremote.verify(ann, reference="loose")) == {"loose"}


def test_a_flipped_byte_is_found_by_reading(ann: Context, tmp_path: Path) -> None:
    path = kept(tmp_path, "objects")[0]
    data = bytearray(path.read_bytes())
    data[10_000] ^= 1
    path.write_bytes(data)
    assert verifyremote.verify(ann).is_sound
    report = verifyremote.verify(ann, sample=1.0)
    assert whose(report) == {"loose"}
    assert " but is blake3:" in report.findings[0].wrong


def test_a_node_that_is_nowhere_is_found(ann: Context, make: Callable[..., Context], tmp_path: Path) -> None:
    """Who has no bytes here can tell too; what is below a node that is lost, nobody can."""
    bob = make("bob")
    fetching.fetch(bob)
    assert verifyremote.verify(bob, sample=1.0).is_sound
    for path in kept(tmp_path, "packs"):
        path.unlink()
    assert whose(verifyremote.verify(bob)) == {"packed", "tree"}


def test_what_is_wrong_is_sent_again_by_who_has_it(ann: Context, make: Callable[..., Context], tmp_path: Path) -> None:
    for path in (*kept(tmp_path, "packs"), kept(tmp_path, "objects")[0]):
        path.unlink()
    bob = make("bob")
    fetching.fetch(bob)
    found = verifyremote.verify(bob).findings
    nothing = repairing.repair(bob, found)
    assert (nothing.sent, len(nothing.left)) == ((), len(found))
    found = verifyremote.verify(ann).findings
    done = repairing.repair(ann, found)
    assert {*done.sent} == {each.digest for each in found}
    assert done.left == ()
    assert verifyremote.verify(ann, sample=1.0).is_sound
    fetching.fetch(bob)
    localizing.localize(bob, find.search(bob, Filter()))
    assert (bundles.value(bob, find.need(bob, "loose").uuid) == np.arange(50_000)).all()


def test_only_what_is_published_and_present_counts(ann: Context, tmp_path: Path) -> None:
    add(ann, "draft", np.arange(60_000))
    assert verifyremote.verify(ann).bundles == 3
    with pytest.raises(InvalidInput, match="never pushed"):
        verifyremote.verify(ann, reference="draft")
    rmr.remove(ann, rmr.selected(ann, ["loose"]))
    kept(tmp_path, "objects")[0].unlink()
    report = verifyremote.verify(ann)
    assert (report.bundles, report.findings) == (2, ())


def test_files_in_the_plain_layout_are_looked_at_where_they_lie(make: Callable[..., Context], tmp_path: Path) -> None:
    cat = make("cat", "plain")
    directory = tmp_path / "some"
    directory.mkdir()
    (directory / "a.txt").write_text("text", "utf-8")
    add(cat, "files", directory)
    push.push(cat, push.selected(cat))
    assert verifyremote.verify(cat, sample=1.0).is_sound
    [path] = (tmp_path / "remote" / "context" / "shared" / "files").rglob("a.txt")
    path.write_text("more text", "utf-8")
    report = verifyremote.verify(cat)
    assert [(use.name, use.path) for finding in report.findings for use in finding.uses] == [("files", "some/a.txt")]


def test_what_cannot_be_looked_at_is_told(ann: Context, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="share"):
        verifyremote.verify(ann, sample=0.0)
    with pytest.raises(BundleNotFound):
        verifyremote.verify(ann, reference="none")
    with pytest.raises(NotConfigured):
        verifyremote.verify(contexts.create(Home(tmp_path / "dan"), "work"))
