"""
Whether the code that is loaded is the source that was counted.

A module that was imported before it was edited still runs as it was. Its functions tell: they are compared with what
the source compiles to. For what leaves no such trace, constants and what a module does when imported, the source is
remembered from when the module was first met, and plain values are compared where the file was touched since.
"""

from __future__ import annotations

import functools
import importlib.util
import marshal
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from disdat.pipeline import outline
from disdat.pipeline.outline import Outline
from disdat.pipeline.projects import file_of

_SCRIPTS = ("__main__", "__mp_main__")
_STARTED_NS = time.time_ns()
_HEADER_BYTES = 16
_CACHED = type(functools.cache(int))
_PLAIN = (bool, int, float, complex, str, bytes, type(None), tuple)
_DEPTH = 4
_HAS_DOCSTRING = 0x4000000
"""The flag of a code object from Python 3.13 on; before, a text as the first constant is one."""


@dataclass(frozen=True, slots=True)
class Part:
    """What counts of one module: the digest its source had, and the names that are defined in it."""

    module: str
    path: str
    digest: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Met:
    token: object
    source: bytes
    digest: str


_met: dict[int, _Met] = {}
"""The source of each module when it was first met, by the identity of the module."""
_compared: dict[tuple[int, Part], tuple[object, bool]] = {}


def note(module: ModuleType) -> None:
    """Remember the source of a module that is being loaded now, to notice if it is edited while it stays loaded."""
    path = file_of(module)
    if path is not None and (source := _read(path)) is not None:
        _meet(module, source)


def differing(parts: Iterable[Part]) -> tuple[str, ...]:
    """The modules of which something other is loaded in this process than was counted."""
    running = [module for name in _SCRIPTS if (module := sys.modules.get(name)) is not None]
    scripts = {path: module for module in running if (path := file_of(module)) is not None}
    return tuple(part.module for part in parts if any(_differs(part, each) for each in _modules(part, scripts)))


def _modules(part: Part, scripts: Mapping[str, ModuleType]) -> Iterator[ModuleType]:
    """The modules that were loaded from the file: a script is there under another name, perhaps too."""
    if (module := sys.modules.get(part.module)) is not None:
        yield module
    if (script := scripts.get(part.path)) is not None:
        yield script


def _differs(part: Part, module: ModuleType) -> bool:
    key, token = (id(module), part), _token(module)
    known = _compared.get(key)
    if known is None or known[0] is not token:
        known = _compared[key] = (token, _compare(part, module))
    return known[1]


def _compare(part: Part, module: ModuleType) -> bool:
    source = _read(part.path)
    if source is None or outline.digest(source) != part.digest:
        return False  # an edit since it was counted, which taints
    met, cached = _meet(module, source), _cached(part.path)
    if cached is not None and cached.is_stale(source):
        # Python would take it for the source again, in a fresh process too.
        _remove(cached.path)
        return True
    if met.digest != part.digest and _counting(met.source, part.names) != _counting(source, part.names):
        return True
    if _is_as_compiled(module):
        code = cached.code if cached else _compiled(part.path, source)
        if _functions_differ(part, module, code):
            return True
    return _was_touched(part.path) and _values_differ(part, module, outline.read(source))


def _meet(module: ModuleType, source: bytes) -> _Met:
    """What was noted of the module as it is loaded; a reload starts anew."""
    met, token = _met.get(id(module)), _token(module)
    if met is None or met.token is not token:
        met = _met[id(module)] = _Met(token, source, outline.digest(source))
    return met


def _token(module: ModuleType) -> object:
    return getattr(module, "__spec__", None) or module


def _counting(source: bytes, names: frozenset[str]) -> list[str]:
    """The digests of the statements that define *names*, or do something when imported."""
    statements = outline.read(source).statements
    return [each.digest for each in statements if each.acts or not names.isdisjoint(each.names)]


# Functions


def _is_as_compiled(module: ModuleType) -> bool:
    """Whether the module was loaded as Python does it: others, such as pytest, rewrite what they load."""
    return type(getattr(module, "__loader__", None)) is SourceFileLoader


def _functions_differ(part: Part, module: ModuleType, code: CodeType) -> bool:
    files = {part.path, getattr(module, "__file__", None)}
    loaded = [
        function
        for name in part.names
        for function in _functions(vars(module).get(name), _DEPTH)
        if function.__code__.co_filename in files
    ]
    if not loaded:
        return False
    compiled = _by_name(code)
    return any(not _is_among(each.__code__, compiled.get(each.__code__.co_qualname, ())) for each in loaded)


