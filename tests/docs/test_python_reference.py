"""The reference of the Python API names everything that is public, and its examples do what they say."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest

from disdat import api

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md"
EXAMPLES = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_the_page_says(home):
    text = PAGE.read_text(encoding="utf-8")
    parser, names = doctest.DocTestParser(), {}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in EXAMPLES.finditer(text):
        line = text.count("\n", 0, block.start(1))
        example = parser.get_doctest(block[1], names, PAGE.name, str(PAGE), line)
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=flags)
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs
        assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples():
    assert len(EXAMPLES.findall(PAGE.read_text(encoding="utf-8"))) >= 5


@pytest.mark.parametrize("name", [*api.__all__, *(name for name in vars(api.Bundle) if not name.startswith("_"))])
def test_every_public_name_is_described(name):
    assert re.search(rf"`{name}\b|^{name}\(", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "name", [name for name in api.__all__ if name != "apply" and not isinstance(getattr(api, name), type)]
)
def test_every_function_is_described_with_its_arguments(name):
    arguments = list(inspect.signature(getattr(api, name)).parameters.values())
    plain = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in arguments])
    assert f"`{name}{plain}`" in PAGE.read_text(encoding="utf-8")
