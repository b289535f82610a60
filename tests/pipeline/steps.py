"""Tasks that fail, wait, yield or take turns, for the tests of how tasks are run."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import luigi

from disdat.pipe import PipeTask

Steps = Generator[object, Any, object]


class Leaf(PipeTask):
    n = luigi.IntParameter()

    def pipe_run(self) -> int:
        return 10 * int(self.n)


class Waits(PipeTask):
    """Yields one task, then as many as that says."""

    n = luigi.IntParameter(default=2)

    def pipe_run(self) -> Steps:
        note(self, "from the top")
        task = self.yield_dependency(Leaf, {"n": self.n})
        first = yield task
        assert task.pipe_output == first
        others = yield [self.yield_dependency(Leaf, {"n": n}) for n in range(self.n)]
        named = yield {"a": self.yield_dependency(Leaf, {"n": 7})}
        return [first, others, named]


class WaitsForWaiting(PipeTask):
    def pipe_run(self) -> Steps:
        one = yield self.yield_dependency(Waits, {"n": 1})
        return [one]


class WaitsInARing(PipeTask):
    n = luigi.IntParameter(default=0)

    def pipe_run(self) -> Steps:
        yield self.yield_dependency(WaitsInARing, {"n": (self.n + 1) % 3})
        return None


class WaitsForFailing(PipeTask):
    def pipe_run(self) -> Steps:
        yield [self.yield_dependency(Leaf, {"n": 1}), self.yield_dependency(FailsTwice, {"n": 1})]
        return None


class WaitsForNobody(PipeTask):
    """What it yields needs what is not there."""

    def pipe_run(self) -> Steps:
        yield self.yield_dependency(Lacks, {})
        return None


class Lacks(PipeTask):
    def pipe_requires(self) -> None:
        self.add_external_dependency("data", None, {}, human_name="absent")

    def pipe_run(self, data: object) -> object:
        return data


class FailsTwice(PipeTask):
    """Fails until it was begun twice before."""

    n = luigi.IntParameter(default=0)

    def pipe_run(self) -> int:
        note(self, "tried")
        if len(noted("FailsTwice")) < 3:
            raise ValueError("not yet")
        return 1


class Persistent(FailsTwice):
    retry_count = 3

    def pipe_run(self) -> int:
        note(self, "tried")
        if len(noted("Persistent")) < 3:
            raise ValueError("not yet")
        return 1


class GivesUp(FailsTwice):
    retry_count = 2

    def pipe_run(self) -> int:
        note(self, "tried")
        raise ValueError("never")


class SwitchedOff(PipeTask):
    disabled = True

    def pipe_requires(self) -> None:
        self.add_dependency("leaf", Leaf, {"n": 1})

    def pipe_run(self, leaf: int) -> int:
        return leaf


class NeedsSwitchedOff(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("off", SwitchedOff, {})

    def pipe_run(self, off: int) -> int:
        return off


class Interrupting(PipeTask):
    """Its run ends as by Ctrl-C."""

    def pipe_requires(self) -> None:
        self.add_dependency("leaf", Leaf, {"n": 1})

    def pipe_run(self, leaf: int) -> int:
        raise KeyboardInterrupt


class NeedsInterrupting(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("other", Interrupting, {})

    def pipe_run(self, other: int) -> int:
        return other


class Alone(PipeTask):
    """Takes what there is once only, and finds out whether another one has it too."""

    n = luigi.IntParameter()
    resources: ClassVar = {"licence": 1}

    def pipe_run(self) -> bool:
        taken = Path("taken")
        taken.mkdir()
        time.sleep(0.05)
        taken.rmdir()
        return True


class AllAlone(PipeTask):
    def pipe_requires(self) -> None:
        for n in range(4):
            self.add_dependency(f"x{n}", Alone, {"n": n})

    def pipe_run(self, **each: bool) -> bool:
        return all(each.values())


class Ranked(PipeTask):
    n = luigi.IntParameter()

    @property
    def priority(self) -> int:
        return int(self.n)

    def pipe_run(self) -> int:
        note(self, str(self.n))
        return int(self.n)


class AllRanked(PipeTask):
    def pipe_requires(self) -> None:
        for n in (1, 3, 2):
            self.add_dependency(f"x{n}", Ranked, {"n": n})

    def pipe_run(self, **each: int) -> int:
        return sum(each.values())


class Slow(PipeTask):
    def pipe_run(self) -> None:
        time.sleep(60)


class Where(PipeTask):
    """The process it runs in."""

    n = luigi.IntParameter(default=0)

    def pipe_run(self) -> int:
        return os.getpid()


class AllWhere(PipeTask):
    def pipe_requires(self) -> None:
        for n in range(6):
            self.add_dependency(f"x{n}", Where, {"n": n})

    def pipe_run(self, **each: int) -> list[int]:
        return list(each.values())


class Writes(PipeTask):
    def pipe_run(self) -> None:
        print("written")


def note(task: PipeTask, text: str) -> None:
    """Write down, for all processes, that a task was somewhere."""
    with Path(f"{type(task).__name__}.noted").open("a") as file:
        file.write(f"{text}\n")


def noted(name: str) -> list[str]:
    return Path(f"{name}.noted").read_text().splitlines()


class Weighed(PipeTask):
    weight = luigi.FloatParameter(default=1)
    share = luigi.NumericalParameter(min_value=0, max_value=9, var_type=float, default=2)

    def pipe_run(self):
        return [self.weight, self.share]


class WaitsForWeighed(PipeTask):
    """Floats that are given, or left out, as whole numbers."""

    weight = luigi.FloatParameter(default=3)

    def pipe_run(self):
        return (yield [self.yield_dependency(Weighed, given) for given in ({}, {"weight": self.weight})])


class Marked(luigi.Parameter):
    """Does not read back as what it was."""

    def parse(self, text):
        return f"{text}!"


class IsMarked(PipeTask):
    mark = Marked(default="a")

    def pipe_run(self):
        return self.mark


class WaitsForMarked(PipeTask):
    def pipe_run(self):
        return (yield self.yield_dependency(IsMarked, {}))
