"""
Kinds of edits, and whether they make a task run again: the table is ``kinds.txt``.

Every kind is a task of its own, in one project that one task applies as a whole, so that a few processes try all:
each is edited, put back, and edited again, through the command line, and ``dsdt why`` asked about it.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.ops import contexts

DSDT = str(Path(sys.executable).with_name("dsdt"))
TABLE = Path(__file__).with_name("kinds.txt")
PACKAGES = {"wanted": "1.0", "ignored": "1.0"}
DEFAULT = {
    "@m.py": """\
        import @m_h
        from @m_h import clean
        LIMIT = 3
        @task clean(1) + LIMIT
        """,
    "@m_h.py": """\
        def clean(x):
            '''Make it so.'''
            return inner(x)
        def inner(x, by=1):
            done = x + by
            return done
        def unused(x):
            return x  # as it is
        """,
}
ASK = """
import sys
from disdat.cli.main import main
for each in sys.argv[1:]:
    if main(["--context", "demo", "why", "--json", each]):
        sys.exit(f"why {each}")
"""
AS_TASK = """\
class @C(PipeTask):
    def pipe_run(self):
        return \\1
"""


@dataclass
class Kind:
    """An edit: texts that others take the place of, in one file; and why the task then runs, if it does."""

    name: str
    why: str = ""
    file: str = "@m.py"
    edits: list[tuple[list[str], list[str]]] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)

    @property
    def module(self) -> str:
        return "k_" + "".join(each if each.isalnum() else "_" for each in self.name)

    @property
    def cls(self) -> str:
        return "".join(word.title() for word in self.module[2:].split("_"))

    def named(self, text: str) -> str:
        return text.replace("@m", self.module).replace("@C", self.cls)

    def texts(self) -> dict[str, str]:
        given = {name: "".join(f"{line}\n" for line in lines) for name, lines in self.files.items()} or DEFAULT
        return {self.named(name): self.named(_expanded(textwrap.dedent(text))) for name, text in given.items()}

    def edited(self) -> dict[str, str]:
        """The file that is edited, as it then is."""
        name = self.named(self.file)
        text = self.texts()[name]
        for old, new in self.edits:
            before, after = (self.named("\n".join(lines)) for lines in (old, new))
            assert text.count(before) == 1, f"{self.name}: {before!r} in\n{text}"
            text = text.replace(before, after)
        return {name: text}


def _expanded(text: str) -> str:
    lines = text.splitlines()
    if not any(line.startswith("@task ") for line in lines):
        return text
    tasks = [
        AS_TASK.replace("\\1", line.removeprefix("@task ")) if line.startswith("@task ") else line for line in lines
    ]
    return "\n".join(["from disdat.pipe import PipeTask", *tasks])


def _kinds() -> list[Kind]:
    kinds: list[Kind] = []
    file: list[str] = []
    for line in TABLE.read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "##":
            kinds.append(Kind(rest))
        elif not kinds or not line:
            continue
        elif not mark:
            file.append(line)
        elif mark == "why":
            kinds[-1].why = rest
        elif mark == "in":
            kinds[-1].file = rest
        elif mark == "-":
            if not kinds[-1].edits or kinds[-1].edits[-1][1]:
                kinds[-1].edits.append(([], []))
            kinds[-1].edits[-1][0].append(rest)
        elif mark == "+":
            kinds[-1].edits[-1][1].append(rest)
        else:
            file = kinds[-1].files.setdefault(mark, [])
    return kinds


KINDS = _kinds()
FIRST = "no earlier result"
Told = tuple[str, str]
"""A decision, and why it was made."""


class Everything:
    """A project with a task for each kind, and one that reads all of them."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._home = home
        self._write({name: text for kind in KINDS for name, text in kind.texts().items()})
        asks = "".join(
            f"        self.add_dependency('{each.module}', {each.module}.{each.cls}, {{}})\n" for each in KINDS
        )
        imports = "".join(f"import {each.module}\n" for each in KINDS)
        everything = f"class Everything(PipeTask):\n    def pipe_requires(self):\n{asks}"
        run = "    def pipe_run(self, **values): return 1\n"
        self._write({"everything.py": f"from disdat.pipe import PipeTask\n{imports}\n{everything}{run}"})
        for name in PACKAGES:
            self._write({f"site-packages/{name}.py": "X = 1\n"})
        self.put_back()

    def edit(self) -> None:
        for kind in KINDS:
            if kind.file == "package":
                [((old,), (new,))] = kind.edits
                self._install(old, new)
            else:
                self._write(kind.edited())

    def put_back(self) -> None:
        for kind in KINDS:
            if kind.file != "package":
                self._write({kind.named(kind.file): kind.texts()[kind.named(kind.file)]})
        for name, version in PACKAGES.items():
            self._install(f"{name}-*", f"{name}-{version}")

    def apply(self) -> dict[str, Told]:
        """What was decided for each task, and why."""
        told = json.loads(self._run(DSDT, "--context", "demo", "apply", "--json", "everything.Everything"))
        return {each["task"].partition("(")[0]: (each["decision"], each["why"]) for each in told}

    def why(self) -> dict[str, Told]:
        """What ``dsdt why`` says of each task: what the last run decided, and why its result was made."""
        told = self._run(sys.executable, "-c", ASK, *(f"{each.module}.{each.cls}" for each in KINDS))
        found: dict[str, Told] = {}
        for each in KINDS:
            answer, end = json.JSONDecoder().raw_decode(told)
            told = told[end:].lstrip()
            found[each.cls] = (answer["last"]["decision"], (answer["made"] or answer["last"])["why"])
        return found

    def _run(self, *command: str) -> str:
        environ = {**os.environ, "DISDAT_HOME": str(self._home), "PYTHONPATH": str(self.root / "site-packages")}
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},  # an edit within a second would leave the old code in use
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _install(self, old: str, new: str) -> None:
        for each in (self.root / "site-packages").glob(f"{old}.dist-info"):
            shutil.rmtree(each)
        self._write({f"site-packages/{new}.dist-info/METADATA": ""})

    def _write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Told]]:
    """
    What five applies decided: at first, edited, put back, edited once more, and without an edit.

    And what ``dsdt why`` said after the first edit.
    """
    home, root = (tmp_path_factory.mktemp(name) for name in ("home", "project"))
    contexts.create(Home(home / "h"), "demo")
    project = Everything(root, home / "h")
    first = project.apply()
    project.edit()
    edited, why = project.apply(), project.why()
    project.put_back()
    back = project.apply()
    project.edit()
    return [first, edited, back, project.apply(), project.apply(), why]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_edit_runs_what_it_can_change_and_its_undo_finds_the_old_result(decided: list[dict[str, Told]], kind: Kind):
    told = [each[kind.cls] for each in decided]
    decision, why = ("made", kind.named(kind.why)) if kind.why else ("reused", "*")
    assert fnmatch.fnmatch(told[1][1], why), told[1]
    assert [decision for decision, _ in told[:5]] == ["made", decision, "reused", "reused", "reused"]
    # Of what is reused it is told why it was made.
    assert told[5] == (decision, told[1][1] if kind.why else FIRST)


def test_the_kinds_are_many_and_each_edit_is_one():
    assert len(KINDS) >= 40
    assert _unlike([kind.cls for kind in KINDS])
    for kind in KINDS:
        assert kind.edits
        if kind.file != "package":
            assert kind.edited().items() != kind.texts().items()


def _unlike(names: Iterable[str]) -> bool:
    found = list(names)
    return len(set(found)) == len(found)
