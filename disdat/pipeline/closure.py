"""
The closure of a definition: all definitions of the project it reaches, by following names from module to module.

Pure: what a module is comes from whoever asks. Two kinds of statements count: those that define a name that is
reached, and, of every module that is imported on the way, those that do something when it is imported. Where a name
cannot be followed, all of the module it would be in counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from disdat.pipeline import importing, outline
from disdat.pipeline.outline import Outline, Statement

_TASK_BASES = frozenset({"disdat.pipe.PipeTask", "disdat.pipeline.task.PipeTask"})
_REGISTERING = ("register", "listens_for", "implements", "hookimpl")
_IMPLICIT = frozenset({"__name__", "__file__", "__doc__", "__path__", "__package__", "__spec__"})


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


Find = Callable[[str], Module | Installed | None]
"""Gives a module by its name; None for what is neither the project's nor installed."""


class Definition(NamedTuple):
    """How a name counts: its kind, as of :class:`Statement` or ``statements`` of a module, and a digest."""

    kind: str
    digest: str


@dataclass(slots=True)
class Closure:
    """Definitions by ``file:name`` (no name: what the module does when imported), and what else counts."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    """The installed packages that are used, by the name they are imported by."""
    modules: dict[str, set[str]] = field(default_factory=dict)
    """The names that count of each module, by the module's name."""
    blind: list[str] = field(default_factory=list)
    """What cannot be followed, and where."""


def collect(starts: Iterable[tuple[str, str]], find: Find) -> Closure:
    """
    The closure of definitions, each given as module and name.

    Of an unknown name all of the module counts, as of an empty one.
    """
    walk = _Walk(find)
    for module, name in starts:
        walk.follow(module, name, declared=False)
        walk.starts.append(module)
    walk.run()
    return walk.result()


