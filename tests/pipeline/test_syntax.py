"""What of a statement's text counts, and what it reads; the same under every version of Python."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from disdat.pipeline import syntax
from disdat.pipeline.written import Keeping, Written

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent
PLAIN = Keeping()


def write(text: str, keeping: Keeping = PLAIN) -> Written:
    [statement] = ast.parse(textwrap.dedent(text)).body
    return syntax.write(statement, keeping)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(): return 1", "def f():  # comment\n    '''Doc.'''\n    pass\n    return (1)"),
        ("def f(x, y=1): return x", "def f(x: int, y: 'int' = 1) -> str: return x"),
        ("def f():\n  a = 1\n  return a", "def f():\n  b: int = 1\n  return b"),
        ("def f():\n  for a in x: g(a)", "def f():\n  for b in x: g(b)"),
        ("def f(): return [a for a in x]", "def f(): return [b for b in x]"),
        ("def f(): return [x for x in x]", "def f(): return [y for y in x]"),
        ("def f():\n  if (a := 1): return a", "def f():\n  if (b := 1): return b"),
        ("def f():\n  a = 1\n  def g(): return a\n  return g", "def f():\n  b = 1\n  def g(): return b\n  return g"),
        ("def f():\n  try: g()\n  except E as a: h(a)", "def f():\n  try: g()\n  except E as b: h(b)"),
        ("def f(x):\n  match x:\n    case [a, *r]: g(a, r)", "def f(x):\n  match x:\n    case [b, *s]: g(b, s)"),
        (
            "def f():\n  a = 1\n  def g():\n    nonlocal a\n    a += 1\n  return g",
            "def f():\n  b = 1\n  def g():\n    nonlocal b\n    b += 1\n  return g",
        ),
        ("x = 'a' 'b'", 'x = """ab"""'),
        ("x = 0x10", "x = 1_6"),
        ("x = f'a' f'{y}' 'b'", "x = f'a{y:}b'"),
        ("x = (1, 2)", "x = 1, 2"),
        ("x: int = 1", "x = 1"),
    ],
)
def test_what_means_the_same_is_written_the_same(one: str, other: str):
    assert write(one).text == write(other).text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(a): return a", "def f(b): return b"),
        ("def f():\n  a = 1\n  b = 2\n  return a", "def f():\n  a = 1\n  b = 2\n  return b"),
        ("def f():\n  a = 1\n  return locals()", "def f():\n  b = 1\n  return locals()"),
        ("def f(d):\n  a = 1\n  return d.query('x > @a')", "def f(d):\n  b = 1\n  return d.query('x > @a')"),
        ("def f():\n  global a\n  a = 1", "def f():\n  global b\n  b = 1"),
        ("def f():\n  global a\n  a = 1", "def f():\n  a = 1"),
        ("def f():\n  a = 1\n  def g():\n    nonlocal a\n    a = 2", "def f():\n  a = 1\n  def g():\n    a = 2"),
        ("def f(*, a, b=1): return a", "def f(*, a=None, b=1): return a"),
        ("def f(a, /): return a", "def f(a): return a"),
        ("def f(*a): return a", "def f(**a): return a"),
        ("async def f(): return a", "def f(): return a"),
        ("def f():\n  def g(): return 1\n  return g", "def f():\n  def h(): return 1\n  return h"),
        ("class A:\n  x = 1", "class A:\n  y = 1"),
        ("class A:\n  x: int", "class A:\n  x: str"),
        ("@d\ndef f(x: int): return x", "@d\ndef f(x: str): return x"),
        ("@d\ndef f(x: A, y): return x", "@d\ndef f(x, y: A): return x"),
        ("x = 1", "x = 1.0"),
        ("x = 0.0", "x = -0.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = '1'", "x = 1"),
        ("x = None", "x = ..."),
        ("x = a", "x = 'a'"),
        ("x = f'{y!r}'", "x = f'{y!s}'"),
        ("x = f'{y:>3}'", "x = f'{y:>4}'"),
        ("x = f'{y=}'", "x = f'{y}'"),
        ("x = [a for a in y if a]", "x = [a for a in y]"),
        ("x = {**a}", "x = {None: a}"),
        ("x = a[1:]", "x = a[:1]"),
        ("x = a < b < c", "x = a < b > c"),
        ("x = lambda a: a", "x = lambda b: b"),
        ("x = y = 1", "x = 1"),
        ("import a.b as x", "import a.c as x"),
        ("try: f()\nexcept* E: g()", "try: f()\nexcept E: g()"),
        ("for x in y: f()\nelse: g()", "for x in y:\n  f()\n  g()"),
    ],
)
def test_what_means_something_else_is_written_otherwise(one: str, other: str):
    assert write(one).text != write(other).text


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("def f(x): return g(x) + h.i.j", {"g", "h.i.j"}),
        ("def f(a=N): return [b for b in M]", {"N", "M"}),
        ("def f(g):\n  h = g\n  return h", set()),
        ("class A(B): x = C\n", {"B", "C", "x"}),
        ("class A:\n  x = 1\n  y = x\n  def f(self): return z", {"x", "y", "z"}),
        ("def f():\n  x = 1\n  class A:\n    def g(self): return x\n  return A", set()),
        ("def f():\n  import h.i\n  return h.i.j()", {":h:i.j"}),
        ("def f():\n  from ..h import i as k\n  return k.l", {":..h:i.l"}),
        ("x = import_module('a.b').c", {"import_module", ":a.b:c"}),
        ("x = getattr(h, 'c')", {"getattr", "h.c"}),
        ("x = getattr(h, c)", {"getattr", "h", "c"}),
        ("def f(): return eval('1')", {"eval", "*"}),
        ("def f(): return globals()", {"globals", "*"}),
        ("x = [y for y in z if (w := y)]", {"z", "x", "w"}),
        ("def f(x: A) -> B: return 1", set()),
        ("def f():\n  global x\n  x = 1", {"x"}),
        ("match x:\n  case A(y=1): z", {"x", "A", "z"}),
    ],
)
def test_the_names_that_are_read_are_those_of_the_module(text: str, refs: set[str]):
    assert set(write(text).refs) - set(write(text).names) | (refs & set(write(text).names)) == refs


def test_tasks_that_are_only_declared_are_told_apart():
    written = write(
        """
        class T(Base):
            def pipe_requires(self):
                self.add_dependency("a", First, {"n": N})
            def pipe_run(self, a):
                x = yield self.yield_dependency(helpers.Second, {"n": M})
                return Third()
        """
    )
    assert set(written.declared) == {"First", "N", "helpers.Second"}
    assert set(written.refs) == {"Base", "M", "Third"}


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("@d(1)\n@e.f\ndef g(x=h()): return i()", {"d", "e.f", "h"}),
        ("x = f(lambda: g())", {"f"}),
        ("class A:\n  x = f()\n  def g(self): return h()", {"f"}),
    ],
)
def test_what_is_called_on_import_is_known(text: str, calls: set[str]):
    assert set(write(text).calls) == calls


def test_what_cannot_be_followed_is_told_with_its_line():
    written = write("def f(name):\n    return import_module(name).g(), B.__subclasses__()")
    assert written.blind == ("line 2: import_module(name)", "line 2: B.__subclasses__()")


def test_docstrings_and_annotations_count_where_they_are_read():
    one, other = "def f(x: int): 'one'", "def f(x: str): 'other'"
    assert write(one).text == write(other).text
    for keeping in (Keeping(docstrings=True), Keeping(annotations=True)):
        assert write(one, keeping).text != write(other, keeping).text


PROGRAM = """
import ast, hashlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
from disdat.pipeline.syntax import write
found = hashlib.sha256()
for path in sorted([*pathlib.Path(sys.argv[2]).glob("*.py"), pathlib.Path(sys.argv[2], "grammar.txt")]):
    for statement in ast.parse(path.read_bytes()).body:
        found.update(repr(write(statement)).encode())
