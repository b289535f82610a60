"""What ``dsdt doctor`` prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Dsdt


def test_a_home_that_works_passes(demo: Dsdt):
    lines = demo("doctor").lines
    assert lines[-1].startswith("0 problems, ")
    assert any(line.startswith("ok       locks") for line in lines)


def test_a_problem_says_what_to_do_and_fails(demo: Dsdt, home: Path):
    (home / "context" / "demo" / "context.json").write_bytes(b"{")
    ended = demo.run("doctor")
    assert (ended.code, ended.err) == (1, "dsdt: 1 problem found\nhint: each says what to do\n")
    at = next(n for n, line in enumerate(ended.lines) if line.startswith("problem"))
    assert "context.json is damaged" in ended.lines[at]
    assert ended.lines[at + 1].strip().startswith("do: restore it")


def test_its_json_has_every_finding(demo: Dsdt):
    report = demo.json("doctor")
    assert report["well"] is True
    assert {finding["verdict"] for finding in report["findings"]} <= {"ok", "note"}
    assert {"check", "verdict", "found", "remedy"} == report["findings"][0].keys()


def test_it_works_where_no_other_command_does(dsdt: Dsdt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "disdat.cfg").write_text("[core]\nhoem = x\n")
    monkeypatch.setenv("DISDAT_CONFIG", str(tmp_path / "disdat.cfg"))
    assert dsdt.run("ls").code == 1
    ended = dsdt.run("doctor")
    assert ended.code == 1
    assert "[core] hoem is not a setting" in ended.out