def _functions(value: object, depth: int) -> Iterator[FunctionType]:
    """The functions that a value is made of: of a class its methods, of a wrapper what it wraps."""
    if depth == 0:
        return
    if isinstance(value, FunctionType):
        yield value
        inner = [each.cell_contents for each in value.__closure__ or () if not _is_empty(each)]
        parts: Iterable[object] = [*inner, getattr(value, "__wrapped__", None)]
    elif isinstance(value, property):
        parts = (value.fget, value.fset, value.fdel)
    elif isinstance(value, functools.partial | functools.cached_property):
        parts = (value.func,)
    elif isinstance(value, type):
        parts = [
            each for each in vars(value).values() if not isinstance(each, type) or each.__module__ == value.__module__
        ]
    elif isinstance(value, staticmethod | classmethod | _CACHED):
        parts = (value.__wrapped__,)
    else:
        parts = ()
    for each in parts:
        yield from _functions(each, depth - 1)


def _is_empty(cell: object) -> bool:
    try:
        cell.cell_contents  # type: ignore[attr-defined]  # noqa: B018 - a cell; reading an empty one raises
    except ValueError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class _Cached:
    """The code Python keeps for a source of this size and time."""

    path: str
    source_path: str
    code: CodeType
    is_later: bool
    """Whether it was surely written after the source; before, an edit within the same second may lie between."""

    def is_stale(self, source: bytes) -> bool:
        return not self.is_later and _meaning(self.code) != _meaning(_compiled(self.source_path, source))


def _cached(path: str) -> _Cached | None:
    try:
        name, stat = importlib.util.cache_from_source(path), os.stat(path)
        written, content = os.stat(name).st_mtime_ns, Path(name).read_bytes()
    except (OSError, NotImplementedError):
        return None
    times = (int(stat.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (stat.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    if content[:_HEADER_BYTES] != importlib.util.MAGIC_NUMBER + bytes(4) + times:
        return None
    code: CodeType = marshal.loads(content[_HEADER_BYTES:])
    return _Cached(name, path, code, written > max(stat.st_mtime_ns, stat.st_ctime_ns))


def _compiled(path: str, source: bytes) -> CodeType:
    return compile(source, path, "exec", dont_inherit=True)


def _remove(path: str) -> None:
    with suppress(OSError):  # where it cannot be removed, what is made with it is tainted
        os.unlink(path)


def _by_name(code: CodeType) -> dict[str, list[CodeType]]:
    found: dict[str, list[CodeType]] = {}
    pending = [code]
    while pending:
        for each in pending.pop().co_consts:
            if isinstance(each, CodeType):
                found.setdefault(each.co_qualname, []).append(each)
                pending.append(each)
    return found


def _is_among(code: CodeType, others: Iterable[CodeType]) -> bool:
    own = _meaning(code)
    return any(own == _meaning(each) for each in others)


def _meaning(code: CodeType) -> tuple[object, ...]:
    """A code object without where it stands."""
    constants = code.co_consts[_has_docstring(code) :]
    return (
        code.co_code,
        code.co_exceptiontable,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        tuple(_constant(each) for each in constants),
    )


def _has_docstring(code: CodeType) -> bool:
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    is_function = code.co_flags & CO_OPTIMIZED and not code.co_name.startswith("<")
    return bool(is_function and code.co_consts) and isinstance(code.co_consts[0], str)


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _meaning(value)
    # 1, 1.0 and True are equal, and 0.0 and -0.0.
    return type(value), (value if isinstance(value, frozenset) else ascii(value))


# Values


def _was_touched(path: str) -> bool:
    """Whether a file was written since this process has us, and so maybe since it was imported."""
    stat = os.stat(path)
    return max(stat.st_mtime_ns, stat.st_ctime_ns) > _STARTED_NS


def _values_differ(part: Part, module: ModuleType, found: Outline) -> bool:
    for number, each in enumerate(found.statements):
        if part.names.isdisjoint(each.names):
            continue
        for name, text in each.literals.items():
            is_bound_once = list(found.by_name.get(name.partition(".")[0].removesuffix("()"), ())) == [number]
            value = _value(vars(module), name)
            if is_bound_once and type(value) in _PLAIN and ascii(value) != text:
                return True
    return False


def _value(space: object, name: str) -> object:
    """What a name of :attr:`Statement.literals` is now; something that is not plain where there is none."""
    missing = object()
    first, _, rest = name.partition(".")
    found = space.get(first.removesuffix("()"), missing) if isinstance(space, dict) else missing
    if rest:
        return _value(dict(vars(found)), rest) if isinstance(found, type) else missing
    return getattr(found, "__defaults__", missing) if first.endswith("()") else found


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return None
