"""
Refs on a remote: named pointers that are moved by compare-and-swap.

A reply may get lost, so who asks again must tell his own move from another's: each move has a write id, and a ref
keeps the last of them with what they set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from disdat.core import canonical
from disdat.core.places import context_key
from disdat.errors import Corrupt, RefMoved, Unavailable
from disdat.store.backend import Backend, KeyNotFound

FORMAT = 1
RECENT = 32
"""A ref keeps so many of its last moves."""
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Ref:
    """What a ref points at, the write id of its last move, and (write id, target) of the last ones, oldest first."""

    target: str
    write_id: str
    recent: tuple[tuple[str, str], ...]


def read(backend: Backend, remote_context: str, name: str) -> Ref | None:
    """The ref of a name; None where there is none. Corrupt where it is damaged."""
    found = _read(backend, _key(remote_context, name))
    return found[0] if found else None


def move(backend: Backend, remote_context: str, name: str, *, expected: str | None, target: str, write_id: str) -> Ref:
    """
    Point a ref that points at *expected* (None: that is not there) at *target*.

    Called again with the same *write_id* it succeeds if it did before, whatever happened to the ref since.

    Raises:
        RefMoved: It points elsewhere; the message says where.
        Unavailable: The store did not answer, or others kept moving the ref.
    """
    key = _key(remote_context, name)
    for _ in range(_ATTEMPTS):
        found = _read(backend, key)
        ref = found[0] if found else None
        if ref is not None and write_id in dict(ref.recent):
            return ref
        if (ref.target if ref else None) != expected:
            raise RefMoved(name, expected=expected, found=ref.target if ref else None)
        moved = Ref(target, write_id, (*(ref.recent if ref else ()), (write_id, target))[-RECENT:])
        data = _encode(moved)
        if found is None:
            if backend.put_if_absent(key, data):
                return moved
        elif backend.put_if_match(key, data, found[1]) is not None:
            return moved
    raise Unavailable(f"the ref {name!r} keeps being moved by others", hint="try again")


def _key(remote_context: str, name: str) -> str:
    return context_key(remote_context, f"refs/{name}")


def _read(backend: Backend, key: str) -> tuple[Ref, str] | None:
    try:
        found = backend.get_versioned(key)
    except KeyNotFound:
        return None
    return _decode(key, found.data), found.etag


def _encode(ref: Ref) -> bytes:
    recent = [list(each) for each in ref.recent]
    return canonical.encode({"format": FORMAT, "target": ref.target, "write": ref.write_id, "recent": recent})


def _decode(key: str, data: bytes) -> Ref:
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(data))
        if fields["format"] != FORMAT:
            raise ValueError(f"it has format {fields['format']}")
        recent = tuple((str(write_id), str(target)) for write_id, target in fields["recent"])
        return Ref(str(fields["target"]), str(fields["write"]), recent)
    except (KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"the ref {key} is damaged: {exc!r}", hint="delete it, and move it anew") from exc
