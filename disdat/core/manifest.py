"""
Manifests: a :class:`~disdat.core.bundle.Bundle` as canonical JSON, and back.

A field whose value is its default is not written, so equal bundles have one encoding. Fields this version
does not know are kept; features in ``requires`` that it does not know make it refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from disdat.core import canonical, tree
from disdat.core.bundle import Bundle, CodeRef, Dependency, Frame, Inline, Lineage, Run, RunRef, TaskKey
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest
from disdat.core.tree import Tree, TreeRef
from disdat.errors import Corrupt, UnknownFormat

FORMAT = 1
FEATURES: frozenset[str] = frozenset()
"""Reader features a manifest may require and this version has."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Decoded JSON is checked by use: a wrong type surfaces as KeyError, TypeError or ValueError and becomes Corrupt.
_Fields = Mapping[str, Any]


def encode(bundle: Bundle) -> bytes:
    """The manifest's bytes; their digest names the bundle's content."""
    return canonical.encode(to_json(bundle))


def decode(data: bytes | str) -> Bundle:
    """
    The bundle a manifest describes.

    Raises:
        UnknownFormat: It was written by a later version, or requires a feature this one lacks.
        Corrupt: It is not a manifest.
    """
    try:
        fields = canonical.decode(data)
    except ValueError as exc:
        raise Corrupt(f"not a manifest: {exc!r}") from exc
    return from_json(fields)


def to_json(bundle: Bundle) -> dict[str, Json]:
    """The manifest as JSON values."""
    lineage = bundle.lineage
    fields: dict[str, Json] = {
        **bundle.extra,
        "format": FORMAT,
        "uuid": bundle.uuid,
        "created": bundle.created_us,
        "creator": bundle.creator,
        "home": bundle.home,
    }
    optional: dict[str, Json] = {
        "name": bundle.name,
        "processing_name": bundle.processing_name,
        "owner": bundle.owner,
        "frames": [_frame_json(frame) for frame in bundle.frames],
        "tree": _tree_json(bundle.tree),
        "tags": dict(bundle.tags),
        "params": dict(bundle.params),
        "metrics": dict(bundle.metrics),
        "parents": list(bundle.parents),
        "inputs": [_dependency_json(dependency) for dependency in lineage.inputs],
        "observed": list(lineage.observed),
        "code": _code_json(lineage.code),
        "run": _run_json(lineage.run),
        "task": _task_json(lineage.task),
        "tainted": lineage.tainted,
        "requires": list(bundle.requires),
    }
    times: dict[str, Json] = {"started": lineage.started_us, "stopped": lineage.stopped_us}
    return fields | _present(optional) | {key: time for key, time in times.items() if time is not None}


def from_json(fields: Json) -> Bundle:
    """The bundle of a decoded manifest; see :func:`decode`."""
    try:
        return _bundle(cast("_Fields", fields))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Corrupt(f"not a manifest: {exc!r}") from exc


def check_format(fields: _Fields) -> None:
    """Raise UnknownFormat for a decoded manifest of a later version, or with a feature this one lacks."""
    if fields["format"] != FORMAT:
        raise UnknownFormat("manifest", found=fields["format"], supported=FORMAT)
    if missing := set(fields.get("requires", ())) - FEATURES:
        raise UnknownFormat("manifest", found=sorted(missing), supported=sorted(FEATURES))


def check_uuid(uuid: str) -> None:
    """Raise ValueError unless *uuid* is written as one: the directory of a bundle's files is named by it."""
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"not a uuid: {uuid!r}")


def run_to_json(run: Run) -> dict[str, Json]:
    """A run record; a bundle names the run by the digest of its canonical JSON."""
    fields = _present(
        {
            "user": run.user,
            "host": run.host,
            "argv": list(run.argv),
            "cwd": run.cwd,
            "python": run.python,
            "platform": run.platform,
            "packages": run.packages,
        }
    )
    numbers: dict[str, Json] = {"started": run.started_us, "pid": run.pid}
    return {"id": run.id} | fields | {key: number for key, number in numbers.items() if number}


def run_from_json(fields: _Fields) -> Run:
    """The run of a record :func:`run_to_json` wrote."""
    return Run(
        id=fields["id"],
        user=fields.get("user", ""),
        host=fields.get("host", ""),
        argv=tuple(fields.get("argv", ())),
        cwd=fields.get("cwd", ""),
        started_us=fields.get("started", 0),
        python=fields.get("python", ""),
        platform=fields.get("platform", ""),
        pid=fields.get("pid", 0),
        packages=_digest(fields.get("packages")),
    )


def _bundle(fields: _Fields) -> Bundle:
    check_format(fields)
    check_uuid(fields["uuid"])
    rest = {key: value for key, value in fields.items() if key != "format"}
    return Bundle(
        uuid=rest.pop("uuid"),
        name=rest.pop("name", ""),
        processing_name=rest.pop("processing_name", ""),
        owner=rest.pop("owner", ""),
        created_us=rest.pop("created"),
        creator=rest.pop("creator"),
        home=rest.pop("home"),
        frames=tuple(_frame(item) for item in rest.pop("frames", ())),
        tree=_tree(rest.pop("tree", {})),
        tags=_texts(rest.pop("tags", {})),
        params=_texts(rest.pop("params", {})),
        metrics=rest.pop("metrics", {}),
        parents=tuple(rest.pop("parents", ())),
        lineage=_lineage(rest),
        requires=tuple(rest.pop("requires", ())),
        extra=rest,
    )


