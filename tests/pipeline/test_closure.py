"""The closure of a definition: which definitions of which modules are in it, from sources alone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disdat.pipeline import closure, outline
from disdat.pipeline.closure import Closure
from disdat.pipeline.names import Installed, Module
from disdat.pipeline.written import Keeping

Sources = Mapping[str, str]


def collect(sources: Sources, start: str = "m:T") -> Closure:
    """The closure in modules by name; of a package the name ends with a dot. ``numpy`` is installed."""
    read = {name.rstrip("."): (textwrap.dedent(text).encode(), name.endswith(".")) for name, text in sources.items()}

    def find(name: str, keeping: Keeping) -> Module | Installed | None:
        if name in read:
            text, is_package = read[name]
            return Module(name, name, outline.read(text, keeping), is_package)
        return Installed("numpy") if name.partition(".")[0] == "numpy" else None

    module, _, name = start.partition(":")
    return closure.collect([(module, name)], find)


def defined(found: Closure) -> set[str]:
    """The definitions, without the imports that lead to them."""
    return {name for name, (kind, _) in found.definitions.items() if kind != "import"}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"m": "def T(): return f()\ndef f(): return g\ng = 1\nh = 2"}, {"m:T", "m:f", "m:g"}),
        ({"m": "import h\ndef T(): return h.f()", "h": "def f(): pass\ndef g(): pass"}, {"m:T", "h:f"}),
        ({"m": "import h as k\nT = k.f", "h": "def f(): pass\ndef g(): pass"}, {"m:T", "h:f"}),
        ({"m": "from h import f as k\nT = k", "h": "def f(): pass\ndef g(): pass"}, {"m:T", "h:f"}),
        ({"m": "import p.q\nT = p.q.f", "p.": "", "p.q": "f = 1\ng = 2"}, {"m:T", "p.q:f"}),
        ({"m": "from p import q\nT = q.f", "p.": "", "p.q": "f = 1\ng = 2"}, {"m:T", "p.q:f"}),
        ({"m": "from p import q\nT = q.f", "p.": "from . import q", "p.q": "f = 1\ng = 2"}, {"m:T", "p.q:f"}),
        (
            {"m": "import p\nT = p.f", "p.": "from .q import f", "p.q": "from p.r import f", "p.r": "f = 1"},
            {"m:T", "p.r:f"},
        ),
        ({"m": "import p.q\nT = p.q.r.f", "p.": "", "p.q.": "", "p.q.r": "f = 1"}, {"m:T", "p.q.r:f"}),
        # A name is what the package binds it to, and only else its module of that name.
        ({"m": "from p import q\nT = q", "p.": "from .q import q", "p.q": "def q(): pass\ng = 1"}, {"m:T", "p.q:q"}),
        # A module that is handed around, or asked for what it has not, counts as a whole.
        ({"m": "import h\nT = vars(h)", "h": "f = 1\ng = 2"}, {"m:T", "h:f", "h:g"}),
        ({"m": "import h\nT = h.made", "h": "f = 1\nglobals()['made'] = f"}, {"m:T", "h:f", "h:"}),
        ({"m": "import h\nT = h.__name__", "h": "f = 1"}, {"m:T"}),
        ({"m": "T = eval('f')\nf = 1"}, {"m:T", "m:f"}),
        # All of a module is not all of the modules that it imports.
        ({"m": "import h\nT = vars(h)", "h": "import k\nf = k.a", "k": "a = 1\nb = 2"}, {"m:T", "h:f", "k:a"}),
        ({"m": "import h\nT = vars(h)", "h": "from k import a", "k": "a = 1\nb = 2"}, {"m:T", "k:a"}),
        # Names of another module come with a star, of several the one that has it.
        (
            {"m": "from h import *\nfrom k import *\nT = f", "h": "g = 1", "k": "from l import *", "l": "f = 1"},
            {"m:T", "l:f"},
        ),
        ({"m": "from h import *\nT = len", "h": "from m import *"}, {"m:T"}),
        # Bound more than once, each counts.
        ({"m": "x = 1\nx = 2\nx += y\ny = 3\nT = x"}, {"m:T", "m:x", "m:y"}),
        (
            {"m": "try:\n    from h import f\nexcept ImportError:\n    f = g\ng = 1\nT = f", "h": "f = 1"},
            {"m:T", "m:f", "m:g", "h:f"},
        ),
        ({"m": "def T():\n    global x\n    x = 1"}, {"m:T", "m:x"}),
        # What a module does on import, also one whose names nobody reads, and its packages.
        (
            {"m": "import h\nT = 1", "h": "import k", "k": "x = []\nx.append(f)\ndef f(): pass"},
            {"m:T", "k:", "k:x", "k:f"},
        ),
        ({"m": "import p.q\nT = 1", "p.": "print(1)", "p.q": "f = 1"}, {"m:T", "p:"}),
        ({"m": "def T():\n    import h", "h": "print(1)"}, {"m:T", "h:"}),
        ({"m": "def f():\n    import h\nT = 1", "h": "print(1)"}, {"m:T"}),
        ({"m": "T = 1\nif __name__ == '__main__':\n    import h\n    print(1)", "h": "print(1)"}, {"m:T"}),
        ({"m": "T = 1\nif TYPE_CHECKING:\n    import h", "h": "print(1)"}, {"m:T"}),
        ({"m": "T = 1\nfor x in y: z(x)\ny = 1"}, {"m:T", "m:", "m:x", "m:y"}),
        # Code of the project that runs to define something may do more.
        ({"m": "T = 1\ndef d(f): return f\n@d\ndef f(): pass"}, {"m:T", "m:d", "m:f"}),
        ({"m": "T = 1\nimport functools\n@functools.cache\ndef f(): pass"}, {"m:T"}),
        (
            {"m": "from h import R\nT = 1\n@R.add\ndef f(): pass", "h": "class A: pass\nR = A()"},
            {"m:T", "m:f", "h:R", "h:A"},
        ),
        (
            {"m": "T = 1\nclass B:\n    def __init_subclass__(cls): pass\nclass C(B): pass\nclass D(C): pass"},
            {"m:T", "m:B", "m:C", "m:D"},
        ),
        ({"m": "T = 1\nclass B: pass\nclass C(B): pass"}, {"m:T"}),
        ({"m": "class T(T): pass"}, {"m:T"}),
        # What fields are annotated with may be looked up, even as text.
        ({"m": "class T:\n    x: 'list[A]'\n    y: B\nclass A: pass\nclass B: pass"}, {"m:T", "m:A", "m:B"}),
        ({"m": "def T(x: A): pass\nclass A: pass"}, {"m:T"}),
    ],
)
def test_names_lead_to_definitions(sources: Sources, expected: set[str]):
    assert defined(collect(sources)) == expected


FIRST = """
    from disdat.pipe import PipeTask
    class First(PipeTask):
        n = 1
        def pipe_run(self): return only()
    def only(): pass
    """


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("def pipe_requires(self): self.add_dependency('a', First, {})", False),
        ("def pipe_requires(self): self.add_dependency('a', pipe_class=First, params={})", False),
        ("def pipe_requires(self): [self.add_dependency(str(n), each, {}) for n, each in enumerate([First])]", False),
        (
            "def pipe_requires(self): self.wire()\n    def wire(self): self.add_external_dependency('a', First, {})",
            False,
        ),
        ("def pipe_requires(self): wire(self)", False),
        ("def pipe_run(self): yield self.yield_dependency(First, {})", False),
        ("def pipe_run(self): return First.n", True),
        ("def pipe_run(self): return First()", True),
        ("def pipe_run(self): return apply('here', First)", True),
        ("def pipe_requires(self): self.add_dependency('a', First, {})\n    def pipe_run(self): return First.n", True),
        ("def pipe_run(self): return STEPS", True),
    ],
)
def test_another_task_counts_only_where_more_is_used_of_it_than_its_output(body: str, counts: bool):
    wire = "def wire(task):\n    for each in STEPS: task.add_dependency('a', each, {})"
    text = f"from h import First\nSTEPS = [First]\n{wire}\nclass T:\n    {body}"
    found = defined(collect({"m": text, "h": FIRST}))
    assert ("h:First" in found, "h:only" in found) == (counts, counts)


def test_a_base_that_is_a_task_counts():
    found = defined(collect({"m": "from h import First\nclass T(First): pass", "h": FIRST}))
    assert found == {"m:T", "h:First", "h:only"}


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("import numpy as np\nT = np.ones", {"numpy"}),
        ("from numpy import ones\ndef T(): return ones(1)", {"numpy"}),
        ("def T():\n    import numpy.linalg", {"numpy"}),
        ("import numpy\nT = 1", set()),
        ("import numpy\nT = 1\nnumpy.seterr(all='raise')", {"numpy"}),
        ("import json\nT = json", set()),
    ],
)
def test_a_package_counts_where_something_of_it_is_read(text: str, packages: set[str]):
    assert collect({"m": text}).packages == packages


def test_what_cannot_be_followed_is_told_where_it_counts():
    text = "def T(n): return __import__(n)\ndef f(n): return __import__(n)"
    assert collect({"m": text}).blind == ["m, line 1: __import__(n)"]


def test_an_unknown_start_takes_in_the_module():
    assert defined(collect({"m": "f = 1\ng = 2"}, "m:missing")) == {"m:f", "m:g"}


def test_the_order_of_what_is_done_on_import_counts_and_that_of_functions_does_not():
    one = collect({"m": "import os\ndef f(): pass\nx = os.getenv('K')\nos.chdir('/')\ndef T(): return f(), x"})
    two = collect({"m": "import os\nx = os.getenv('K')\nos.chdir('/')\ndef T(): return f(), x\ndef f(): pass"})
    three = collect({"m": "import os\nos.chdir('/')\nx = os.getenv('K')\ndef f(): pass\ndef T(): return f(), x"})
    assert one.definitions == two.definitions
    assert one.definitions != three.definitions


@given(st.lists(st.lists(st.integers(0, 11), max_size=3), min_size=12, max_size=12))
def test_the_closure_is_what_a_graph_of_calls_reaches(calls: list[list[int]]):
    """Twelve functions in three modules, which call each other in any way, in circles too."""

    def function(number: int) -> str:
        called = [f"f{to}()" if to % 3 == number % 3 else f"m{to % 3}.f{to}()" for to in calls[number]]
        return f"def f{number}(): return [{', '.join(called)}]\n"

    imports = "import m0, m1, m2\n"
    sources = {f"m{module}": imports + "".join(map(function, range(module, 12, 3))) for module in range(3)}
    reached, pending = set(), [0]
    while pending:
        if (number := pending.pop()) not in reached:
            reached.add(number)
            pending += calls[number]
    assert defined(collect(sources, "m0:f0")) == {f"m{number % 3}:f{number}" for number in reached}
