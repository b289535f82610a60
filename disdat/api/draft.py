"""What an open bundle has been told so far."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from disdat import config, ops
from disdat.core.bundle import Bundle, CodeRef, Dependency, Lineage
from disdat.errors import InvalidInput

if TYPE_CHECKING:  # it brings in SQLAlchemy, which importing the API must not
    from disdat.ops.bundles import Birth

GENERIC_ARGUMENT = "_arg_{}"
"""What a dependency's argument is called that was given no name; Disdat's."""

_NO_CODE = CodeRef()


class Draft:
    """
    The facts of a bundle that is not stored yet; mutable, and checked as they are given.

    Every method raises TypeError for what is of the wrong type and InvalidInput for what cannot be stored,
    and then has changed nothing.
    """

    def __init__(self) -> None:
        self._name = ""
        self._processing_name = ""
        self._owner = ""
        self.tags: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.inputs: dict[str, Dependency] = {}
        self.data: object = None
        self._has_data = False
        self._code = _NO_CODE
        self.timing: tuple[float, float] = (0, 0)

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        ops.given.check_name("the bundle's name", name)
        self._name = name

    @property
    def processing_name(self) -> str:
        return self._processing_name

    @processing_name.setter
    def processing_name(self, name: str) -> None:
        self._processing_name = _text("the processing name", name)

    @property
    def owner(self) -> str:
        return self._owner or config.login_name()

    @owner.setter
    def owner(self, owner: str) -> None:
        self._owner = _text("the owner", owner)

    @property
    def code_ref(self) -> str:
        return self._code.method

    @property
    def git_info(self) -> tuple[str, str, str]:
        return self._code.repo, self._code.commit, self._code.branch

    @property
    def is_presentable(self) -> bool:
        return self._has_data

    def add_data(self, value: object) -> None:
        if self._has_data:
            warnings.warn("the bundle's data is replaced", stacklevel=3)
        self.data, self._has_data = value, True

    def add_tags(self, tags: Mapping[str, str]) -> None:
        ops.given.check_tags(tags)
        self.tags.update(tags)

    def add_params(self, params: Mapping[str, str]) -> None:
        ops.given.check_mapping("params", params)
        for key, text in params.items():
            _text("the name of a parameter", key)
            _text(f"the parameter {key!r}", text)
        self.params.update(params)

    def add_dependencies(self, given: Sequence[Bundle], arg_names: Iterable[str] | None) -> None:
        names = [GENERIC_ARGUMENT.format(len(self.inputs) + i) for i in range(len(given))]
        if arg_names is not None:
            names = [_text("the name of an argument", name) for name in arg_names]
        if len(names) != len(given):
            raise InvalidInput(f"{len(names)} argument names for {len(given)} bundles", hint="name every bundle")
        if taken := [name for i, name in enumerate(names) if name in self.inputs or name in names[:i]]:
            raise InvalidInput(f"there is a dependency {taken[0]!r} already", hint="give each a name of its own")
        pairs = zip(names, given, strict=True)
        self.inputs |= {name: ops.bundles.dependency(name, each) for name, each in pairs}

    def add_code_ref(self, method: str) -> None:
        self._code = replace(self._code, method=_text("the code reference", method))

    def add_git_info(self, repo: str, commit: str, branch: str) -> None:
        self._code = replace(
            self._code,
            repo=_text("the repository", repo),
            commit=_text("the commit", commit),
            branch=_text("the branch", branch),
        )

    def add_timing(self, start: float, stop: float) -> None:
        for moment in (start, stop):
            if not isinstance(moment, int | float):
                raise TypeError(f"a time is in seconds since the epoch, not {moment!r}")
            if not 0 <= moment < _END_OF_TIME_S:
                raise InvalidInput(f"{moment!r} is no time in seconds since the epoch")
        self.timing = (start, stop)

    def birth(self) -> Birth:
        """What the bundle is born with."""
        start, stop = self.timing
        return ops.bundles.Birth(
            name=self._name,
            processing_name=self._processing_name,
            owner=self._owner,
            tags=dict(self.tags),
            params=dict(self.params),
            lineage=Lineage(
                inputs=tuple(self.inputs.values()),
                code=None if self._code == _NO_CODE else self._code,
                started_us=_us(start),
                stopped_us=_us(stop),
            ),
        )


_END_OF_TIME_S = 253_402_300_800
"""The year 10000, where Python's dates end."""


def _us(seconds: float) -> int | None:
    """Disdat's 0 means that nobody said."""
    return round(seconds * 1_000_000) if seconds else None


def _text(what: str, given: str) -> str:
    ops.given.check_text(what, given)
    return given
