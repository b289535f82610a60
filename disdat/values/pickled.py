"""Objects as Python pickles: only where the user said so, and read only where their writer is trusted."""

from __future__ import annotations

import pickle
from collections.abc import Callable

from blake3 import blake3

from disdat.core.bundle import Frame
from disdat.core.digest import logical
from disdat.errors import Corrupt, PermissionDenied, Unserializable
from disdat.registry import Registry
from disdat.values.markers import Pickled, Text
from disdat.values.serializer import Sink, Source

PROTOCOL = 5
"""The newest that every supported Python reads."""

PICKLERS: Registry[Callable[..., bytes]] = Registry("pickler")
PICKLERS.add_lazy("cloudpickle", "cloudpickle:dumps", remedy="pip install 'disdat[pickle]'")


class PickleSerializer:
    """Objects in :class:`~disdat.values.markers.Pickled`, written by cloudpickle."""

    def dump(self, value: object, where: str, sink: Sink) -> Frame:
        marked = value.value if isinstance(value, Text) else value
        if not isinstance(marked, Pickled):
            raise Unserializable(where, "only what is wrapped in disdat.Pickled() is pickled")
        data = _pickle(marked.value, where)
        digest, size = sink.put(data)
        content = logical("pickle1", blake3(b"pickle1" + digest.raw).digest())
        media_type = "application/x-pickle"
        return Frame("", "pickle", content, media_type=media_type, digest=digest, size_bytes=size)

    def load(self, frame: Frame, source: Source) -> object:
        if frame.digest is None:
            raise Corrupt(f"the pickle {frame.name!r} has no content")
        if not source.trusted:
            raise PermissionDenied(
                "the value holds a pickle, which can run any code, and its writer is not trusted",
                hint="if you would let all who may write to its remote run programs as you, name its URL in "
                "DISDAT_REMOTE_TRUSTED; else ask its writer for plain values",
            )
        try:
            return pickle.loads(source.read(frame.digest))
        except (pickle.UnpicklingError, EOFError) as exc:
            raise Corrupt(f"the pickle {frame.name!r} is not one: {exc}") from exc


SERIALIZER = PickleSerializer()


def _pickle(value: object, where: str) -> bytes:
    dumps = PICKLERS.get("cloudpickle")
    try:
        return dumps(value, protocol=PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise Unserializable(where, f"it cannot be pickled: {exc}") from exc
