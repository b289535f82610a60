"""The code of a task's class as it counts in keys, and as it is recorded."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from disdat import capture
from disdat.core.bundle import CodeRef
from disdat.core.canonical import Json
from disdat.pipeline import identity, source
from disdat.pipeline.identity import Counted
from disdat.pipeline.session import Session
from disdat.pipeline.source import Code
from disdat.pipeline.task import PipeTask

logger = logging.getLogger("disdat.pipeline")

_told: set[str] = set()


@dataclass(slots=True, eq=False)
class Coded:
    """The code of a task's class: its name, how it counts in the key, where it is, and the source that counts."""

    name: str
    component: Json
    directory: Path
    source: Code | None
    """None where the source does not count."""
    _ref: CodeRef | None = None

    def ref(self) -> CodeRef:
        """The record of it in what it makes; git is asked the first time only, and takes longer than many tasks."""
        if self._ref is None:
            counted = self.source.counted.digest if self.source else None
            self._ref = replace(capture.git(self.directory) or CodeRef(), method=self.name, digest=counted)
        return self._ref

    def is_outdated(self) -> bool:
        """Whether the code in this process is not the source that counts: it was edited after it was imported."""
        return self.source is not None and bool(self.source.outdated)

    def is_tainted(self) -> bool:
        """Whether what ran may have been other code than what counts; asked after it ran."""
        if self.source is None:
            return False
        if outdated := self.source.outdated:
            _tell_once(
                f"{', '.join(outdated)} changed after it was loaded: what {self.name} makes here is not used again; "
                "reload it, or restart this session"
            )
        return bool(outdated) or self.source.edited()


@dataclass(slots=True, eq=False)
class Planned(Coded):
    """The code as another process counted it; :attr:`source` is this one's, and what differs taints."""

    differs: bool = False

    def is_tainted(self) -> bool:
        return self.differs or Coded.is_tainted(self)


def of_class(cls: type[PipeTask], session: Session) -> Coded:
    """The code of *cls* under the policy that counts for it."""
    policy = cls.code_version or session.code_version
    name, directory = source.class_name(cls), _directory(cls)
    if not identity.reads_source(policy):
        return Coded(name, identity.code_component(policy, Counted()), directory, None)
    kept_in = session.context.home.root / "cache"
    code = source.of_class(cls, kept_in=kept_in, with_packages=session.packages == "version")
    for each in code.blind:
        _tell_once(f"cannot tell what this uses, declare it with @uses: {each}")
    git = capture.git(directory) if policy == "git" else None
    return Coded(name, identity.code_component(policy, code.counted, git), directory, code)


def _tell_once(what: str) -> None:
    """Warn of something, once in a process."""
    if what not in _told:
        _told.add(what)
        logger.warning(what)


def as_planned(own: Coded, component: Json, ref: CodeRef) -> Coded:
    """The code *own* of this process, which a process that plans counted as *component*, and recorded as *ref*."""
    return Planned(own.name, component, own.directory, own.source, ref, differs=own.component != component)


def _directory(cls: type) -> Path:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).parent if file else Path()
