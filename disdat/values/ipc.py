"""Arrow types and short columns as text, as they stand in the JSON of a table's file. Imports no pandas."""

from __future__ import annotations

import base64

import pyarrow as pa

from disdat.core.canonical import Json


def to_ipc(column: pa.Array | pa.ChunkedArray) -> str:
    """A column as the base64 of an Arrow IPC stream."""
    table = pa.table({"": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode("ascii")


def from_ipc(text: Json) -> pa.ChunkedArray:
    """The column :func:`to_ipc` wrote."""
    with pa.ipc.open_stream(base64.b64decode(str(text), validate=True)) as reader:
        return reader.read_all().column(0)


def encode_type(kind: pa.DataType) -> str:
    """An Arrow type as base64 of the IPC message of a schema with one field."""
    return base64.b64encode(pa.schema([pa.field("", kind)]).serialize()).decode("ascii")


def decode_type(text: Json) -> pa.DataType:
    """The type :func:`encode_type` was given."""
    return decode_schema(text).field(0).type


def decode_schema(text: Json) -> pa.Schema:
    """The schema whose IPC message, as base64, *text* is."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(str(text), validate=True)))
