"""
The identity of a task run: the key reuse is decided by, and what differs between two keys.

A key has components, stored one by one with the bundle, because an explanation cannot be rebuilt from one
hash. ``docs/format.md`` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from disdat.core import digest
from disdat.core.bundle import CodeRef, TaskKey
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest

ALGORITHM = "key1"
MAX_LISTED = 128
"""Of more definitions than this there is one digest per file, and of more files than this none, so that manifests
stay small."""

_SHOWN = 40
_HEX = 16
_CHANGES_TOLD = 3


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts of the source of a class: kind and digest of each definition, by ``file:name``, and packages."""

    definitions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """What stands for all of it in a key."""
        found = {name: f"{kind} {text}" for name, (kind, text) in self.definitions.items()}
        return digest.of_json({"definitions": found, "packages": dict(self.packages)})

    def listed(self) -> dict[str, Json]:
        """As much of it as a manifest keeps, to say later what changed."""
        found: dict[str, Json] = {"packages": dict(self.packages)} if self.packages else {}
        if len(self.definitions) <= MAX_LISTED:
            return {
                "definitions": {name: f"{kind} {text[:_HEX]}" for name, (kind, text) in self.definitions.items()}
            } | found
        files: dict[str, list[Json]] = {}
        for name in sorted(self.definitions):
            files.setdefault(name.rpartition(":")[0], []).append([name, *self.definitions[name]])
        if len(files) <= MAX_LISTED:
            found["files"] = {name: digest.of_json(each).hex[:_HEX] for name, each in files.items()}
        return found


def task_key(
    *,
    cls: str,
    params: Mapping[str, str],
    code: Json,
    inputs: Mapping[str, LogicalDigest | None],
    salt: str = "",
) -> TaskKey:
    """
    The key of running class *cls* (``module.Class``) with these significant parameters, code and inputs.

    *inputs* holds the logical digest of each input by argument; None for a bundle without a value.
    """
    components: dict[str, Json] = {"class": cls, "params": dict(params), "code": code, "inputs": dict(inputs)}
    if salt:
        components["salt"] = salt
    return TaskKey(ALGORITHM, digest.of_json({"algorithm": ALGORITHM, "components": components}), components)


def code_component(policy: str, counted: Counted, git: CodeRef | None = None) -> Json:
    """
    The code component under a policy: ``closure``, ``git``, ``manual:<version>`` or ``none``.

    Under ``git`` the commit stands for the source; where the directory is dirty or git knows none, the
    source counts too, so that no edit goes unnoticed.
    """
    if policy == "none":
        return {"policy": "none"}
    if policy.startswith("manual:"):
        return {"policy": "manual", "version": policy.removeprefix("manual:")}
    if policy == "git" and git is not None and git.commit and git.dirty is False:
        return {"policy": "git", "commit": git.commit}
    closure: dict[str, Json] = {"policy": policy, "digest": counted.digest, **counted.listed()}
    if policy == "git" and git is not None and git.commit:
        closure["commit"] = git.commit
    return closure


def reads_source(policy: str) -> bool:
    """Whether the source of the code counts under *policy*, so that an edit while a task runs taints its result."""
    return policy in {"closure", "git"}


def differences(old: TaskKey, new: TaskKey, *, inputs: bool = True) -> list[str]:
    """What a person would say changed between two keys, each in a few words; the inputs only if asked for."""
    found = [*_class_change(old, new), *_param_changes(_part(old, "params"), _part(new, "params"))]
    found += _code_change(_part(old, "code"), _part(new, "code"))
    if old.components.get("salt", "") != new.components.get("salt", ""):
        found.append("another salt")
    if inputs:
        found += _input_changes(_part(old, "inputs"), _part(new, "inputs"))
    return found


def class_of(key: TaskKey) -> str:
    """The class a key is of, ``module.Class``."""
    return cast("str", key.components["class"])


def short(text: str) -> str:
    """*text* at a length a line can hold; of a digest its first digits."""
    if ":blake3:" in text or text.startswith("blake3:"):
        return text.rpartition(":")[2][:8]
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _part(key: TaskKey, name: str) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", key.components[name])


def _class_change(old: TaskKey, new: TaskKey) -> Iterator[str]:
    if class_of(old) != class_of(new):
        yield f"class {class_of(old)} -> {class_of(new)}"


def _param_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"parameter {name} is new"
        elif name not in new:
            yield f"parameter {name} is gone"
        elif old[name] != new[name]:
            yield f"parameter {name}: {short(str(old[name]))} -> {short(str(new[name]))}"


def _input_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"input {name} is new"
        elif name not in new:
            yield f"input {name} is gone"
        elif old[name] != new[name]:
            yield f"input {name} has other content: {short(str(old[name]))} -> {short(str(new[name]))}"


def _code_change(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    if old == new:
        return
    if old["policy"] != new["policy"]:
        yield f"code counts by {new['policy']}, not by {old['policy']}"
    elif told := [*_definition_changes(old, new), *_file_changes(old, new), *_package_changes(old, new)]:
        yield from islice(told, _CHANGES_TOLD)
        if len(told) > _CHANGES_TOLD:
            yield f"{len(told) - _CHANGES_TOLD} more changes of code"
    elif what := next((name for name in ("version", "commit") if old.get(name) != new.get(name)), None):
        yield f"code {what} {short(str(old.get(what)))} -> {short(str(new.get(what)))}"
    else:
        yield "the code changed"


def _definition_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[str]:
    """What became of definitions; those that changed first, as the others mostly follow from them."""
    before, after = _listed(old, new, "definitions")
    changed = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    come, gone = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    told = [
        f"{_called(name, after[name])} changed" for name in sorted(changed, key=lambda name: _is_import(after[name]))
    ]
    told += [f"{_called(name, after[name])} is used now" for name in come if not _is_import(after[name])]
    told += [f"{_called(name, before[name])} is no longer used" for name in gone if not _is_import(before[name])]
    # Another import comes with what reads it, and is told only where nothing else is.
    return told or [f"{_called(name, after[name])} is new" for name in come] + [
        f"{_called(name, before[name])} is gone" for name in gone
    ]


def _file_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    before, after = _listed(old, new, "files")
    yield from (
        f"code in {name} changed" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]
    )
    yield from (f"code in {name} is used now" for name in sorted(after.keys() - before.keys()))
    yield from (f"code in {name} is no longer used" for name in sorted(before.keys() - after.keys()))


def _package_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    before = cast("Mapping[str, str]", old.get("packages", {}))
    after = cast("Mapping[str, str]", new.get("packages", {}))
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"package {name} {after[name]} is used now"
        elif name not in after:
            yield f"package {name} {before[name]} is no longer used"
        elif before[name] != after[name]:
            yield f"package {name} {before[name]} -> {after[name]}"


def _listed(old: Mapping[str, Json], new: Mapping[str, Json], what: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    if what not in old or what not in new:
        return {}, {}
    return cast("Mapping[str, str]", old[what]), cast("Mapping[str, str]", new[what])


def _is_import(found: str) -> bool:
    return found.startswith("import ")


def _called(name: str, found: str) -> str:
    """A definition for people: ``function clean in helpers.py``."""
    file, _, inner = name.rpartition(":")
    match found.partition(" ")[0]:
        case "statements":
            return f"what importing {file} does"
        case "file":
            return f"file {file}"
        case "import":
            return f"import of {inner} in {file}"
        case "block":
            return f"{inner} in {file}" if inner else f"code in {file}"
        case kind:
            return f"{kind} {inner} in {file}"
