"""What a task says that it uses counts, beside what its source shows."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.errors import InvalidInput
from disdat.pipe import uses
from disdat.pipeline import source

Write = Callable[[str, str], Path]

TASK = """
    import importlib
    from pathlib import Path
    from disdat.pipe import PipeTask, uses
    {above}
    @uses({used})
    class T(PipeTask):
        def pipe_run(self): return 1
    """


def code(importable: Write, module: str, used: str, above: str = "") -> source.Code:
    importable(f"{module}.py", TASK.format(used=used, above=above))
    return source.of_class(importlib.import_module(module).T)


@pytest.mark.parametrize(
    ("used", "above", "counts"),
    [
        ("'used_h'", "", {"used_h.py:f", "used_h.py:g", "used_h.py:C"}),
        ("used_h", "import used_h", {"used_h.py:f", "used_h.py:g", "used_h.py:C"}),
        ("importlib.import_module('used_' + 'h').f", "", {"used_h.py:f"}),
        ("importlib.import_module('used_' + 'h').C", "", {"used_h.py:C", "used_h.py:g"}),
        ("Path('data.csv')", "", {"data.csv:"}),
        ("Path('data')", "", {"data:"}),
        ("Path('data.csv'), 'used_h'", "", {"data.csv:", "used_h.py:f", "used_h.py:g", "used_h.py:C"}),
    ],
)
def test_what_is_declared_counts(importable: Write, used: str, above: str, counts: set[str]):
    importable("used_h.py", "def f(): pass\ndef g(): pass\nclass C:\n    def h(self): return g()")
    importable("data.csv", "1,2")
    importable("data/more/numbers.csv", "1,2")
    found = code(importable, f"uses_{abs(hash((used, above)))}", used, above).counted.definitions
    assert {name for name, (kind, _) in found.items() if kind != "import" and not name.startswith("uses_")} == counts


def test_an_edit_of_a_declared_file_is_one(importable: Write):
    data = importable("weights/a.json", "[1]")
    found = code(importable, "weighted", "Path('weights'), Path('weights/a.json')")
    assert not found.edited()
    data.write_text("[2]")
    assert found.edited()
    data.unlink()
    assert found.edited()


def test_a_derived_class_uses_what_its_base_does(importable: Write):
    importable("base_data.csv", "1,2")
    code(importable, "based", "Path('base_data.csv')")
    importable("derives.py", "import based\nclass T(based.T): pass")
    assert "base_data.csv:" in source.of_class(importlib.import_module("derives").T).counted.definitions


@pytest.mark.parametrize(
    ("used", "message"),
    [("'no_such_module'", "uses no_such_module"), ("Path('missing.csv')", r"cannot read .*missing\.csv")],
)
def test_what_is_not_there_is_refused(importable: Write, used: str, message: str):
    with pytest.raises(InvalidInput, match=message):
        code(importable, f"refused_{abs(hash(used))}", used)


def test_only_code_and_files_can_be_declared():
    with pytest.raises(InvalidInput, match="@uses of 3"):
        uses(3)  # type: ignore[arg-type]
