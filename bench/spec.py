"""What one contender is asked to do in one process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from bench.meter import Meter


class Amount(TypedDict):
    """How much one operation is of, as the meter takes it."""

    count: int
    size_bytes: int


@dataclass(frozen=True)
class Spec:
    """One contender, one workload, one variant; everything here survives JSON."""

    adapter: str
    contender: str
    workload: str
    variant: str
    work: str
    """The current directory: fresh, or where the prepared things are."""
    data: str
    """The files to add; empty where there are none."""
    sizes: Mapping[str, int]
    prepare: bool = False

    @classmethod
    def load(cls, path: Path) -> Spec:
        return cls(**json.loads(path.read_text("utf-8")))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @property
    def amount(self) -> Amount:
        """How many files and bytes adding the data means."""
        return {"count": self.sizes["files"], "size_bytes": self.sizes["bytes"]}

    @property
    def shape(self) -> str:
        """The form of a task graph: the variant without its number."""
        return self.variant.rstrip("0123456789")

    def graph_command(self, module: str, where: str, *, function: str = "run") -> list[str]:
        """The command that runs the workload's task graph, as *module* has it, in a process of its own."""
        return command(module, f"{function}({where!r}, {self.shape!r}, {self.sizes['tasks']})")


def command(module: str, call: str) -> list[str]:
    """The command that calls a function of an adapter's *module* in a process of its own."""
    return [sys.executable, "-c", f"from bench.adapters import {module}; {module}.{call}"]


Work = Callable[[Meter, Spec], None]
