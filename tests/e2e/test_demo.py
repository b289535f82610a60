"""`make demo` does what it tells."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from pathlib import Path

import pytest

from disdat.cli.main import main
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.slow
EXAMPLES = ROOT / "examples"
IMPORTS = ("apply", "plan")
"""What imports the module that the demo edits, and needs a process of its own."""


@pytest.fixture
def told(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What it prints, from each command on; most commands run in this process, as to start one takes the longest."""
    for variable in ("DISDAT_HOME", "DISDAT_CONFIG"):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))  # so that it is put back
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    in_a_process = demo.dsdt

    def dsdt(line: str) -> None:
        if line.startswith(IMPORTS):
            in_a_process(line)
        else:
            print(f"\n$ dsdt {line}", flush=True)
            assert main(shlex.split(line)) == 0

    monkeypatch.setattr(demo, "dsdt", dsdt)
    demo.main()
    printed = capfd.readouterr()
    assert printed.err == ""
    assert not home.exists(), "it has a home of its own"
    return re.split(r"\n(?=\$ )", printed.out)


def of(told: list[str], command: str) -> list[str]:
    return [each for each in told if each.startswith(f"$ dsdt {command}")]


def test_the_demo_runs_a_pipeline_twice_edits_it_and_says_what_ran_and_why(told: list[str], tmp_path: Path) -> None:
    first, again, other, edited = of(told, "apply pipelines.mnist.Evaluate")
    assert "3 made, 0 reused" in first
    assert "0 made, 3 reused" in again
    assert again.count("same code, parameters and input content") == 3
    assert "2 made, 1 reused" in other
    assert "2 made, 1 reused" in edited
    assert edited.count("function pixels in pipelines/mnist.py changed") == 2
    why_nothing, why_edited = of(told, "why")
    assert "Evaluate(gamma=0.001) did not run" in why_nothing
    assert "because  function pixels in pipelines/mnist.py changed" in why_edited
    [planned] = of(told, "plan")
    assert "2 to run, 1 to reuse" in planned
    mine, colleagues = (each.split("\n\n")[0] for each in of(told, "cat Evaluate"))
    assert mine == colleagues
    copy = tmp_path / "work" / ".demo" / "examples" / "pipelines" / "mnist.py"
    assert copy.read_bytes() != (EXAMPLES / "pipelines" / "mnist.py").read_bytes()
