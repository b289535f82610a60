"""Every command in the README and the guides runs, and prints what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs import documents

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs" / "guide").glob("*.md"))]
DOCUMENTS = ["README.md", "docs/reference/cli.md", *GUIDES]


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_example_of_a_document_prints_what_it_says(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISDAT_HOME", str(Path.home() / ".disdat"))
    work = Path.cwd()
    shutil.copytree(ROOT / "examples", work / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for example in documents.examples(ROOT / name):
        if example.shown.startswith(("make ", "git ")):
            continue  # setting up is what the continuous integration itself does
        here = example.is_plain and name != "README.md"  # what newcomers read is run as they run it
        printed = documents.run_here(example) if here else documents.run(example, cwd=work)
        if example.expected is not None:
            expected = example.expected.replace("/home/you", str(Path.home()))
            assert documents.agrees(expected, printed), f"{name}:{example.line}: {example.shown}\n{printed}"


@pytest.mark.parametrize(
    ("expected", "printed", "agree"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a ... c\n", "a b c\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nb\nc\n", False),
        ("x 11-22-26 03:21:26\n", "x 01-02-27 00:00:00\n", True),
        ("ccfe48af-0000-4000-8000-000000000000\n", "11111111-2222-4333-8444-555555555555\n", True),
        ("1.5\n", "165\n", False),
        ("in 0.4 s\n", "in 12 s\n", True),
        ("in ... s\n", "in 1.25 s\n", True),
        ("in 0.4 s\n", "in a while\n", False),
    ],
)
def test_what_agrees(expected: str, printed: str, agree: bool) -> None:
    assert documents.agrees(expected, printed) is agree
