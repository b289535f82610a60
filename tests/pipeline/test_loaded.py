"""What is loaded is compared with what was counted: other code never makes a result under this code's key."""

from __future__ import annotations

import importlib
import importlib.util
import os
import py_compile
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from disdat.pipeline import loaded, outline
from disdat.pipeline.loaded import Part

Write = Callable[[str, str], Path]

BEFORE = """\
from functools import cache, wraps
LIMIT = 3
TABLE = {"a": 1}

def plain(x, y=1):
    return x + y

def times(n):
    def decorate(f):
        @wraps(f)
        def inner(): return f() * n
        return inner
    return decorate

@times(2)
def decorated():
    return 4

@cache
def cached():
    return [each for each in "abc"]

class Thing:
    size = 1

    @property
    def area(self): return 5

    @staticmethod
    def make(): return lambda: 6

    class Inner:
        def deep(self): return 7
"""
NAMES = frozenset({"LIMIT", "TABLE", "plain", "times", "decorated", "cached", "Thing"})


def part(path: Path, names: frozenset[str] = NAMES) -> Part:
    return Part(path.stem, str(path), outline.digest(path.read_bytes()), names)


@pytest.fixture
def edited(importable: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Whether an edit after the import is noticed, of a module that nobody noted before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    count = iter(range(100))

    def differs(old: str, new: str, *, names: frozenset[str] = NAMES, note: bool = False) -> bool:
        path = importable(f"loaded_{next(count)}.py", BEFORE)
        importlib.invalidate_caches()
        module = importlib.import_module(path.stem)
        if note:
            loaded.note(module)
        assert BEFORE.count(old) == 1
        path.write_text(BEFORE.replace(old, new))
        return loaded.differing([part(path, names)]) == (path.stem,)

    return differs


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + y", "x - y"),
        ("return f() * n", "return f() + n"),
        ("return 4", "return 5"),
        ('"abc"', '"abd"'),
        ("return 5", "return 6"),
        ("lambda: 6", "lambda: 7"),
        ("return 7", "return 8"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("y=1", "y=2"),
        ("size = 1", "size = 2"),
        ("def plain", "def plane"),
    ],
)
def test_an_edit_after_the_import_is_noticed(edited: Callable[..., bool], old: str, new: str):
    assert edited(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [("x + y", "x + y  # both"), ("LIMIT = 3", "\n\nLIMIT = (3)"), ("(self): return 5", "(self) -> int: return 5")],
)
def test_an_edit_that_changes_nothing_is_none(edited: Callable[..., bool], old: str, new: str):
    assert not edited(old, new)
    assert not edited(old, new, note=True)


def test_what_does_not_count_may_differ(edited: Callable[..., bool]):
    names = frozenset({"decorated"})
    assert not edited("x + y", "x - y", names=names)
    assert not edited("x + y", "x - y", names=names, note=True)


def test_of_a_module_that_was_met_before_all_is_noticed(edited: Callable[..., bool]):
    """Also what leaves no trace: a value that may have changed since, and what an import does."""
    assert edited('{"a": 1}', '{"a": 2}', note=True)
    assert edited("def plain", 'TABLE["b"] = 1\ndef plain', note=True)


def test_a_reload_takes_over(importable: Write):
    path = importable("reloaded.py", "def f(): return 1")
    module = importlib.import_module("reloaded")
    loaded.note(module)
    path.write_text("def f(): return 2 + 0")
    assert loaded.differing([part(path, frozenset({"f"}))])
    importlib.reload(module)
    assert not loaded.differing([part(path, frozenset({"f"}))])


def test_what_was_patched_from_elsewhere_is_no_edit(importable: Write, monkeypatch: pytest.MonkeyPatch):
    """The patch is code that counts itself; to take it for an edit would make all of it run for ever."""
    path = importable("patched.py", "LIMIT = 1\ndef f(): return 1")
    monkeypatch.setattr(loaded, "_STARTED_NS", time.time_ns() + 10**12)  # as in a process that began later
    module = importlib.import_module("patched")
    module.f, module.LIMIT = (lambda: 2), 2
    found = loaded.differing([part(path, frozenset({"f", "LIMIT"}))])
    assert found == ()


def test_code_that_another_loader_rewrote_is_not_compared():
    """As that of this test, whose asserts pytest rewrote."""
    own = part(Path(__file__), frozenset({"test_code_that_another_loader_rewrote_is_not_compared"}))
    module = sys.modules[__name__]
    found = Part(__name__, own.path, own.digest, own.names)
    assert type(module.__loader__).__name__ == "AssertionRewritingHook"
    assert loaded.differing([found]) == ()


def test_a_script_is_found_under_the_name_it_runs_by(importable: Write, monkeypatch: pytest.MonkeyPatch):
    path = importable("as_script.py", "def f(): return 1")
    spec = importlib.util.spec_from_file_location("__main__", path)
    assert spec is not None
    assert spec.loader is not None
    script = ModuleType("__main__")
    script.__file__, script.__loader__ = str(path), spec.loader
    exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert loaded.differing([part(path, frozenset({"f"}))]) == ()
    path.write_text("def f(): return 2 + 0")
    assert loaded.differing([part(path, frozenset({"f"}))]) == ("as_script",)


@pytest.mark.parametrize("text", ["def f(): return {}", "LIMIT = {}", "TABLE = {{'a': {}}}"])
def test_the_code_python_kept_of_an_edit_in_the_same_second_is_not_taken_for_the_source(importable: Write, text: str):
    """An edit of equal length within one second leaves what Python compiled before in use, in every new process."""
    path = importable("stale.py", text.format(1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    compiled = py_compile.compile(str(path))
    assert compiled is not None
    path.write_text(text.format(2))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    module = importlib.import_module("stale")
    assert "2" not in str({name: value for name, value in vars(module).items() if name in {"LIMIT", "TABLE"}})
    names = frozenset({"f", "LIMIT", "TABLE"})
    # Whoever wrote the kept code may have done so before the source was last written.
    assert loaded.differing([part(path, names)]) == ("stale",)
    assert not Path(compiled).exists()
    del sys.modules["stale"]
    importlib.import_module("stale")
    assert loaded.differing([part(path, names)]) == ()


def test_code_python_kept_after_the_source_was_written_is_used(importable: Write, monkeypatch: pytest.MonkeyPatch):
    path = importable("kept.py", "def f(): return 1")
    compiled = py_compile.compile(str(path))
    assert compiled is not None
    later = path.stat().st_ctime_ns + 10**9
    os.utime(compiled, ns=(later, later))
    importlib.import_module("kept")

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("compiled")

    monkeypatch.setattr(loaded, "_STARTED_NS", time.time_ns() + 10**12)
    monkeypatch.setattr("builtins.compile", refuse)
    assert loaded.differing([part(path, frozenset({"f"}))]) == ()
