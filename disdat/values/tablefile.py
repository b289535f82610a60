"""The file of a stored table: opened, and what it says of itself. Imports no pandas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from disdat.core.bundle import Frame
from disdat.errors import Corrupt, UnknownFormat
from disdat.values.ipc import decode_schema, decode_type
from disdat.values.serializer import Source

FORMAT = 1
METADATA_KEY = b"disdat"
FROM_PANDAS = frozenset({"dataframe", "series"})
"""The forms whose columns have the types of pandas; others have those of Arrow."""


@contextmanager
def opened(frame: Frame, source: Source) -> Iterator[pq.ParquetFile]:
    """The file of a table; its columns are read when they are asked for."""
    if frame.digest is None:
        raise Corrupt(f"the table {frame.name!r} has no content")
    path, offset, length = source.open_path(frame.digest)
    is_whole = offset == 0 and path.stat().st_size == length
    with pq.ParquetFile(str(path) if is_whole else pa.BufferReader(_owned(source.read(frame.digest)))) as file:
        yield file


def fields(frame: Frame, file: pq.ParquetFile) -> Mapping[str, Any]:
    """What the file says of itself, see ``docs/format.md``; its shape is checked where it is used."""
    found: Mapping[str, Any] = json.loads((file.metadata.metadata or {})[METADATA_KEY])
    if found["format"] != FORMAT:
        raise UnknownFormat(f"the table {frame.name!r}", found=found["format"], supported=FORMAT)
    return found


def type_names(frame: Frame, schema: pa.Schema, described: Mapping[str, Any]) -> dict[str, str]:
    """The type of each column, index levels too, by its name in the file: as pandas or Arrow, whichever has it."""
    levels: Sequence[Mapping[str, Any]] = (described.get("index") or {}).get("levels", ())
    if frame.form in FROM_PANDAS:
        every = [*described["columns"], *levels]
        return {each["column"]: _pandas_name(each["cells"], schema, each["column"]) for each in every}
    given = decode_schema(described["schema"])
    return {each["column"]: str(field.type) for each, field in zip(described["columns"], given, strict=True)}


def _pandas_name(cells: Mapping[str, Any], schema: pa.Schema, column: str) -> str:  # CELLS of docs/format.md
    """What pandas calls the dtype that *cells* describes; what is stored as Arrow calls it, where there is no name."""
    match cells:
        case {"numpy": name}:
            return str(np.dtype(name).name)
        case {"pandas": name}:
            return str(name)
        case {"str": _, "na": missing}:
            return "str" if missing == "nan" else "string"
        case {"zoned": unit, "zone": {"zone": zone}}:
            return f"datetime64[{unit}, {zone}]"
        case {"categories": _}:
            return "category"
        case {"period": frequency}:
            return f"period[{frequency}]"
        case {"interval": closed, "of": sides}:
            return f"interval[{_pandas_name(sides, schema, column)}, {closed}]"
        case {"object": _}:
            return "object"
        case {"arrow": str(text)}:
            return f"{decode_type(text)}[pyarrow]"
    return str(schema.field(column).type)


def _owned(data: bytes) -> pa.Buffer:
    """
    The bytes in memory of Arrow's own.

    Arrow's threads may drop the last reference to what they read a moment later. If that were a Python object while
    the interpreter ends, the process would abort.
    """
    stream = pa.BufferOutputStream()
    stream.write(data)
    return stream.getvalue()
