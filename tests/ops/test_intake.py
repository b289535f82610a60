"""Taking in: what is a bundle's own stays where it is, and what is somebody else's is not touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context
from disdat.errors import InvalidInput
from disdat.ops import add, bundles
from disdat.ops.bundles import Birth, BundleWriter
from disdat.ops.intake import MAX_DEPTH

VALUES: dict[str, Callable[[Path], object]] = {
    "a large file": lambda directory: directory / "large",
    "a small file": lambda directory: str(directory / "small"),
    "the directory": lambda directory: directory,
}


@pytest.mark.parametrize("what", VALUES)
def test_files_behind_a_link_out_of_the_bundles_directory_are_not_its_own(
    context: Context, tmp_path: Path, what: str
) -> None:
    """To adopt them would make somebody's files read-only, and the store's objects writable by their names."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(os.urandom(100_000))
    (outside / "small").write_bytes(b"x")
    before = [(path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_nlink) for path in outside.iterdir()]
    writer = BundleWriter(context)
    (writer.directory() / "link").symlink_to(outside)
    with pytest.raises(InvalidInput, match="leads out of the bundle's directory"):
        writer.close(VALUES[what](writer.path / "link"), Birth("n"))
    assert [(p.stat().st_mode, p.stat().st_mtime_ns, p.stat().st_nlink) for p in outside.iterdir()] == before
    assert context.catalog.counts().bundles == 0


@pytest.mark.parametrize("data", [b"x", bytes(100_000)], ids=["small", "large"])
def test_a_link_inside_the_bundles_directory_is_followed(context: Context, data: bytes) -> None:
    writer = BundleWriter(context)
    (writer.directory() / "real").mkdir()
    (writer.path / "real" / "f").write_bytes(data)
    (writer.path / "link").symlink_to("real")
    made = writer.close([writer.path / "real" / "f", writer.path / "link" / "f"], Birth("n"))
    paths = bundles.value(context, made.uuid)
    assert isinstance(paths, list)
    assert [path.relative_to(writer.path) for path in paths] == [Path("real/f"), Path("link/f")]
    assert [path.read_bytes() for path in paths] == [data, data]


@pytest.mark.parametrize("data", [b"x", bytes(100_000)], ids=["small", "large"])
def test_a_directory_with_a_link_in_it_to_another_is_taken_in(context: Context, data: bytes) -> None:
    writer = BundleWriter(context)
    (writer.directory() / "real").mkdir()
    (writer.path / "real" / "f").write_bytes(data)
    (writer.path / "link").symlink_to("real")
    made = writer.close(writer.path, Birth("n"))
    path = bundles.value(context, made.uuid)
    assert isinstance(path, Path)
    assert [(path / name / "f").read_bytes() for name in ("real", "link")] == [data, data]


@pytest.mark.slow
def test_directories_too_deep_to_be_read_again_are_refused(context: Context, tmp_path: Path) -> None:
    """Any that are taken in come back."""
    place = os.getcwd()
    os.chdir(tmp_path)
    for _ in range(MAX_DEPTH):
        os.mkdir("d")
        os.chdir("d")
    for number in range(300):
        Path(f"f{number}").touch()
    os.mkdir("d")
    os.chdir(place)
    made = add.add(context, "n", [tmp_path / "d"])
    paths = bundles.value(context, made.uuid)
    assert isinstance(paths, list)
    assert len(paths) == 300
    deepest = tmp_path.joinpath(*["d"] * (MAX_DEPTH + 1))
    (deepest / "d").mkdir()
    (deepest / "d" / "f").touch()
    for given in ([tmp_path / "d"], [deepest / "d" / "f", Path(place)]):
        with pytest.raises(InvalidInput, match=f"more than {MAX_DEPTH} directories deep"):
            add.add(context, "n", given)
