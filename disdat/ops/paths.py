"""Files of bundles by what people have of them: the local paths and the URLs that values are presented with."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from disdat.catalog.queries import Row
from disdat.context import Context
from disdat.core.places import file_key, path_of_key, url_of
from disdat.core.tree import decode_path, encode_path
from disdat.errors import InvalidInput
from disdat.ops import delocalizing, localizing, needs
from disdat.ops.reading import BundleSource


def localize(context: Context, row: Row, path: str) -> Path:
    """
    Fetch a file of a bundle, or all below a directory, if it is not here; where it is.

    Raises:
        InvalidInput: It is of no file of this bundle's.
        As :func:`disdat.ops.localizing.localize`.
    """
    inside = _inside(context, row.uuid, path)
    localizing.localize(context, [row], [inside])
    source = BundleSource(context, context.catalog.bundle(row.uuid))
    encoded = encode_path(os.fsencode(inside))
    return source.file(encoded) if encoded in source.tree else source.directory(encoded)


def delocalize(context: Context, row: Row, path: str) -> str:
    """
    Drop the bytes of a file of a bundle, or of all below a directory; what it is read by from now on.

    That is the URL of a file that lies on the remote under its own name, else the path at which it is once it is asked
    for. Raises what :func:`disdat.ops.delocalizing.delocalize` does, and InvalidInput.
    """
    inside = _inside(context, row.uuid, path)
    delocalizing.delocalize(context, [row], [inside])
    return _url(context, row.uuid, encode_path(os.fsencode(inside))) or str(context.bundle_directory(row.uuid) / inside)


def remote_directory(context: Context, uuid: str) -> str | None:
    """The URL below which files of a bundle lie under their own names; None without a remote."""
    binding = context.binding
    return None if binding is None else url_of(binding.url, file_key(binding.name, uuid, "").rstrip("/"))


def _inside(context: Context, uuid: str, path: str) -> str:
    """A path in a bundle, given so, or as a path or a URL of a file there."""
    remote = remote_directory(context, uuid)
    if remote is not None and path.startswith(f"{remote}/"):
        end = path.removeprefix(f"{remote}/")
        key = unquote(end) if remote.startswith("file://") else end
        return os.fsdecode(decode_path(path_of_key(key)))
    if "://" in path:
        raise InvalidInput(f"not a URL of this bundle's: {path!r}", hint=f"they begin with {remote}/")
    if not os.path.isabs(path):
        return path
    directory = context.bundle_directory(uuid)
    if not Path(path).is_relative_to(directory):
        raise InvalidInput(f"not a file of this bundle's: {path!r}", hint=f"they are in {directory}")
    return str(Path(path).relative_to(directory))


def _url(context: Context, uuid: str, encoded: str) -> str | None:
    """The URL of a file that lies on the remote under its own name."""
    assert context.binding is not None
    files = needs.files(context.catalog.bundle(uuid), context.home.store.read)
    if context.binding.layout != "plain" or encoded not in files:
        return None
    key = file_key(context.binding.name, uuid, encoded)
    places = context.remote.known.places([files[encoded].digest]).values()
    return url_of(context.binding.url, key) if any(each.key == key for some in places for each in some) else None
