"""
The outline of a module: what each of its statements defines, reads and does, from the source alone.

Pure, and of the standard library only: the same source has the same outline under every version of Python.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from disdat.pipeline import reading, syntax
from disdat.pipeline.expressions import dotted, other_names
from disdat.pipeline.noticing import WATCHED
from disdat.pipeline.reading import Reads
from disdat.pipeline.written import PLAIN, Keeping, Written

VERSION = 7
"""Another outline of the same source has another number, as outlines are kept on disk."""

_KINDS: tuple[tuple[tuple[type[ast.stmt], ...], str], ...] = (
    ((ast.FunctionDef, ast.AsyncFunctionDef), "function"),
    ((ast.ClassDef,), "class"),
    ((ast.Import, ast.ImportFrom), "import"),
    ((ast.Assign, ast.AnnAssign, ast.AugAssign), "constant"),
)
_WATCHED = tuple(each.encode() for each in sorted(WATCHED))
_OTHER_NAMES = re.compile(rb"\b(?:%s)\s*(?:as\b|[#;)]|$)" % b"|".join(_WATCHED), re.MULTILINE)
"""Where what is watched may get another name: mostly it does not, and a walk through all of a module takes long."""
_NEVER_IMPORTED = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING"})


class Statement(NamedTuple):  # a tuple, as thousands are read back from disk
    """A statement at the top of a module; references are those of :class:`disdat.pipeline.written.Written`."""

    kind: str
    """``function``, ``class``, ``constant``, ``import``, or ``block`` for what holds several of these."""
    digest: str
    names: Sequence[str]
    refs: Sequence[str]
    declared: Sequence[str]
    calls: Sequence[str]
    imports: Mapping[str, Sequence[str]]
    imported: Sequence[str]
    bases: Sequence[str]
    """What a class is derived from."""
    blind: Sequence[str]
    acts: bool
    """Whether it does something when the module is imported, other than to define names."""
    hooks: bool
    """Whether it is a class that acts when another one is derived from it."""
    is_skipped: bool
    """Whether an import of the module leaves it out, as what stands under ``if __name__ == "__main__"``."""
    reads: Sequence[str]
    """What it reads of code beside what that does."""
    files: Sequence[str]
    """The files it reads, as :mod:`disdat.pipeline.reading` tells them."""
    literals: Mapping[str, str]
    """What it sets to a value that cannot change: ``N`` and ``Class.N``, and ``f()`` for a function's defaults."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The statements of a module in their order, and by the names they bind."""

    statements: Sequence[Statement]
    stars: Sequence[str] = ()
    """The modules of which it imports every name: references."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """The names it binds to paths, as :mod:`disdat.pipeline.reading` tells these."""
    by_name: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def to_json(self) -> list[object]:
        return [list(self.stars), dict(self.paths), [list(each) for each in self.statements]]


def from_json(written: Sequence[Any]) -> Outline:
    """The outline that :meth:`Outline.to_json` wrote."""
    stars, paths, statements = written
    return _of([Statement(*each) for each in statements], stars, paths)


def read(source: bytes, keeping: Keeping = PLAIN) -> Outline:
    """The outline of a module's source; of what cannot be parsed, and so not imported, one statement of all of it."""
    source = source.replace(b"\r\n", b"\n")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return opaque(source)
    may_be = any(each in source for each in _WATCHED)  # far faster than the expression
    others = dict(other_names(tree, WATCHED)) if may_be and _OTHER_NAMES.search(source) else {}
    worth = list(_worth_writing(tree.body, keeping))
    written = [_written(each, keeping, others, source) for each in worth]
    if keeping.sources:
        lines = source.splitlines(keepends=True)
        written = [_as_it_stands(each, node, lines) for node, each in zip(worth, written, strict=True)]
    found = [_statement(node, each) for node, each in zip(worth, written, strict=True)]
    imports = {name: refs[-1] for each in written for name, refs in each.imports.items()}
    reads, paths = reading.find(source, worth, imports)
    found = [_with_files(each, read) for each, read in zip(found, reads, strict=True)]
    stars = list(dict.fromkeys(star for each in written for star in each.stars))
    names = {name for each in found for name in each.names}
    # What no statement binds is Python's own.
    return _of(found if stars else [_only(each, names) for each in found], stars, paths)


def opaque(content: bytes) -> Outline:
    """The outline of what is not Python source: all of it counts."""
    blank = Statement("block", digest(content), (), (), (), (), {}, (), (), (), True, False, False, (), (), {})
    return _of([blank], [], {})


