"""The outline of a module: its statements, and what each defines and does when the module is imported."""

from __future__ import annotations

import json
import textwrap

import pytest

from disdat.pipeline import outline
from disdat.pipeline.written import Keeping


def read(text: str) -> outline.Outline:
    return outline.read(textwrap.dedent(text).encode())


@pytest.mark.parametrize(
    ("text", "kind", "names", "acts"),
    [
        ("def f(): pass", "function", ["f"], False),
        ("async def f(): pass", "function", ["f"], False),
        ("class A: pass", "class", ["A"], False),
        ("x = y = 1", "constant", ["x", "y"], False),
        ("x, (y, *z) = f()", "constant", ["x", "y", "z"], False),
        ("x: int = 1", "constant", ["x"], False),
        ("x += 1", "constant", ["x"], False),
        ("import a.b, c as d", "import", ["a", "d"], False),
        ("if a:\n    def f(): pass\nelse:\n    f = None", "block", ["f"], False),
        ("try:\n    import a\nexcept ImportError:\n    a = None", "block", ["a"], False),
        ("x.y = 1", "constant", [], True),
        ("x[0] = 1", "constant", [], True),
        ("x[0] += 1", "constant", [], True),
        ("f()", "block", [], True),
        ("del x", "block", ["x"], True),
        ("with a as b: c = 1", "block", ["b", "c"], True),
        ("for x in y: pass", "block", ["x"], True),
        ("if a: f()", "block", [], True),
        ("try: f()\nfinally: pass", "block", [], True),
        ("if __name__ == '__main__': f()", "block", [], False),
        ("if __name__ == '__main__': pass\nelse: f()", "block", [], True),
        ("match a:\n    case 1: f()", "block", [], True),
    ],
)
def test_a_statement_defines_names_or_acts(text: str, kind: str, names: list[str], acts: bool):
    [found] = read(text).statements
    assert (found.kind, sorted(found.names), found.acts) == (kind, sorted(names), acts)


def test_what_does_nothing_is_left_out():
    assert list(read("'''Doc.'''\n...\npass\n1\nx: int\n# more").statements) == []


def test_references_that_no_statement_binds_are_left_out():
    assert [list(each.refs) for each in read("def f(x): return len(x) + g\ng = 1").statements] == [["g"], ["g"]]


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("N = 3", {"N": "3"}),
        ("N = -1, 'a'", {"N": "(-1, 'a')"}),
        ("N = [1]", {}),
        ("N = f()", {}),
        ("def f(a, b=1, c=None): pass", {"f()": "(1, None)"}),
        ("@d\ndef f(a=1): pass", {}),
        ("class A:\n    n = 1\n    class B:\n        m: int = 2", {"A.n": "1", "A.B.m": "2"}),
    ],
)
def test_values_that_are_written_out_and_cannot_change_are_known(text: str, literals: dict[str, str]):
    [found] = read(text).statements
    assert found.literals == literals


def test_an_outline_survives_json():
    text = "from .h import *\nimport a.b as c\n@c.d\ndef f(x=1): return __import__(x), c.e\nclass A(c.B): pass\nf()"
    found = read(text)
    again = outline.from_json(json.loads(json.dumps(found.to_json())))
    assert again.to_json() == json.loads(json.dumps(found.to_json()))
    assert again.stars == found.stars == [":.h:"]
    assert dict(again.by_name) == dict(found.by_name)


@pytest.mark.parametrize("source", [b"def f(:", b"x = 1\x00", b"\xff\xfe"])
def test_what_cannot_be_parsed_counts_as_a_whole(source: bytes):
    one, two = outline.read(source), outline.read(source + b" ")
    assert [each.acts for each in one.statements] == [True]
    assert one.statements[0].digest != two.statements[0].digest


def test_a_statement_nested_too_deeply_counts_by_its_text():
    deep = "x = " + " + ".join(["g()"] * 2000) + "\ndef g(): return 1"
    [x, g] = read(deep).statements
    assert (list(x.names), set(x.refs), g.kind) == (["x"], {"*", "g", "x"}, "function")
    assert read(deep.replace("g() + g()\n", "g() - g()\n")).statements[0].digest != x.digest


def test_what_code_reads_of_other_code_counts_where_it_is_kept():
    def digests(keeping: Keeping, **parts: str) -> list[str]:
        text = "'''{module}'''\ny: {type}\n@d\n# {comment}\ndef f(x: {type}): '''{doc}'''\ndef g(x: {type}): pass"
        same = {"module": "m", "type": "int", "doc": "d", "comment": "c"}
        return [each.digest for each in outline.read(text.format(**same | parts).encode(), keeping).statements]

    def counts(keeping: Keeping, **parts: str) -> bool:
        return digests(keeping) != digests(keeping, **parts)

    plain, all_of_it = Keeping(), Keeping(docstrings=True, annotations=True, sources=True)
    assert not counts(plain, module="other", doc="other", comment="other")
    assert counts(Keeping(docstrings=True), module="other")
    assert counts(Keeping(docstrings=True), doc="other")
    assert not counts(Keeping(docstrings=True), comment="other")
    assert counts(Keeping(annotations=True), type="str")
    assert counts(Keeping(sources=True), comment="other")
    assert len({*digests(all_of_it), *digests(plain)}) == len(digests(all_of_it)) + len(digests(plain))


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("def f(): return g.__doc__", ["docstrings"]),
        ("def f(): return getattr(g, '__doc__')", ["docstrings"]),
        ("def f(): return inspect.getdoc(g)", ["docstrings"]),
        ("x = __doc__", ["docstrings"]),
        ("def f(g): return g.__annotations__", ["annotations"]),
        ("def f(): return list(map(inspect.signature, g))", ["annotations"]),
        ("def f(signature): return signature", []),
        ("from inspect import getsource as told\ndef f(): return told(g)", ["sources"]),
        ("def f(): return 'a __doc__'", []),
    ],
)
def test_what_of_other_code_is_read_is_known(text: str, reads: list[str]):
    assert list(read(text).statements[-1].reads) == reads