class _Walk:
    def __init__(self, find: Find) -> None:
        self.starts: list[str] = []
        self._names = _Names(find)
        self._reached: dict[str, Module] = {}
        self._taken: dict[tuple[str, int], bool] = {}
        """The statements in the closure, and whether they only say which tasks there are."""
        self._bindings: dict[str, dict[str, str]] = {}
        """What is imported, by the module that does it and the name it has there."""
        self._runs: dict[str, list[str]] = {}
        """What happens when a module is imported, as :mod:`disdat.pipeline.importing` has it."""
        self._whole: set[str] = set()
        """The modules of which all counts."""
        self._seen: set[tuple[str, str, bool]] = set()
        self._pending: list[tuple[Module, int, bool]] = []
        self._unfinished: list[Module] = []
        self._packages: set[str] = set()

    def run(self) -> None:
        while self._pending or self._unfinished:
            while self._unfinished:
                self._import(self._unfinished.pop())
            if self._pending:
                module, number, declared = self._pending.pop()
                self._read(module, module.outline.statements[number], declared=declared)

    def result(self) -> Closure:
        closure = Closure(packages=self._packages)
        reached = sorted(self._reached.values(), key=lambda each: each.name)
        if any(each.outline.reads_docstrings for each in reached):
            reached = list(map(_with_docstrings, reached))
        for module in reached:
            taken = [
                each for number, each in enumerate(module.outline.statements) if (module.name, number) in self._taken
            ]
            found = dict(_definitions(module, taken, self._bindings.get(module.name, {})))
            closure.modules[module.name] = set(found)
            closure.definitions |= {f"{module.file}:{name}": each for name, each in found.items()}
            closure.blind += (f"{module.file}, {what}" for each in taken for what in each.blind)
        for name, order in importing.orders(self.starts, self._runs):
            at = f"{self._reached[name].file}:"
            done = closure.definitions.get(at, Definition("statements", ""))
            closure.definitions[at] = done._replace(digest=_together([done.digest, *order]))
        return closure

    def follow(self, name: str, path: str, *, declared: bool) -> None:
        """Take in what *path*, names joined by dots, leads to in the module *name*; all of it, if there is no path."""
        module = self._reach(name)
        if module is None or (name, path, declared) in self._seen:
            return
        self._seen.add((name, path, declared))
        if not path:
            self._take_all(module, declared=declared)
        elif self._names.is_only_a_module(module, path.partition(".")[0]) or not self._resolve(
            module, path, declared=declared
        ):
            self._attribute(module, path, declared=declared)

    def _resolve(self, module: Module, path: str, *, declared: bool) -> bool:
        """Take in what a name is bound to in *module*; whether it is."""
        name, _, rest = path.partition(".")
        numbers = module.outline.by_name.get(name, ())
        for number in numbers:
            statement = module.outline.statements[number]
            if statement.kind != "import" and not (declared and not rest and self._names.is_task(module, name)):
                self._take(module, number, declared=declared)
            for target in self._bind(module, statement, name):
                self._follow_into(target, rest, declared=declared)
        sources, package = self._names.star_sources(module, name)
        for source in sources:
            self.follow(source.name, path, declared=declared)
        if len(sources) > 1 or (sources and numbers):
            self._bindings.setdefault(module.name, {})[name] = " ".join(f"{each.name}:{name}" for each in sources)
        if package and not sources and not numbers:
            self._packages.add(package)
        return bool(numbers or sources)

    def _follow_into(self, target: tuple[str, str], rest: str, *, declared: bool) -> None:
        self.follow(target[0], ".".join(filter(None, (target[1], rest))), declared=declared)

    def _bind(self, module: Module, statement: Statement, name: str) -> list[tuple[str, str]]:
        """Note what an import binds a name to; module and path."""
        targets = [absolute(module, ref) for ref in statement.imports.get(name, ())]
        for target, path in targets:
            self._bindings.setdefault(module.name, {})[name] = f"{target}:{path}"
        return targets

    def _attribute(self, module: Module, path: str, *, declared: bool) -> None:
        """Take in an attribute that no statement of *module* binds: a module in it, or who knows what."""
        name, _, rest = path.partition(".")
        inner = f"{module.name}.{name}"
        if self._names.look_up(inner) is not None:
            self.follow(inner, rest, declared=declared)
        elif name not in _IMPLICIT:
            self.follow(module.name, "", declared=declared)

    def _take_all(self, module: Module, *, declared: bool) -> None:
        for number, each in enumerate(module.outline.statements):
            if each.kind != "import":
                self._take(module, number, declared=declared)
            for name in each.imports:
                for target, path in self._bind(module, each, name):
                    # Of a module that it imports only what it reads of that counts.
                    if path and self._names.look_up(f"{target}.{path}") is None:
                        self.follow(target, path, declared=declared)
                    else:
                        self._reach(target)
        for ref in module.outline.stars:
            self.follow(absolute(module, ref)[0], "", declared=declared)
        # The modules of a package are attributes of it once they are imported.
        self._whole.add(module.name)
        for name in [each for each in self._reached if each.rpartition(".")[0] == module.name]:
            self.follow(name, "", declared=declared)

    def _take(self, module: Module, number: int, *, declared: bool) -> None:
        key = (module.name, number)
        if key not in self._taken or (self._taken[key] and not declared):
            self._taken[key] = declared
            self._pending.append((module, number, declared))

    def _read(self, module: Module, statement: Statement, *, declared: bool) -> None:
        """Follow what a statement that counts names."""
        for ref in statement.imported:
            self._reach(_as_module(module, ref))
        for ref in statement.refs:
            self._refer(module, ref, declared=declared)
        for ref in statement.declared:
            self._refer(module, ref, declared=True)

    def _refer(self, module: Module, ref: str, *, declared: bool) -> None:
        if ref == "*":
            self.follow(module.name, "", declared=declared)
        elif ref[0] == ":":
            self._follow_into(absolute(module, ref), "", declared=declared)
        elif (key := (module.name, f"={ref}", declared)) not in self._seen:
            self._seen.add(key)
            self._resolve(module, ref, declared=declared)

    def _reach(self, name: str) -> Module | None:
        """The module *name* of the project, which is imported from now on; an installed one counts as a package."""
        if name in self._reached:
            return self._reached[name]
        found = self._names.look_up(name)
        if isinstance(found, Installed):
            self._packages.add(found.package)
        if not isinstance(found, Module):
            return None
        self._reached[name] = found
        self._unfinished.append(found)
        if "." in name:
            self._reach(name.rpartition(".")[0])
        return found

    def _import(self, module: Module) -> None:
        """Take in what happens when *module* is imported."""
        if module.name.rpartition(".")[0] in self._whole:
            self.follow(module.name, "", declared=False)
        runs = self._runs[module.name] = []
        for number, each in enumerate(module.outline.statements):
            if each.is_skipped:
                continue
            if each.kind != "function":
                for name in (_as_module(module, ref) for ref in each.imported):
                    self._pass_through(name)
                    runs.append(name)
            if each.acts or self._names.runs_project(module, each):
                self._take(module, number, declared=False)
                runs.append("")

    def _pass_through(self, name: str) -> None:
        """Reach a module that is imported, used or not; an installed one counts only where it is used."""
        if isinstance(self._names.look_up(name), Module):
            self._reach(name)