print(found.hexdigest())
"""


def digest_under(python: str, directory: Path) -> str:
    done = subprocess.run(
        [python, "-I", "-c", PROGRAM, str(PACKAGE), str(directory)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def pythons() -> list[str]:
    """The interpreters of other supported versions that are on this machine."""
    names = [f"python3.{minor}" for minor in (11, 12, 13) if minor != sys.version_info.minor]
    kept = [path for name in names for path in Path.home().glob(f".pyenv/versions/*/bin/{name}")]
    found = [*filter(None, map(shutil.which, names)), *map(str, kept)]
    # A name on the path may stand for a version that is not there.
    return [
        each for each in found if subprocess.run([each, "-c", ""], capture_output=True, check=False).returncode == 0
    ]


@pytest.mark.slow
def test_every_version_of_python_writes_the_same():
    """The sources here use much of the grammar."""
    others = pythons()
    if not others:
        pytest.skip("no other version of Python is here")
    here = digest_under(sys.executable, HERE)
    assert {python: digest_under(python, HERE) for python in others} == dict.fromkeys(others, here)


def test_what_is_written_is_pinned():
    """Another digest here means that all that was made before runs again."""
    text = (HERE / "grammar.txt").read_text()
    found = hashlib.sha256("\n".join(syntax.write(each).text for each in ast.parse(text).body).encode())
    assert found.hexdigest() == "5609601974b5c13f20a64ff8390793568ee4a6dafa372cb92ccabd06eba04e57"
