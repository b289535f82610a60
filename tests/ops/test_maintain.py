"""Verifying finds whatever is not as it was written, says whose it is and what to do; reindexing loses nothing."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.digest import of_bytes
from disdat.errors import BundleNotFound, DigestMismatch, InvalidInput
from disdat.ops import add, bundles, find, maintain
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.findings import Finding, VerifyReport
from disdat.store.packs import PackReader
from tests.catalog.contexts import dump

LARGE = bytes(range(256)) * 400


@pytest.fixture
def full(context: Context) -> Context:
    """A context with a bundle of every way to keep bytes."""
    source = Path("source")
    (source / "sub").mkdir(parents=True)
    (source / "small.txt").write_bytes(b"small")
    (source / "sub" / "large.bin").write_bytes(LARGE)
    add.add(context, "tree", [source])
    for number in range(300):
        (source / f"{number:03}").write_bytes(b"%d" % number)
    add.add(context, "nodes", [source])
    bundles.write(context, {"number": 7, "array": np.arange(20_000), "short": np.arange(9)}, Birth("values"))
    bundles.write(context, 1, Birth("manifest", params={"long": "p" * 40_000}))
    bundles.write_many(context, [(number, Birth("many")) for number in range(5)])
    writer = BundleWriter(context)
    writer.file("output.bin").write_bytes(LARGE[::-1])
    writer.file("output.txt").write_bytes(b"output")
    writer.close([str(writer.path / "output.bin"), str(writer.path / "output.txt")], Birth("output"))
    return context


@contextmanager
def changed(path: Path, change: Callable[[bytearray], None]) -> Iterator[None]:
    """Change a file as a failing disk does: nothing but its bytes differs. Then put it back."""
    before, whole = path.stat(), path.read_bytes()
    content = bytearray(whole)
    change(content)
    write_quietly(path, bytes(content), before)
    try:
        yield
    finally:
        if path.exists():
            write_quietly(path, whole, before)


def write_quietly(path: Path, content: bytes, as_before: os.stat_result) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(as_before.st_mode & 0o777)
    os.utime(path, ns=(as_before.st_atime_ns, as_before.st_mtime_ns))


def flipped(bit: int) -> Callable[[bytearray], None]:
    def flip(content: bytearray) -> None:
        content[bit // 8] ^= 1 << bit % 8

    return flip


def cut(size_bytes: int) -> Callable[[bytearray], None]:
    def cut(content: bytearray) -> None:
        del content[size_bytes:]

    return cut


def verified(context: Context, **options: object) -> VerifyReport:
    """As a process of its own does that knows nothing yet."""
    return maintain.verify(Home(context.home.root).context(context.name), **options)  # type: ignore[arg-type]


def stored(context: Context, pattern: str) -> list[Path]:
    return sorted(path for path in (context.home.root / "store").glob(pattern) if path.is_file())


def test_a_context_that_is_as_it_was_written_is_sound(full: Context) -> None:
    report = verified(full)
    assert (report.findings, report.is_sound) == ((), True)
    assert (report.context, report.bundles) == ("demo", 10)
    assert report.events > 10
    assert report.files == 1  # the small output; the large one is its object's own file
    assert report.size_bytes >= sum(path.stat().st_size for path in stored(full, "objects/**/*"))


@pytest.mark.slow
def test_every_flipped_bit_of_the_store_and_the_log_is_found(full: Context) -> None:
    """Whatever is known of the files from before, and though their sizes and times are as they were."""
    verified(full)
    chance = random.Random(5)
    paths = [*stored(full, "objects/**/*"), *stored(full, "packs/*"), *full.directory.glob("log/*.log")]
    assert len(paths) > 6
    for path in paths:
        bits = path.stat().st_size * 8
        edges = [0, 63, 64, 128, bits - 1, bits - 64, bits - 65, bits - 320, bits - 321, bits - 448]
        for bit in {*edges, *(chance.randrange(bits) for _ in range(6))}:
            with changed(path, flipped(bit)):
                report = verified(full)
                assert not report.is_sound, f"{path} bit {bit} of {bits}"
                assert any(is_about(each, path) for each in report.findings), (path, report.findings)
    assert verified(full).is_sound


def is_about(finding: Finding, path: Path) -> bool:
    return finding.path == path or path.is_relative_to(finding.path)


@pytest.mark.slow
def test_every_cut_of_a_file_of_the_store_and_the_log_is_found(full: Context) -> None:
    paths = [*stored(full, "objects/**/*"), *stored(full, "packs/*"), *full.directory.glob("log/*.log")]
    for path in paths:
        size = path.stat().st_size
        for left in {0, 1, 20, size // 2, size - 41, size - 1}:
            with changed(path, cut(left)):
                report = verified(full)
                assert not report.is_sound, f"{path} cut to {left} of {size}"
                assert any(is_about(each, path) for each in report.findings), (path, left, report.findings)


def test_every_missing_file_of_the_store_is_found(full: Context) -> None:
    for path in [*stored(full, "objects/**/*"), *stored(full, "packs/*")]:
        aside = path.rename(path.with_name("aside"))
        report = verified(full)
        assert not report.is_sound
        assert {finding.kind for finding in report.findings} <= {"object", "manifest"}
        assert all(" is missing" in finding.wrong for finding in report.findings if finding.kind == "object")
        assert all(finding.uses for finding in report.findings)
        aside.rename(path)
    assert verified(full).is_sound


def test_a_damaged_file_is_named_with_its_bundles_and_paths(full: Context) -> None:
    [digest] = {e.digest for p, e in full.catalog.bundle(find.resolve(full, "tree").uuid).tree.items() if "large" in p}  # type: ignore[union-attr]
    with changed(full.home.store.loose_path(digest), flipped(4000)):
        [finding] = verified(full).findings
    assert (finding.kind, finding.digest, finding.path) == ("object", digest, full.home.store.loose_path(digest))
    assert {(use.name, use.path) for use in finding.uses} == {("tree", "sub/large.bin"), ("nodes", "sub/large.bin")}
    assert "add the data again" in finding.remedy


def test_a_good_copy_is_named_and_adding_it_repairs_the_store(full: Context) -> None:
    """As the file a user sees of a bundle, where that is a file of its own; the damaged pack harms nothing then."""
    place = full.bundle_directory(find.resolve(full, "nodes").uuid) / "123"
    bundles.value(full, find.resolve(full, "nodes").uuid)
    [(pack, entry)] = [
        (path, entry)
        for path in stored(full, "packs/*")
        for entry in PackReader(path).contents
        if entry.digest == of_bytes(b"123")
    ]
    with changed(pack, flipped(entry.offset * 8)):
        [finding] = verified(full).findings
        assert str(place) in finding.remedy
        with pytest.raises(DigestMismatch):
            full.home.store.read(finding.digest)  # type: ignore[arg-type]
        add.add(full, "repaired", [place])
        report = verified(full)
        assert report.is_sound
        assert [each.harmless for each in report.findings] == [True]
        assert full.home.store.read(finding.digest) == b"123"  # type: ignore[arg-type]


def test_what_the_trash_has_is_named_or_taken_back(full: Context) -> None:
    store = full.home.root / "store"
    damaged, lost = stored(full, "objects/**/*")[:2]
    for path in (damaged, lost):
        copy = store / "trash" / path.relative_to(store)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    lost.unlink()
    with changed(damaged, flipped(1)):
        [finding] = verified(full).findings
    assert str(store / "trash") in finding.remedy
    assert lost.exists()


def test_a_large_object_that_is_added_again_replaces_its_damaged_file(full: Context) -> None:
    [digest] = {e.digest for p, e in full.catalog.bundle(find.resolve(full, "tree").uuid).tree.items() if "large" in p}  # type: ignore[union-attr]
    path = full.home.store.loose_path(digest)
    write_quietly(path, LARGE[:-1] + b"x", path.stat())
    assert not verified(full).is_sound
    Path("good").write_bytes(LARGE)
    add.add(Home(full.home.root).context("demo"), "again", ["good"])
    assert verified(full).findings == ()


def test_a_pack_whose_index_is_lost_is_healed_by_adding_its_objects_again(full: Context) -> None:
    """Though state.db still remembers where they are: it may be lost at any time."""
    Path("only.txt").write_bytes(b"only here")
    add.add(full, "only", ["only.txt"])
    [pack] = [path for path in stored(full, "packs/*") if b"only here" in path.read_bytes()]
    write_quietly(pack, pack.read_bytes()[:-1], pack.stat())
    [finding] = verified(full).findings
    assert (finding.kind, finding.path, finding.harmless) == ("pack", pack, False)
    Path("other.txt").write_bytes(b"and another, so that the pack is another one")
    add.add(Home(full.home.root).context("demo"), "again", ["only.txt", "other.txt"])
    [finding] = verified(full).findings
    assert (finding.kind, finding.path, finding.harmless) == ("pack", pack, True)
    for path in (full.home.root / "store").glob("state.db*"):
        path.unlink()
    assert bundles.value(Home(full.home.root).context("demo"), find.resolve(full, "only").uuid)


def test_a_users_file_that_was_changed_is_found(full: Context) -> None:
    row = find.resolve(full, "output")
    place = full.bundle_directory(row.uuid) / "output.txt"
    place.chmod(0o644)
    place.write_bytes(b"edited")
    [finding] = verified(full).findings
    assert (finding.kind, finding.path, finding.uses[0].path) == ("file", place, "output.txt")
    bundles.value(full, row.uuid)
    assert place.read_bytes() == b"output"
    assert verified(full).is_sound


def test_one_bundle_alone_can_be_verified(full: Context) -> None:
    [digest] = {e.digest for p, e in full.catalog.bundle(find.resolve(full, "tree").uuid).tree.items() if "large" in p}  # type: ignore[union-attr]
    with changed(full.home.store.loose_path(digest), flipped(0)):
        assert verified(full, reference="values").is_sound
        assert verified(full, reference="many@-1").bundles == 1
        for name in ("tree", "nodes"):
            report = verified(full, reference=name)
            assert [finding.digest for finding in report.findings] == [digest]
            assert [use.name for use in report.findings[0].uses] == [name]
    for pack in stored(full, "packs/*"):
        pack.unlink()
    assert [finding.kind for finding in verified(full, reference="tree").findings] == ["object"]
    with pytest.raises(BundleNotFound):
        verified(full, reference="none")


@pytest.mark.slow
def test_a_sample_reads_a_share_and_misses_nothing_that_is_gone(full: Context) -> None:
    whole = verified(full)
    report = verified(full, sample=0.2)
    assert report.is_sound
    assert 0 < report.objects < whole.objects / 2
    assert report.size_bytes < whole.size_bytes
    with changed(stored(full, "objects/**/*")[0], flipped(9)):
        seen = [verified(full, sample=0.5).is_sound for _ in range(30)]
    assert set(seen) == {True, False}
    stored(full, "objects/**/*")[0].unlink()
    assert not verified(full, sample=0.001).is_sound
    for share in (0, -1, 1.5):
        with pytest.raises(InvalidInput):
            verified(full, sample=share)


def test_where_the_log_is_cut_the_store_is_still_read(full: Context) -> None:
    [log] = full.directory.glob("log/*.log")
    with changed(log, cut(500)), changed(stored(full, "objects/**/*")[0], flipped(9)):
        found = verified(full).findings
    assert sorted(finding.kind for finding in found) == ["log", "object"]


def test_damaged_settings_are_found(full: Context) -> None:
    with changed(full.directory / "context.json", cut(9)):
        assert [finding.kind for finding in verified(full).findings] == ["settings"]


def test_progress_goes_up_to_what_there_is(full: Context) -> None:
    told: list[tuple[int, int]] = []
    report = verified(full, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == report.size_bytes
    assert all(done <= total for done, total in told)


def test_a_bundle_whose_manifest_was_lost_when_the_log_was_indexed_is_found(full: Context) -> None:
    row = find.resolve(full, "manifest")
    [pack] = [path for path in stored(full, "packs/*") if b"pppp" in path.read_bytes()]
    content = pack.read_bytes()
    with changed(pack, flipped(content.index(b"pppp") * 8)):
        for catalog in full.directory.glob("catalog*"):
            catalog.unlink()
        [finding] = verified(full).findings
        assert [use.uuid for use in finding.uses] == [row.uuid]
    assert maintain.reindex(full) == 10
    assert verified(full).is_sound


def test_reindexing_gives_the_same_rows(full: Context) -> None:
    row = find.resolve(full, "values")
    bundles.write(full, 1, Birth("values", tags={"z": "", "a": "1"}, params={"q": "", "b": "2"}))
    bundles.tag(full, row, set_to={"k": "v", "B": ""})
    bundles.commit(full, [row])
    bundles.remove(full, full.catalog.search(Filter(name="many"))[:2])
    bundles.reaffirm(full, [find.resolve(full, "tree").uuid])
    before = dump(full.directory)
    assert maintain.reindex(full) == 9
    assert dump(full.directory) == before
