"""Tasks for the tests: small, deterministic, and picklable by name."""

from __future__ import annotations

import datetime as dt
import os

import luigi

from disdat.pipe import PipeTask


class A(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_run(self) -> list[int]:
        return [self.n, self.n + 1]


class B(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_requires(self) -> None:
        self.add_dependency("a", A, {"n": self.n})

    def pipe_run(self, a: list[int]) -> list[int]:
        return [*a, 10 * self.n]


class C(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_requires(self) -> None:
        self.add_dependency("b", B, {"n": self.n})

    def pipe_run(self, b: list[int]) -> int:
        return sum(b)


class Link(PipeTask):
    """Adds a step to what the one before it gave."""

    i = luigi.IntParameter()
    step = 1

    def pipe_requires(self) -> None:
        if self.i > 0:
            self.add_dependency("before", Link, {"i": self.i - 1})

    def pipe_run(self, before: int = 0) -> int:
        return before + self.step


class Both(PipeTask):
    """Reads A and B under the names a and b, or the other way round."""

    swapped = luigi.BoolParameter(significant=False)

    def pipe_requires(self) -> None:
        first, second = (B, A) if self.swapped else (A, B)
        self.add_dependency("a", first, {})
        self.add_dependency("b", second, {})

    def pipe_run(self, a: list[int], b: list[int]) -> list[list[int]]:
        return [a, b]


class Nothing(PipeTask):
    def pipe_run(self) -> None:
        """Returns nothing."""


class ReadsNothing(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("nothing", Nothing, {})

    def pipe_run(self, nothing: object) -> str:
        return repr(nothing)


class Raises(PipeTask):
    def pipe_run(self) -> None:
        with self.create_output_file("half.txt").open("w") as file:  # type: ignore[union-attr]
            file.write("half")
        raise ArithmeticError("seven is too many")


class OneFails(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("bad", Raises, {})
        self.add_dependency("good", B, {})

    def pipe_run(self, bad: object, good: object) -> None:
        raise AssertionError("its input failed")


class AfterFailure(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("one", OneFails, {})

    def pipe_run(self, one: object) -> None:
        raise AssertionError("its input failed")


class AllKinds(PipeTask):
    text = luigi.Parameter(default="a 'text'")
    number = luigi.IntParameter(default=3)
    part = luigi.FloatParameter(default=0.5)
    flag = luigi.BoolParameter(default=True)
    many = luigi.ListParameter(default=[1, "two"])
    table = luigi.DictParameter(default={"k": [1, 2]})
    day = luigi.DateParameter(default=dt.date(2026, 3, 1))

    def pipe_run(self) -> int:
        return self.number


class Inherited(B):
    m = luigi.IntParameter(default=7)


class Secret(PipeTask):
    """Parameters that are not for everybody."""

    password = luigi.Parameter(default="swordfish", significant=False)
    jobs = luigi.IntParameter(default=2, significant=False)
    token = luigi.Parameter(default="hunter2", visibility=luigi.parameter.ParameterVisibility.PRIVATE)

    def pipe_run(self) -> int:
        return len(self.token)


class Named(PipeTask):
    name = luigi.Parameter(default="the.name")

    def pipe_requires(self) -> None:
        self.set_bundle_name(self.name)

    def pipe_run(self) -> int:
        return 1


class Tagged(PipeTask):
    def pipe_requires(self) -> None:
        self.add_tags({"early": "1"})

    def pipe_run(self) -> int:
        self.add_tags({"late": "2"})
        return 1


class SeesTags(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("tagged", Tagged, {})

    def pipe_run(self, tagged: int) -> list[object]:
        copy = self.get_tags("tagged")
        copy["late"] = "changed"
        return [self.get_tags("tagged"), self.get_bundle_uuid("tagged")]


class Marked(PipeTask):
    def pipe_requires(self) -> None:
        self.mark_force()

    def pipe_run(self) -> int:
        return 1


class ReadsMarked(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("marked", Marked, {})

    def pipe_run(self, marked: int) -> int:
        return marked


class Transient(PipeTask):
    push_meta = luigi.BoolParameter()

    def pipe_requires(self) -> None:
        self.mark_transient(push_meta=self.push_meta)

    def pipe_run(self) -> int:
        return 1


class ReadsExternal(PipeTask):
    """Reads a bundle by name, by uuid or by the task that made it."""

    human_name = luigi.OptionalParameter(default=None)
    uuid = luigi.OptionalParameter(default=None)
    n = luigi.IntParameter(default=1)

    def pipe_requires(self) -> None:
        by_task = self.human_name is None and self.uuid is None
        cls, given = (B, {"n": self.n}) if by_task else (None, {})
        bundle = self.add_external_dependency("data", cls, given, human_name=self.human_name, uuid=self.uuid)
        if bundle is not None:
            self.add_tags({"seen": repr(bundle.data)})

    def pipe_run(self, data: object) -> object:
        return data


class Files(PipeTask):
    def pipe_run(self) -> dict[str, object]:
        one = self.create_output_file("one.txt")
        many = self.create_output_file(["deep/a.txt", "deep/b.txt"])
        named = self.create_output_file({"c": "c.txt"})
        only = self.create_output_file(["only.txt"])
        for target in [one, *many, named["c"], only]:  # type: ignore[misc, call-overload, index]
            with target.open("w") as file:
                file.write(target.path.rpartition("/")[2])
        directory = self.create_output_dir("sub")
        with open(f"{directory}/inside.txt", "w") as file:
            file.write("inside")
        self.create_output_dir("never/used")
        return {"one": one, "many": many, "named": named, "only": only, "directory": directory}


class OnlyAsks(PipeTask):
    def pipe_run(self) -> int:
        self.get_output_dir()
        return 1


class Inner(PipeTask):
    """Applies C itself."""

    workers = luigi.IntParameter(default=1, significant=False)
    timeout = luigi.OptionalFloatParameter(default=None, significant=False)

    def pipe_run(self) -> object:
        from disdat.ops import bundles, find
        from disdat.pipeline.run import apply

        here = self._state.running.writer.context  # type: ignore[union-attr]
        apply(here, C, {"n": 3}, workers=self.workers, timeout=self.timeout)
        row = find.need(here, "C")
        return bundles.value(here, row.uuid)


class AppliesItself(PipeTask):
    timeout = luigi.OptionalFloatParameter(default=None)

    def pipe_run(self) -> None:
        from disdat.pipeline.run import apply

        here = self._state.running.writer.context  # type: ignore[union-attr]
        apply(here, AppliesItself, {"timeout": self.timeout}, timeout=self.timeout)


class NeedsNext(PipeTask):
    """A chain, or with *size* a ring."""

    i = luigi.IntParameter()
    size = luigi.IntParameter(default=0)

    def pipe_requires(self) -> None:
        if self.size:
            self.add_dependency("x", NeedsNext, {"i": (self.i + 1) % self.size, "size": self.size})
        elif self.i:
            self.add_dependency("x", NeedsNext, {"i": self.i - 1})

    def pipe_run(self, x: int = 0) -> int:
        return x + 1


class BrokenRequires(PipeTask):
    def pipe_requires(self) -> None:
        raise KeyError("no such thing")

    def pipe_run(self) -> int:
        return 1


class WrongUpstream(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("a", A, {"n": "three"})

    def pipe_run(self, a: object) -> object:
        return a


class Yields(PipeTask):
    def pipe_run(self):  # type: ignore[no-untyped-def]
        yield 1


class Dies(PipeTask):
    def pipe_run(self) -> None:
        os._exit(7)


class Unstorable(PipeTask):
    def pipe_run(self) -> object:
        with open(f"{self.get_output_dir()}/x.txt", "w") as file:
            file.write("x")
        return {"a": [1, object()]}
