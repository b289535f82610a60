"""Adding what a user already has: files and directories as they are, or a file of rows as a table."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from disdat.context import Context
from disdat.core import canonical, tree
from disdat.core.bundle import NOTHING, Bundle, CodeRef, Frame, Lineage
from disdat.core.tree import encode_path
from disdat.errors import InvalidInput, PathNotFound
from disdat.ops.bundles import Birth, BundleWriter, Captured, batch_in, publish
from disdat.ops.given import check_name, check_tags
from disdat.ops.intake import Intake, Progress, store_tree

if TYPE_CHECKING:  # pandas takes a second to import, and only inline adds need it
    import pandas as pd  # takes a second, and only inline adds need it

_SNIFFED_CHARS = 1 << 16
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def add(
    context: Context,
    name: str,
    paths: Sequence[str | os.PathLike[str]],
    *,
    tags: Mapping[str, str] = NOTHING,
    progress: Progress | None = None,
) -> Bundle:
    """
    Make a bundle of files and directories, or of what ``s3://`` URLs name.

    One file presents as its path; a directory or several paths as the list of all files' paths, kept at their
    relative places: those of one directory below it, those of several paths below what the paths have in common.
    What URLs name is kept under the last parts of these.

    Raises:
        PathNotFound: A path does not exist. Nothing was added, as with every other error.
        BadLinkError: There is nothing at a URL.
        InvalidInput: A path is named twice, is no file or directory, or holds what cannot be added.
    """
    if urls := [path for path in paths if isinstance(path, str) and _is_remote(path)]:
        return _add_urls(
            context, urls, [path for path in paths if path not in urls], _birth(name, paths, tags), progress
        )
    sources = _sources(paths)
    birth = _birth(name, paths, tags)
    writer = BundleWriter(context)
    with batch_in(context) as batch:
        intake = Intake(batch, writer.path, progress=progress)
        frame = _take_file(intake, sources[0]) if _is_one_file(sources) else _take_all(intake, sources)
        captured = Captured(writer.uuid, (frame,), store_tree(batch, intake.tree), birth)
        return publish(context, batch, [captured])[0]


def add_inline(
    context: Context, name: str, path: str | os.PathLike[str], *, tags: Mapping[str, str] = NOTHING
) -> Bundle:
    """
    Make a bundle of the table in a csv, tsv, parquet or json file.

    A column whose cells name files, relative to the table's directory or by ``s3://`` URLs, takes these files in.

    Raises:
        BadLinkError: There is nothing at a URL; the message names it and the cell.
        InvalidInput: The file is none of these kinds, or cannot be read as what its suffix says.
    """
    [source] = _sources([path])
    birth = _birth(name, [path], tags)
    return BundleWriter(context).close(_with_files(read_table(source), source), birth)


def read_table(path: Path) -> pd.DataFrame:
    """The rows of a file, by its suffix: .csv (separator found by looking), .tsv, .parquet, .json, .jsonl."""
    import pandas as pd  # takes a second, and only inline adds need it

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": lambda p: pd.read_csv(p, sep=_separator(p)),
        ".tsv": lambda p: pd.read_csv(p, sep="\t"),
        ".parquet": pd.read_parquet,
        ".json": pd.read_json,
        ".jsonl": lambda p: pd.read_json(p, lines=True),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise InvalidInput(
            f"{path} is no table", hint=f"--inline reads {', '.join(readers)}; leave it out to add the file"
        )
    try:
        return reader(path)
    except (ValueError, OSError, pd.errors.ParserError) as exc:
        reason = str(exc).partition("\n")[0]
        raise InvalidInput(
            f"cannot read {path} as a table: {reason}", hint="leave --inline out to add the file"
        ) from exc


def _add_urls(
    context: Context,
    urls: Sequence[str],
    others: Sequence[str | os.PathLike[str]],
    birth: Birth,
    progress: Progress | None,
) -> Bundle:
    if others:
        raise InvalidInput(
            f"{os.fspath(others[0])} is a path, and {urls[0]} is a URL", hint="add paths and URLs one after the other"
        )
    return BundleWriter(context).close(urls[0] if len(urls) == 1 else list(urls), birth, progress=progress)


def _sources(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    if not paths:
        raise InvalidInput("no path to add", hint="name a file or a directory")
    sources = [Path(os.path.abspath(path)) for path in paths]
    seen: set[Path] = set()
    for given, source in zip(paths, sources, strict=True):
        if not os.path.exists(given):  # not of its absolute form: that of "" is the current directory
            is_url = _URL.match(os.fspath(given))
            hint = "but for s3://, URLs are not fetched: get the file, and add that" if is_url else "check the path"
            raise PathNotFound(f"no such file or directory: {os.fspath(given)}", hint=hint)
        if source in seen:
            raise InvalidInput(f"{os.fspath(given)} is named twice", hint="name each path once")
        seen.add(source)
    return sources


def _birth(name: str, paths: Sequence[str | os.PathLike[str]], tags: Mapping[str, str]) -> Birth:
    check_name("the bundle's name", name)
    check_tags(tags)
    typed = [encode_path(os.fsencode(path)) for path in paths]
    path_param = typed[0] if len(typed) == 1 else canonical.encode(typed).decode()
    return Birth(name, tags=dict(tags), params={"path": path_param}, lineage=Lineage(code=CodeRef(method="add")))


def _is_one_file(sources: Sequence[Path]) -> bool:
    return len(sources) == 1 and not sources[0].is_dir()


def _take_file(intake: Intake, source: Path) -> Frame:
    [place] = intake.add_files([source])
    entry = intake.entry(place)
    return Frame("", "file", tree.file_logical(place, entry), form="str", path=place)


def _take_all(intake: Intake, sources: Sequence[Path]) -> Frame:
    if len(sources) == 1:
        intake.add_tree(sources[0], "")
    else:
        _take_several(intake, sources)
    return Frame("", "directory", tree.tree_logical(intake.tree), form="paths", path="")


def _take_several(intake: Intake, sources: Sequence[Path]) -> None:
    common = os.path.commonpath([source.parent for source in sources])
    for source in sources:
        place = encode_path(os.fsencode(os.path.relpath(source, common)))
        if source.is_dir():
            intake.add_tree(source, place)
        else:
            intake.add_at(source, place)


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        sample = file.read(_SNIFFED_CHARS)
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:  # one column, or too few rows to tell
        return ","


def _with_files(frame: pd.DataFrame, source: Path) -> pd.DataFrame:
    """*frame* with every column whose cells all name files beside *source* holding their full paths."""
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        texts = [(row, cell) for row, cell in enumerate(column) if isinstance(cell, str)]
        links = [_link(cell, source.parent) for _, cell in texts]
        if texts and len(texts) == column.notna().sum() and all(map(_is_file, links)):
            replaced = column.astype(object)
            replaced.iloc[[row for row, _ in texts]] = links
            frame.isetitem(position, replaced.array)
    return frame


def _link(cell: str, directory: Path) -> str:
    return cell if _is_remote(cell) else os.path.join(directory, cell.removeprefix("file://"))


def _is_remote(text: str) -> bool:
    return text.startswith("s3://")


def _is_file(link: str) -> bool:
    return _is_remote(link) or os.path.isfile(link)
