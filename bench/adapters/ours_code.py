"""The digest of the code that a task reaches, in a project of many modules."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path

from bench.meter import Meter
from bench.spec import Spec
from disdat.pipeline import source

SETTLES_S = 2.5
"""Files that are newer than this are read each time, as they may still change."""

FUNCTION = '''
LIMIT{number} = {number}


def helper{number}(value, by=3):
    """What every module has some of."""
    total = LIMIT{number}
    for each in range(value):
        if each % 2:
            total += each * by
        else:
            total -= {{"a": each, "b": [each, total]}}["a"]
    return [total + each for each in range(by)]
'''
FUNCTIONS = 4


def measure(meter: Meter, spec: Spec) -> None:
    """In a process that has imported the modules: what an earlier process kept is there, and is not."""
    write(Path("project"), spec.sizes["modules"])
    for name in ("kept", "nothing"):  # a directory that is new here might be a package that was not there before
        Path(name).mkdir()
    time.sleep(SETTLES_S)
    cls = task()
    if (child := os.fork()) == 0:  # it leaves what it found on disk, and nothing in this process
        digest(cls, "kept")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with meter.op("warm"):
        digest(cls, "kept")
    with meter.op("cold"):
        found = digest(cls, "nothing")
    assert len(found.counted.definitions) > spec.sizes["modules"] * FUNCTIONS


def task() -> type:
    """The class whose code is every module's."""
    sys.path.insert(0, str(Path("project").resolve()))
    found: type = import_module("tasks").T
    return found


def digest(cls: type, kept_in: str) -> source.Code:
    code = source.of_class(cls, kept_in=Path(kept_in).resolve())
    assert code.counted.digest
    return code


def write(root: Path, count: int) -> None:
    """A chain of modules, each with some functions and a class that use each other and the next module's."""
    (root / "app").mkdir(parents=True)
    (root / "app" / "__init__.py").write_text("")
    functions = "".join(FUNCTION.format(number=number) for number in range(FUNCTIONS))
    calls = ", ".join(f"helper{number}(value)" for number in range(FUNCTIONS))
    for number in range(count):
        is_last = number == count - 1
        following = "" if is_last else f"from app import m{number + 1}\n"
        read = "" if is_last else f", m{number + 1}.Model"
        model = f"\n\nclass Model:\n    size = {number}\n\n    def run(self, value):\n        return {calls}{read}\n"
        (root / "app" / f"m{number}.py").write_text(f"import json\nimport os\n{following}{functions}{model}")
    # The last one first: a chain of imports so long would be too deep.
    imports = "".join(f"from app import m{number}\n" for number in reversed(range(count)))
    task = (
        "from disdat.pipe import PipeTask\n\n\nclass T(PipeTask):\n    def pipe_run(self):\n        return m0.Model\n"
    )
    (root / "tasks.py").write_text(imports + task)
