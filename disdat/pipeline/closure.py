"""
The closure of a definition: all definitions of the project it reaches, by following names from module to module.

Pure: what a module is comes from whoever asks. Two kinds of statements count: those that define a name that is
reached, and, of every module that is imported on the way, those that do something when it is imported. Where a name
cannot be followed, all of the module it would be in counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from disdat.pipeline import importing, outline, reading
from disdat.pipeline.names import Find, Installed, Module, Names, absolute, as_module
from disdat.pipeline.outline import Statement
from disdat.pipeline.written import PLAIN, Keeping

_LATER = frozenset({"function", "class"})
"""Kinds of statements of which most runs after the module is imported."""
_IMPLICIT = frozenset({"__name__", "__file__", "__doc__", "__path__", "__package__", "__spec__"})


class Definition(NamedTuple):
    """How a name counts: its kind, as of :class:`Statement` or ``statements`` of a module, and a digest."""

    kind: str
    digest: str


class Read(NamedTuple):
    """A file that is read: by which module, how :mod:`disdat.pipeline.reading` tells it, whether on import."""

    module: str
    path: str
    is_imported: bool
    counts: bool
    """Whether what reads it is in the closure; else the module only cannot be imported without it."""


@dataclass(slots=True)
class Closure:
    """Definitions by ``file:name`` (no name: what the module does when imported), and what else counts."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    """The installed packages that are used, by the name they are imported by."""
    modules: dict[str, set[str]] = field(default_factory=dict)
    """The names that count of each module, by the module's name."""
    reads: set[Read] = field(default_factory=set)
    blind: list[str] = field(default_factory=list)
    """What cannot be followed, and where."""


def collect(starts: Sequence[tuple[str, str]], find: Find) -> Closure:
    """
    The closure of definitions, each given as module and name.

    Of an unknown name all of the module counts, as of an empty one. Where something that is reached reads docstrings,
    annotations or the source, these count of all that is reached.
    """
    keeping = PLAIN
    while True:
        walk = _Walk(find, keeping)
        for module, name in starts:
            walk.follow(module, name, declared=False)
            walk.starts.append(module)
        walk.run()
        if (wanted := walk.wanted()) == keeping:
            return walk.result()
        keeping = wanted


class _Walk:
    def __init__(self, find: Find, keeping: Keeping) -> None:
        self.starts: list[str] = []
        self._keeping = keeping
        self._names = Names(find, keeping)
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

    def wanted(self) -> Keeping:
        """What is kept, and what is read besides by what is reached."""
        statements = (self._reached[name].outline.statements[number] for name, number in self._taken)
        reads = {what for each in statements for what in each.reads}
        kept = {each.name for each in fields(Keeping) if getattr(self._keeping, each.name)}
        return Keeping(**dict.fromkeys(reads | kept, True))

    def result(self) -> Closure:
        closure = Closure(packages=self._packages)
        for module in sorted(self._reached.values(), key=lambda each: each.name):
            taken = [
                each for number, each in enumerate(module.outline.statements) if (module.name, number) in self._taken
            ]
            found = dict(_definitions(module, taken, self._bindings.get(module.name, {})))
            closure.modules[module.name] = set(found)
            closure.definitions |= {f"{module.file}:{name}": each for name, each in found.items()}
            for number, each in enumerate(module.outline.statements):
                self._add_files(closure, module, each, counts=(module.name, number) in self._taken)
            closure.blind += (f"{module.file}, {what}" for each in taken for what in each.blind)
        for name, order in importing.orders(self.starts, self._runs):
            at = f"{self._reached[name].file}:"
            done = closure.definitions.get(at, Definition("statements", ""))
            closure.definitions[at] = done._replace(digest=_together([done.digest, *order]))
        return closure

    def _add_files(self, closure: Closure, module: Module, statement: Statement, *, counts: bool) -> None:
        """Note the files that a statement reads."""
        is_imported = statement.kind not in _LATER
        for told in statement.files if counts or (is_imported and not statement.is_skipped) else ():
            if (found := self._names.joined(module, told)) is None:
                continue
            owner, path = found
            what = path.partition(":")[2]
            if not what.startswith(reading.COMPUTED):
                closure.reads.add(Read(owner.name, path, is_imported, counts))
            elif counts:
                closure.blind.append(f"{module.file}, {what[1:]}")

    def follow(self, name: str, path: str, *, declared: bool) -> None:
        """Take in what *path*, names joined by dots, leads to in the module *name*; all of it, if there is no path."""
        module = self._reach(name)
        if module is None or (name, path, declared) in self._seen:
            return
        self._seen.add((name, path, declared))
        if not path:
            self._take_all(module, declared=declared)
        elif not self._is_bound(module, path.partition(".")[0]) or not self._resolve(module, path, declared=declared):
            self._attribute(module, path, declared=declared)

    def _is_bound(self, module: Module, name: str) -> bool:
        """Whether what *name* is in *module* may be told by what binds it there."""
        return name != "__annotations__" and not self._names.is_only_a_module(module, name)

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
            for source in sources:
                self._exports(source, declared=declared)
            self._bindings.setdefault(module.name, {})[name] = " ".join(f"{each.name}:{name}" for each in sources)
        if package and not sources and not numbers:
            self._packages.add(package)
        return bool(numbers or sources)

    def _exports(self, module: Module, *, declared: bool) -> None:
        """Take in what says which names come with a star."""
        for number in module.outline.by_name.get("__all__", ()):
            self._take(module, number, declared=declared)

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
            self._reach(as_module(module, ref))
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
                for name in (as_module(module, ref) for ref in each.imported):
                    self._pass_through(name)
                    runs.append(name)
            if each.acts or self._names.runs_project(module, each):
                self._take(module, number, declared=False)
                runs.append("")

    def _pass_through(self, name: str) -> None:
        """Reach a module that is imported, used or not; an installed one counts only where it is used."""
        if isinstance(self._names.look_up(name), Module):
            self._reach(name)


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


def _done(taken: Sequence[Statement]) -> list[str]:
    """What a module does when imported, in its order, and among it the names that it defines by calling something."""
    done = [(_does(each), each) for each in taken]
    if not any(does for does, _ in done):
        return []
    return [each.digest if does else ",".join(each.names) for does, each in done if does or _calls(each)]


def _does(statement: Statement) -> bool:
    """Whether it does something on import; without a name to define, it was taken for what it calls."""
    return statement.acts or not (statement.names or statement.is_skipped)


def _calls(statement: Statement) -> bool:
    return statement.kind in {"constant", "block"} and bool(statement.calls)


def _together(digests: Iterable[str]) -> str:
    return outline.digest(" ".join(digests).encode())
