"""The map in ARCHITECTURE.md is of what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_module_and_package_is_on_the_map_and_nothing_else_is():
    mapped = set(re.findall(r"^\| `([\w./]+)` \|", MAP, re.MULTILINE))
    modules = {path.name for path in (ROOT / "disdat").glob("*.py") if path.name != "__init__.py"}
    packages = {f"{path.parent.name}/" for path in (ROOT / "disdat").glob("*/__init__.py")}
    assert mapped == modules | packages


@pytest.mark.parametrize(
    "place", sorted(set(re.findall(r"`((?:docs|tests|examples|dockerizer|changes)/[\w./-]*)`", MAP)))
)
def test_every_place_the_page_names_is_there(place):
    assert (ROOT / place).exists()


def test_every_layer_of_the_page_is_one_of_the_import_contract_in_its_order():
    (drawn,) = re.findall(r"## Layers.*?```\n(.*?)```", MAP, re.DOTALL)
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("layers = [")[1].split("]")[0]
    enforced = [re.findall(r"\w+", line) for line in contract.splitlines() if line.strip()]
    layers = iter(enforced)
    for line in drawn.splitlines():
        names = set(re.findall(r"\w+", line))
        assert any(names <= set(layer) for layer in layers), f"{line} is not enforced in this place"
