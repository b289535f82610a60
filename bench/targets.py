"""What is promised: each row of the table of targets, as a decision over figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.results import Figure, Results

MB = "MB"
MS = "ms"
S = "s"
TIMES = "×"
RATE = "/s"


@dataclass(frozen=True, slots=True)
class Times:
    """At most *factor* times another figure of the same repetition."""

    factor: float
    of: Figure

    def __str__(self) -> str:
        return f"≤ {self.factor:g} ×"


@dataclass(frozen=True, slots=True)
class Over:
    """At most *extra* (in the row's unit) more than another figure of the same repetition."""

    extra: float
    of: Figure
    unit: str

    def __str__(self) -> str:
        return f"≤ {self.extra:g} {self.unit} more"


@dataclass(frozen=True, slots=True)
class AtMost:
    """At most a number; *of* is shown beside it."""

    most: float
    unit: str
    of: Figure | None = None

    def __str__(self) -> str:
        return f"≤ {self.most:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """So many per second, at least, where the figure is the time of each; *of* is shown beside it."""

    least: float
    of: Figure | None = None

    def __str__(self) -> str:
        return f"≥ {self.least:,g} {RATE}"


Target = Times | Over | AtMost | AtLeast


@dataclass(frozen=True, slots=True)
class Row:
    """One promise: *work* in the words of the table, our figure and its unit, and the target."""

    work: str
    ours: Figure
    unit: str
    target: Target
    peer_op: str = ""
    """The operation in which peers do the same; empty where they have none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a row: what is compared with the target, repetition by repetition, and whether its median holds."""

    compared: tuple[float, ...]
    met: bool

    @property
    def median(self) -> float:
        return statistics.median(self.compared)


@dataclass(frozen=True, slots=True)
class Line:
    """Something that others do too, the same for all: *work* in the words of the table, and the operation."""

    work: str
    workload: str
    variant: str
    op: str

    def of(self, contender: str) -> Figure:
        return Figure(self.workload, self.variant, contender, self.op)


SCALES: Mapping[str, float] = {S: 1, MS: 1000, MB: 1, TIMES: 1, "": 1}


def judge(row: Row, results: Results) -> Verdict | None:
    """Whether the row's target is met; None where its figures, or those it is compared with, were not taken."""
    ours, target = results.of(row.ours), row.target
    match target:
        case Times(factor, of):
            limit = results.of(of)
            compared, most = [ours[rep] / limit[rep] for rep in ours if limit.get(rep)], factor
        case Over(extra, of, unit):
            limit = results.of(of)
            compared = [(ours[rep] - limit[rep]) * SCALES[unit] for rep in ours if rep in limit]
            most = extra
        case AtMost(most, unit):
            compared = [value * SCALES[unit] for value in ours.values()]
        case AtLeast(least):
            compared = [1 / value for value in ours.values()]
            return Verdict(tuple(compared), statistics.median(compared) >= least) if compared else None
    return Verdict(tuple(compared), statistics.median(compared) <= most) if compared else None


def _startup(op: str, contender: str = "ours") -> Figure:
    return Figure("startup", "cli", contender, op, "cpu_s")


def _files(workload: str, variant: str, contender: str, op: str = "") -> Figure:
    return Figure(workload, variant, contender, op or workload)


def _again(what: str, variant: str) -> tuple[Row, Row]:
    target = Times(2, _files("readd", variant, "hash"))
    as_it_is, touched = (_files("readd", variant, "ours", op) for op in ("readd", "readd_touched"))
    row = Row(f"add {what} again", as_it_is, S, target, "readd")
    return row, Row(f"add {what} again, touched meanwhile", touched, S, target)


def _catalog(op: str, variant: str = "n10000", contender: str = "ours") -> Figure:
    return Figure("catalog", variant, contender, op, "each_s")


def _each(workload: str, variant: str, contender: str, op: str) -> Figure:
    return Figure(workload, variant, contender, op, "each_s")


def _question(work: str, op: str, most_ms: float) -> Row:
    return Row(work, _catalog(op), MS, AtMost(most_ms, MS, _catalog(op, contender="sqlite")), op)


def _million(work: str, op: str) -> Row:
    return Row(f"{work}, 1,000,000 bundles", _catalog(op, "million"), MS, Times(2, _catalog(op)))


def _frame(op: str, factor: float) -> tuple[Row, Row]:
    taken = Figure("frame", op, "ours", op)
    size = Figure("frame", op, "ours", "frame MB", "value")
    parquet = Figure("frame", op, "parquet", op)
    peak = Figure("frame", op, "ours", op, "peak_mb")
    what = f"{op} a DataFrame of 10M rows × 8 columns"
    return Row(what, taken, S, Times(factor, parquet), op), Row(f"{what}: peak memory", peak, MB, Times(1.5, size), op)


def _pipeline(variant: str) -> Row:
    ours, luigi = (_each("pipeline", variant, name, "first") for name in ("ours", "luigi"))
    return Row(f"a task of a pipeline, first run, {variant}", ours, MS, Over(1, luigi, MS), "first")


def _whole_pipeline(variant: str) -> tuple[Row, ...]:
    def taken(op: str, unit: str = "wall_s", contender: str = "ours") -> Figure:
        return Figure("pipeline", variant, contender, op, unit)

    luigi, what = taken("whole_first", contender="luigi"), f"1,000 tasks, {variant.rstrip('0123456789')}, whole process"
    again = f"{what}, nothing to do"
    return (
        Row(f"{what}, first run", taken("whole_first"), S, Times(1.5, luigi), "whole_first"),
        Row(again, taken("whole_again"), S, AtMost(0.5, S), "whole_again"),
        Row(f"{again}: peak memory", taken("whole_again", "peak_mb"), MB, AtMost(120, MB), "whole_again"),
    )


def _nothing() -> tuple[Row, ...]:
    ten, one = (_each("nothing", variant, "ours", "again") for variant in ("fan10000", "fan1000"))
    return (
        Row("10,000 tasks, nothing to do", Figure("nothing", "fan10000", "ours", "again"), S, AtMost(5, S)),
        Row("the same, each task, over one of 1,000", ten, MS, Times(1, one)),
    )


def _plan() -> tuple[Row, ...]:
    def taken(op: str, contender: str = "ours") -> Figure:
        return Figure("plan", "fan10000", contender, op)

    return (
        Row("`dsdt plan` of 10,000 tasks, all made", taken("plan"), S, AtMost(3, S, taken("plan", "luigi")), "plan"),
        Row("`dsdt plan` of 10,000 tasks, none made", taken("plan_unmade"), S, AtMost(3, S)),
    )


def _handed() -> Row:
    handed, stored = (Figure("handed", "frame", "ours", op) for op in ("handed", "stored"))
    return Row(
        "a DataFrame of 200 MB from task to task, over storing and loading it", handed, S, Times(1, stored), "handed"
    )


def _dask() -> Iterator[Row]:
    for workload, where in (("dask", "of its own"), ("cluster", "that share nothing but a directory with it")):
        ours, plain = (_each(workload, "fan1000", name, "first") for name in ("ours", "plain dask"))
        yield Row(f"a task on two dask workers {where}, fan of 1,000", ours, MS, AtMost(10, MS, plain))


def _code() -> tuple[Row, ...]:
    def taken(op: str) -> Figure:
        return Figure("code", "n500", "ours", op, "cpu_s")

    what = "digest of the code of 500 modules, CPU"
    return (
        Row(what, taken("cold"), S, AtMost(1, S), "cold"),
        Row(f"{what}, known to an earlier process", taken("warm"), MS, AtMost(50, MS), "warm"),
    )


def _diff() -> tuple[Row, ...]:
    table, tree = (Figure("diff", variant, "ours", "diff") for variant in ("table", "tree"))
    peak = Figure("diff", "table", "ours", "diff", "peak_mb")
    size = Figure("diff", "table", "ours", "both tables MB", "value")
    what = "diff of two keyed tables of 1M rows × 8 columns, 3 cells changed"
    return (
        Row(what, table, S, AtMost(3, S)),
        Row(f"{what}: peak memory", peak, MB, Times(1.5, size)),
        Row("diff of two directories of 100,000 files, 100 changed", tree, S, AtMost(0.3, S)),
    )


def _contexts() -> tuple[Row, ...]:
    def taken(op: str, unit: str = "wall_s") -> Figure:
        return Figure("contexts", "n100000", "ours", op, unit)

    return (
        Row("fork of a context of 100,000 bundles", taken("fork"), S, AtMost(1, S)),
        Row("the same: new bytes of bundles", taken("new MB", "value"), MB, AtMost(0, MB)),
        *(
            Row(f"completing {what}, 100,000 bundles, CPU", taken(f"complete {what}", "cpu_s"), MS, AtMost(100, MS))
            for what in ("names", "tags", "words")
        ),
    )


def _checkout() -> tuple[Row, ...]:
    copied = Figure("checkout", "small", "cp", "checkout")
    first, again = (Figure("checkout", "small", "ours", op) for op in ("checkout", "checkout_again"))
    return (
        Row("checkout of 10,000 files of 10 KB", first, S, Times(1.3, copied)),
        Row("the same again, nothing changed", again, S, AtMost(0.2, S)),
    )


def _moved(variant: str, what: str, push_factor: float, pull_factor: float) -> Iterator[Row]:
    for op, factor in (("push", push_factor), ("pull", pull_factor)):
        ours, theirs = (Figure(op, variant, name, op) for name in ("ours", "s5cmd"))
        yield Row(f"{op} {what}", ours, S, Times(factor, theirs), op)
    if variant == "big":
        for op in ("push", "pull"):
            used, theirs = (Figure(op, variant, name, op, "cpu_s") for name in ("ours", "s5cmd"))
            yield Row(f"{op} {what}: CPU of the client", used, S, Times(1, theirs), op)


def _remotes() -> tuple[Row, ...]:
    def much(op: str, measure: str) -> Figure:
        return Figure("remote", "n100000", "ours", op, measure)

    published = Figure("publish", "w48", "ours", "publish", "each_s")
    slowest = Figure("publish", "w48", "ours", "slowest s", "value")
    writers = "48 writers of one remote context, 30 ms of latency"
    return (
        *_moved("big", "1 GB", 1.1, 1.5),
        *_moved("small", "10,000 files of 10 KB", 0.5, 0.5),
        *_moved("medium", "1,000 files of 1 MB", 1.15, 1.15),
        Row("push with nothing new, 100,000 bundles there", much("nothing", "each_s"), MS, AtMost(10, MS)),
        Row("the same: requests", much("requests of pushing nothing", "value"), "", AtMost(3, "")),
        Row("clone of a context of 100,000 bundles", much("clone", "wall_s"), S, AtMost(10, S)),
        Row("the same: requests", much("requests of a clone", "value"), "", AtMost(200, "")),
        Row(f"{writers}: publications", published, RATE, AtLeast(100)),
        Row(f"{writers}: the slowest", slowest, S, AtMost(1, S)),
    )


def _as_of(variant: str, bundles: str) -> Iterator[Row]:
    for command in ("ls", "log", "cat", "show", "lineage"):
        now, then = (Figure("asof", variant, "ours", op, "cpu_s") for op in (command, f"{command}_then"))
        yield Row(f"`dsdt {command} --as-of`, {bundles} bundles, 300 changes since, CPU", then, MS, Times(2, now))


BARE = _startup("bare", "python")
BIG_PEAK = Figure("add", "big", "dsdt", "add", "peak_mb")
TENTH_PEAK = Figure("add", "big", "dsdt", "add_tenth", "peak_mb")

ROWS: tuple[Row, ...] = (
    Row("`dsdt ls` on 1,000 bundles, CPU", _startup("ls"), MS, Times(2, _startup("ls", "python")), "ls"),
    Row("`dsdt --help`, CPU", _startup("help"), MS, Over(80, BARE, MS), "help"),
    Row("`dsdt --version`, CPU", _startup("version"), MS, Over(80, BARE, MS), "version"),
    Row("`import disdat`, CPU", _startup("import"), MS, Over(60, BARE, MS), "import"),
    Row("add one 1-GB file", _files("add", "big", "ours"), S, Times(1.3, _files("add", "big", "cp+sync")), "add"),
    Row("add one 1-GB file: peak memory of `dsdt add`", BIG_PEAK, MB, AtMost(60, MB)),
    Row("the same, over that of a tenth of the file", BIG_PEAK, MB, Over(4, TENTH_PEAK, MB)),
    Row(
        "add 10,000 files of 10 KB", _files("add", "small", "ours"), S, Times(0.8, _files("add", "small", "cp")), "add"
    ),
    Row(
        "add 1,000 files of 1 MB",
        _files("add", "medium", "ours"),
        S,
        Times(1.3, _files("add", "medium", "cp+sync")),
        "add",
    ),
    *_again("the 1-GB file", "big"),
    *_again("the 10,000 files", "small"),
    *_again("the 1,000 files", "medium"),
    *(
        Row(
            f"new bytes of adding {variant} again",
            Figure("readd", variant, "ours", "new MB", "value"),
            MB,
            AtMost(0, MB),
        )
        for variant in ("big", "small", "medium")
    ),
    Row(
        "create a bundle of a few scalars, durable",
        _each("create", "scalars", "ours", "create"),
        MS,
        AtMost(0.6, MS, _each("create", "scalars", "fdatasync", "create")),
        "create",
    ),
    Row(
        "the same in a batch",
        _each("create", "scalars", "ours", "create_batch"),
        MS,
        AtMost(0.3, MS, _each("create", "scalars", "fdatasync", "create_batch")),
        "create",
    ),
    _question("list 10,000 bundles", "list", 50),
    _question("by name, 100 hits", "by_name", 1),
    _question("by tag, 1,000 hits", "by_tag", 8),
    _question("latest", "latest", 0.2),
    _million("by name, 100 hits", "by_name"),
    _million("by tag, 1,000 hits", "by_tag"),
    _million("latest", "latest"),
    *_frame("store", 1.1),
    *_frame("load", 1.2),
    *(
        Row(
            f"`reindex`, bundles written {how}",
            _each("reindex", variant, "ours", "reindex"),
            RATE,
            AtLeast(15_000, _each("reindex", "batches", "sqlite", "reindex")),
        )
        for how, variant in (("in batches", "batches"), ("one by one", "singles"))
    ),
    *_diff(),
    Row("gc plan over 1,000,000 objects, CPU", Figure("gc", "plan", "ours", "gc", "cpu_s"), S, AtMost(10, S)),
    Row("the same: peak memory", Figure("gc", "plan", "ours", "gc", "peak_mb"), MB, AtMost(200, MB)),
    *_checkout(),
    *_contexts(),
    *_as_of("n10000", "10,000"),
    *_as_of("n100000", "100,000"),
    _pipeline("chain100"),
    _pipeline("fan100"),
    *_whole_pipeline("chain1000"),
    *_whole_pipeline("fan1000"),
    *_nothing(),
    *_plan(),
    _handed(),
    *_dask(),
    *_code(),
    *_remotes(),
)

OTHERS = ("luigi", "luigi+pickle", "disdat 1.2", "redun", "metaflow", "dvc")
"""Who runs pipelines too."""

LINES: tuple[Line, ...] = (
    *(
        Line(f"{tasks} tasks, {shape}: {what}", "pipeline", f"{shape}{tasks.replace(',', '')}", op)
        for tasks in ("100", "1,000")
        for shape in ("chain", "fan")
        for op, what in (("whole_first", "first run"), ("whole_again", "nothing to do"), ("plan", "what would run"))
    ),
    Line("10,000 tasks, fan: nothing to do", "nothing", "fan10000", "again"),
    Line("10,000 tasks, fan: what would run", "plan", "fan10000", "plan"),
    Line("a DataFrame of 200 MB: made, handed on, read", "handed", "frame", "whole_handed"),
    Line("the same in a process, of one that is there", "handed", "frame", "handed"),
)
