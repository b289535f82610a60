"""Numpy arrays and scalars as ``.npy``: streamed, hashed by content, memory-mapped when read."""

from __future__ import annotations

import ast
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from numpy.lib import format as npy

from disdat.core.bundle import Frame
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest, logical
from disdat.errors import Corrupt, Unserializable
from disdat.values import arrayhash, literal
from disdat.values.arrayhash import Array
from disdat.values.markers import Text
from disdat.values.serializer import Blob, Sink, Source

MAPPED_FROM_BYTES = 64 << 10
"""An object of at least this size is memory-mapped when it is read; a smaller one lies in a pack, badly aligned."""
STRINGS_PER_CHUNK = 1 << 16
STORABLE = (np.ndarray, np.memmap)

_MAGIC = b"\x93NUMPY"
_MISSING: Mapping[str, object] = {"none": None, "nan": float("nan")}
_LITTLE_INT64 = np.dtype("<i8")


class ArraySerializer:
    """Arrays of any dtype but object, and numpy scalars. Who reads one may write to it: it is a copy of its own."""

    def dump(self, value: object, where: str, sink: Sink) -> Frame:
        given = value.value if isinstance(value, Text) else value
        array = _as_array(given, where)
        if isinstance(array.dtype, np.dtypes.StringDType):
            return _dump_strings(array, where, sink)
        _check_dtype(array.dtype, where)
        form = "scalar" if isinstance(given, np.generic) else "array"
        with sink.blob() as blob:
            logical_ = _write(array, blob)
        return _frame(array, form, logical_, blob, {})

    def load(self, frame: Frame, source: Source) -> object:
        array = load(frame, source)
        return array[()] if frame.form == "scalar" else array


SERIALIZER = ArraySerializer()


def load(frame: Frame, source: Source) -> Array:
    """The array of a frame, that of a scalar without dimensions; Corrupt if it is none."""
    if frame.digest is None:
        raise Corrupt(f"the array {frame.name!r} has no content")
    try:
        return (
            _load_strings(frame, source.read(frame.digest)) if frame.form == "strings" else _load_array(frame, source)
        )
    except (ValueError, KeyError, TypeError, EOFError, SyntaxError) as exc:
        raise Corrupt(f"the array {frame.name!r} is not one: {exc}") from exc


def _as_array(value: object, where: str) -> Array:
    if isinstance(value, np.generic):
        return np.asarray(value)
    if type(value) in STORABLE:
        return cast("Array", value)
    hint = "convert it with numpy.asarray()" if isinstance(value, np.ndarray) else "convert it to an array"
    raise Unserializable(where, f"values of type {literal.type_name(value)} are not stored", hint=hint)


def _check_dtype(dtype: np.dtype[Any], where: str) -> None:
    if dtype.hasobject:
        hint = "convert it to a dtype of its own, or store a list or a table"
        raise Unserializable(where, f"an array of dtype {dtype}", hint=hint)
    try:
        stored = npy.descr_to_dtype(npy.dtype_to_descr(dtype))
    except (ValueError, TypeError) as exc:
        raise Unserializable(where, f"dtype {dtype} cannot be written as .npy: {exc}") from exc
    if stored != dtype:
        raise Unserializable(where, f"dtype {dtype} cannot be written as .npy, which would make it {stored}")


def _frame(array: Array, form: str, logical_: LogicalDigest, blob: Blob, details: Mapping[str, Json]) -> Frame:
    return Frame(
        "",
        "array",
        logical_,
        form=form,
        media_type="application/x-npy",
        dtype=str(array.dtype),
        shape=array.shape,
        digest=blob.digest,
        size_bytes=blob.size_bytes,
        details=details,
    )


def _write(array: Array, blob: Blob) -> LogicalDigest:
    """Write the ``.npy`` and return ``array1``; reads the array once, holding a piece of it."""
    blob.write(_header(array.dtype, array.shape))
    hasher = arrayhash.hasher(arrayhash.kind_of(array.dtype), array.shape, expected_bytes=array.nbytes)
    packed = arrayhash.packed(array.dtype)
    for piece in arrayhash.pieces(array):
        blob.write(arrayhash.as_bytes(piece))
        hasher.update(arrayhash.as_bytes(arrayhash.content(piece, packed)))
    return logical("array1", hasher.digest())


def _header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """The head of a ``.npy`` file; written here because numpy's own depends on its version."""
    fields = f"{{'descr': {npy.dtype_to_descr(dtype)!r}, 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    is_simple = fields.isascii() and len(fields) < (1 << 16) - 128
    length_bytes = 2 if is_simple else 4
    text = fields.encode("ascii" if is_simple else "utf-8")
    padding = -(len(_MAGIC) + 2 + length_bytes + len(text) + 1) % npy.ARRAY_ALIGN
    body = text + b" " * padding + b"\n"
    return _MAGIC + bytes([1 if is_simple else 3, 0]) + len(body).to_bytes(length_bytes, "little") + body


