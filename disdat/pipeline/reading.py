"""
The files beside a module that its code reads, as far as their paths are written out.

A path begins at ``__file__``, or at the resources of a package; what is opened while the module is imported may begin
at the current directory. It is told as ``anchor:path``: nothing before the colon is the directory of the module, ``.``
the current one, and else a package. Pure, and of the standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from disdat.pipeline.expressions import dotted, last_name, text

OWN = "@"
"""Stands for the file of the module itself."""

_ANCHORS = (b"__file__", b"resources", b"get_data")
_SAME = frozenset({"Path", "PurePath", "str", "fspath", "abspath", "realpath", "normpath", "as_file"})
_SAME_METHODS = frozenset({"resolve", "absolute", "as_posix"})
_OF_RESOURCES = frozenset({"get_data", "read_text", "read_binary", "open_text", "open_binary"})
_LISTING = frozenset({"glob", "rglob", "iglob", "iterdir", "listdir", "scandir", "walk"})
_EXTENDING = frozenset({"joinpath", "with_name", "with_suffix", "with_stem"})
_LEAVING = frozenset(
    {"insert", "append", "chdir", "mkdir", "makedirs", "touch", "unlink", "rmtree", "remove", "rmdir"}
    | {"dump", "exists", "is_file", "is_dir", "isfile", "isdir", "FileHandler", "getLogger", "print", "basename"}
)
"""What does not read the file that it is given."""
_LEAVING_BEGIN = ("to_", "write", "save")

_Path = tuple[str, PurePosixPath]
_Paths = dict[str, _Path]
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(slots=True)
class Reads:
    """What a statement reads."""

    files: dict[str, None] = field(default_factory=dict)
    blind: list[str] = field(default_factory=list)
    """Where it reads a file that is not known, by line."""


def may_read(source: bytes, calls: Iterable[str]) -> bool:
    """Whether a module, of which that is called while it is imported, may read a file that can be told."""
    if any(each in source for each in _ANCHORS):
        return True
    called = (each.rpartition(".")[2] for each in calls)
    return any(each in {"open", "Path"} or each.startswith("read_") for each in called)


def find(statements: Sequence[ast.stmt]) -> Mapping[ast.stmt, Reads]:
    """What each of the statements of a module reads; none that reads nothing."""
    known: _Paths = {}
    for each in statements:
        _read(each, known)  # a function may name what is bound below it
    found = {each: _read(each, known) for each in statements}
    return {each: reads for each, reads in found.items() if reads.files or reads.blind}


def _read(statement: ast.stmt, known: _Paths) -> Reads:
    reads = Reads()
    with suppress(RecursionError):  # no path is nested so deeply
        _Reader(reads, known).visit(statement)
    return reads


class _Reader:
    """Walks a statement, with the names that stand for paths where it is."""

    def __init__(self, reads: Reads, known: _Paths, *, functions: int = 0) -> None:
        self._reads = reads
        self._known = known
        self._functions = functions

    def visit(self, node: ast.AST, sink: str = "") -> None:
        """Look at *node*, which is given to what is called *sink*."""
        if isinstance(node, _Function):
            inner = _Reader(self._reads, {**self._known}, functions=self._functions + 1)
            inner._each(ast.iter_child_nodes(node))
        elif isinstance(node, ast.Assign) and all(isinstance(each, ast.Name) for each in node.targets):
            self._assign([each.id for each in node.targets if isinstance(each, ast.Name)], node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            self._assign([node.target.id], node.value)
        elif isinstance(node, ast.expr) and (path := _path(node, self._known)):
            if not _leaves(sink):
                self._reads.files[f"{path[0]}:{path[1]}"] = None
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.BinOp | ast.JoinedStr) and _begins(node, self._known):
            self._unknown(node, sink)
        else:
            self._each(ast.iter_child_nodes(node))

    def _each(self, nodes: Iterable[ast.AST], sink: str = "") -> None:
        for each in nodes:
            self.visit(each, sink)

    def _assign(self, names: Iterable[str], value: ast.expr) -> None:
        path = _path(value, self._known)
        for name in names:
            self._known.pop(name, None)
            if path:
                self._known[name] = path
        if not path:
            self.visit(value)

    def _call(self, node: ast.Call) -> None:
        called = last_name(node.func)
        given = [*node.args, *(each.value for each in node.keywords)]
        method = node.func.value if isinstance(node.func, ast.Attribute) else None
        if called in _OF_RESOURCES and (path := _resource(node)):
            self._reads.files[path] = None
            return
        on_path = method is not None and _path(method, self._known) is not None
        on_first = bool(given) and _path(given[0], self._known) is not None
        if (on_path and called in _LISTING | _EXTENDING) or (on_first and called in _LISTING | {"join"}):
            self._unknown(node, called)
        else:
            sink = "write" if called == "open" and _opens_to_write(node, on_path=on_path) else called
            if self._functions == 0 and (path := _beside_us(node, sink)):
                self._reads.files[f".:{path}"] = None
            self._each([] if method is None else [method], sink)
            self._each(given, sink)

    def _unknown(self, node: ast.expr, sink: str) -> None:
        if not _leaves(sink):
            self._reads.blind.append(f"line {node.lineno}: {ast.unparse(node)}")


def _path(node: ast.expr, known: Mapping[str, _Path]) -> _Path | None:
    """The path that an expression is, if it is written out."""
    match node:
        case ast.Name(id="__file__"):
            return "", PurePosixPath(OWN)
        case ast.Name(id=name):
            return known.get(name)
        case ast.Attribute(value=inner, attr="parent"):
            return _above(_path(inner, known))
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(levels))):
            return _above(_path(inner, known), levels + 1)
        case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
            return _joined(_path(left, known), [right])
        case ast.JoinedStr(values=[ast.FormattedValue(value=left), *rest]):
            return _joined(_path(left, known), rest)
        case ast.Call(func=ast.Attribute(value=inner, attr=method)) if found := _path(inner, known):
            return _of_method(found, method, node.args)
        case ast.Call(args=[]):
            return ("", PurePosixPath()) if _gives_resources(node) else None
        case ast.Call(args=[first, *rest]):
            return _resources_of(first) if _gives_resources(node) else _of_call(node, _path(first, known), rest)
    return None


def _of_method(path: _Path, method: str, given: Sequence[ast.expr]) -> _Path | None:
    if method in _SAME_METHODS:
        return path
    if method == "joinpath":
        return _joined(path, given)
    return _joined(_above(path), given) if method == "with_name" else None


def _of_call(node: ast.Call, path: _Path | None, rest: Sequence[ast.expr]) -> _Path | None:
    called = last_name(node.func)
    if called == "dirname":
        return _above(path)
    return _joined(path, rest) if called == "join" or called in _SAME else None


def _joined(path: _Path | None, given: Sequence[ast.expr]) -> _Path | None:
    names = [name for each in given if (name := text(each)) is not None]
    if path is None or len(names) < len(given):
        return None
    return path[0], path[1].joinpath(*(name.lstrip("/") for name in names))


def _above(path: _Path | None, levels: int = 1) -> _Path | None:
    for _ in range(levels if path else 0):
        assert path is not None
        path = path[0], (path[1] / ".." if path[1].name in {"", ".."} else path[1].parent)
    return path


def _gives_resources(node: ast.Call) -> bool:
    return dotted(node.func) in {"resources.files", "importlib.resources.files", "files", "importlib_resources.files"}


def _resources_of(package: ast.expr) -> _Path | None:
    if isinstance(package, ast.Name) and package.id in {"__package__", "__name__"}:
        return "", PurePosixPath()
    name = text(package)
    return (name, PurePosixPath()) if name else None


def _resource(node: ast.Call) -> str | None:
    """What ``pkgutil.get_data("package", "file")`` and its like read."""
    if len(node.args) < 2 or (package := _resources_of(node.args[0])) is None:
        return None
    path = _joined(package, node.args[1:2])
    return None if path is None else f"{path[0]}:{path[1]}"


def _begins(node: ast.BinOp | ast.JoinedStr, known: Mapping[str, _Path]) -> bool:
    """Whether a path that is known is the beginning of a longer one that is not."""
    if isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        return isinstance(first, ast.FormattedValue) and _path(first.value, known) is not None
    if not isinstance(node.op, ast.Div | ast.Add):
        return False
    left = node.left
    return _path(left, known) is not None or (isinstance(left, ast.BinOp) and _begins(left, known))


def _beside_us(node: ast.Call, sink: str) -> str | None:
    """What is read from the current directory: ``open("table.csv")``, ``Path("table.csv").read_text()``."""
    if sink in {"read_text", "read_bytes", "open"} and isinstance(node.func, ast.Attribute):
        inner = node.func.value
        is_path = isinstance(inner, ast.Call) and last_name(inner.func) == "Path" and len(inner.args) == 1
        return text(inner.args[0]) if isinstance(inner, ast.Call) and is_path else None
    return text(node.args[0]) if node.args and (sink == "open" or sink.startswith("read_")) else None


def _opens_to_write(node: ast.Call, *, on_path: bool) -> bool:
    number = 0 if on_path else 1
    named: Iterator[ast.expr] = (each.value for each in node.keywords if each.arg == "mode")
    mode = text(node.args[number] if len(node.args) > number else next(named, None))
    return bool(mode) and not {*"wax+"}.isdisjoint(mode or "")


def _leaves(sink: str) -> bool:
    return sink in _LEAVING or sink.startswith(_LEAVING_BEGIN)
