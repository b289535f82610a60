"""A bundle's value as text for people, and as rows of a CSV file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from disdat.durable import storage_errors
from disdat.errors import InvalidInput

if TYPE_CHECKING:  # a second to import, and most values are no tables
    import pandas as pd

MAX_ROWS = 60
"""A table of more rows is shown by its head and tail, where not all are wanted."""
_SHOWN_ROWS = 20
_LEAST_CHARS = 20
_AROUND_CELL = 4
"""Two spaces before a cell, and what shows that more columns are below."""


def text(value: object, directory: Path, *, width: int | None) -> str:
    """
    *value* as ``dsdt cat`` prints it, in a terminal of this *width*, or whole if None.

    A table has its header and row index, its files (they lie below *directory*) as ``file://`` URLs; in a terminal
    a long one its head and tail and its size, a wide one its columns below each other. Anything else is as
    Python prints it.
    """
    frame = _dataframe(value)
    if frame is None:
        return str(value)
    linked = _with_urls(frame, directory)
    if width is None:
        return linked.to_string()
    return linked.to_string(
        max_rows=MAX_ROWS,
        min_rows=_SHOWN_ROWS,
        show_dimensions=cast("bool", "truncate"),
        line_width=width,
        max_colwidth=max(_LEAST_CHARS, width - _index_width(linked) - _AROUND_CELL),
    )


def write_csv(value: object, directory: Path, target: Path) -> None:
    """
    Write *value* to *target* as CSV: a table, or what is one row, one column or one cell.

    The row index is written where it says more than the rows' numbers.

    Raises:
        InvalidInput: No table can be made of it; nothing was written.
        StorageError: *target* cannot be written.
    """
    frame = _with_urls(_rows(value), directory)
    numbered = frame.index.name is None and frame.index.equals(_numbers(len(frame)))
    with storage_errors(f"write {target}"):
        frame.to_csv(target, index=not numbered)


def _dataframe(value: Any) -> pd.DataFrame | None:  # told apart by module, so that pandas is not imported for it
    match type(value).__module__.partition(".")[0], type(value).__name__:
        case "pandas", "DataFrame":
            return cast("pd.DataFrame", value)
        case "pandas", "Series":
            return cast("pd.DataFrame", value.to_frame())
        case ("pyarrow", "Table") | ("polars", "DataFrame"):
            return cast("pd.DataFrame", value.to_pandas())
    return None


def _with_urls(frame: pd.DataFrame, directory: Path) -> pd.DataFrame:
    """*frame* with every path of a file below *directory* as its URL."""
    below = f"{directory}{os.sep}"

    def is_link(cell: object) -> bool:
        return isinstance(cell, str | Path) and str(cell).startswith(below)

    shown = frame.copy(deep=False)
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        # All cells of a column are files, or none is: the first one tells, however long the table.
        if column.dtype.kind == "O" and is_link(next((cell for cell in column if isinstance(cell, str | Path)), None)):
            shown.isetitem(position, [f"file://{cell}" if is_link(cell) else cell for cell in column])
    return shown


def _index_width(frame: pd.DataFrame) -> int:
    ends = [*frame.index[:MAX_ROWS], *frame.index[-MAX_ROWS:]]
    return max((len(str(each)) for each in ends), default=0)


def _rows(value: object) -> pd.DataFrame:
    import pandas as pd  # only writing CSV needs it for values that are no tables

    frame = _dataframe(value)
    if frame is not None:
        return frame
    try:
        return pd.DataFrame(_tabular(value))
    except (ValueError, TypeError) as exc:
        raise InvalidInput(
            f"a value of type {type(value).__name__} is no table: {exc}", hint="leave --file out to print it"
        ) from exc


def _tabular(value: Any) -> Any:  # what pandas makes a table of is not one type
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if _is_array(value) and value.ndim != 1:
        return value if value.ndim else {"value": [value.item()]}
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping | list | tuple) for each in value):
        return list(value)
    return {"value": value if isinstance(value, list | tuple) or _is_array(value) else [value]}


def _of_mapping(value: Mapping[Any, Any]) -> Any:  # keys and values are the user's
    if any(isinstance(cell, Mapping) or _dataframe(cell) is not None for cell in value.values()):
        raise ValueError("it holds values within values")
    columns = [isinstance(cell, list | tuple) or _is_array(cell) for cell in value.values()]
    if any(columns) and not all(columns):
        raise ValueError("some of its values are lists, some are not")
    return value if any(columns) else [value]


def _is_array(value: object) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "ndim")


def _numbers(count: int) -> pd.Index:
    import pandas as pd  # loaded already, by the table whose index this is compared with

    return pd.RangeIndex(count)
