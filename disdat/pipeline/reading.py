"""
The files beside a module that its code reads, as far as their paths are written out.

A path begins at ``__file__``, or at the resources of a package; what is opened while the module is imported may begin
at the current directory. It is told as ``anchor:path``: nothing before the colon is the directory of the module, ``.``
the current one, and else a package. One that may begin at what another module binds to a path has a question mark
and a reference for an anchor, ``?:settings:DATA:table.csv``; where it is computed there stands ``|`` and what is told
of that. Pure, and of the standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import cast

from disdat.pipeline.expressions import dotted, last_name, text

OWN = "@"
"""Stands for the file of the module itself."""

FOREIGN, COMPUTED = "?", "|"

_MAY_READ = (
    *(b"__file__", b"resources", b"get_data", b" open(", b"(open(", b".open(", b".read_", b"path.join("),
    *(b'/ "', b"/ '", b'/ f"', b"/ f'"),
)
_HERE = PurePosixPath()
_BECOME_PATHS = frozenset({ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.JoinedStr, ast.Call})
_SAME = frozenset({"Path", "PurePath", "str", "fspath", "abspath", "realpath", "normpath", "as_file"})
_SAME_METHODS = frozenset({"resolve", "absolute", "as_posix"})
_METHODS = _SAME_METHODS | {"joinpath", "with_name"}
_OF_RESOURCES = frozenset({"get_data", "read_text", "read_binary", "open_text", "open_binary"})
_LISTING = frozenset({"glob", "rglob", "iglob", "iterdir", "listdir", "scandir", "walk"})
_EXTENDING = frozenset({"joinpath", "with_name", "with_suffix", "with_stem"})
_LEAVING = frozenset(
    {"insert", "append", "chdir", "mkdir", "makedirs", "touch", "unlink", "rmtree", "remove", "rmdir", "move", "rename"}
    | {"dump", "exists", "is_file", "is_dir", "isfile", "isdir", "FileHandler", "basicConfig", "getLogger", "print"}
    | {"basename", "relpath", "connect", "create_engine", "urlretrieve", "extractall"}
)
"""What does not read the file that it is given."""
_LEAVING_BEGIN = ("to_", "write", "save")
_COPYING = frozenset({"copy", "copyfile", "copy2", "copytree"})
"""These read what they are given first, and write the other."""

_Path = tuple[str, PurePosixPath]
_Paths = dict[str, _Path]
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_IsWorth = Callable[[_Function], bool]


@dataclass(slots=True)
class Reads:
    """What a statement reads."""

    files: dict[str, None] = field(default_factory=dict)
    blind: list[str] = field(default_factory=list)
    """Where it reads a file that is not known, by line."""


_NOTHING = Reads()


def find(
    source: bytes, statements: Sequence[ast.stmt], imports: Mapping[str, str]
) -> tuple[list[Reads], dict[str, str]]:
    """
    What each of the statements of a module reads, and the names that it binds to paths.

    *imports* are the names that it imports, and the references these stand for.
    """
    if not _may_read(source, ()):
        return [_NOTHING] * len(statements), {}
    known: _Paths = {name: (f"{FOREIGN}{ref}", _HERE) for name, ref in imports.items()}
    known["__file__"] = "", PurePosixPath(OWN)
    for each in statements:  # a function may name what is bound below it
        _read(each, known, lambda _: False)
    bound = [name for name, path in known.items() if name != "__file__" and _is_path(path)]
    lines = source.splitlines(keepends=True)

    def is_worth(function: _Function) -> bool:
        part = b"".join(lines[function.lineno - 1 : function.end_lineno])
        return _may_read(part, [name.rpartition(".")[2] for name in bound])

    return [_read(each, known, is_worth) for each in statements], {name: _told(known[name]) for name in bound}


def _may_read(source: bytes, names: Iterable[str]) -> bool:
    """Whether a text is worth a walk, which takes as long as all else does: it reads something, or names a path."""
    return any(each in source for each in _MAY_READ) or any(each.encode() in source for each in names)


def _read(statement: ast.stmt, known: _Paths, is_worth: _IsWorth) -> Reads:
    reads = Reads()
    with suppress(RecursionError):  # no path is nested so deeply
        _Reader(reads, known, is_worth).visit(statement)
    return reads


class _Reader:
    """Walks a statement, with the names that stand for paths where it is."""

    def __init__(self, reads: Reads, known: _Paths, is_worth: _IsWorth, *, functions: int = 0) -> None:
        self._reads = reads
        self._known = known
        self._is_worth = is_worth
        self._functions = functions

    def visit(self, node: ast.AST, sink: str = "") -> None:
        """Look at *node*, which is given to what is called *sink*."""
        if isinstance(node, _Function):
            if self._functions or self._is_worth(node):
                self._inner(node, self._functions + 1)
        elif isinstance(node, ast.ClassDef):
            found = self._inner(node, self._functions)
            self._known |= {f"{node.name}.{name}": path for name, path in found.items() if name not in self._known}
        elif isinstance(node, ast.Assign) and all(isinstance(each, ast.Name) for each in node.targets):
            self._assign([each.id for each in node.targets if isinstance(each, ast.Name)], node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            self._assign([node.target.id], node.value)
        elif type(node) in _BECOME_PATHS and (path := _path(cast("ast.expr", node), self._known)):
            if not _leaves(sink) and (_is_path(path) or _reads(sink)):
                self._reads.files[_told(path)] = None
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.BinOp | ast.JoinedStr) and (path := _beginning(node, self._known)):
            self._unknown(node, path, sink)
        else:
            self._each(ast.iter_child_nodes(node))

    def _inner(self, node: ast.AST, functions: int) -> _Paths:
        """Look at a function or a class; the paths that are known at its end."""
        inner = _Reader(self._reads, {**self._known}, self._is_worth, functions=functions)
        inner._each(ast.iter_child_nodes(node))
        return inner._known

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
        on_path = method and _path(method, self._known)
        on_first = _path(given[0], self._known) if given else None
        if on_path and called in _LISTING | _EXTENDING:
            self._unknown(node, on_path, called)
        elif on_first and called in _LISTING | {"join"}:
            self._unknown(node, on_first, called)
        else:
            is_writing = called == "open" and _opens_to_write(node, on_path=bool(on_path and _is_path(on_path)))
            sink = "write" if is_writing else called
            if self._functions == 0 and (path := _beside_us(node, sink)):
                self._reads.files[f".:{path}"] = None
            self._each([] if method is None else [method], sink)
            if called in _COPYING:
                self._each(given[:1], "open")
                self._each(given[1:], "write")
            else:
                self._each(given, sink)

    def _unknown(self, node: ast.expr, beginning: _Path, sink: str) -> None:
        if _leaves(sink):
            return
        told = f"line {node.lineno}: {ast.unparse(node)}"
        if beginning[0].startswith(FOREIGN):
            self._reads.files[f"{beginning[0]}:{COMPUTED}{told}"] = None
        else:
            self._reads.blind.append(told)


def _path(node: ast.expr, known: Mapping[str, _Path]) -> _Path | None:
    """The path that an expression is, if it is written out."""
    if isinstance(node, ast.Name):  # most are names or attributes
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        return _of_attribute(node, known)
    match node:
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(levels))):
            return _above(_path(inner, known), levels + 1)
        case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
            return _joined(_path(left, known), [right])
        case ast.JoinedStr(values=[ast.FormattedValue(value=left), *rest]):
            return _joined(_path(left, known), rest)
        case ast.BinOp(left=ast.Constant(value=str(form)), op=ast.Mod(), right=first) if _is_below(form, "%s"):
            return _joined(_path(first, known), [ast.Constant(form[2:])])
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(form)), attr="format"), args=[first]) if (
            _is_below(form, "{}")
        ):
            return _joined(_path(first, known), [ast.Constant(form[2:])])
        case ast.Subscript(value=ast.Call(args=[inner]) as call, slice=ast.Constant(value=0)) if _splits(call):
            return _above(_path(inner, known))
        case ast.Call() if _gives_resources(node):
            return _resources_of(node.args[0]) if node.args else ("", _HERE)
        case ast.Call(func=ast.Attribute(value=inner, attr=method)) if method in _METHODS and (
            found := _path(inner, known)
        ):
            return _of_method(found, method, node.args)
        case ast.Call(args=[first, *rest]):
            return _of_call(node, _path(first, known), rest)
    return None


def _is_below(form: str, place: str) -> bool:
    """Whether a text that is filled in is a path below what it begins with."""
    return form.startswith(f"{place}/") and place[0] not in form[2:]


def _splits(call: ast.Call) -> bool:
    return dotted(call.func) in {"os.path.split", "path.split"}


def _of_attribute(node: ast.Attribute, known: Mapping[str, _Path]) -> _Path | None:
    if isinstance(node.value, ast.Name):
        if node.value.id in {"self", "cls"}:
            return known.get(node.attr)
        if found := known.get(f"{node.value.id}.{node.attr}"):  # of a class
            return found
    path = _path(node.value, known)
    if node.attr == "parent":
        return _above(path)
    if path is None or _is_path(path):
        return None
    return f"{path[0]}{'' if path[0].endswith(':') else '.'}{node.attr}", path[1]


def _of_method(path: _Path, method: str, given: Sequence[ast.expr]) -> _Path | None:
    if method in _SAME_METHODS:
        return path
    return _joined(path if method == "joinpath" else _above(path), given)


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
    modules = {"files", "resources.files", "importlib.resources.files", "importlib_resources.files"}
    return last_name(node.func) == "files" and dotted(node.func) in modules


def _resources_of(package: ast.expr) -> _Path | None:
    if isinstance(package, ast.Name) and package.id in {"__package__", "__name__"}:
        return "", _HERE
    name = text(package)
    return (name, _HERE) if name else None


def _resource(node: ast.Call) -> str | None:
    """What ``pkgutil.get_data("package", "file")`` and its like read."""
    if len(node.args) < 2 or (package := _resources_of(node.args[0])) is None:
        return None
    path = _joined(package, node.args[1:2])
    return None if path is None else _told(path)


def _beginning(node: ast.expr, known: Mapping[str, _Path]) -> _Path | None:
    """The path that is known and the beginning of a longer one that is not."""
    match node:
        case ast.JoinedStr(values=[ast.FormattedValue(value=first), *_]):
            return _path(first, known)
        case ast.BinOp(left=left, op=ast.Div() | ast.Add()):
            return _path(left, known) or _beginning(left, known)
    return None


def _is_path(path: _Path) -> bool:
    """Whether it is surely one: what is imported is only where something is joined to it."""
    return not path[0].startswith(FOREIGN) or path[1] != _HERE


def _told(path: _Path) -> str:
    return f"{path[0]}:{path[1]}"


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


def _reads(sink: str) -> bool:
    return sink in {"open", "load", "safe_load", "reader"} or sink.startswith(("read_", "load_"))


def _leaves(sink: str) -> bool:
    return sink in _LEAVING or sink.startswith(_LEAVING_BEGIN)
