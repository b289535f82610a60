"""Everything that is recorded of one bundle, and of those it was made from, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from disdat.cli import listing, render
from disdat.core.bundle import Bundle, CodeRef, Frame, Lineage, Run
from disdat.core.canonical import Json
from disdat.ops import lineage, when
from disdat.ops.details import Column, Details
from disdat.ops.lineage import Ancestor
from disdat.remote.known import Presence

_SHOWN_FILES = 20
_SHOWN_COLUMNS = 50
_SHOWN_CHARS = 200


def lines(found: Details) -> Iterator[str]:
    """What ``dsdt show`` prints."""
    row, bundle = found.row, found.bundle
    yield from render.fields(
        [
            ("name", listing.shown_name(row.name)),
            ("uuid", row.uuid),
            ("processing name", render.one_line(row.processing_name)),
            ("owner", render.one_line(row.owner)),
            ("created", _when(row.created_us)),
            ("committed", str(row.committed)),
            ("tags", render.pairs(listing.user_tags(row))),
            ("params", render.pairs(row.params)),
            ("metrics", render.pairs({key: str(value) for key, value in bundle.metrics.items()})),
            ("size", f"{render.size(row.size_bytes)} in {render.count(row.file_count, 'file')}"),
            ("directory", render.one_line(str(found.directory))),
            ("presence", "" if found.presence is Presence.LOCAL else found.presence.value),
            ("manifest", row.manifest),
            *_origin(bundle.lineage),
        ]
    )
    yield from _section("value", _frame_lines(found))
    yield from _section("files", _file_lines(found))
    yield from _section("inputs", _input_lines(bundle))
    yield from _section("run", _run_lines(found.run, found.why))


def as_json(found: Details) -> Json:
    """What ``dsdt show --json`` prints."""
    bundle = found.bundle
    return listing.as_json(found.row) | {
        "made": listing.utc(found.row.made_us),
        "manifest": found.row.manifest,
        "directory": str(found.directory),
        "presence": found.presence.value,
        "weak": any(entry.weak is not None for entry in found.files.values()),
        "creator": bundle.creator,
        "home": bundle.home,
        "metrics": dict(bundle.metrics),
        "frames": [_frame_json(frame, found.columns.get(frame.name)) for frame in bundle.frames],
        "tree": [
            {
                "path": path,
                "size_bytes": entry.size_bytes,
                "digest": entry.digest,
                "weak": None if entry.weak is None else entry.weak.to_json(),
                "content": found.contents.get(path) if entry.weak else entry.digest,
            }
            for path, entry in found.files.items()
        ],
        **_lineage_json(bundle.lineage),
        "run": _run_json(found.run) if found.run else None,
        "why": found.why,
    }


def lineage_lines(found: Sequence[Ancestor]) -> Iterator[str]:
    """What ``dsdt lineage`` prints: a block for each bundle, below and right of what was made from it."""
    below: dict[str | None, list[Ancestor]] = {}
    for each in found:
        below.setdefault(each.step.via, []).append(each)
    waiting = list(below.get(None, ()))
    while waiting:
        each = waiting.pop()
        indent = "\t" * each.step.depth
        yield from (indent + line for line in _ancestor_lines(each))
        waiting += reversed(below.get(each.step.uuid, ()))


def lineage_json(found: Sequence[Ancestor], *, is_down: bool = False) -> Json:
    """What ``dsdt lineage --json`` prints: breadth first; each says which of those before it led to it."""
    return [
        {
            "depth": each.step.depth,
            "argument": each.step.argument,
            "made_from" if is_down else "input_of": each.step.via,
            "uuid": each.step.uuid,
            "name": each.row.name if each.row else None,
            "processing_name": each.row.processing_name if each.row else None,
            "created": listing.utc(each.row.created_us) if each.row else None,
            **_lineage_json(each.bundle.lineage if each.bundle else Lineage()),
        }
        for each in found
    ]


def _when(time_us: int) -> str:
    return f"{when.local(time_us):%Y-%m-%d %H:%M:%S %z}"


def _section(title: str, body: Iterator[str]) -> Iterator[str]:
    first = next(body, None)
    if first is not None:
        yield f"{title}:"
        yield from (f"  {line}" for line in chain([first], body))


def _frame_lines(found: Details) -> Iterator[str]:
    for frame in found.bundle.frames:
        literal = found.literal if found.literal and len(found.literal) <= _SHOWN_CHARS else ""
        yield f"{_frame_line(frame)}  {render.one_line(literal)}".rstrip()
        columns = found.columns.get(frame.name, ())
        cells = [(each.name, each.type, "files" if each.has_files else "") for each in columns[:_SHOWN_COLUMNS]]
        yield from (f"  {line}" for line in render.table([[render.one_line(cell) for cell in row] for row in cells]))
        if len(columns) > _SHOWN_COLUMNS:
            yield f"  and {len(columns) - _SHOWN_COLUMNS:,} more; --json lists them all"
        yield from (f"  {line}" for line in _head_lines(found, frame))


def _head_lines(found: Details, frame: Frame) -> Iterator[str]:
    """The first rows of a table under the names of their columns."""
    head = found.heads.get(frame.name, ())
    if not head:
        return
    names = [column.name for column in found.columns[frame.name][: len(head[0])]]
    yield "first rows:"
    cells = [[render.one_line(cell) for cell in row] for row in (names, *head)]
    yield from (f"  {line}" for line in render.table(cells))


def _frame_line(frame: Frame) -> str:
    shape = "×".join(map(str, frame.shape)) if frame.shape is not None else ""
    where = f"[{frame.path or '.'}]" if frame.path is not None else ""
    size = render.size(frame.size_bytes) if frame.size_bytes else ""
    parts = [frame.name or "value", frame.kind, frame.form, frame.dtype, shape, size, where]
    return render.one_line("  ".join(part for part in parts if part))


def _file_lines(found: Details) -> Iterator[str]:
    shown = list(found.files.items())[:_SHOWN_FILES]
    cells = [(path, render.size(entry.size_bytes), _weakness(found, path)) for path, entry in shown]
    yield from render.table([[render.one_line(cell) for cell in row] for row in cells])
    if len(found.files) > _SHOWN_FILES:
        yield f"and {len(found.files) - _SHOWN_FILES:,} more; --json lists them all"


def _weakness(found: Details, path: str) -> str:
    """Whether a file is known by what S3 says of it only, or was until it was read here."""
    if found.files[path].weak is None:
        return ""
    return "weak, read here" if path in found.contents else "weak"


def _input_lines(bundle: Bundle) -> Iterator[str]:
    yielded = lineage.yielded(bundle.lineage)
    inputs = [
        (lineage.YIELDED if each.argument in yielded else each.argument, each.name, each.uuid)
        for each in bundle.lineage.inputs
    ]
    yield from render.table([[render.one_line(cell) for cell in each] for each in inputs])


def _run_lines(run: Run | None, why: str) -> Iterator[str]:
    if run is not None:
        who = f"{run.user}@{run.host}"
        shown = {"why": why, "by": who, "command": " ".join(run.argv), "in": run.cwd, "python": run.python}
        pairs = [(name, render.one_line(value)) for name, value in shown.items()]
        yield from render.fields([("id", run.id), *pairs, ("platform", run.platform)])


def _origin(lineage: Lineage) -> list[tuple[str, str]]:
    code = lineage.code or CodeRef()
    named = {
        "code": code.method,
        "code repo": code.repo,
        "code version": _version(code),
        "code committed": code.committed,
        "code branch": code.branch,
        "code digest": code.digest or "",
    }
    shown = [(name, render.one_line(value)) for name, value in named.items()]
    return [*shown, ("started", _optional_time(lineage.started_us)), ("stopped", _optional_time(lineage.stopped_us))]


def _version(code: CodeRef) -> str:
    return " ".join(part for part in (code.commit, "with changes" if code.dirty else "") if part)


def _optional_time(time_us: int | None) -> str:
    return "" if time_us is None else _when(time_us)


def _ancestor_lines(each: Ancestor) -> Iterator[str]:
    yield f"------ Lineage @ depth {each.step.depth} -----"
    if each.row is None or each.bundle is None:
        yield f"No lineage found for UUID {each.step.uuid}"
        return
    lineage = each.bundle.lineage
    code = lineage.code or CodeRef()
    named = {
        "processing name": each.row.processing_name,
        "name": each.row.name,
        "argument": each.step.argument,
        "uuid": each.row.uuid,
        "creation date": listing.local_time(each.row.created_us),
        "code repo": code.repo,
        "code hash": _version(code),
        "code digest": code.digest or "",
        "code method": code.method,
        "git commit URL": _commit_url(code),
        "code branch": code.branch,
    }
    yield from (f"{name}: {render.one_line(value)}" for name, value in named.items() if value)
    yield from _times(lineage)


def _times(lineage: Lineage) -> Iterator[str]:
    start, stop = lineage.started_us, lineage.stopped_us
    if start is not None and stop is not None:
        yield f"Start {listing.local_time(start)} Stop {listing.local_time(stop)} Duration {(stop - start) / 1e6:.2f} s"


def _commit_url(code: CodeRef) -> str:
    """Where a forge shows the commit, guessed from the repository's URL."""
    if not code.commit or not code.repo:
        return ""
    url = code.repo.removesuffix(".git")
    if url.startswith("git@"):
        url = "https://" + url.removeprefix("git@").replace(":", "/", 1)
    return f"{url}/commit/{code.commit}" if url.startswith("https://") else ""


