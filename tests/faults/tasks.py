"""A pipeline of two tasks, to be killed."""

from __future__ import annotations

import luigi

from disdat.pipe import PipeTask


class Digits(PipeTask):
    """Makes a file of 100 kB and a short one."""

    n = luigi.IntParameter()

    def pipe_run(self) -> list[str]:
        large, small = self.create_output_file("large.txt"), self.create_output_file("small.txt")
        with large.open("w") as file:
            file.write(f"{self.n:100000}")
        with small.open("w") as file:
            file.write(str(self.n))
        return [large.path, small.path]


class Doubled(PipeTask):
    """Reads the short one."""

    n = luigi.IntParameter()

    def pipe_requires(self) -> None:
        self.add_dependency("digits", Digits, {"n": self.n})

    def pipe_run(self, digits: list[str]) -> int:
        with open(digits[1], encoding="utf-8") as file:
            return 2 * int(file.read())
