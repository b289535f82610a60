"""The tasks by which :mod:`disdat.testing.executor_contract` tries executors: any process can import them."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import luigi

from disdat.pipe import PipeTask


class Doubles(PipeTask):
    """Gives twice its number."""

    n = luigi.IntParameter()

    def pipe_run(self) -> int:
        return 2 * int(self.n)


class Echoes(PipeTask):
    """Gives the text it is given."""

    text = luigi.Parameter()

    def pipe_run(self) -> str:
        return str(self.text)


class Fails(PipeTask):
    """Raises, after it began a file."""

    def pipe_run(self) -> None:
        Path(self.get_output_dir(), "half.txt").write_text("half")
        raise ArithmeticError("seven is too many")


class Exits(PipeTask):
    """Wants to end the program."""

    def pipe_run(self) -> None:
        sys.exit(3)


class Measures(PipeTask):
    """Gives how long a text is."""

    def pipe_requires(self) -> None:
        self.add_dependency("text", Echoes, {"text": ""})

    def pipe_run(self, text: str) -> int:
        return len(text)


class Yields(PipeTask):
    """Adds up what others give that it yields, the second one when it knows the first."""

    def pipe_run(self) -> Generator[object, Any, list[object]]:  # it is sent whatever the tasks give
        first = yield self.yield_dependency(Doubles, {"n": 2})
        second, third = yield [self.yield_dependency(Doubles, {"n": n}) for n in (first, 5)]
        return [first, second, third]


class Writes(PipeTask):
    """Writes to both streams, and logs."""

    def pipe_run(self) -> None:
        sys.stdout.write("to stdout\nno end of line: ü")
        sys.stderr.write("to stderr\n")
        logging.getLogger("executor.contract").warning("logged %s", "so")


class Dies(PipeTask):
    """Takes its process with it: ``exit``, ``kill`` or ``crash``."""

    how = luigi.Parameter()

    def pipe_run(self) -> None:
        Path(self.get_output_dir(), "half.txt").write_text("half")
        if self.how == "exit":
            os._exit(7)
        elif self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        ctypes.string_at(0)


class Hangs(PipeTask):
    """Writes its process's id to a file, and never ends."""

    path = luigi.Parameter()

    def pipe_run(self) -> None:
        Path(self.get_output_dir(), "half.txt").write_text("half")
        beside = Path(f"{self.path}.new")
        beside.write_text(str(os.getpid()))
        beside.rename(self.path)
        time.sleep(600)
