"""A bundle that was made is there, and one that cannot be leaves nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.durable import Disk
from disdat.errors import (
    AlreadyExists,
    Conflict,
    DisdatError,
    InvalidInput,
    PermissionDenied,
    StorageError,
    Unserializable,
)
from disdat.ops import bundles, contexts
from disdat.ops.bundles import Birth, BundleWriter
from disdat.store.leases import live
from tests.conftest import unprivileged

UUID = "11111111-1111-4111-8111-111111111111"


def test_a_uuid_is_used_once_though_its_bundle_was_removed(context: Context) -> None:
    """A removal holds for good, so a bundle that took the uuid again would be made and never be seen."""
    BundleWriter(context, uuid=UUID).close(1, Birth("a"))
    bundles.remove(context, context.catalog.versions("a"))
    with pytest.raises(AlreadyExists, match=UUID):
        BundleWriter(context, uuid=UUID)


def test_one_that_is_born_committed_is_so_in_one_write(context: Context) -> None:
    """There is no moment at which it is there and not committed."""
    bundles.write(context, 1, Birth("plain"))
    log = context.directory / "log" / "00000001.log"
    before = log.read_bytes()
    made = bundles.write(context, 1, Birth("born", committed=True))
    assert {row.name: row.committed for row in context.catalog.search(Filter())} == {"plain": False, "born": True}
    added, committed = list(context.catalog.events())[-2:]
    assert (added.kind, committed.kind) == ("add", "commit")
    assert added.subjects == committed.subjects == (made.uuid,)
    assert log.read_bytes().removeprefix(before).count(b"REC1") == 1


def test_of_two_who_chose_one_uuid_the_second_is_told(context: Context) -> None:
    first, second = BundleWriter(context, uuid=UUID), BundleWriter(context, uuid=UUID)
    first.close("first", Birth("a"))
    with pytest.raises(AlreadyExists, match=UUID):
        second.close("second", Birth("b"))
    assert bundles.value(context, UUID) == "first"
    assert context.catalog.versions("b") == []


@pytest.mark.parametrize(
    "born",
    [
        {"name": "\udcff"},
        {"processing_name": "\udcff"},
        {"owner": "\udcff"},
        {"params": {"\udcff": ""}},
        {"params": {"k": "\udcff"}},
        {"metrics": {"\udcff": 1.0}},
        {"metrics": {"m": float("nan")}},
        {"metrics": {"m": float("inf")}},
    ],
)
def test_what_no_catalog_can_hold_is_refused(born: dict[str, Any]) -> None:
    """Rather than to make a bundle that nobody finds."""
    with pytest.raises(InvalidInput):
        Birth(**born)


class _FullOnce(Disk):
    """A disk without room for the first directory of a bundle."""

    full = True

    def mkdir(self, path: Path) -> None:
        if self.full and path.parent.name == "objects":
            self.full = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().mkdir(path)


def test_a_directory_that_could_not_be_made_is_made_when_asked_for_again(home: Path) -> None:
    contexts.create(Home(home), "demo")
    writer = BundleWriter(Home(home, disk=_FullOnce()).context("demo"))
    with pytest.raises(StorageError):
        writer.directory()
    assert writer.directory().is_dir()
    writer.abandon()


def _close(writer: BundleWriter) -> None:
    writer.close(object(), Birth("n"))


@pytest.mark.parametrize(("act", "error"), [(_close, Unserializable), (BundleWriter.abandon, PermissionDenied)])
def test_a_directory_that_cannot_be_deleted_hides_nothing_and_ends_the_lease(
    act: Callable[[BundleWriter], None], error: type[DisdatError]
) -> None:
    with unprivileged(), TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        writer = BundleWriter(contexts.create(Home(Path(directory) / "home"), "demo"))
        (writer.subdirectory("kept") / "f").write_bytes(b"x")
        (writer.path / "kept").chmod(0o555)
        with pytest.raises(error):
            act(writer)
        assert live(Path(directory) / "home" / "store" / "leases") == []
        (writer.path / "kept").chmod(0o755)


def test_a_bundle_that_was_committed_since_it_was_looked_up_is_not_removed_without_force(context: Context) -> None:
    bundles.write(context, 1, Birth("a"))
    rows = context.catalog.versions("a")
    bundles.commit(context, context.catalog.versions("a"))
    with pytest.raises(Conflict, match="1 of 1 committed"):
        bundles.remove(context, rows)
    assert context.catalog.versions("a")[0].committed
    bundles.remove(context, rows, force=True)
    assert context.catalog.versions("a") == []
