"""Tables in Markdown: the targets and what came of them, then every figure of every contender."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from bench.contenders import CONTENDERS, Kind
from bench.results import Figure, Results
from bench.targets import (
    LINES,
    MS,
    OTHERS,
    RATE,
    ROWS,
    SCALES,
    AtLeast,
    AtMost,
    Line,
    Over,
    Row,
    Times,
    Verdict,
    judge,
)
from bench.workloads import WORKLOADS

NONE = "–"
DISK, FSYNC, LOAD = "disk", "fsync", "load"
"""Under these names the driver keeps the time of one fsync and the load of the machine, taken in every repetition."""


def summary(results: Results, rows: Sequence[Row] = ROWS) -> str:
    """One line for every target whose figures were taken."""
    judged = [(row, verdict) for row in rows if (verdict := judge(row, results)) is not None]
    head = ("work", "ours", "limit", "compared", "target", "", "Disdat 1.2", "DVC", "one fsync")
    return _table(head, [_line(row, verdict, results) for row, verdict in judged])


def beside(results: Results, lines: Sequence[Line] = LINES) -> str:
    """
    What pipelines take beside everybody else who runs them; empty where nothing of it was measured.

    Medians, with how many times ours it is in brackets, and who is faster than we are.
    """
    rows = [row for line in lines if (row := _beside(line, results))]
    return _table(("work", "ours", *OTHERS, "faster than ours"), rows) if rows else ""


def details(results: Results) -> str:
    """One table for each operation: wall and CPU time and peak memory of every contender."""
    parts = []
    for workload in WORKLOADS:
        for op in _ops(results, workload.name, workload.variant):
            lines = list(_details(results, workload.name, workload.variant, op))
            head = ("contender", "kind", "wall", "CPU", "peak", "each", "rate")
            parts.append(f"**{workload.key}: {op}**\n\n{_table(head, lines)}")
    numbers = sorted({(n.workload, n.variant, n.contender, n.name) for n in results.numbers if n.contender != DISK})
    if numbers:
        lines = [(*key, _spread(results.of(Figure(*key, "value")).values(), "")) for key in numbers]
        parts.append(_table(("workload", "variant", "contender", "what", "value"), lines))
    return "\n\n".join(parts)


def failures(results: Results) -> str:
    """Who did not finish, and why; empty where all did."""
    return "\n".join(f"- {f.contender} did not finish {f.workload}/{f.variant}: {f.reason}" for f in results.failures)


def machine(results: Results) -> str:
    """Where and how the figures were taken, in a sentence."""
    loads = [number.value for number in results.numbers if number.name == LOAD]
    seen = {"load, of the benchmarks too": f"{min(loads):.1f}–{max(loads):.1f}"} if loads else {}
    return "; ".join(f"{key} {value}" for key, value in (results.machine | seen).items())


def _line(row: Row, verdict: Verdict, results: Results) -> tuple[str, ...]:
    of = row.target.of
    return (
        row.work,
        _spread(results.of(row.ours).values(), row.unit),
        _spread(results.of(of).values(), row.unit) + f" ({of.contender})" if of else NONE,
        _compared(row, verdict),
        str(row.target),
        "met" if verdict.met else "**missed**",
        *(_peer(row, name, results) for name in ("disdat 1.2", "dvc")),
        _fsync(row, results) if row.unit == MS and row.ours.workload != "startup" else "",
    )


def _compared(row: Row, verdict: Verdict) -> str:
    match row.target:
        case Times():
            return f"{_number(verdict.median)} ×"
        case Over(unit=unit):
            return f"{_number(verdict.median)} {unit} more"
        case AtMost(unit=unit):
            return f"{_number(verdict.median)} {unit}"
        case AtLeast():
            return f"{verdict.median:,.0f} /s"


def _peer(row: Row, contender: str, results: Results) -> str:
    """The peer's time in the same run, and in brackets how many times ours it is."""
    figure = Figure(row.ours.workload, row.ours.variant, contender, row.peer_op, row.ours.measure)
    theirs = results.of(figure)
    if not theirs:
        return NONE
    ratio = statistics.median(theirs.values()) / statistics.median(results.of(row.ours).values())
    return f"{_spread(theirs.values(), row.unit)} ({_number(ratio)} ×)"


def _fsync(row: Row, results: Results) -> str:
    return _spread(results.of(Figure(row.ours.workload, row.ours.variant, DISK, FSYNC, "each_s")).values(), MS)


def _beside(line: Line, results: Results) -> tuple[str, ...]:
    """The cells of a line; none where it was not measured."""
    taken = {
        name: statistics.median(found.values()) for name in ("ours", *OTHERS) if (found := results.of(line.of(name)))
    }
    if "ours" not in taken or len(taken) == 1:
        return ()
    ours = taken["ours"]
    times = [
        f"{_number(taken[name])} s ({_number(taken[name] / ours)} ×)" if name in taken else NONE for name in OTHERS
    ]
    return (
        line.work,
        f"{_number(ours)} s",
        *times,
        ", ".join(name for name in OTHERS if taken.get(name, ours) < ours) or NONE,
    )


def _ops(results: Results, workload: str, variant: str) -> list[str]:
    samples = (s for s in results.samples if (s.workload, s.variant) == (workload, variant) and s.contender != DISK)
    return list(dict.fromkeys(sample.op for sample in samples))


def _details(results: Results, workload: str, variant: str, op: str) -> Iterator[tuple[str, ...]]:
    for contender in CONTENDERS:
        samples = [
            s
            for s in results.samples
            if (s.workload, s.variant, s.contender, s.op) == (workload, variant, contender.name, op)
        ]
        if not samples:
            continue
        wall, cpu = (statistics.median(getattr(s, measure) for s in samples) for measure in ("wall_s", "cpu_s"))
        count = samples[0].count
        rate = f"{samples[0].size_bytes / wall / 1e6:.0f} MB/s" if samples[0].size_bytes else ""
        yield (
            contender.name,
            contender.kind.value if contender.kind is not Kind.OURS else "**ours**",
            _spread((s.wall_s for s in samples), "s"),
            _spread((s.cpu_s for s in samples), "s"),
            _spread((s.peak_mb for s in samples), "MB"),
            f"{_number(wall / count * 1000)} ms, CPU {_number(cpu / count * 1000)}" if count > 1 else "",
            rate or (f"{count / wall:,.0f} /s" if count > 1 else ""),
        )


def _spread(values: Iterable[float], unit: str) -> str:
    """Median, least and greatest."""
    scaled = [1 / value if unit == RATE else value * SCALES.get(unit, 1) for value in values]
    if not scaled:
        return NONE
    middle = f"{_number(statistics.median(scaled))} {unit}".strip()
    return middle if len(scaled) == 1 else f"{middle} ({_number(min(scaled))}–{_number(max(scaled))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
