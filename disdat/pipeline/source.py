"""
The code that a task's class runs, as far as it is the project's: which definitions, in which state, read from where.

It is found by following names through the sources, so it is the same in every process and on every machine, whether
a module is loaded there or not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from disdat.core import canonical
from disdat.core.canonical import Json
from disdat.errors import InvalidInput
from disdat.pipeline import beside, closure, loaded, made, outline, packages, projects, recall, sources, unfiled, uses
from disdat.pipeline.beside import File
from disdat.pipeline.closure import Closure, Definition
from disdat.pipeline.identity import Counted
from disdat.pipeline.loaded import Part
from disdat.pipeline.names import Installed, Module
from disdat.pipeline.outline import Outline
from disdat.pipeline.projects import Project
from disdat.pipeline.sources import Kept, Mark, Source
from disdat.pipeline.written import Keeping

_SCRIPTS = frozenset({"__main__", "__mp_main__"})

_Files = Mapping[str, tuple[str, Mark]]
"""The files of modules and the state they had, by the module's name."""


@dataclass(frozen=True)
class Code:
    """
    The code of a class: what counts of it, and where that was read.

    In :attr:`counted` a definition without a name is what the module does when it is imported.
    """

    cls: type
    counted: Counted
    blind: tuple[str, ...] = ()
    """What the code does that cannot be followed, and where."""
    files: Mapping[str, Mark] = field(default_factory=dict)
    """The files that were read, in the state they had."""
    parts: tuple[Part, ...] = ()
    data: tuple[File, ...] = ()
    """The files that the code reads."""
    kept_in: Path | None = None
    """Where what was found of the sources is kept."""

    @property
    def outdated(self) -> tuple[str, ...]:
        """The modules of which this process has something else loaded: they were edited after they were imported."""
        return tuple(dict.fromkeys([*loaded.differing(self.parts), *beside.differing(self.data)]))

    @property
    def beside(self) -> frozenset[Path]:
        """The files that the code needs: those that it reads, and that the class says it uses."""
        declared = uses.of_class(self.cls).files.values()
        return frozenset([*(each.path for each in self.data), *(each for each in declared if each.is_file())])

    def edited(self) -> bool:
        """Whether the sources are no longer what they were when this was made, in what counts of them."""
        declared = uses.of_class(self.cls).files
        if any(uses.is_changed(path, self.counted.definitions[f"{called}:"][1]) for called, path in declared.items()):
            return True
        if any(each.counts and uses.is_changed(each.path, each.digest) for each in self.data):
            return True
        if not any(sources.is_changed(path, mark) for path, mark in self.files.items()):
            return False
        return of_class(self.cls, kept_in=self.kept_in).counted.definitions != self.counted.definitions


def of_class(cls: type, *, kept_in: Path | None = None, with_packages: bool = True) -> Code:
    """
    The code that counts for *cls*: its definition, and all that one reaches.

    What was found of sources is kept in the directory *kept_in*, which only saves time.

    Raises:
        InvalidInput: What the class says that it uses is not there.
    """
    return _Reader(cls, kept_in).code(with_packages=with_packages)


def class_name(cls: type) -> str:
    """``module.Class``, the same whether its module was imported or runs as a script."""
    return f"{module_name(made.home(cls))}.{cls.__qualname__}"


def module_name(name: str) -> str:
    """The name a module is imported by, for one that runs as a script too; ``__main__`` where it has no file."""
    if name not in _SCRIPTS:
        return name
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(module, "__file__", None)
    return "__main__" if file is None else _dotted(Path(file))


def note_loaded(name: str) -> None:
    """Remember the source of a module that is being loaded now, to notice if it is edited while it stays loaded."""
    if (module := sys.modules.get(name)) is not None:
        loaded.note(module)


