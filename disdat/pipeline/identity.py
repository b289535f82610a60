"""
The identity of a task run: the key reuse is decided by.

A key has components, stored one by one with the bundle, because an explanation cannot be rebuilt from one
hash. ``docs/format.md`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from disdat.core import digest
from disdat.core.bundle import CodeRef, TaskKey
from disdat.core.canonical import Json
from disdat.core.digest import Digest

ALGORITHM = "key1"
MAX_LISTED = 128
"""Of more definitions than this there is one digest per file, and of more files than this none, so that manifests
stay small."""

_HEX = 16


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
    inputs: Mapping[str, str | None],
    salt: str = "",
) -> TaskKey:
    """
    The key of running class *cls* (``module.Class``) with these significant parameters, code and inputs.

    *inputs* holds the exact digest of each input by argument; None for a bundle without a value.
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