def _frame_json(frame: Frame, columns: Sequence[Column] | None) -> Json:
    return {
        "name": frame.name,
        "kind": frame.kind,
        "form": frame.form,
        "dtype": frame.dtype,
        "shape": list(frame.shape) if frame.shape is not None else None,
        "media_type": frame.media_type,
        "size_bytes": frame.size_bytes,
        "path": frame.path,
        "digest": frame.digest,
        "logical": frame.logical,
        "columns": None
        if columns is None
        else [{"name": c.name, "type": c.type, "files": c.has_files} for c in columns],
    }


def _column_json(column: Column) -> Json:
    return {"name": column.name, "type": column.type, "files": column.has_files}


def _lineage_json(lineage: Lineage) -> dict[str, Json]:
    code = lineage.code or CodeRef()
    return {
        "inputs": [
            {"argument": each.argument, "uuid": each.uuid, "name": each.name, "processing_name": each.processing_name}
            for each in lineage.inputs
        ],
        "code": {
            "method": code.method,
            "repo": code.repo,
            "commit": code.commit,
            "committed": code.committed,
            "branch": code.branch,
            "dirty": code.dirty,
            "digest": code.digest,
        },
        "started": None if lineage.started_us is None else listing.utc(lineage.started_us),
        "stopped": None if lineage.stopped_us is None else listing.utc(lineage.stopped_us),
    }


def _run_json(run: Run) -> Json:
    return {
        "id": run.id,
        "user": run.user,
        "host": run.host,
        "argv": list(run.argv),
        "cwd": run.cwd,
        "started": listing.utc(run.started_us),
        "python": run.python,
        "platform": run.platform,
        "pid": run.pid,
    }
