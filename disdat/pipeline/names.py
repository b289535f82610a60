"""
What the names of modules stand for, as far as imports lead, and what classes and decorators do when they are used.

Pure: what a module is comes from whoever asks.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from disdat.pipeline import reading
from disdat.pipeline.outline import Outline, Statement
from disdat.pipeline.written import Keeping

_TASK_BASES = frozenset({"disdat.pipe.PipeTask", "disdat.pipeline.task.PipeTask"})
_REGISTERING = ("register", "listens_for", "implements", "hookimpl")


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the project: its name, what people call its file, and its outline."""

    name: str
    file: str
    outline: Outline
    is_package: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A module of an installed package, which counts by its version."""

    package: str


Find = Callable[[str, Keeping], Module | Installed | None]
"""Gives a module by its name, outlined with what counts of it; None for what is neither the project's nor installed."""


class Names:
    """What names stand for, as far as imports lead."""

    def __init__(self, find: Find, keeping: Keeping) -> None:
        self._find = find
        self._keeping = keeping
        self._found: dict[str, Module | Installed | None] = {}
        self._tasks: dict[tuple[str, str], bool] = {}
        self._quiet: set[tuple[str, str]] = set()
        """Classes that do nothing when another one is derived from them."""

    def look_up(self, name: str) -> Module | Installed | None:
        if name not in self._found:
            self._found[name] = self._find(name, self._keeping)
        return self._found[name]

    def star_sources(self, module: Module, name: str) -> tuple[list[Module], str]:
        """The modules that bind a name which *module* imports with all others; and an installed one that may."""
        pending, seen, package = [module], {module.name}, ""
        sources: list[Module] = []
        while pending:
            here = pending.pop()
            for target in (absolute(here, ref)[0] for ref in here.outline.stars):
                found = self.look_up(target)
                if isinstance(found, Installed):
                    package = found.package
                elif found is not None and target not in seen:
                    seen.add(target)
                    (sources if name in found.outline.by_name else pending).append(found)
        return sources, package

    def path(self, module: Module, ref: str) -> tuple[Module, str] | None:
        """The module that binds what a reference of *module* names to a path, and that; None where it is none."""
        target, name = self._deepest(*absolute(module, ref))
        found = self.look_up(target)
        origin, name = self._origin(found, name) if isinstance(found, Module) else ("", name)
        if isinstance(origin, str) or (told := origin.outline.paths.get(name)) is None:
            return None
        return self.joined(origin, told)

    def joined(self, module: Module, told: str) -> tuple[Module, str] | None:
        """A path of *module*, as :mod:`disdat.pipeline.reading` tells it, where it begins; None if that is no path."""
        if not told.startswith(reading.FOREIGN):
            return module, told
        _, target, name, rest = told.split(":", 3)
        if (found := self.path(module, f":{target}:{name}")) is None:
            return None
        anchor, _, beginning = found[1].partition(":")
        return found[
            0
        ], f"{anchor}:{rest if rest[0] == reading.COMPUTED else posixpath.normpath(f'{beginning}/{rest}')}"

    def is_only_a_module(self, module: Module, name: str) -> bool:
        """Whether a package binds *name* only by importing its own module of that name."""
        statements = [module.outline.statements[number] for number in module.outline.by_name.get(name, ())]
        bound = [absolute(module, ref) for each in statements for ref in each.imports.get(name, ())]
        is_import = all(each.kind == "import" for each in statements)
        return is_import and bool(bound) and all(each == (module.name, name) for each in bound)

    def is_task(self, module: Module, name: str) -> bool:
        """Whether *name* is a class of tasks in *module*."""
        key = (module.name, name)
        if key not in self._tasks:
            self._tasks[key] = False  # of a class that is derived from itself
            bases = [base for each in _classes(module, name) for base in each.bases]
            self._tasks[key] = any(self._is_task_base(module, base) for base in bases)
        return self._tasks[key]

    def runs_project(self, module: Module, statement: Statement) -> bool:
        """Whether code of the project runs to define this, which may do more than that."""
        return (
            any(self._is_projects(module, ref) or _registers(ref) for ref in statement.calls)
            or any(self._acts_when_derived_from(module, ref) for ref in statement.bases)
            or (statement.kind == "constant" and any(self._is_imported(module, name) for name in statement.names))
        )

    def _is_imported(self, module: Module, name: str) -> bool:
        """Whether *name* is another module's too: ``TABLE += [f]`` changes what that one has."""
        numbers = module.outline.by_name[name]
        return len(numbers) > 1 and any(name in module.outline.statements[number].imports for number in numbers)

    def _is_task_base(self, module: Module, base: str) -> bool:
        origin, path = self._origin(module, base)
        if isinstance(origin, str):
            return f"{origin}.{path}" in _TASK_BASES
        return self.is_task(origin, path)

    def _is_projects(self, module: Module, ref: str) -> bool:
        origin, path = self._origin(module, ref)
        return isinstance(origin, Module) and (origin is not module or path.partition(".")[0] in origin.outline.by_name)

    def _acts_when_derived_from(self, module: Module, base: str) -> bool:
        pending, seen = [self._origin(module, base)], set()
        while pending:
            origin, path = pending.pop()
            if isinstance(origin, str) or (origin.name, path) in self._quiet or (origin.name, path) in seen:
                continue
            seen.add((origin.name, path))
            if self._is_made(origin, path):
                return True
            for each in _classes(origin, path):
                if each.hooks:
                    return True
                pending += (self._origin(origin, base) for base in each.bases)
        self._quiet |= seen
        return False

    def _is_made(self, module: Module, name: str) -> bool:
        """Whether *name* is a value that code of the project makes, of which nothing is known."""
        found = [module.outline.statements[number] for number in module.outline.by_name.get(name, ())]
        return any(each.kind == "constant" and self._is_projects(module, ref) for each in found for ref in each.calls)

    def _origin(self, module: Module, path: str) -> tuple[Module | str, str]:
        """The module (of one that is not the project's the name) and the path that *path* is defined under."""
        seen = set()
        while (module.name, path) not in seen:
            seen.add((module.name, path))
            name, _, rest = path.partition(".")
            refs = [
                ref
                for number in module.outline.by_name.get(name, ())
                for ref in module.outline.statements[number].imports.get(name, ())
            ]
            if name not in module.outline.by_name and (sources := self.star_sources(module, name)[0]):
                module = sources[-1]
                continue
            if not refs:
                return module, path
            targets = (absolute(module, ref) for ref in refs)
            places = [self._deepest(target, ".".join(filter(None, (inner, rest)))) for target, inner in targets]
            # Of several that are tried one is the project's.
            own = [(found, path) for target, path in places if isinstance(found := self.look_up(target), Module)]
            if not own:
                return places[0]
            module, path = own[0]
        return module, path

    def _deepest(self, target: str, path: str) -> tuple[str, str]:
        """A module and a path in it, with as much of the path as names modules."""
        while path:
            name, _, rest = path.partition(".")
            found = self.look_up(target)
            is_bound = isinstance(found, Module) and name in found.outline.by_name
            if is_bound and not (isinstance(found, Module) and self.is_only_a_module(found, name)):
                break
            if not isinstance(found, Module) or not isinstance(self.look_up(f"{target}.{name}"), Module):
                break
            target, path = f"{target}.{name}", rest
        return target, path


def absolute(module: Module, ref: str) -> tuple[str, str]:
    """The module and the path in it that a reference of *module* names."""
    _, target, path = ref.split(":")
    if target.startswith("."):
        inner = target.lstrip(".")
        parts = module.name.split(".")
        around = parts[: len(parts) - (len(target) - len(inner)) + module.is_package]
        target = ".".join(filter(None, [*around, inner]))
    return target, path


def as_module(module: Module, ref: str) -> str:
    """The module a reference names, if all of it is one."""
    return ".".join(filter(None, absolute(module, ref)))


def _classes(module: Module, name: str) -> Iterator[Statement]:
    for number in module.outline.by_name.get(name, ()):
        if (each := module.outline.statements[number]).kind == "class":
            yield each


def _registers(called: str) -> bool:
    """Whether what is called, or decorates, is likely to hand on what it is given, as pandas' accessors are."""
    last = called.rpartition(".")[2]
    return any(word in last for word in _REGISTERING)