def digest(content: bytes) -> str:
    """What stands for a text here: 32 hex digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _of(statements: Sequence[Statement], stars: Sequence[str], paths: Mapping[str, str]) -> Outline:
    by_name: dict[str, list[int]] = {}
    for number, each in enumerate(statements):
        for name in each.names:
            by_name.setdefault(name, []).append(number)
    return Outline(statements, stars, paths, by_name)


def _worth_writing(body: Iterable[ast.stmt], keeping: Keeping) -> Iterator[ast.stmt]:
    for number, each in enumerate(body):
        is_text = isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        if isinstance(each, ast.Pass) or (is_text and not (keeping.docstrings and number == 0)):
            continue
        if _is_bare(each) and not keeping.annotations:
            continue
        yield each


def _statement(node: ast.stmt, written: Written) -> Statement:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return Statement(
        kind=next((kind for types, kind in _KINDS if isinstance(node, types)), "constant" if is_docstring else "block"),
        digest=digest(written.text.encode("utf-8", "surrogatepass")),
        names=("__doc__",) if is_docstring else ("__annotations__",) if _is_bare(node) else written.names,
        refs=written.refs,
        declared=written.declared,
        calls=written.calls,
        imports=written.imports,
        imported=written.imported,
        bases=[chain for base in node.bases if (chain := dotted(base))] if isinstance(node, ast.ClassDef) else (),
        blind=written.blind,
        acts=not is_docstring and _acts(node),
        hooks=isinstance(node, ast.ClassDef) and _has_hook(node),
        is_skipped=isinstance(node, ast.If) and _is_skipped(node.test) and not node.orelse,
        reads=written.reads,
        files=(),
        literals=dict(_literals(node, "")),
    )


def _with_files(statement: Statement, reads: Reads) -> Statement:
    if not reads.files and not reads.blind:
        return statement
    return statement._replace(files=list(reads.files), blind=[*statement.blind, *reads.blind])


def _is_bare(node: ast.stmt) -> bool:
    """Whether a statement only annotates a name."""
    return isinstance(node, ast.AnnAssign) and node.value is None


def _written(node: ast.stmt, keeping: Keeping, others: Mapping[str, str], source: bytes) -> Written:
    try:
        return syntax.write(node, keeping, others)
    except RecursionError:
        return _too_deep(node, source)


def _too_deep(node: ast.stmt, source: bytes) -> Written:
    """A statement that is nested too deeply to be written: every character of it counts, and all of the module."""
    text = ast.get_source_segment(source.decode("utf-8", "surrogateescape"), node) or ""
    named = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    bound = dict.fromkeys(each.id for each in named if isinstance(each.ctx, ast.Store))
    names = (node.name,) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else tuple(bound)
    read = dict.fromkeys(each.id for each in named)
    return Written(text, names, ("*", *read))


def _as_it_stands(written: Written, node: ast.stmt, lines: Sequence[bytes]) -> Written:
    """A statement with all of its source for a text."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return replace(written, text=b"".join(lines[first - 1 : node.end_lineno]).decode("utf-8", "surrogateescape"))


def _only(statement: Statement, names: set[str]) -> Statement:
    """*statement* with only those references that lead somewhere."""

    def known(refs: Sequence[str]) -> list[str]:
        return [ref for ref in refs if ref[0] in ":*" or ref.partition(".")[0] in names]

    return statement._replace(
        refs=known(statement.refs), declared=known(statement.declared), calls=known(statement.calls)
    )


def _acts(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Expr() | ast.Delete() | ast.With() | ast.For() | ast.While() | ast.Raise() | ast.Assert():
            return True
        case ast.ClassDef(body=body):
            return any(_acts(each) for each in body if isinstance(each, ast.Assign | ast.AugAssign | ast.AnnAssign))
        case ast.Assign(targets=targets):
            return not all(map(_is_names_only, targets))
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return not isinstance(target, ast.Name)
        case ast.If():
            bodies = [node.orelse] if _is_skipped(node.test) else [node.body, node.orelse]
            return any(_acts(each) for body in bodies for each in body)
        case ast.Try() | ast.TryStar():
            handled = [each for handler in node.handlers for each in handler.body]
            return any(map(_acts, [*node.body, *handled, *node.orelse, *node.finalbody]))
        case ast.Match():
            return any(_acts(each) for case in node.cases for each in case.body)
    return False


def _is_names_only(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_is_names_only, target.elts))
    return isinstance(target, ast.Name | ast.Starred)


def _is_skipped(test: ast.expr) -> bool:
    """Whether *test* does not hold while the module is imported."""
    if dotted(test) in _NEVER_IMPORTED:
        return True
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
    return False


def _has_hook(node: ast.ClassDef) -> bool:
    defined = any(isinstance(each, ast.FunctionDef) and each.name == "__init_subclass__" for each in node.body)
    return defined or any(each.arg == "metaclass" and not _is_abstract(each.value) for each in node.keywords)


def _is_abstract(metaclass: ast.expr) -> bool:
    return dotted(metaclass) in {"ABCMeta", "abc.ABCMeta"}


def _literals(node: ast.stmt, around: str) -> Iterator[tuple[str, str]]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            if value is not None and (text := _literal(value)):
                yield around + name, text
        case ast.FunctionDef(name=name, decorator_list=[], args=ast.arguments(defaults=defaults)) if defaults:
            if text := _literal(ast.Tuple(defaults)):
                yield f"{around}{name}()", text
        case ast.ClassDef(name=name):
            for each in node.body:
                yield from _literals(each, f"{around}{name}.")


def _literal(node: ast.expr) -> str:
    """The text of a value that is written out and cannot change; empty for any other."""
    if not isinstance(node, ast.Constant | ast.Tuple | ast.UnaryOp):
        return ""
    try:
        value = ast.literal_eval(node)
        hash(value)
    except (ValueError, TypeError):
        return ""
    return ascii(value)
