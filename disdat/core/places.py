"""Where things lie on a remote: the keys of ``docs/format.md``, and places of objects under them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from disdat.core.digest import Digest
from disdat.core.tree import encode_path
from disdat.core.weak import Weak

MARKER = "disdat.json"

# What no key can have, and what Azure takes for /. A byte that is not UTF-8 is escaped in trees already.
_NOT_IN_KEYS = re.compile("[\0-\x1f\x7f\\\\\ufffe\uffff]")
# A % of a file's own, unless what follows it would read as an escape, or as a % that was kept for that reason.
_ESCAPED_BYTE = "(?:[01][0-9A-F]|5C|7F|[89A-F][0-9A-F])"
_OWN_PERCENT = re.compile(f"%25(?!(?:25)*{_ESCAPED_BYTE})")
_ESCAPE = re.compile(f"%((?:25)*)({_ESCAPED_BYTE})".encode())
_NOT_IN_URLS = re.compile("[^A-Za-z0-9_.~/-]")
_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """
    An object is the *length* bytes from *offset* on of what is kept under *key*; all of it where *is_whole*.

    Where it is known by *weak*, that is what is to be told of the key, and the bytes do not have its digest.
    """

    key: str
    offset: int
    length: int
    is_whole: bool = True
    weak: Weak | None = None


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
    """Of a file as people see it, under its own name but for what no key can have; *path* as trees have it."""
    return context_key(remote_context, f"files/{uuid}/{key_of_path(path)}")


def key_of_path(path: str) -> str:
    """The end of the key of a file, by its path as trees have it."""
    own = _OWN_PERCENT.sub("%", path)
    return _NOT_IN_KEYS.sub(_escaped, own)


def path_of_key(end: str) -> str:
    """The path, as trees have it, of a file whose key has this *end*; undoes :func:`key_of_path`."""
    return encode_path(_ESCAPE.sub(_unescaped, end.encode("utf-8")))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    kept, byte = found[1], found[2]
    return b"%" + kept[2:] + byte if kept else bytes.fromhex(byte.decode())


def can_lie_plainly(url: str, key: str) -> bool:
    """Whether a key is not too long for any store that is at *url*."""
    return len(f"{url}/{key}".encode("utf-8", "surrogatepass")) <= _KEY_BYTES


def url_of(store_url: str, key: str) -> str:
    """The URL by which others find what is kept under a key: as their tools want it, quoted of a directory only."""
    return f"{store_url}/{_NOT_IN_URLS.sub(_escaped, key) if store_url.startswith('file://') else key}"


def lease_key(id_: str) -> str:
    """Of the lease of a running push."""
    return f"leases/{id_}.json"


def share_key(id_: str, name: str) -> str:
    """Of a copy that others read by a URL."""
    return f"shares/{id_}/{name}"


def collection_key(id_: str) -> str:
    """Of what one collection condemned."""
    return f"gc/{id_}.json"
