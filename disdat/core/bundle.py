"""Bundles and what they are made of: values. A bundle's manifest is these, written by :mod:`disdat.core.manifest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from disdat.core import digest
from disdat.core.canonical import Json
from disdat.core.digest import Digest, LogicalDigest
from disdat.core.tree import Tree, TreeRef

NOTHING: Mapping[str, str] = MappingProxyType({})

_TYPED = frozenset({"array", "table"})
"""Kinds of which equal values may have other types, which the stored bytes tell."""
INLINE_LITERAL_BYTES = 32 << 10
"""A literal whose canonical JSON is larger is stored as an object, not in the manifest."""
INLINE_MANIFEST_BYTES = 32 << 10
"""A manifest that is larger is stored as an object, not in the event that adds its bundle."""


class Inline(NamedTuple):
    """A literal's encoded value, where it lies in the manifest; a box, so that an encoded None is not absence."""

    value: Json


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One named value of a bundle.

    :attr:`name` is the value's path inside the bundle's value, ``""`` for the value itself; a literal that
    holds other values refers to their frames by name. Exactly one of :attr:`inline`, :attr:`digest` and
    :attr:`path` says where the bytes are: in the manifest, in the object store, in the bundle's tree.
    :attr:`form` is the Python shape to give back (``dataframe``, ``series``, ``path``, ``str``, …) and
    :attr:`details` holds what only the serializer of this :attr:`kind` reads.
    """

    name: str
    kind: str
    logical: LogicalDigest
    form: str = ""
    media_type: str = ""
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    inline: Inline | None = None
    digest: Digest | None = None
    size_bytes: int = 0
    path: str | None = None
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A bundle that was read to make this one, under the argument's name, with the digests it had then."""

    argument: str
    uuid: str
    name: str = ""
    processing_name: str = ""
    manifest: Digest | None = None
    logical: LogicalDigest | None = None


@dataclass(frozen=True, slots=True)
class CodeRef:
    """The code that made a bundle: what was called, and the version control state of its directory."""

    method: str = ""
    repo: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool | None = None
    digest: Digest | None = None
    """Digest of the code's source, where reuse is decided by it."""
    committed: str = ""
    """When the commit was made: as git says it, in ISO 8601, or as who packed the code without its repository did."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """What reuse is decided by: the digest of the components, and each component by name, to explain it."""

    algorithm: str
    digest: Digest
    components: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Run:
    """Who ran what, where and when; one for each process or pipeline run, recorded once. Secrets are never in it."""

    id: str
    user: str = ""
    host: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    started_us: int = 0
    python: str = ""
    platform: str = ""
    pid: int = 0
    packages: Digest | None = None
    """The object holding the installed package set as canonical JSON ``[[name, version], …]``."""


@dataclass(frozen=True, slots=True)
class RunRef:
    """The run a bundle was made in, the digest of its record, and the task of it."""

    id: str
    environment: Digest
    packages: Digest | None = None
    task: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a bundle was made: its inputs, its code, its times (µs since the epoch, UTC)."""

    inputs: tuple[Dependency, ...] = ()
    code: CodeRef | None = None
    started_us: int | None = None
    stopped_us: int | None = None
    run: RunRef | None = None
    task: TaskKey | None = None
    observed: tuple[Json, ...] = ()
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """One immutable version of a named data product, as its manifest records it."""

    uuid: str
    name: str
    processing_name: str
    owner: str
    created_us: int
    creator: str
    home: str
    frames: tuple[Frame, ...] = ()
    tree: Tree | TreeRef = field(default_factory=Tree)
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Optional fields of later versions, kept as they were read."""

    @property
    def logical(self) -> LogicalDigest | None:
        """The logical digest of the value; None where the bundle holds no value."""
        return self.frames[0].logical if self.frames else None

    @property
    def exact(self) -> Digest | None:
        """The digest of the value and of the types it reads back as; None where the bundle holds no value."""
        parts = [[each.name, each.form, each.logical, *_types(each)] for each in self.frames]
        return digest.of_json(parts) if parts else None

    @property
    def file_count(self) -> int:
        return self.tree.file_count if isinstance(self.tree, TreeRef) else len(self.tree)

    @property
    def size_bytes(self) -> int:
        """The bytes of its files and stored values, each counted once per use, without the manifest."""
        return self.tree.size_bytes + sum(frame.size_bytes for frame in self.frames if frame.path is None)


def _types(frame: Frame) -> tuple[Json, ...]:
    return (frame.dtype, dict(frame.details), frame.digest) if frame.kind in _TYPED else ()
