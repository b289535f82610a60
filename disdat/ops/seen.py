"""The files of bundles as users see them: which are meant by paths, and taking them away."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core import similar
from disdat.core.tree import Entry, decode_path, encode_path, parents
from disdat.durable import storage_errors
from disdat.errors import PathNotFound
from disdat.store import files
from disdat.store.checkout import below


def chosen(row: Row, tree: Mapping[str, Entry], paths: Sequence[str]) -> dict[str, Entry]:
    """The files of a bundle at and below some paths; PathNotFound where there is nothing at one."""
    scope = [encode_path(os.fsencode(os.path.normpath(path))) for path in paths]
    if "." in scope:
        return dict(tree)
    there = tree.keys() | parents(tree)
    for path in scope:
        if path not in there:
            raise PathNotFound(
                f"{row.name} {row.uuid[:8]} has no file or directory {path!r}",
                hint=similar.hint(path, there, otherwise="`dsdt show` lists its files"),
            )
    return {path: tree[path] for path in below(scope, tree)}


def remove(context: Context, uuid: str, tree: Mapping[str, Entry]) -> int:
    """
    Take away the files of a bundle that were made for users to see; how many bytes of copies that frees.

    One that somebody changed stays, and so does what is not the bundle's.
    """
    directory = context.bundle_directory(uuid)
    if not directory.is_dir():
        return 0
    freed = 0
    places = {Path(directory, os.fsdecode(decode_path(path))): entry for path, entry in tree.items()}
    with storage_errors(f"take away files of {directory}"):
        for path, entry in places.items():
            freed += _remove(context, path, entry)
        for above in sorted({above for path in places for above in path.parents}, key=lambda each: -len(each.parts)):
            if above.is_relative_to(directory):
                with suppress(OSError):  # there is more in it, or it is gone
                    context.home.disk.rmdir(above)
    return freed


def _remove(context: Context, path: Path, entry: Entry) -> int:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    if not _is_as_stored(context, path, found, entry):
        return 0
    with suppress(FileNotFoundError):
        context.home.disk.unlink(path)
    return found.st_size if found.st_nlink == 1 else 0


def _is_as_stored(context: Context, path: Path, found: os.stat_result, entry: Entry) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size_bytes:
        return False
    with suppress(FileNotFoundError):
        if os.path.samestat(found, context.home.store.loose_path(entry.digest).stat()):
            return not context.home.store.wrong_objects({entry.digest: found})  # somebody may have written to it
    try:
        with files.reading(path) as (file, now):
            return files.hash_file(file, now.st_size) == context.home.store.content(entry.digest)
    except files.Changed:
        return False
