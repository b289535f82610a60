"""The example of the README: three tasks over real images, as a script and from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.graph import ancestors
from disdat.ops import bundles, find

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.slow


def run(*words: str, home: Path, where: Path = EXAMPLES) -> str:
    done = subprocess.run(
        words,
        cwd=where,
        env={**os.environ, "DISDAT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def script(home: Path) -> str:
    return run(sys.executable, str(EXAMPLES / "pipelines" / "mnist.py"), home=home, where=home.parent)


def counts(home: Path) -> dict[str, int]:
    rows = Home(home).context("mnist").catalog.search(Filter())
    return {name: sum(row.name == name for row in rows) for name in sorted({row.name for row in rows})}


def value(context: Context, name: str) -> object:
    return bundles.value(context, find.need(context, name).uuid)


def test_the_second_run_does_nothing_and_another_gamma_only_what_needs_it(home: Path):
    """The script and the command line find each other's results."""
    first, second = script(home), script(home)
    assert first.startswith("ran\n")
    assert second == first.replace("ran\n", "there was nothing to do\n")
    assert counts(home) == {"Evaluate": 1, "GetData": 1, "Train": 1}
    dsdt = str(Path(sys.executable).with_name("dsdt"))
    assert "\nmade" not in "\n" + run(dsdt, "--context", "mnist", "apply", "pipelines.mnist.Evaluate", home=home)
    run(dsdt, "--context", "mnist", "apply", "pipelines.mnist.Evaluate", "--gamma", "0.01", home=home)
    assert counts(home) == {"Evaluate": 2, "GetData": 1, "Train": 2}
    check_values(Home(home).context("mnist"))


def check_values(context: Context) -> None:
    """What the three tasks made is right, and reads back as it was."""
    data, model, table = (value(context, name) for name in ("GetData", "Train", "Evaluate"))
    assert isinstance(data, dict)
    assert isinstance(model, dict)
    assert isinstance(table, pd.DataFrame)
    assert data["images"].shape == (1797, 8, 8)
    assert data["images"].dtype == np.uint8
    assert model["coefficients"].shape == (898, 10)
    assert table.index.tolist() == list(range(10))
    right = np.trace(table.to_numpy())
    row = find.need(context, "Evaluate")
    assert row.tags == {"accuracy": f"{right / 899:.3f}", "root_task": "True"}
    assert right > 0.9 * 899
    found = ancestors(row.uuid, context.catalog.edges)
    assert [(step.depth, step.argument) for step in found] == [(0, ""), (1, "data"), (1, "model")]
