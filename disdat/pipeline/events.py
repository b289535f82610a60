"""What is told of a run while it goes on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from disdat.ops.carrying import Way
from disdat.pipeline.outcome import Outcome

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The task that something is told of; its *id* differs from that of all others of the run."""

    id: str
    name: str
    """As people write it: ``Train(gamma=0.1)``."""


class Events(Protocol):
    """Is told what happens, by the thread that called ``apply``, which waits meanwhile: be quick, and raise nothing."""

    def planned(self, tasks: Sequence[tuple[Subject, Outcome | None]]) -> None:
        """
        Tasks there are, inputs before those who read them, and what is decided of each already.

        Told once before anything runs, and again with those that are added while it does.
        """
        ...

    def began(self, task: Subject) -> None:
        """A task runs from now on; one that was suspended or failed may begin again."""
        ...

    def suspended(self, task: Subject, waits: Sequence[Subject]) -> None:
        """A task stopped until these, which it yielded, are there."""
        ...

    def retried(self, task: Subject, why: str) -> None:
        """A task failed, and will begin again."""
        ...

    def ended(self, task: Subject, outcome: Outcome) -> None:
        """What became of a task that was not decided when it was planned; also of one that could not run."""
        ...

    def wrote(self, task: Subject, stream: Stream, text: str) -> None:
        """A task that runs in another process wrote something; what one in this process writes is written already."""
        ...

    def moved(self, task: Subject, way: Way, done_bytes: int, total_bytes: int) -> None:
        """So much came from the remote for a task that runs, or went there; several times a second, by any thread."""
        ...


class Quiet:
    """Passes on what tasks write, and nothing else."""

    def planned(self, tasks: Sequence[tuple[Subject, Outcome | None]]) -> None:
        """Tells nothing."""

    def began(self, task: Subject) -> None:
        """Tells nothing."""

    def suspended(self, task: Subject, waits: Sequence[Subject]) -> None:
        """Tells nothing."""

    def retried(self, task: Subject, why: str) -> None:
        """Tells nothing."""

    def ended(self, task: Subject, outcome: Outcome) -> None:
        """Tells nothing."""

    def moved(self, task: Subject, way: Way, done_bytes: int, total_bytes: int) -> None:
        """Tells nothing."""

    def wrote(self, task: Subject, stream: Stream, text: str) -> None:
        out = sys.stdout if stream == "stdout" else sys.stderr
        out.write(text)
        out.flush()