class _Reader:
    """Reads the modules that the code of a class reaches."""

    def __init__(self, cls: type, kept_in: Path | None) -> None:
        self._cls = cls
        self._kept_in = kept_in
        self._bases = [each for each in cls.__mro__ if not projects.is_ours(each.__module__)]
        own_package = module_name(made.home(cls)).partition(".")[0]
        files = {module_name(made.home(each)): _file_of(each) for each in self._bases}
        own = {name: path for name, path in files.items() if path and projects.is_projects(path, name, own_package)}
        roots = [projects.root_of(path, name) for name, path in own.items()]
        self._project = Project(own_package, roots)
        self._unfiled: dict[str, Outline] = {}
        self._read: dict[str, Source] = {}
        self._kept: dict[Keeping, Kept] = {}
        self._outlines = (kept_in / "outlines", roots[0]) if kept_in and roots else None
        self._closures = kept_in / "closures" if kept_in and roots else None
        for name, path in own.items():
            self._project.add(name, path)

    def code(self, *, with_packages: bool) -> Code:
        named = uses.of_class(self._cls)
        unnamed = [each for each in self._bases if not made.is_named(each)]
        given = [made.of_class(each, self._label(module_name(made.home(each))), self._is_module) for each in unnamed]
        starts = [*self._starts(), *self._modules_used(named.modules), *named.definitions]
        found, files = self._closure([*starts, *(start for each in given for start in each.starts)])
        data, directories = beside.find(found.reads, self._where)
        used = {called: uses.digest_of(path) for called, path in named.files.items()}
        used |= {each.called: each.digest for each in data if each.counts}
        versions = (packages.versions(each) for each in found.packages)
        return Code(
            cls=self._cls,
            counted=Counted(
                {
                    **found.definitions,
                    **{f"{called}:": Definition("file", told) for called, told in used.items()},
                    **{each.called: Definition("values", each.digest) for each in given if each.values},
                },
                dict(sorted(pair for each in versions for pair in each.items())) if with_packages else {},
            ),
            blind=(*found.blind, *directories, *(what for each in given for what in each.blind)),
            files=dict(files.values()),
            parts=tuple(_parts(found, files)),
            data=tuple(data),
            kept_in=self._kept_in,
        )

    def _closure(self, starts: list[tuple[str, str]]) -> tuple[Closure, _Files]:
        """The closure, and the files of its modules; as an earlier process found it, if that still holds."""
        if self._closures is None or self._unfiled:
            return closure.collect(starts, self._find), self._files()
        asked: Json = [[list(each) for each in starts], self._project.asked()]
        path = self._closures / f"{outline.digest(canonical.encode(asked))}.json"
        recalled = recall.load(path, asked)
        if recalled is not None:
            return recalled.closure, recalled.files
        found, files = closure.collect(starts, self._find), self._files()
        listings = {each: projects.listing(each) for each in self._project.searched()}
        recall.save(path, asked, recall.Found(found, files, listings))
        for kept in self._kept.values():
            kept.save()
        return found, files

    def _files(self) -> _Files:
        return {name: (each.path, each.mark) for name, each in self._read.items()}

    def _starts(self) -> list[tuple[str, str]]:
        """The class and its bases, which may be such as no source tells."""
        named = [(each, module_name(made.home(each))) for each in self._bases]
        return [(name, each.__qualname__.partition(".")[0]) for each, name in named if self._is_projects(each, name)]

    def _is_projects(self, cls: type, name: str) -> bool:
        if self._project.place(name) is not None:
            return True
        if _file_of(cls) is not None or name in sys.stdlib_module_names:
            return False
        if name not in self._unfiled:
            text = unfiled.source(sys.modules.get(made.home(cls)), cls)
            self._unfiled[name] = outline.read(text.encode("utf-8", "surrogatepass"))
        return True

    def _modules_used(self, names: Iterable[str]) -> Iterable[tuple[str, str]]:
        for name in names:
            if self._project.place(name) is None and not self._project.is_installed(name):
                raise InvalidInput(
                    f"{self._cls.__name__} uses {name}, which is no module of the project, nor installed",
                    hint="name a module as an import does",
                )
            yield name, ""

    def _is_module(self, name: str) -> bool:
        return self._project.place(module_name(name)) is not None

    def _label(self, name: str) -> str:
        """What people call the file of a module; the module, as a path, where it has none."""
        place, label = self._project.place(name), name.replace(".", "/")
        if place is None or place.path is None:
            return label
        return label + ("/" + os.path.basename(place.path) if place.is_package else os.path.splitext(place.path)[1])

    def _where(self, name: str) -> tuple[str, str] | None:
        """Where a module of the project is, as :data:`beside.Where` has it."""
        place, label = self._project.place(name), self._label(name)
        if place is None:
            return None
        return (label, place.path) if place.path else (f"{label}/", f"{place.directories[0]}/")

    def _find(self, name: str, keeping: Keeping) -> Module | Installed | None:
        if name in self._unfiled:
            return Module(name, name, self._unfiled[name])
        place = self._project.place(name)
        if place is None:
            return Installed(name.partition(".")[0]) if self._project.is_installed(name) else None
        if place.path is None:
            return Module(name, self._label(name), Outline(()), is_package=True)
        if self._outlines and keeping not in self._kept:
            self._kept[keeping] = sources.kept(*self._outlines, keeping)
        read = sources.read(place.path, self._kept.get(keeping), keeping)
        if read is None:
            return None
        self._read[name] = read
        return Module(name, self._label(name), read.outline, is_package=place.is_package)


def _parts(found: Closure, files: _Files) -> Iterable[Part]:
    for name, names in found.modules.items():
        if names and name in files:
            path, mark = files[name]
            yield Part(name, path, mark.digest, frozenset(names))


def _file_of(cls: type) -> str | None:
    module = sys.modules.get(made.home(cls))
    return None if module is None else projects.file_of(module)


def _dotted(path: Path) -> str:
    parts = [path.stem]
    for directory in path.resolve().parents:
        if not (directory / "__init__.py").is_file():
            break
        parts.insert(0, directory.name)
    return ".".join(parts)
