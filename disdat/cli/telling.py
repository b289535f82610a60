"""How a run of a pipeline is told while it goes on: a line for each task that ended, and to a person what runs now."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from disdat.cli import render
from disdat.cli.progress import Stopping
from disdat.core.printable import brief
from disdat.ops.carrying import Way
from disdat.pipeline.events import Quiet, Subject
from disdat.pipeline.outcome import Decision, Outcome

if TYPE_CHECKING:  # it takes 60 ms to import, and many runs end before there is something to see
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

DELAY_S = 0.5
"""So long a run goes on before a person is shown what runs."""
_PER_SECOND = 4
_SHORT = 8
_KIND = 7
_WIDEST = 60
_RUNNING_SHOWN = 8
_KINDS: tuple[Decision, ...] = ("made", "reused", "failed", "not run", "interrupted")
_ALWAYS_TOLD = _KINDS[:3]
_NAMES_SHOWN = 20
"""Of more tasks than this that are used again a person sees the number."""


class Teller(Stopping, Quiet):
    """
    Tells of a run on standard output, and at a terminal on standard error what runs now; a context manager.

    *lines* is whether each task has a line; *person* whether somebody looks. *saved_s* gives how long it took to make
    some bundles. Lines are cut at *columns*, but those of what failed. The thread that applies calls it; another one
    draws.
    """

    def __init__(
        self, *, lines: bool, person: bool, saved_s: Callable[[Sequence[str]], float], columns: int | None = None
    ) -> None:
        self._lines = lines
        self._columns = columns
        self._person = person
        self._saved_s = saved_s
        self._started_s = time.monotonic()
        self._width = 0
        self._planned = False
        self.outcomes: list[tuple[str, Outcome]] = []
        """What became of every task; there when the run has ended."""
        self._board = Board(self._started_s)
        self._screen = _Screen(self._board) if person else None

    def __enter__(self) -> Self:
        if self._screen is not None:
            self._screen.open()
        return self

    def stop(self) -> None:
        if self._screen is not None:
            self._screen.close()

    # What a run tells

    def planned(self, tasks: Sequence[tuple[Subject, Outcome | None]]) -> None:
        self._planned = True
        reused = [(subject.name, outcome) for subject, outcome in tasks if outcome is not None]
        saved_s = self._saving_s(reused) if self._person else 0.0
        self._board.plan(len(tasks), reused=len(reused), saved_s=saved_s)
        self._widen([subject.name for subject, _ in tasks])
        self._print_reused(reused)

    def began(self, task: Subject) -> None:
        self._board.begin(task)

    def suspended(self, task: Subject, waits: Sequence[Subject]) -> None:
        self._board.leave(task)

    def retried(self, task: Subject, why: str) -> None:
        self._board.leave(task)
        self._print([_line("again", task.name, self._width, None, f"failed, and is tried again: {why}")])

    def moved(self, task: Subject, way: Way, done_bytes: int, total_bytes: int) -> None:
        self._board.move(task, way, done_bytes, total_bytes)

    def ended(self, task: Subject, outcome: Outcome) -> None:
        self._board.end(task, outcome)
        self._print([self._line_of(task.name, outcome)])

    def concluded(self, task: str, outcome: Outcome) -> None:
        """Take in what became of a task, when all have ended."""
        self.outcomes.append((task, outcome))

    # Afterwards

    def summary(self) -> str:
        """How many tasks ran and how many did not, what that saved, and how long all of it took."""
        if not self._planned:  # nothing was left to run
            self._widen([name for name, _ in self.outcomes])
            self._print_reused(self.outcomes)
        count = Counter(outcome.decision for _, outcome in self.outcomes)
        saved_s = self._saving_s([each for each in self.outcomes if each[1].decision == "reused"])
        told = {kind: f"{count[kind]:,} {kind}" for kind in _KINDS if count[kind] or kind in _ALWAYS_TOLD}
        if saved_s >= 1:
            told["reused"] += f" (saved {render.duration(saved_s)})"
        return f"{', '.join(told.values())} in {render.duration(time.monotonic() - self._started_s)}"

    def kept(self) -> str:
        """What an interrupted run is good for."""
        made = self._board.made
        return f"{render.count(made, 'result')} {'is' if made == 1 else 'are'} kept; the same command goes on"

    def _saving_s(self, reused: Sequence[tuple[str, Outcome]]) -> float:
        """How long it took to make what is used again."""
        outcomes = [outcome for _, outcome in reused]
        unknown = [each.bundle for each in outcomes if each.saved_s is None and each.bundle is not None]
        return sum(each.saved_s or 0.0 for each in outcomes) + self._saved_s(unknown)

    def _widen(self, names: Sequence[str]) -> None:
        self._width = max(self._width, min(_WIDEST, max((len(brief(name)) for name in names), default=0)))

    def _print_reused(self, reused: Sequence[tuple[str, Outcome]]) -> None:
        if self._person and len(reused) > _NAMES_SHOWN:
            self._print([f"{'reused':<{_KIND}}  {render.count(len(reused), 'task')}"])
        else:
            self._print([self._line_of(name, outcome) for name, outcome in reused])

    def _line_of(self, name: str, outcome: Outcome) -> str:
        took = f"{outcome.seconds:.1f} s" if outcome.decision == "made" else ""
        line = _line(outcome.decision, name, self._width, outcome.bundle, outcome.why, took)
        if outcome.bundle is None or self._columns is None or len(line) <= self._columns:
            return line
        if outcome.decision == "reused":  # why is mostly the same of all
            return render.cut(_line(outcome.decision, name, self._width, outcome.bundle, ""), self._columns)
        out_of_line = re.sub(r"(?<=\S)  +", "  ", line[_KIND:])  # and so more of why
        return render.cut(line[:_KIND] + out_of_line, self._columns)

    def _print(self, lines: Sequence[str]) -> None:
        if self._lines and lines:
            render.out(lines)
            render.flush()  # who follows a log sees each task when it ends


class _Running(NamedTuple):
    name: str
    since_s: float
    moves: str = ""
    """What it pulls or pushes just now."""


class Board:
    """How far a run is: any thread may look."""

    def __init__(self, started_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._started_s = started_s
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._left = self._reused = self._failed = 0
        self._saved_s = 0.0
        self.made = 0

    def plan(self, tasks: int, *, reused: int, saved_s: float) -> None:
        """There are more tasks, some of which are there already."""
        with self._lock:
            self._left += tasks - reused
            self._reused += reused
            self._saved_s += saved_s

    def begin(self, task: Subject) -> None:
        """A task runs from now on."""
        with self._lock:
            self._running[task.id] = _Running(task.name, self._clock_s())

    def move(self, task: Subject, way: Way, done_bytes: int, total_bytes: int) -> None:
        """So much came from the remote for a task that runs, or went there."""
        does = {"pulled": "pulls", "pushed": "pushes"}[way]
        told = f"{does} {render.size(done_bytes)} of {render.size(total_bytes)}" if done_bytes < total_bytes else ""
        with self._lock:
            if task.id in self._running:
                self._running[task.id] = self._running[task.id]._replace(moves=told)

    def leave(self, task: Subject) -> None:
        """A task does not run now."""
        with self._lock:
            self._running.pop(task.id, None)

    def end(self, task: Subject, outcome: Outcome) -> None:
        """A task is done."""
        self.leave(task)
        with self._lock:
            self._left -= 1
            self.made += outcome.decision == "made"
            self._reused += outcome.decision == "reused"
            self._failed += outcome.decision == "failed"

    def lines(self) -> list[str]:
        """How far it is, and what runs for how long, the longest first."""
        with self._lock:
            now_s, running = self._clock_s(), list(self._running.values())
            saved = f" (saved {render.duration(self._saved_s)})" if self._saved_s >= 1 else ""
            parts = [
                f"{self._left:,} left",
                f"{self.made:,} made",
                f"{self._reused:,} reused{saved}" if self._reused else "",
            ]
            parts += [f"{self._failed:,} failed" if self._failed else "", render.duration(now_s - self._started_s)]
        shown = [
            f"  {brief(each.name)}  {render.duration(now_s - each.since_s)}  {each.moves}".rstrip() for each in running
        ]
        more = [f"  and {len(shown) - _RUNNING_SHOWN:,} more run"] if len(shown) > _RUNNING_SHOWN else []
        return [", ".join(filter(None, parts)), *shown[:_RUNNING_SHOWN], *more]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text  # who draws has loaded the rest of it

        for number, line in enumerate(self.lines()):
            yield Text(line, style="" if number else "bold", no_wrap=True, overflow="ellipsis")


class _Screen:
    """Draws a board at the bottom of the terminal, from a while after it is opened until it is closed."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._lock = threading.Lock()
        self._timer = threading.Timer(DELAY_S, self._draw)
        self._timer.daemon = True
        self._live: Live | None = None
        self._is_over = False

    def open(self) -> None:
        self._timer.start()

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _draw(self) -> None:
        from rich.console import Console  # only a run that takes its time needs it
        from rich.live import Live  # only a run that takes its time needs it

        with self._lock:
            if self._is_over:
                return
            self._live = Live(
                self._board,
                console=Console(file=sys.stderr, soft_wrap=True),  # paths are to stay whole
                refresh_per_second=_PER_SECOND,
                transient=True,
                # What goes elsewhere is not to come to the terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start(refresh=True)


def _line(decision: str, name: str, width: int, bundle: str | None, why: str, took: str = "") -> str:
    made = (bundle or "")[:_SHORT].ljust(_SHORT)
    cells = [decision.ljust(_KIND), brief(name).ljust(width), made, took.rjust(7)]
    return "  ".join([*cells, render.one_line(why)]).rstrip()