def _present(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in fields.items() if value}


def _lineage(rest: dict[str, Any]) -> Lineage:
    return Lineage(
        inputs=tuple(_dependency(item) for item in rest.pop("inputs", ())),
        observed=tuple(rest.pop("observed", ())),
        code=_code(rest.pop("code", None)),
        started_us=rest.pop("started", None),
        stopped_us=rest.pop("stopped", None),
        run=_run(rest.pop("run", None)),
        task=_task(rest.pop("task", None)),
        tainted=rest.pop("tainted", False),
    )


def _frame_json(frame: Frame) -> dict[str, Json]:
    fields: dict[str, Json] = {"name": frame.name, "kind": frame.kind, "logical": frame.logical}
    fields |= _present(
        {
            "form": frame.form,
            "media_type": frame.media_type,
            "dtype": frame.dtype,
            "digest": frame.digest,
            "details": dict(frame.details),
        }
    )
    if frame.path is not None:  # "" is the whole tree
        fields["path"] = frame.path
    if frame.size_bytes:
        fields["size"] = frame.size_bytes
    if frame.shape is not None:
        fields["shape"] = list(frame.shape)
    if frame.inline is not None:
        fields["inline"] = frame.inline.value
    return fields


def _frame(item: _Fields) -> Frame:
    return Frame(
        name=item["name"],
        kind=item["kind"],
        logical=LogicalDigest.parse(item["logical"]),
        form=item.get("form", ""),
        media_type=item.get("media_type", ""),
        dtype=item.get("dtype", ""),
        shape=tuple(item["shape"]) if "shape" in item else None,
        inline=Inline(item["inline"]) if "inline" in item else None,
        digest=_digest(item.get("digest")),
        size_bytes=_count(item.get("size", 0)),
        path=item.get("path"),
        details=item.get("details", {}),
    )


def _tree_json(files: Tree | TreeRef) -> Json:
    if isinstance(files, TreeRef):
        return {"root": files.root, "files": files.file_count, "size": files.size_bytes}
    return {"entries": tree.to_json(files)} if files else {}


def _tree(item: _Fields) -> Tree | TreeRef:
    if "root" in item:
        return TreeRef(Digest.parse(item["root"]), _count(item["files"]), _count(item["size"]))
    return tree.from_json(item.get("entries", []))


def _dependency_json(dependency: Dependency) -> Json:
    return {"argument": dependency.argument, "uuid": dependency.uuid} | _present(
        {
            "name": dependency.name,
            "processing_name": dependency.processing_name,
            "manifest": dependency.manifest,
            "logical": dependency.logical,
        }
    )


def _dependency(item: _Fields) -> Dependency:
    return Dependency(
        argument=item["argument"],
        uuid=item["uuid"],
        name=item.get("name", ""),
        processing_name=item.get("processing_name", ""),
        manifest=_digest(item.get("manifest")),
        logical=LogicalDigest.parse(item["logical"]) if "logical" in item else None,
    )


def _code_json(code: CodeRef | None) -> Json:
    if code is None:
        return None
    fields = _present(
        {
            "method": code.method,
            "repo": code.repo,
            "commit": code.commit,
            "committed": code.committed,
            "branch": code.branch,
            "digest": code.digest,
        }
    )
    return fields if code.dirty is None else fields | {"dirty": code.dirty}


def _code(item: _Fields | None) -> CodeRef | None:
    if item is None:
        return None
    return CodeRef(
        method=item.get("method", ""),
        repo=item.get("repo", ""),
        commit=item.get("commit", ""),
        committed=item.get("committed", ""),
        branch=item.get("branch", ""),
        dirty=item.get("dirty"),
        digest=_digest(item.get("digest")),
    )


def _run_json(run: RunRef | None) -> Json:
    if run is None:
        return None
    return {"id": run.id, "environment": run.environment} | _present({"packages": run.packages, "task": run.task})


def _run(item: _Fields | None) -> RunRef | None:
    if item is None:
        return None
    return RunRef(
        id=item["id"],
        environment=Digest.parse(item["environment"]),
        packages=_digest(item.get("packages")),
        task=item.get("task", ""),
    )


def _task_json(task: TaskKey | None) -> Json:
    if task is None:
        return None
    return {"algorithm": task.algorithm, "digest": task.digest, "components": dict(task.components)}


def _task(item: _Fields | None) -> TaskKey | None:
    if item is None:
        return None
    return TaskKey(item["algorithm"], Digest.parse(item["digest"]), item["components"])


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest.parse(text)


def _texts(item: _Fields) -> Mapping[str, str]:
    for value in item.values():
        if not isinstance(value, str):
            raise TypeError(f"not text: {value!r}")
    return item


def _count(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"not a count: {number!r}")
    return number
