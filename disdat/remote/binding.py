"""What a context says of the remote it is bound to, and what a remote says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from disdat.core import canonical, event
from disdat.core.canonical import Json
from disdat.core.places import MARKER
from disdat.errors import Corrupt, InvalidInput, UnknownFormat
from disdat.store.backend import Backend, KeyNotFound

FORMAT = 1
FEATURES: frozenset[str] = frozenset()
"""Features of readers and of writers that a remote may ask for and this version has."""

URLS = "a URL is like file:///shared/directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
"""What there is to say to who does not know where a remote can be."""

LONGEST_BYTES = 64 << 10
"""No more is read of what is in a marker's place."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The *name* of a remote context below *url*; :attr:`id` is that of the store there."""

    url: str
    name: str
    id: str
    layout: str

    def to_json(self) -> dict[str, Json]:
        """The binding as ``context.json`` has it."""
        return {"url": self.url, "name": self.name, "id": self.id, "layout": self.layout}

    @classmethod
    def from_json(cls, fields: object) -> Binding:
        """Read what :meth:`to_json` gave; ValueError if it is not that."""
        found = cast("Mapping[str, Any]", fields if isinstance(fields, Mapping) else {})
        texts = [found.get(key) for key in ("url", "name", "id", "layout")]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"not a binding: {fields!r}")
        return cls(*cast("list[str]", texts))


def claimed(backend: Backend, *, now_us: Callable[[], int]) -> str:
    """
    The id of the store at a URL, which is given one where it has none.

    Raises what :func:`store_id` does.
    """
    found = store_id(backend)
    if found is not None:
        return found
    first = next(iter(backend.list()), None)
    if first is not None and store_id(backend) is None:  # nobody else made it meanwhile
        raise InvalidInput(
            f"{backend.url} is not empty and was not made by disdat; it is left as it is",
            hint="name a prefix that is empty, such as one more directory at its end",
        )
    marker: dict[str, Json] = {"format": FORMAT, "id": event.ulid(now_us()), "readers": [], "writers": []}
    backend.put_if_absent(MARKER, canonical.encode(marker) + b"\n")
    found = store_id(backend)  # whoever came first decides
    assert found is not None
    return found


def store_id(backend: Backend) -> str | None:
    """
    What the store at a URL says it is; None where nobody bound anything to it.

    Raises:
        UnknownFormat: A later version made it, or it asks for a feature this one lacks.
        Corrupt: Its marker is damaged, or is another program's.
    """
    try:
        data = backend.get_range(MARKER, 0, LONGEST_BYTES)
    except KeyNotFound:
        return None
    where = f"{backend.url}/{MARKER}"
    try:
        fields = cast("Mapping[str, Any]", canonical.decode(data))
        if fields["format"] != FORMAT:
            raise UnknownFormat(where, found=fields["format"], supported=FORMAT, hint="upgrade disdat")
        needed = {*fields["readers"], *fields["writers"]}
        event.ulid_time_us(fields["id"])
        id_ = str(fields["id"])
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"{where} is damaged, or is another program's", hint="name another URL") from exc
    if missing := needed - FEATURES:
        raise UnknownFormat(where, found=sorted(missing), supported=sorted(FEATURES), hint="upgrade disdat")
    return id_