@dataclass(frozen=True, slots=True)
class _Head:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    size_bytes: int
    """Of the head itself: where the items begin."""

    @property
    def items_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _read_head(file: IO[bytes]) -> _Head:
    """The head of a ``.npy`` file; ValueError, KeyError, TypeError or SyntaxError if it is none."""
    start = file.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC:
        raise ValueError("it does not begin as .npy does")
    length_bytes = 2 if start[-2] == 1 else 4
    length = int.from_bytes(file.read(length_bytes), "little")
    fields = ast.literal_eval(file.read(length).decode("latin-1" if start[-2] < 3 else "utf-8").strip())
    dtype = npy.descr_to_dtype(fields["descr"])
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    order: Literal["C", "F"] = "F" if fields["fortran_order"] else "C"
    return _Head(dtype, tuple(fields["shape"]), order, len(start) + length_bytes + length)


def _load_array(frame: Frame, source: Source) -> Array:
    path, offset, length = source.open_path(cast("Digest", frame.digest))
    with path.open("rb") as file:
        file.seek(offset)
        head = _read_head(file)
        if head.size_bytes + head.items_bytes != length:
            raise ValueError(f"{head.items_bytes} bytes of items were to follow its head")
        if length >= MAPPED_FROM_BYTES:
            return _mapped(path, offset + head.size_bytes, head)
        return np.ndarray(head.shape, head.dtype, bytearray(file.read(head.items_bytes)), order=head.order)


def _mapped(path: Path, offset: int, head: _Head) -> Array:
    """The array in the file: pages are read when touched, and copied when written to; the file never changes."""
    mapped = np.memmap(path, head.dtype, mode="c", offset=offset, shape=head.shape, order=head.order)
    return mapped.view(np.ndarray)


def _dump_strings(array: Array, where: str, sink: Sink) -> Frame:
    hasher = arrayhash.hasher("strings", array.shape)
    with sink.blob() as blob:
        for start in range(0, array.size, STRINGS_PER_CHUNK):
            for part in _encoded_strings(array.flat[start : start + STRINGS_PER_CHUNK].tolist()):
                blob.write(_header(part.dtype, part.shape))
                blob.write(arrayhash.as_bytes(part))
                hasher.update(arrayhash.as_bytes(part))
    return _frame(array, "strings", logical("array1", hasher.digest()), blob, _string_details(array, where))


def _string_details(array: Array, where: str) -> Mapping[str, Json]:
    dtype = cast("Any", array.dtype)  # numpy's types do not know what a StringDType has
    details: dict[str, Json] = {"coerce": bool(dtype.coerce)}
    if not hasattr(dtype, "na_object"):
        return details
    marker = "none" if dtype.na_object is None else "nan"
    if marker == "nan" and not (type(dtype.na_object) is float and math.isnan(dtype.na_object)):
        raise Unserializable(where, f"an array of {dtype}", hint="use None or nan for missing strings")
    return {**details, "missing": marker}


def _encoded_strings(items: Sequence[object]) -> tuple[Array, Array]:
    """The lengths in bytes, -1 for a missing one, and the UTF-8 of all of them."""
    encoded = [item.encode("utf-8") if isinstance(item, str) else None for item in items]
    lengths = np.array([-1 if item is None else len(item) for item in encoded], _LITTLE_INT64)
    return lengths, np.frombuffer(b"".join(item for item in encoded if item is not None), np.uint8)


def _load_strings(frame: Frame, data: bytes) -> Array:
    missing = frame.details.get("missing")
    marker = _MISSING[str(missing)] if missing is not None else None
    dtype = np.dtypes.StringDType(coerce=bool(frame.details["coerce"]), **({"na_object": marker} if missing else {}))
    shape = frame.shape or ()
    file, items = io.BytesIO(data), np.empty(math.prod(shape), dtype)
    for start in range(0, items.size, STRINGS_PER_CHUNK):
        chunk = _decoded_strings(_read_part(file), _read_part(file).tobytes(), marker)
        items[start : start + len(chunk)] = np.array(chunk, dtype)
    return items.reshape(shape)


def _read_part(file: IO[bytes]) -> Array:
    head = _read_head(file)
    return np.frombuffer(file.read(head.items_bytes), head.dtype)


def _decoded_strings(lengths: Array, text: bytes, marker: object) -> list[object]:
    ends = np.cumsum(np.maximum(lengths, 0)).tolist()
    starts = [0, *ends[:-1]]
    return [
        marker if length < 0 else text[start:end].decode("utf-8")
        for start, end, length in zip(starts, ends, lengths.tolist(), strict=True)
    ]
