"""The benchmarks run, and say truly what they measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import pages, report
from bench.__main__ import chosen
from bench.contenders import CONTENDERS
from bench.driver import Plan
from bench.results import Figure, Number, Results, Sample
from bench.targets import LINES, MB, MS, OTHERS, ROWS, AtLeast, AtMost, Line, Over, Row, Target, Times, judge
from bench.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
OURS = Figure("w", "v", "ours", "op")
LIMIT = Figure("w", "v", "limit", "op")


def sample(contender: str, rep: int, wall_s: float, *, count: int = 1) -> Sample:
    return Sample("w", "v", contender, rep, "op", wall_s, wall_s, 10.0, count, 0)


def measured(ours: list[float], limit: list[float]) -> Results:
    return Results(
        samples=[
            *(sample("ours", rep, wall_s) for rep, wall_s in enumerate(ours)),
            *(sample("limit", rep, wall_s) for rep, wall_s in enumerate(limit)),
        ]
    )


def bench(*arguments: str, work: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=environment | {"BENCH_WORK": str(work)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.slow
def test_a_quick_run_measures_what_is_promised_of_its_workloads(tmp_path: Path) -> None:
    """Without peers: they are left out with a word, and nothing fails."""
    out = tmp_path / "tables.md"
    done = bench("--quick", "-w", "add/small,create,catalog/n10000,pipeline/fan100", "--out", str(out), work=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.load([out.with_suffix(".json")])
    asked = {("add", "small"), ("create", "scalars"), ("catalog", "n10000"), ("pipeline", "fan100")}
    for row in ROWS:
        if (row.ours.workload, row.ours.variant) in asked:
            assert judge(row, results) is not None, row.work
            assert row.work in out.read_text("utf-8")
    assert "dvc is left out" in done.stderr


@pytest.mark.slow
def test_a_contender_that_fails_is_named_with_its_reason_and_the_run_fails(tmp_path: Path) -> None:
    broken = tmp_path / "peers" / "dvc" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.symlink_to(sys.executable)
    arguments = ("--quick", "-w", "add/small", "-c", "dvc,cp", "--peers", str(tmp_path / "peers"))
    done = bench(*arguments, work=tmp_path / "work")
    assert done.returncode == 1
    assert "- dvc did not finish add/small:" in done.stdout
    assert "| cp | limit |" in done.stdout


@pytest.mark.parametrize(
    ("target", "ours", "limit", "compared", "met"),
    [
        (Times(2, LIMIT), [4.0, 3.0, 10.0], [2.0, 2.0, 2.0], 2.0, True),
        (Times(1.9, LIMIT), [4.0, 3.0, 10.0], [2.0, 2.0, 2.0], 2.0, False),
        (Over(80, LIMIT, MS), [0.180], [0.100], 80.0, True),
        (Over(79, LIMIT, MS), [0.180], [0.100], 80.0, False),
        (AtMost(50, MS), [0.040, 0.060, 0.050], [], 50.0, True),
        (AtMost(49, MS), [0.040, 0.060, 0.050], [], 50.0, False),
        (AtLeast(10), [0.1, 0.05], [], 15.0, True),
        (AtLeast(16), [0.1, 0.05], [], 15.0, False),
    ],
)
def test_the_median_over_the_repetitions_decides(
    target: Target, ours: list[float], limit: list[float], compared: float, met: bool
) -> None:
    verdict = judge(Row("work", OURS, MS, target), measured(ours, limit))
    assert verdict is not None
    assert verdict.median == pytest.approx(compared)
    assert verdict.met is met


@pytest.mark.parametrize("target", [Times(2, LIMIT), Over(1, LIMIT, MS), AtMost(1, MS), AtLeast(1)])
def test_what_was_not_measured_is_not_judged(target: Target) -> None:
    assert judge(Row("work", OURS, MS, target), Results()) is None


def test_a_ratio_is_taken_within_a_repetition() -> None:
    """A slow hour of the machine slows both, and leaves their ratio."""
    verdict = judge(Row("work", OURS, MS, Times(1.5, LIMIT)), measured([1.0, 100.0, 5.0], [1.0, 100.0, 5.0]))
    assert verdict is not None
    assert verdict.compared == (1.0, 1.0, 1.0)


def test_every_figure_of_a_target_is_of_a_workload_that_its_contender_does() -> None:
    variants = {(workload.name, workload.variant) for workload in WORKLOADS}
    contenders = {contender.name: contender for contender in CONTENDERS}
    for row in ROWS:
        for figure in filter(None, (row.ours, row.target.of)):
            assert (figure.workload, figure.variant) in variants
            assert contenders[figure.contender].does(figure.workload, figure.variant), (row.work, figure)


def test_every_line_beside_others_is_of_a_workload_that_we_do_and_another() -> None:
    variants = {(workload.name, workload.variant) for workload in WORKLOADS}
    for line in LINES:
        assert (line.workload, line.variant) in variants
        doing = {each.name for each in CONTENDERS if each.does(line.workload, line.variant)}
        assert "ours" in doing
        assert doing & set(OTHERS), line.work


def test_beside_others_is_said_how_many_times_ours_they_take_and_who_is_faster() -> None:
    results = Results(samples=[sample("ours", 0, 2.0), sample("luigi", 0, 1.0), sample("redun", 0, 5.0)])
    told = report.beside(results, [Line("do it", "w", "v", "op"), Line("not measured", "w", "v", "other")])
    assert "| do it | 2 s | 1 s (0.5 ×) | – | – | 5 s (2.5 ×) | – | – | luigi |" in told
    assert "not measured" not in told


def test_nothing_is_said_beside_nobody() -> None:
    assert report.beside(Results(samples=[sample("ours", 0, 2.0)]), [Line("do it", "w", "v", "op")]) == ""


def test_workloads_are_done_in_the_order_they_are_named_in_and_all_but_optional_ones_without_names() -> None:
    named = [each.key for each in chosen(["code", "pipeline/fan100", "catalog", "pipeline"])]
    assert named[:3] == ["code/n500", "pipeline/fan100", "catalog/n10000"]
    assert named[3:] == ["pipeline/chain100", "pipeline/chain1000", "pipeline/fan1000"]
    assert chosen([]) == [each for each in WORKLOADS if not each.optional]
    assert chosen([], million=True) == list(WORKLOADS)
    assert [each.key for each in chosen(["catalog/million"])] == ["catalog/million"]


def test_peers_take_part_in_the_first_repetitions_only_if_that_is_wanted() -> None:
    plan = Plan(Path("work"), scale=1, reps=3, peer_reps=2, timeout_s=60, peers=None, only=())
    reps = {each.name: [rep for rep in range(plan.reps) if plan.has(each, rep)] for each in CONTENDERS}
    assert (reps["ours"], reps["luigi"], reps["redun"]) == ([0, 1, 2], [0, 1, 2], [0, 1])


def test_results_come_back_from_their_file_and_runs_are_merged(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    run = measured([1.0, 2.0], [3.0, 4.0])
    run.machine["scale"] = "1"
    run.numbers.append(Number("w", "v", "ours", 1, "MB", 7.0))
    run.save(first)
    run.save(second)
    assert Results.load([first]) == run
    merged = Results.load([first, second])
    assert merged.of(OURS) == {0: 1.0, 1: 2.0, 2: 1.0, 3: 2.0}
    assert merged.of(Figure("w", "v", "ours", "MB", "value")) == {1: 7.0, 3: 7.0}


def test_a_line_of_the_summary_has_figure_limit_comparison_target_and_verdict() -> None:
    row = Row("add it", OURS, "s", Times(2, LIMIT))
    assert "| add it | 3 s (2–4) | 1 s (1–1) (limit) | 3 × | ≤ 2 × | **missed** |" in report.summary(
        measured([2.0, 3.0, 4.0], [1.0, 1.0, 1.0]), [row]
    )
    memory = Row("its memory", Figure("w", "v", "ours", "op", "peak_mb"), MB, AtMost(60, MB))
    assert "| its memory | 10 MB | – | 10 MB | ≤ 60 MB | met |" in report.summary(measured([1.0], []), [memory])


def test_a_page_gets_its_tables_between_its_marks_however_often() -> None:
    page = "before\n<!-- bench:a -->\nold\n<!-- end of bench:a -->\nafter\n"
    filled = pages.fill(page, {"a": r"new \1"})
    assert filled == "before\n<!-- bench:a -->\n\nnew \\1\n\n<!-- end of bench:a -->\nafter\n"
    assert pages.fill(filled, {"a": r"new \1"}) == filled


@pytest.mark.parametrize("page", ["no mark", "<!-- bench:a -->\n<!-- end of bench:a -->\n" * 2])
def test_a_page_without_the_one_place_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="places are marked"):
        pages.fill(page, {"a": "text"})


def test_the_performance_page_has_the_places_that_a_run_fills() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    pages.fill(page, {"machine": "", "targets": "", "pipelines": "", "details": ""})
