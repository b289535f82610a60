"""
Literals as JSON and back, exactly: scalars, and small containers of nothing but literals.

:mod:`disdat.values.nested` does containers of anything, of any depth.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from blake3 import blake3

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.core.digest import LogicalDigest, logical
from disdat.errors import Corrupt, NotConfigured, Unserializable

if TYPE_CHECKING:
    import numpy as np

_EXACT_IN_JSON = 1 << 53
# to_sci_string() never rounds; a context of our own keeps the letter E whatever the caller's context says.
_DECIMAL = Context(capitals=1)

Code: TypeAlias = Json
"""A literal as JSON, see ``docs/format.md``."""
Where = Callable[[], str]
"""Says the place of a value for a message; called only when there is one to write."""

CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
PLAIN_DEPTH = 32
"""Containers inside each other in keys, labels and cells."""


def digest(code: Code) -> LogicalDigest:
    """``literal1`` of an encoding in which references to frames hold their logical digests."""
    return digest_of_json(canonical.encode(code))


def digest_of_json(data: bytes) -> LogicalDigest:
    """``literal1`` of the canonical JSON of an encoding."""
    return logical("literal1", _hash(data))


def encode(value: object, where: Where) -> Code:
    """The encoding of a scalar; Unserializable if *value* is none."""
    encoder = ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value, where)
    if is_numpy_scalar(value):
        return _from_numpy(cast("np.generic", value), where)
    raise Unserializable(where(), f"values of type {type_name(value)} are not stored", hint=_hint(value))


def encode_alike(items: Sequence[object]) -> list[Code] | None:
    """The encodings of items of one type that JSON has; None, which is not an error, if they are not such."""
    types = set(map(type, items))
    if len(types) != 1:
        return None
    is_plain = _PLAIN.get(types.pop())
    # What is_plain has looked at are JSON values, which the type of its argument cannot say.
    return list(cast("Sequence[Code]", items)) if is_plain is not None and is_plain(items) else None


def encode_plain(value: object, where: Where, *, depth: int = 1) -> Code:
    """The encoding of a scalar, or of a container of nothing but literals."""
    if type(value) not in CONTAINERS:
        return encode(value, where)
    if depth > PLAIN_DEPTH:
        raise Unserializable(where(), f"more than {PLAIN_DEPTH} containers inside each other")
    inner = partial(encode_plain, where=where, depth=depth + 1)
    if isinstance(value, dict):
        return {"dict": [[inner(key), inner(item)] for key, item in value.items()]}
    codes = [inner(item) for item in cast("Iterable[object]", value)]
    return tagged(value, sorted(codes, key=sort_key) if isinstance(value, set | frozenset) else codes)


def tagged(container: object, codes: list[Code]) -> Code:
    """The encoding of a container that is no dict, of its items' encodings in the right order."""
    return codes if isinstance(container, list) else {type(container).__name__: codes}


def decode(code: Code, frames: Mapping[str, object] = MappingProxyType({})) -> object:
    """
    The value with this encoding, references to frames replaced by what *frames* has.

    ValueError, KeyError or TypeError if there is no such value.
    """
    if isinstance(code, list):
        return [decode(item, frames) for item in code]
    if not isinstance(code, dict):
        return code
    ((tag, content),) = code.items()
    if tag in DECODERS:
        return DECODERS[tag](content)
    if tag == "frame":
        return frames[content]
    if tag == "dict":
        return {decode(key, frames): decode(item, frames) for key, item in content}
    return _COLLECTIONS[tag](decode(item, frames) for item in content)


def sort_key(code: Code) -> bytes:
    """What items of a set are sorted by: the bytes of :func:`digest`."""
    return _hash(canonical.encode(code))


def _hash(data: bytes) -> bytes:
    return blake3(b"literal1" + len(data).to_bytes(8, "little") + data).digest()


def type_name(value: object) -> str:
    """The type of *value* as people write it: ``list``, ``pandas.Timestamp``."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__qualname__ if package in {"builtins", "__main__"} else f"{package}.{kind.__qualname__}"


def is_numpy_scalar(value: object) -> bool:
    """Whether *value* is a numpy scalar, without importing numpy to find out."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic) and type(value).__module__ == "numpy"


def _hint(value: object) -> str:
    for base in type(value).__mro__[1:]:
        if base in ENCODERS or base in CONTAINERS:
            return f"convert it to {base.__name__}, or wrap it in disdat.Pickled()"
    return "convert it to plain values, tables, arrays or files, or wrap it in disdat.Pickled()"


def _from_int(value: int, where: Where) -> Code:
    return value if -_EXACT_IN_JSON < value < _EXACT_IN_JSON else {"int": hex(value)}


def _from_float(value: float, where: Where) -> Code:
    return value if math.isfinite(value) else {"float": str(value)}


def _from_complex(value: complex, where: Where) -> Code:
    return {"complex": [_from_float(value.real, where), _from_float(value.imag, where)]}


def _from_str(value: str, where: Where) -> Code:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # JSON would join two surrogates that stand apart into one character.
        return {"str": _to_base64(value.encode("utf-8", "surrogatepass"))}
    return value


def _from_datetime(value: datetime, where: Where) -> Code:
    local = value.replace(tzinfo=None).isoformat()
    return {"datetime": [local, value.fold, encode_zone(value.tzinfo, where)]}


def _from_time(value: time, where: Where) -> Code:
    local = value.replace(tzinfo=None).isoformat()
    return {"time": [local, value.fold, encode_zone(value.tzinfo, where)]}


