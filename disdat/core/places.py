"""Where things lie on a remote: the keys of ``docs/format.md``, and places of objects under them."""

from __future__ import annotations

from dataclasses import dataclass

from disdat.core.digest import Digest

MARKER = "disdat.json"


@dataclass(frozen=True, slots=True)
class Place:
    """An object is the *length* bytes from *offset* on of what is kept under *key*; all of it where *is_whole*."""

    key: str
    offset: int
    length: int
    is_whole: bool = True


def object_key(digest: Digest) -> str:
    """Of an object that lies by itself."""
    return f"objects/blake3/{digest.hex[:2]}/{digest.hex}"


def pack_key(name: str) -> str:
    """Of the pack of this name, which is hex."""
    return f"packs/{name}.pack"


def context_key(remote_context: str, below: str = "") -> str:
    """Of what belongs to a remote context; with nothing *below*, what all of it begins with."""
    return f"context/{remote_context}/{below}"


def file_key(remote_context: str, uuid: str, path: str) -> str:
    """Of a file in the plain layout; *path* as trees have it."""
    return context_key(remote_context, f"files/{uuid}/{path}")


def lease_key(id_: str) -> str:
    """Of the lease of a running push."""
    return f"leases/{id_}.json"


def collection_key(id_: str) -> str:
    """Of what one collection condemned."""
    return f"gc/{id_}.json"
