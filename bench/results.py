"""What was measured, repetition by repetition, in memory and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Sample:
    """What one operation took in one repetition."""

    workload: str
    variant: str
    contender: str
    rep: int
    op: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is no time, of one repetition."""

    workload: str
    variant: str
    contender: str
    rep: int
    name: str
    value: float


_Taken = TypeVar("_Taken", Sample, Number)


@dataclass(frozen=True, slots=True)
class Failure:
    """A contender that did not finish; whatever came before it counts."""

    workload: str
    variant: str
    contender: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """
    Which of the numbers is meant: of an operation ``wall_s``, ``cpu_s`` or ``peak_mb``, per item ``each_s`` or
    ``each_cpu_s``; of a number that is no time ``value``, where *op* is its name.
    """

    workload: str
    variant: str
    contender: str
    op: str
    measure: str = "wall_s"


@dataclass
class Results:
    """Everything one run or several gave; *machine* says in general words where."""

    machine: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def of(self, figure: Figure) -> dict[int, float]:
        """The figure in each repetition that has it; the median where it was taken several times in one."""
        found: dict[int, list[float]] = {}
        for rep, value in self._all(figure):
            found.setdefault(rep, []).append(value)
        return {rep: statistics.median(values) for rep, values in found.items()}

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Results:
        """Several runs as one, their repetitions renumbered; the machine is that of the first."""
        merged = cls()
        for path in paths:
            fields = json.loads(path.read_text("utf-8"))
            first = 1 + max((sample.rep for sample in merged.samples), default=-1)
            merged.machine = merged.machine or fields["machine"]
            merged.samples += [_later(Sample(**each), first) for each in fields["samples"]]
            merged.numbers += [_later(Number(**each), first) for each in fields["numbers"]]
            merged.failures += [Failure(**each) for each in fields["failures"]]
        return merged

    def _all(self, figure: Figure) -> Iterable[tuple[int, float]]:
        wanted = (figure.workload, figure.variant, figure.contender, figure.op)
        if figure.measure == "value":
            for number in self.numbers:
                if (number.workload, number.variant, number.contender, number.name) == wanted:
                    yield number.rep, number.value
            return
        for sample in self.samples:
            if (sample.workload, sample.variant, sample.contender, sample.op) == wanted:
                yield sample.rep, _measured(sample)[figure.measure]


def _measured(sample: Sample) -> Mapping[str, float]:
    return {
        "wall_s": sample.wall_s,
        "cpu_s": sample.cpu_s,
        "peak_mb": sample.peak_mb,
        "each_s": sample.wall_s / sample.count,
        "each_cpu_s": sample.cpu_s / sample.count,
    }


def _later(taken: _Taken, first: int) -> _Taken:
    return replace(taken, rep=taken.rep + first)
