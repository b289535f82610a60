"""DVC without git, with its default links (reflink, else copy), as whole processes: it has no call for this."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bench import material, remote
from bench.meter import Meter, own_bin, untimed
from bench.spec import Spec, Work

DVC = own_bin() / "dvc"
REPO = Path("repo")


def opened() -> None:
    REPO.mkdir()
    untimed([DVC, "init", "--no-scm", "-q"], cwd=REPO)
    for setting in ("analytics", "check_update"):
        untimed([DVC, "config", f"core.{setting}", "false"], cwd=REPO)


def startup(meter: Meter, spec: Spec) -> None:
    for _ in range(spec.sizes["times"]):
        meter.run("help", [DVC, "--help"])
        meter.run("version", [DVC, "--version"])
        meter.run("import", [sys.executable, "-c", "import dvc.api"])


def add(meter: Meter, spec: Spec) -> None:
    _with_data(spec)
    meter.run("add", [DVC, "add", "-q", "data"], cwd=REPO, **spec.amount)


def readd(meter: Meter, spec: Spec) -> None:
    _with_data(spec)
    untimed([DVC, "add", "-q", "data"], cwd=REPO)
    meter.run("readd", [DVC, "add", "-q", "data"], cwd=REPO, **spec.amount)


def push(meter: Meter, spec: Spec) -> None:
    _added_for_a_remote(spec)
    meter.run("push", [DVC, "push", "-q"], cwd=REPO, **spec.amount)


def pull(meter: Meter, spec: Spec) -> None:
    _added_for_a_remote(spec)
    untimed([DVC, "push", "-q"], cwd=REPO)
    for had in (".dvc/cache", ".dvc/tmp", "data"):
        (REPO / had).rename(f"had-{Path(had).name}")
    meter.run("pull", [DVC, "pull", "-q"], cwd=REPO, **spec.amount)
    assert material.bytes_below(REPO / "data") == spec.sizes["bytes"]


def pipeline(meter: Meter, spec: Spec) -> None:
    opened()
    count = spec.sizes["tasks"]
    (REPO / "dvc.yaml").write_text("\n".join(["stages:", *_stages(spec.shape, count)]) + "\n", "utf-8")
    meter.run("whole_first", [DVC, "repro", "-q"], count=count, cwd=REPO)
    meter.run("whole_again", [DVC, "repro", "-q"], count=count, cwd=REPO)
    meter.run("plan", [DVC, "status"], count=count, cwd=REPO)


def _added_for_a_remote(spec: Spec) -> None:
    _with_data(spec)
    untimed([DVC, "remote", "add", "-d", "r", remote.URL], cwd=REPO)
    untimed([DVC, "remote", "modify", "r", "endpointurl", remote.endpoint()], cwd=REPO)
    untimed([DVC, "add", "-q", "data"], cwd=REPO)


def _with_data(spec: Spec) -> None:
    """It takes data that lies in its workspace."""
    opened()
    shutil.copytree(spec.data, REPO / "data")
    os.sync()


def _stages(shape: str, count: int) -> list[str]:
    lines: list[str] = []
    for i in range(count):
        needed = range(i - 1, i) if shape == "chain" and i else range(i) if shape == "fan" and i == count - 1 else ()
        lines += [f"  s{i}:", f"    cmd: echo {i} > t{i}"]
        lines += ["    deps:", *(f"    - t{k}" for k in needed)] if needed else []
        lines += ["    outs:", f"    - t{i}"]
    return lines


WORK: dict[str, Work] = {
    "startup": startup,
    "add": add,
    "readd": readd,
    "pipeline": pipeline,
    "push": push,
    "pull": pull,
}
PREPARE: dict[str, Work] = {}
