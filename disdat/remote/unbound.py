"""Which bundles have bytes only on remotes that a context is bound to no more, so that they are not taken for lost."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.remote.binding import Binding

NAME = "unbound.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Left:
    """A remote that a context was bound to, and the bundles not all bytes of which were here when it was unbound."""

    binding: Binding
    uuids: frozenset[str]

    @property
    def remedy(self) -> str:
        """The command that binds to it again."""
        return shlex.join(["dsdt", "remote", self.binding.name, self.binding.url])


def read(directory: Path) -> list[Left]:
    """What was noted beside a context; what cannot be read says nothing."""
    try:
        fields = cast("Mapping[str, Any]", canonical.decode((directory / NAME).read_bytes()))
        found = fields["remotes"] if fields["format"] == FORMAT else ()
        return [Left(Binding.from_json(each["remote"]), frozenset(map(str, each["bundles"]))) for each in found]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def noted(before: Sequence[Left], left: Left | None, bound: Binding | None) -> list[Left]:
    """What is to be noted once a context has *left* a remote, and is *bound* to another one, or to none."""
    gone = {_store(each) for each in (bound, left.binding if left else None) if each is not None}
    kept = [each for each in before if _store(each.binding) not in gone]
    return [*kept, left] if left is not None and left.uuids else kept


def line(lefts: Sequence[Left]) -> bytes:
    """The file, as :func:`read` reads it."""
    remotes: list[Json] = [{"remote": each.binding.to_json(), "bundles": sorted(each.uuids)} for each in lefts]
    return canonical.encode({"format": FORMAT, "remotes": remotes}) + b"\n"


def _store(binding: Binding) -> tuple[str, str]:
    return binding.id, binding.name
