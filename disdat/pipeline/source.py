"""
The source a task's result depends on: its project modules, and all project modules they import.

A module is the project's if it is neither the standard library's nor installed (``site-packages``) nor this
package's; of an installed pipeline, the modules of its own top-level package are. Imports are followed by name
through the source, wherever in it they stand, so the result is the same in every process and on every machine.
Coarse: every character of such a module counts. What only a running program knows (a module whose name is
computed, a file that is read) is not seen.
"""

from __future__ import annotations

import ast
import linecache
import os
import site
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from disdat.core import digest
from disdat.core.digest import Digest

_SCRIPTS = frozenset({"__main__", "__mp_main__"})
_OURS = frozenset({"disdat", "luigi"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SETTLED_NS = 2_000_000_000
"""A file changed later than this before it was read may change again without a new time stamp."""


@dataclass(frozen=True, slots=True)
class Code:
    """The modules a class depends on: the digest of each one's source by name, and the files they were read from."""

    modules: Mapping[str, Digest]
    files: Mapping[str, str]
    outdated: tuple[str, ...] = ()
    """Modules that were edited after this process loaded them: what runs is not what is on disk."""

    def edited(self) -> list[str]:
        """The modules whose source on disk is no longer what it was when this was made."""
        return [name for name, path in self.files.items() if _digest_now(path) != self.modules[name]]


def of_class(cls: type) -> Code:
    """The source that counts for *cls*: the modules its code and that of its project base classes lies in, and on."""
    closure = _Closure(_importable_roots(), own_package=module_name(cls.__module__).partition(".")[0])
    for each in cls.__mro__:
        if each.__module__.partition(".")[0] not in _OURS:
            closure.start(each)
    return closure.code()


def class_name(cls: type) -> str:
    """``module.Class``, the same whether its module was imported or runs as a script."""
    return f"{module_name(cls.__module__)}.{cls.__qualname__}"


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
    module = sys.modules.get(name)
    path = _file_of(module) if module is not None else None
    if module is not None and path is not None and (now := _digest_now(path)) is not None:
        _is_as_loaded(module_name(name), module, now)


class _Closure:
    """Collects modules and follows their imports."""

    def __init__(self, roots: tuple[Path, ...], *, own_package: str) -> None:
        self._roots = list(roots)
        self._own_package = own_package
        self._modules: dict[str, Digest] = {}
        self._files: dict[str, str] = {}
        self._outdated: list[str] = []

    def start(self, cls: type) -> None:
        """Take in the module of *cls* if it is the project's, and what it imports."""
        name, module = module_name(cls.__module__), sys.modules.get(cls.__module__)
        path = None if module is None else _file_of(module)
        if path is not None and self._counts(path, name):
            self._roots.insert(0, _root(Path(path), name))
            self._follow([(name, path, module)])
        elif path is None and name not in sys.stdlib_module_names:
            self._take_session(name, _session_parts(module, cls))

    def code(self) -> Code:
        return Code(dict(sorted(self._modules.items())), self._files, tuple(self._outdated))

    def _follow(self, pending: list[_Located]) -> None:
        while pending:
            name, path, module = pending.pop()
            if name in self._modules or (read := _read(path)) is None:
                continue
            self._modules[name], self._files[name] = read.digest, path
            if module is not None and not _is_as_loaded(name, module, read.digest):
                self._outdated.append(name)
            package = name if os.path.basename(path).startswith("__init__.") else name.rpartition(".")[0]
            pending += self._located(_imports(path, read, package), package)

    def _take_session(self, name: str, parts: list[str]) -> None:
        """Take in code that has no file: that of a notebook, an interactive session or an archive."""
        self._modules[name] = digest.of_json(parts)
        for part in parts:
            self._follow(list(self._located(_imports_in(part, ""), "")))

    def _located(self, names: Iterable[str], package: str) -> Iterator[_Located]:
        for name in _with_parents(names, package):
            if name not in self._modules and (path := self._locate(name)):
                yield name, path, sys.modules.get(name)

    def _locate(self, name: str) -> str | None:
        """The file of a project module; None for any other, and for what is no module."""
        top = sys.modules.get(name.partition(".")[0])
        top_path = None if top is None else _file_of(top)
        if top_path is not None and not self._counts(top_path, name):
            return None
        loaded = sys.modules.get(name)
        path = _file_of(loaded) if loaded is not None else _search(name, self._roots)
        return path if path is not None and self._counts(path, name) else None

    def _counts(self, path: str, name: str) -> bool:
        top = name.partition(".")[0]
        if top in _OURS:
            return False
        if _is_installed(path):
            return top == self._own_package
        return not path.startswith(_standard_library())


_Located = tuple[str, str, ModuleType | None]
"""A module's name, its file, and the module where it is loaded."""


@dataclass(frozen=True, slots=True)
class _Read:
    stamp: tuple[int, int, int]
    settled: bool
    digest: Digest
    text: bytes


_READ: dict[str, _Read] = {}
_IMPORTS: dict[tuple[Digest, str], tuple[str, ...]] = {}
_LOADED: dict[str, tuple[object, Digest]] = {}


def _digest_now(path: str) -> Digest | None:
    read = _read(path)
    return None if read is None else read.digest


def _read(path: str) -> _Read | None:
    """A file's text with its line ends made one kind, and its digest; None where it cannot be read."""
    try:
        stat = os.stat(path)
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        known = _READ.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            return known
        text = Path(path).read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return None
    settled = time.time_ns() - stat.st_mtime_ns > _SETTLED_NS
    _READ[path] = _Read(stamp, settled, digest.of_bytes(text), text)
    return _READ[path]


def _is_as_loaded(name: str, module: ModuleType, now: Digest) -> bool:
    """Whether the source is what it was when this process first met the loaded module; a reload starts anew."""
    token = getattr(module, "__spec__", None) or module
    known = _LOADED.get(name)
    if known is None or known[0] is not token:
        _LOADED[name] = (token, now)
        return True
    return known[1] == now


def _imports(path: str, read: _Read, package: str) -> tuple[str, ...]:
    key = (read.digest, package)
    if key not in _IMPORTS:
        is_source = path.endswith((".py", ".pyw"))
        _IMPORTS[key] = tuple(_imports_in(read.text, package)) if is_source else ()
    return _IMPORTS[key]


def _imports_in(text: bytes | str, package: str) -> Iterator[str]:
    """The names a source imports, or might: ``from a import b`` gives ``a`` and ``a.b``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # it cannot be imported either
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and (name := _called_import(node)):
            yield name


def _called_import(call: ast.Call) -> str | None:
    """The module that ``importlib.import_module("a.b")`` or ``__import__("a.b")`` names."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if called not in {"import_module", "__import__"} or not call.args:
        return None
    given = call.args[0]
    if isinstance(given, ast.Constant) and isinstance(given.value, str) and not given.value.startswith("."):
        return given.value
    return None


def _absolute(name: str, level: int, package: str) -> str:
    if level == 0:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])


