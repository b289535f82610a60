"""``python -m bench``: measure, print the tables, keep the raw figures."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import driver, pages, report
from bench.contenders import CONTENDERS
from bench.results import Results
from bench.workloads import WORKLOADS, Workload

QUICK_SCALE = 0.02
NAMES = list(dict.fromkeys(workload.name for workload in WORKLOADS))


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.render:
        results = Results.load(options.render)
    else:
        results = Results()
        _measure(options, results)
    print(_tables(results))
    if options.docs:
        options.docs.write_text(pages.fill(options.docs.read_text("utf-8"), _parts(results)), "utf-8")
    return 1 if results.failures else 0


def _measure(options: argparse.Namespace, results: Results) -> None:
    work = options.work or Path(tempfile.mkdtemp(prefix="disdat-bench-"))
    plan = driver.Plan(
        work=work.absolute(),
        scale=QUICK_SCALE if options.quick else options.scale,
        reps=1 if options.quick else options.reps,
        peer_reps=options.reps if options.peer_reps is None else options.peer_reps,
        timeout_s=options.timeout,
        peers=options.peers,
        only=tuple(options.contenders),
    )
    for _ in driver.run(plan, chosen(options.workloads, million=options.million), results, _tell):
        _save(options.out, results)
    if not options.keep:
        driver.forget_prepared(plan)


def chosen(names: Sequence[str], *, million: bool = False) -> list[Workload]:
    """What is named, in that order, each once; of no names everything. What is optional comes by its full name only."""
    found: list[Workload] = []
    for name in names or NAMES:
        mine = (w for w in WORKLOADS if name in (w.name, w.key))
        found += [w for w in mine if w not in found and (not w.optional or million or w.key in names)]
    return found


def _save(out: Path | None, results: Results) -> None:
    """Write tables and raw figures after every workload: a run that is cut leaves what it had."""
    if out is not None:
        out.with_suffix(".md").write_text(_tables(results), "utf-8")
        results.save(out.with_suffix(".json"))


def _tables(results: Results) -> str:
    return "\n\n".join(part for part in (*_parts(results).values(), report.failures(results)) if part) + "\n"


def _parts(results: Results) -> dict[str, str]:
    return {
        "machine": report.machine(results),
        "targets": report.summary(results),
        "pipelines": report.beside(results),
        "details": report.details(results),
    }


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _directory(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [*NAMES, *(w.key for w in WORKLOADS)]
    parser.add_argument(
        "-w", "--workloads", type=_listed(names), default=[], help=f"only these, in this order, of {','.join(names)}"
    )
    contenders = [each.name for each in CONTENDERS]
    parser.add_argument(
        "-c", "--contenders", type=_listed(contenders), default=[], help=f"only these, of {','.join(contenders)}"
    )
    parser.add_argument("--quick", action="store_true", help="everything once, at 1/50 of the size; two minutes")
    parser.add_argument("--million", action="store_true", help="also questions to a catalog of a million bundles")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is full size, the default")
    parser.add_argument("--reps", type=int, default=5, help="repetitions; 5 by default")
    parser.add_argument("--peer-reps", type=int, help="peers take part in so many of them only; they are slow")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for one run of one contender")
    parser.add_argument("--out", type=Path, help="write the tables here, and the raw figures beside it as .json")
    parser.add_argument("--keep", action="store_true", help="keep what was prepared, for the next run")
    parser.add_argument("--render", type=Path, nargs="+", help="measure nothing: the tables of these .json files")
    parser.add_argument("--docs", type=Path, help="fill the marked places of this page with the tables")
    parser.add_argument(
        "--peers", type=Path, default=_directory("BENCH_PEERS"), help="peers' environments (BENCH_PEERS)"
    )
    parser.add_argument("--work", type=Path, default=_directory("BENCH_WORK"), help="scratch directory (BENCH_WORK)")
    return parser


class _listed:  # noqa: N801 - argparse shows the name of the type in its errors
    """A list with commas, of known words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def __call__(self, text: str) -> list[str]:
        found = text.split(",")
        if unknown := [word for word in found if word not in self.words]:
            raise argparse.ArgumentTypeError(f"no {unknown[0]!r}; there are {', '.join(self.words)}")
        return found


if __name__ == "__main__":
    sys.exit(main())