def encode_zone(zone: tzinfo | None, where: Where) -> Code:
    """A time zone as it stands in an encoding."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return {"zone": zone.key}
    if type(zone) is timezone:
        # The only public way to the name of a fixed offset that tells a given one from a made one is its pickle.
        offset, *name = cast("tuple[timedelta, str]", zone.__getinitargs__())  # type: ignore[attr-defined]
        return {"offset": [offset // timedelta(microseconds=1), name[0] if name else None]}
    raise Unserializable(
        where(), f"its time zone is a {type_name(zone)}", hint="use zoneinfo.ZoneInfo or datetime.timezone"
    )


def decode_zone(code: Code) -> tzinfo | None:
    """The time zone :func:`encode_zone` was given; NotConfigured if this machine does not know it."""
    if code is None:
        return None
    ((tag, content),) = cast("Mapping[str, Any]", code).items()
    if tag == "offset":
        offset, name = timedelta(microseconds=content[0]), content[1]
        return timezone(offset) if name is None else timezone(offset, name)
    if tag != "zone":
        raise ValueError(f"not a time zone: {code!r}")
    try:
        return ZoneInfo(content)
    except ZoneInfoNotFoundError as exc:
        raise NotConfigured(f"time zone {content} is not known here", hint="pip install tzdata") from exc


def _from_numpy(value: np.generic, where: Where) -> Code:
    import numpy as np  # where there is a numpy scalar it is imported already; without one it must not be

    from disdat.values import arrayhash  # imports numpy

    if type(value) is np.str_:
        return {"scalar": ["U", _from_str(str.__str__(value), where)]}  # str() would cut trailing NULs
    if type(value) is np.bytes_:
        return {"scalar": ["S", _to_base64(bytes(value))]}
    little = value.dtype.newbyteorder("<")
    if value.dtype.hasobject or value.dtype.names or np.dtype(little.str) != little:
        raise Unserializable(where(), f"a numpy scalar of dtype {value.dtype} inside another value")
    return {"scalar": [little.str, _to_base64(arrayhash.content(np.asarray([value]), little).tobytes())]}


def _to_numpy(content: Any) -> object:  # what JSON holds; a wrong shape raises and is reported as damage
    import numpy as np  # only a value that holds numpy scalars pays for it

    dtype, item = content
    if dtype == "U":
        return np.str_(decode(item))
    if dtype == "S":
        return np.bytes_(_from_base64(item))
    (scalar,) = np.frombuffer(_from_base64(item), np.dtype(dtype)).astype(np.dtype(dtype).newbyteorder("="))
    return scalar


def _to_base64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(content: str) -> bytes:
    return base64.b64decode(content, validate=True)


def _to_datetime(content: Any) -> datetime:  # what JSON holds, as above
    local, fold, zone = content
    return datetime.fromisoformat(local).replace(fold=fold, tzinfo=decode_zone(zone))


def _to_time(content: Any) -> time:  # what JSON holds, as above
    local, fold, zone = content
    return time.fromisoformat(local).replace(fold=fold, tzinfo=decode_zone(zone))


def _to_complex(content: Any) -> complex:  # what JSON holds, as above
    real, imag = (cast("float", decode(part)) for part in content)
    return complex(real, imag)


# Each is called with a value of exactly its type, which the table cannot say.
ENCODERS: Mapping[type, Callable[[Any, Where], Code]] = {
    type(None): lambda value, _: value,
    bool: lambda value, _: value,
    int: _from_int,
    float: _from_float,
    complex: _from_complex,
    str: _from_str,
    bytes: lambda value, _: {"bytes": _to_base64(value)},
    bytearray: lambda value, _: {"bytearray": _to_base64(value)},
    datetime: _from_datetime,
    date: lambda value, _: {"date": value.isoformat()},
    time: _from_time,
    timedelta: lambda value, _: {"timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value, _: {"decimal": _DECIMAL.to_sci_string(value)},
    UUID: lambda value, _: {"uuid": str(value)},
}

DECODERS: Mapping[str, Callable[[Any], object]] = {
    "int": lambda content: int(content, 16),
    "float": float,
    "complex": _to_complex,
    "str": lambda content: _from_base64(content).decode("utf-8", "surrogatepass"),
    "bytes": _from_base64,
    "bytearray": lambda content: bytearray(_from_base64(content)),
    "datetime": _to_datetime,
    "date": date.fromisoformat,
    "time": _to_time,
    "timedelta": lambda content: timedelta(*content),
    "decimal": Decimal,
    "uuid": UUID,
    "scalar": _to_numpy,
}


def _is_unicode(texts: Sequence[str]) -> bool:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_PLAIN: Mapping[type, Callable[[Any], bool]] = {
    type(None): lambda _: True,
    bool: lambda _: True,
    int: lambda items: min(items) > -_EXACT_IN_JSON and max(items) < _EXACT_IN_JSON,
    float: lambda items: all(map(math.isfinite, items)),
    str: _is_unicode,
}
"""For each type that JSON has: whether all of some values of it are written as themselves."""

_COLLECTIONS: Mapping[str, Callable[[Iterable[object]], object]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


def parse(data: bytes, what: str) -> Code:
    """The encoding stored as *data*; Corrupt if it is none."""
    try:
        return canonical.decode(data)
    except ValueError as exc:
        raise Corrupt(f"{what} is not JSON") from exc