def _with_parents(names: Iterable[str], package: str) -> Iterator[str]:
    """The names and the packages around them, whose code importing them runs."""
    for name in [*names, package]:
        parts = name.split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1) if all(parts))


def _search(name: str, roots: Iterable[Path]) -> str | None:
    for root in roots:
        base = root.joinpath(*name.split("."))
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return str(path)
    return None


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) and os.path.isfile(file) else None


def _is_installed(path: str) -> bool:
    return not _INSTALLED.isdisjoint(Path(path).parts) or path.startswith(_site_directories())


@cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib"))


@cache
def _site_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = [paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()]
    return tuple(os.path.realpath(each) + os.sep for each in found)


def _importable_roots() -> tuple[Path, ...]:
    """Where modules that are not loaded yet may lie: the current directory and the path, without what is installed."""
    try:
        here = [os.getcwd()]
    except FileNotFoundError:
        here = []
    found = dict.fromkeys(os.path.realpath(each or ".") for each in [*here, *sys.path])
    library = _standard_library()
    return tuple(
        Path(each)
        for each in found
        if os.path.isdir(each) and not _is_installed(each + os.sep) and not f"{each}{os.sep}".startswith(library)
    )


def _root(path: Path, name: str) -> Path:
    """The directory from which the file *path* is imported as *name*."""
    base = path.parent if path.stem == "__init__" else path
    levels = len(name.split("."))
    return base.parents[min(levels, len(base.parents)) - 1]


def _dotted(path: Path) -> str:
    parts = [path.stem]
    for directory in path.resolve().parents:
        if not (directory / "__init__.py").is_file():
            break
        parts.insert(0, directory.name)
    return ".".join(parts)


def _session_parts(module: ModuleType | None, cls: type) -> list[str]:
    """What a module without a file has defined, in the order of its names: cells, plain values, imports."""
    space = {cls.__qualname__: cls, **(vars(module) if module is not None else {})}
    named = sorted(((name, value) for name, value in space.items() if name[0] != "_"), key=itemgetter(0))
    parts = [part for name, value in named for part in _definition(name, value, home=cls.__module__)]
    return list(dict.fromkeys(parts))


def _definition(name: str, value: object, *, home: str) -> Iterator[str]:
    where = getattr(value, "__module__", None)
    if isinstance(value, ModuleType):
        yield f"import {value.__name__}"
    elif not isinstance(value, FunctionType | type):
        yield from [f"{name} = {value!r}"] if _is_plain(value) else []
    elif where != home:
        yield f"import {where}"
    elif isinstance(value, FunctionType):
        yield _function_text(value)
    else:
        yield from _members(value)


def _members(cls: type) -> Iterator[str]:
    yield f"class {cls.__qualname__}: ..."
    for name, value in sorted(vars(cls).items()):
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            yield _function_text(function)
        elif not name.startswith("__") and _is_plain(value):
            yield f"{name} = {value!r}"


def _function_text(function: FunctionType) -> str:
    """The whole cell a function was defined in; where nobody kept that, what was compiled from it."""
    code = function.__code__
    if lines := linecache.getlines(code.co_filename, getattr(function, "__globals__", None)):
        return "".join(lines)
    return f"# {_compiled(code)!r}"


def _compiled(code: CodeType) -> tuple[object, ...]:
    return (code.co_name, code.co_code.hex(), code.co_names, tuple(map(_constant, code.co_consts)))


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _compiled(value)
    # The order of a set of texts is another one in every process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


_PLAIN: tuple[type, ...] = (bool, int, float, complex, str, bytes, type(None))


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return type(value) in _PLAIN
