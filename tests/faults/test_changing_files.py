"""Files that somebody writes to while they are stored, or afterwards through a handle left open."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.context import Context, Home
from disdat.core.digest import of_bytes
from disdat.errors import DigestMismatch, StorageError
from disdat.ops import add, bundles, contexts, maintain
from disdat.ops.bundles import Birth, BundleWriter
from tests.faults.processes import child

pytestmark = pytest.mark.slow

SIZES = [10, 100_000, 3_000_000]


@pytest.fixture
def context(home: Path) -> Context:
    return contexts.create(Home(home), "demo")


def scribble(path: Path, size: int, pause_s: float) -> Callable[[Callable[[str], None]], None]:
    """Write to a file for ever, some of it at a time, with another byte each time."""

    def act(say: Callable[[str], None]) -> None:
        chance = random.Random(size)
        with path.open("r+b", buffering=0) as file:
            say("ready")
            for number in range(1 << 30):
                file.seek(chance.randrange(size))
                file.write(bytes([number % 256]) * (1 + size // 10))
                file.truncate(size)
                time.sleep(chance.uniform(0, pause_s))

    return act


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_a_file_that_is_written_to_while_it_is_added_is_refused_or_stored_right(
    context: Context, size: int, pause_s: float
) -> None:
    path = Path("changing.bin").absolute()
    path.write_bytes(bytes(size))
    stored = refused = 0
    with child(scribble(path, size, pause_s)) as (_, reading):
        assert os.read(reading, 6) == b"ready\n"
        for _ in range(12):
            try:
                made = add.add(context, "n", [path])
            except StorageError as exc:
                assert "changed while it was" in str(exc)  # noqa: PT017 - refusing is one of the two outcomes
                refused += 1
                continue
            stored += 1
            [entry] = made.tree.values()  # type: ignore[union-attr]
            assert of_bytes(context.home.store.read(entry.digest)) == entry.digest
    assert stored + refused == 12
    assert len(context.catalog.versions("n")) == stored
    assert maintain.verify(context).findings == ()
    assert len(bundles.value(context, add.add(context, "quiet", [path]).uuid)) > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
def test_an_output_that_is_written_to_while_its_bundle_is_closed_is_refused_or_stored_right(
    context: Context, size: int
) -> None:
    """Its path is the object's own file, if it is large: any write before the commit is noticed."""
    stored = 0
    for _ in range(6):
        writer = BundleWriter(context)
        path = writer.file("output.bin")
        path.write_bytes(bytes(size))
        with child(scribble(path, size, 0.001)) as (_, reading):
            assert os.read(reading, 6) == b"ready\n"
            try:
                writer.close(str(path), Birth("n"))
                stored += 1
            except StorageError as exc:
                assert "changed while it was" in str(exc)  # noqa: PT017 - refusing is one of the two outcomes
                assert not path.exists()
    assert len(context.catalog.versions("n")) == stored
    kinds = {finding.kind for finding in maintain.verify(context).findings}
    # What was written after the commit is found: in the object, or, once it was stored anew, in the user's file.
    assert kinds <= ({"file"} if size < 65536 else {"file", "object"})


def closed_with_a_handle_left(context: Context, size: int) -> tuple[str, Path, int]:
    """Close a bundle of one file while another process's handle on it stays open."""
    writer = BundleWriter(context)
    path = writer.file("output.bin")
    path.write_bytes(bytes(size))
    handle = os.open(path, os.O_WRONLY)
    uuid = writer.close(str(path), Birth("n")).uuid
    return uuid, path, handle


def test_a_handle_left_on_a_large_file_is_detected_when_it_writes(context: Context) -> None:
    """The file is the object: what is written to it cannot be had back, but it is never taken for what was stored."""
    uuid, path, handle = closed_with_a_handle_left(context, 100_000)
    assert bundles.value(context, uuid) == str(path)
    os.pwrite(handle, b"late", 50)
    os.close(handle)
    with pytest.raises(DigestMismatch, match="object blake3:"):
        bundles.value(context, uuid)
    [finding] = maintain.verify(context).findings
    assert (finding.kind, [use.uuid for use in finding.uses]) == ("object", [uuid])
    good = Path("good.bin").absolute()
    good.write_bytes(bytes(100_000))
    add.add(context, "again", [good])
    assert Path(str(bundles.value(context, uuid))).read_bytes() == bytes(100_000)
    assert maintain.verify(context).findings == ()


def test_a_handle_left_on_a_small_file_is_harmless_when_it_writes(context: Context) -> None:
    """The store has its own copy: reading puts it in place of what was written."""
    uuid, path, handle = closed_with_a_handle_left(context, 100)
    os.pwrite(handle, b"late", 50)
    os.close(handle)
    assert [finding.kind for finding in maintain.verify(context).findings] == ["file"]
    assert Path(str(bundles.value(context, uuid))).read_bytes() == bytes(100)
    assert path.read_bytes() == bytes(100)
