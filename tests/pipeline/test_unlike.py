"""Edits that change what a task would return, in places that are easily overlooked: each changes what counts."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from disdat.pipeline import projects
from disdat.pipeline.importing import orders
from tests.pipeline.test_closure import Sources, collect

REGISTRY = """
    TABLE = {}
    def register(f):
        TABLE[f.__name__] = f
        return f
    class Base:
        def __init_subclass__(cls): register(cls)
    class Meta(type):
        def __init__(cls, *made): register(cls)
    def make(): return Meta("Made", (), {})
    Made = make()
    """
READS = "import plugin\nfrom registry import TABLE\ndef T(): return TABLE"


def plugin(text: str) -> Sources:
    """A module that is only imported, and registers itself."""
    return {"m": READS, "plugin": text, "registry": REGISTRY}


EDITS: dict[str, tuple[Sources, str, str]] = {
    "None and False as patterns": ({"m": "def T(x):\n match x:\n  case None: pass"}, "None", "False"),
    "a number that is written as a name": ({"m": "def T(inf): return inf"}, "return inf", "return 1e999"),
    "when a name is read": ({"m": "A = 1\nT = A\nA = 2"}, "T = A\nA = 2", "A = 2\nT = A"),
    "when it is put in a table": (
        {"m": "T = {}\nA = 1\nT[0] = A\nA = 2"},
        "T[0] = A\nA = 2",
        "A = 2\nT[0] = A",
    ),
    "import before a definition": (
        {"m": "from a import f\ndef f(): pass\nT = f", "a": "def f(): return 1"},
        "from a import f\ndef f(): pass",
        "def f(): pass\nfrom a import f",
    ),
    "the later star": ({"m": "from a import *\nfrom b import *\nT = f", "a": "f = 1", "b": "f = 2"}, "f = 2", "f = 3"),
    "order of stars": (
        {"m": "from a import *\nfrom b import *\nT = f", "a": "f = 1", "b": "f = 2"},
        "from a import *\nfrom b import *",
        "from b import *\nfrom a import *",
    ),
    "a star over a definition": ({"m": "f = 1\nfrom b import *\nT = f", "b": "f = 2"}, "f = 2", "f = 3"),
    "a star that is read as a whole": (
        {"m": "import p\nT = vars(p)", "p.": "from .a import *", "p.a": "f = 2"},
        "f = 2",
        "f = 3",
    ),
    "a module of a package that is handed around": (
        {"m": "import p.a\nT = [p]", "p.": "", "p.a": "f = 2"},
        "f = 2",
        "f = 3",
    ),
    "a module that a package imports": (
        {"m": "import p\ndef T(name): return getattr(p, name)", "p.": "from . import a", "p.a": "f = 2"},
        "f = 2",
        "f = 3",
    ),
    "own module by its name": (
        {"m": "import sys\nN = 'f'\ndef T(): return getattr(sys.modules[__name__], N)\ndef f(): return 1"},
        "return 1",
        "return 2",
    ),
    "another module by its name": (
        {"m": "import sys\ndef T(): return sys.modules['a'].f()", "a": "def f(): return 1"},
        "return 1",
        "return 2",
    ),
    "a module that is got by its name": (
        {"m": "import sys\ndef T(): return sys.modules.get('a').f()", "a": "def f(): return 1"},
        "return 1",
        "return 2",
    ),
    "an import by a keyword": (
        {"m": "import importlib\ndef T(): return importlib.import_module(name='a')", "a": "X = 1"},
        "X = 1",
        "X = 2",
    ),
    "eval that is handed on": ({"m": "T = map(eval, ['f'])\nf = 1"}, "f = 1", "f = 2"),
    "eval of builtins": ({"m": "import builtins\nT = builtins.eval('f')\nf = 1"}, "f = 1", "f = 2"),
    "globals of a function": ({"m": "def T(): return T.__globals__['f']\nf = 1"}, "f = 1", "f = 2"),
    "locals named in a text elsewhere": (
        {"m": "Q = 'x > @a'\ndef T(x):\n    a, b = 1, 2\n    return x.query(Q), a + b"},
        "a, b = 1, 2\n    return x.query(Q), a + b",
        "b, a = 1, 2\n    return x.query(Q), b + a",
    ),
    "a method that is imported": (
        {"m": "class T:\n    from a import f\n    def g(self): return self.f()", "a": "def f(self): return 1"},
        "return 1",
        "return 2",
    ),
    "a module that is imported in a class": (
        {"m": "class T:\n    import a\n    x = a.f()", "a": "def f(): return 1"},
        "return 1",
        "return 2",
    ),
    "whether an import fails": (
        {"m": "try:\n    from a import f\nexcept ImportError: f = 1\nT = f", "a": "raise ImportError\nf = 2"},
        "raise ImportError",
        "pass",
    ),
    "an assertion of an import": (
        {"m": "try:\n    from a import f\nexcept AssertionError: f = 1\nT = f", "a": "assert 0\nf = 2"},
        "assert 0",
        "assert 1",
    ),
    "order of imports that act": (
        {"m": "import a\nimport b\nfrom r import T", "a": "import r\nr.T = 1", "b": "import r\nr.T = 2", "r": "T = 0"},
        "import a\nimport b",
        "import b\nimport a",
    ),
    "an import before what is done": (
        {"m": "import r\nr.X = 1\nimport a\nT = r.X", "a": "import r\nr.X = 2", "r": "X = 0"},
        "r.X = 1\nimport a",
        "import a\nr.X = 1",
    ),
    "registered by a star": (plugin("from registry import *\n@register\ndef f(): return 1"), "return 1", "return 2"),
    "derived from a star": (plugin("from registry import *\nclass A(Base):\n    X = 1"), "X = 1", "X = 2"),
    "registered by one of two": (
        plugin(
            "try:\n    from fast import register\nexcept ImportError:\n    from registry import register\n"
            "@register\ndef f(): return 1"
        ),
        "return 1",
        "return 2",
    ),
    "registered by its metaclass": (
        plugin("from registry import Meta\nclass A(metaclass=Meta):\n    X = 1"),
        "X = 1",
        "X = 2",
    ),
    "derived from what is made": (plugin("from registry import Made\nclass A(Made):\n    X = 1"), "X = 1", "X = 2"),
    "registered by map": (
        plugin("from registry import register\ndef f(): return 1\n_ = list(map(register, [f]))"),
        "return 1",
        "return 2",
    ),
    "registered by an element": (
        plugin("from registry import TABLE\n@TABLE['x']\ndef f(): return 1"),
        "return 1",
        "return 2",
    ),
    "registered in a lambda": (plugin("from registry import TABLE\n_ = (lambda: TABLE.update(x=1))()"), "x=1", "x=2"),
    "added to what is imported": (
        plugin("from registry import TABLE\ndef f(): return 1\nTABLE |= {0: f}"),
        "return 1",
        "return 2",
    ),
    "set in a class": (plugin("from registry import TABLE\nclass A:\n    TABLE['x'] = 1"), "= 1", "= 2"),
    "the docstring of another module's function": (
        {"m": "import a\ndef T(): return a.f.__doc__", "a": "def f():\n    'one'"},
        "one",
        "two",
    ),
    "a docstring that a decorator reads": (
        {
            "m": "from a import f\ndef T(): return f()",
            "a": "from d import d\n@d\ndef f():\n    'one'",
            "d": "def d(f): return lambda: f.__doc__",
        },
        "one",
        "two",
    ),
    "an import under another name": (
        {
            "m": "from importlib import import_module as load\na = load('a')\ndef T(): return a.f()",
            "a": "def f(): return 1",
        },
        "return 1",
        "return 2",
    ),
    "an import that was assigned": (
        {"m": "import importlib\ndef T():\n    load = importlib.import_module\n    return load('a').f()", "a": "f = 1"},
        "f = 1",
        "f = 2",
    ),
    "an import by a relative name": (
        {
            "m": "import importlib\ndef T(): return importlib.import_module('.a', package='p').f",
            "p.": "",
            "p.a": "f = 1",
        },
        "f = 1",
        "f = 2",
    ),
    "the docstring of a module": ({"m": "import a\ndef T(): return a.__doc__", "a": "'one'"}, "one", "two"),
    "a docstring by name": (
        {"m": "import a\ndef T(): return getattr(a.f, '__doc__')", "a": "def f():\n    'one'"},
        "one",
        "two",
    ),
    "annotations of another module's function": (
        {"m": "import a, typing\ndef T(): return typing.get_type_hints(a.f)", "a": "def f(x: int): pass"},
        "x: int",
        "x: str",
    ),
    "annotations of what is given": (
        {
            "m": "import a, k\ndef T(): return k.told(a.f)",
            "a": "def f(x: int): pass",
            "k": "from inspect import signature as s\ndef told(f): return str(s(f))",
        },
        "int",
        "str",
    ),
    "what an annotation names": (
        {
            "m": "import a, typing\ndef T(): return typing.get_type_hints(a.f)['x']()",
            "a": "def f(x: 'Made'): pass\nclass Made:\n    n = 1",
        },
        "n = 1",
        "n = 2",
    ),
    "annotations of a module": ({"m": "import a\ndef T(): return a.__annotations__", "a": "x: int"}, "int", "str"),
    "own annotations": ({"m": "x: int\ndef T(): return __annotations__"}, "int", "str"),
    "the source of a function": (
        {"m": "import a, inspect\ndef T(): return inspect.getsource(a.f)", "a": "def f(): pass  # one"},
        "one",
        "two",
    ),
    "which names come with a star": (
        {"m": "from a import *\nfrom b import *\nT = f", "a": "f = 1", "b": "__all__ = ['g']\nf = 2\ng = 3"},
        "'g'",
        "'f'",
    ),
    "called by a condition": (
        {"m": "import a\nimport r\nT = r.ALL", "a": "import r\nif r.ALL.append(1): pass", "r": "ALL = []"},
        "append(1)",
        "append(2)",
    ),
    "registered with a package": (
        plugin("import numpy\n@numpy.api.register_accessor('x')\nclass A:\n    X = 1"),
        "X = 1",
        "X = 2",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_that_changes_what_is_returned_changes_what_counts(edit: str):
    sources, old, new = EDITS[edit]
    before = {name: textwrap.dedent(text) for name, text in sources.items()}
    assert sum(text.count(old) for text in before.values()) == 1
    after = {name: text.replace(old, new) for name, text in before.items()}
    assert collect(before).definitions != collect(after).definitions


@pytest.mark.parametrize(("old", "new"), [("one", "two"), ("int", "str"), ("# x", "# y")])
def test_what_only_code_reads_that_is_not_reached_does_not_count(old: str, new: str):
    reads = "import inspect\ndef told(f): return f.__doc__, inspect.signature(f), inspect.getsource(f)\n"
    sources = {"m": f"{reads}import a\ndef T(): return a.f()", "a": "def f(x: int):  # x\n    'one'"}
    other = {**sources, "a": sources["a"].replace(old, new)}
    assert collect(sources).definitions == collect(other).definitions
    reached = {**sources, "m": sources["m"].replace("a.f()", "told(a.f)")}
    assert collect(reached).definitions != collect(reached | {"a": other["a"]}).definitions


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import importlib\nT = list(map(importlib.import_module, ['a']))", "importlib.import_module"),
        ("from importlib import import_module as load\ndef T(name): return load(name)", "load(name)"),
        ("import pkgutil\ndef T(): return pkgutil.resolve_name('a:f')", "pkgutil.resolve_name('a:f')"),
        ("import subprocess, sys\ndef T(): subprocess.run([sys.executable, 'a.py'])", "sys.executable"),
        ("def T(): exec(open('a.py').read())", "exec(open('a.py').read())"),
        ("from importlib.metadata import entry_points\nT = entry_points(group='a')", "entry_points(group='a')"),
    ],
)
def test_code_that_is_imported_in_a_way_that_cannot_be_followed_is_told(text: str, what: str):
    [told] = collect({"m": text}).blind
    assert told.endswith(f": {what}")


def test_what_does_not_act_may_be_imported_in_any_order():
    one = {"m": "import a\nimport b\nT = 1", "a": "import r", "b": "import r", "r": "import os\nos.x = 1"}
    other = {**one, "m": "import b\nimport a\nT = 1"}
    assert collect(one).definitions == collect(other).definitions


def test_a_class_that_is_only_abstract_does_not_register_what_is_derived_from_it():
    text = "import abc\nT = 1\nclass B(metaclass=abc.ABCMeta): pass\nclass C(B):\n    x = 1"
    assert collect({"m": text}).definitions == collect({"m": text.replace("x = 1", "x = 2")}).definitions


def test_a_package_is_imported_before_its_modules():
    runs = {"m": ["p.a", "b"], "p": [""], "p.a": [""], "b": [""]}
    assert dict(orders(["m"], runs))["m"] == ["p", "p.a", "b"]


def test_a_module_may_answer_for_any_attribute(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("answers")
    vars(module)["__getattr__"] = lambda name: 1
    monkeypatch.setitem(sys.modules, "answers", module)
    assert projects.Project("", []).place("answers") is None


def test_a_package_beside_a_module_of_its_name_is_another_listing(tmp_path: Path):
    (tmp_path / "a.py").touch()
    before = projects.listing(str(tmp_path))
    (tmp_path / "a").mkdir()
    assert projects.listing(str(tmp_path)) != before
