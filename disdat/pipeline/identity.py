"""
The identity of a task run: the key reuse is decided by, and what differs between two keys.

A key has components, stored one by one with the bundle, because an explanation cannot be rebuilt from one
hash. ``docs/format.md`` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from disdat.core import digest
from disdat.core.bundle import CodeRef, TaskKey
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest

ALGORITHM = "key1"
MAX_LISTED_MODULES = 64
"""Of more modules than this only the digest of all is kept, so that manifests stay small."""

_SHOWN = 40
_HEX = 16

Modules = Mapping[str, Digest]
"""The digest of each module's source, by the module's name."""


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


def closure_digest(modules: Modules) -> Digest:
    """The digest of all modules' source together."""
    return digest.of_json(dict(modules))


def code_component(policy: str, modules: Modules, git: CodeRef | None = None) -> Json:
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
    closure: dict[str, Json] = {"policy": policy, "digest": closure_digest(modules)}
    if len(modules) <= MAX_LISTED_MODULES:
        closure["modules"] = {name: each.hex[:_HEX] for name, each in modules.items()}
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
    elif "modules" in old and "modules" in new:
        yield from _module_changes(_modules(old), _modules(new))
    elif what := next((name for name in ("version", "commit") if old.get(name) != new.get(name)), None):
        yield f"code {what} {short(str(old.get(what)))} -> {short(str(new.get(what)))}"
    else:
        yield "the code changed"


def _modules(code: Mapping[str, Json]) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", code["modules"])


def _module_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    yield from (f"code of {name} changed" for name in changed)
    yield from (f"code of {name} is no longer used" for name in sorted(old.keys() - new.keys()))
    yield from (f"code of {name} is used now" for name in sorted(new.keys() - old.keys()))