class _Names:
    """What names stand for, as far as imports lead."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._found: dict[str, Module | Installed | None] = {}
        self._tasks: dict[tuple[str, str], bool] = {}
        self._quiet: set[tuple[str, str]] = set()
        """Classes that do nothing when another one is derived from them."""

    def look_up(self, name: str) -> Module | Installed | None:
        if name not in self._found:
            self._found[name] = self._find(name)
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


def _as_module(module: Module, ref: str) -> str:
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


def _with_docstrings(module: Module) -> Module:
    """*module* with statements in which docstrings count."""
    found = module.outline
    statements = [
        each._replace(digest=_together([each.digest, each.docstrings])) if each.docstrings else each
        for each in found.statements
    ]
    return replace(module, outline=replace(found, statements=statements))


def _definitions(module: Module, taken: list[Statement], bindings: dict[str, str]) -> Iterator[tuple[str, Definition]]:
    if done := _done(taken):
        yield "", Definition("statements", outline.digest(" ".join(done).encode()))
    statements: dict[str, list[Statement]] = {}
    for each in taken:
        for name in each.names:
            statements.setdefault(name, []).append(each)
    for name, found in statements.items():
        digests = [found[0].digest]
        if len(module.outline.by_name[name]) > 1:
            digests = list(_in_order(module, name, taken))
        if name in bindings and not any(name in each.imports for each in found):
            digests.append(bindings[name])
        yield name, Definition(found[-1].kind, digests[0] if len(digests) == 1 else _together(digests))
    for name, target in bindings.items():
        if name not in statements:
            yield name, Definition("import", outline.digest(target.encode()))


def _in_order(module: Module, name: str, taken: list[Statement]) -> Iterator[str]:
    """What binds *name* several times, and in between what counts and reads it: that has the value it had then."""
    numbers, counted = module.outline.by_name[name], {id(each) for each in taken}
    for each in module.outline.statements[numbers[0] : numbers[-1] + 1]:
        if name in each.names:
            yield each.digest
        elif id(each) in counted and any(ref.partition(".")[0] == name for ref in each.refs):
            yield ",".join(each.names)


def _done(taken: Iterable[Statement]) -> list[str]:
    """What a module does when imported, in its order, and among it the names that it defines by calling something."""
    if not any(each.acts for each in taken):
        return []
    return [each.digest if each.acts else ",".join(each.names) for each in taken if each.acts or _calls(each)]


def _calls(statement: Statement) -> bool:
    return statement.kind in {"constant", "block"} and bool(statement.calls)


def _together(digests: Iterable[str]) -> str:
    return outline.digest(" ".join(digests).encode())
