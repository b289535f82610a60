"""What tasks look at while they run, beside their inputs: it is noted, and looked at again before a reuse."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import luigi
import luigi.configuration
import pytest

from disdat import api
from disdat.catalog.queries import Filter
from disdat.core.bundle import Lineage
from disdat.errors import ApplyError
from disdat.ops import bundles, contexts, find
from disdat.ops.bundles import Birth
from disdat.pipe import PipeTask
from disdat.pipeline.run import apply
from tests.pipeline.conftest import Applied
from tests.pipeline.tasks import C, Inner

Steps = Generator[object, Any, object]
WORKERS = pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
RERUN = pytest.mark.parametrize("rerun", ["content", "version"])


class Gives(PipeTask):
    """Gives what a file holds, if there is one."""

    n = luigi.IntParameter(default=0)
    salt = os.environ.get("SALT_OF_GIVES", "")

    def pipe_run(self) -> list[object]:
        file = Path("gives.txt")
        return [int(self.n), file.read_text() if file.exists() else ""]


def salt(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have it so in processes that are started anew, too: in one that has other threads none is forked."""
    monkeypatch.setattr(Gives, "salt", text)
    monkeypatch.setenv("SALT_OF_GIVES", text)


class Yields(PipeTask):
    """Yields one task, and others that depend on what that gave."""

    def pipe_run(self) -> Steps:
        first = yield self.yield_dependency(Gives, {})
        others = yield [self.yield_dependency(Gives, {"n": n}) for n in range(1, 3 + len(first[1]))]
        return [first, *others]


class YieldsYielding(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("static", Gives, {"n": 9})

    def pipe_run(self, static: list[object]) -> Steps:
        found = yield self.yield_dependency(Yields, {})
        return [len(static), len(found)]


class Deep(PipeTask):
    """Yields itself, down to the ground."""

    n = luigi.IntParameter()

    def pipe_run(self) -> Steps:
        below = 0
        if self.n:
            below = yield self.yield_dependency(Deep, {"n": self.n - 1})
        return below + 1


class Marked(PipeTask):
    def pipe_requires(self) -> None:
        self.mark_force()

    def pipe_run(self) -> int:
        return 1


class YieldsMarked(PipeTask):
    def pipe_run(self) -> Steps:
        return (yield self.yield_dependency(Marked, {}))


class Secretive(PipeTask):
    token = luigi.Parameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    day = luigi.OptionalParameter(default=None)

    def pipe_run(self) -> int:
        return len(self.token)


class YieldsSecretly(PipeTask):
    def pipe_run(self) -> Steps:
        return (yield self.yield_dependency(Secretive, {"token": "hunter2"}))


class YieldsSecrets(PipeTask):
    """Yields two of one id."""

    def pipe_run(self) -> Steps:
        return (yield [self.yield_dependency(Secretive, {"token": token}) for token in ("hunter2", "swordfish")])


class YieldsExternally(PipeTask):
    def pipe_run(self) -> Steps:
        return (yield self.yield_dependency(ReadsThing, {}))


class ReadsThing(PipeTask):
    def pipe_requires(self) -> None:
        self.add_external_dependency("thing", None, {}, human_name="thing")

    def pipe_run(self, thing: object) -> object:
        return thing


class AlsoReadsThing(PipeTask):
    """Reads what was the latest when the run began, after a task that made a later one."""

    def pipe_requires(self) -> None:
        self.add_dependency("before", MakesThing, {})
        self.add_external_dependency("thing", None, {}, human_name="thing")

    def pipe_run(self, before: object, thing: object) -> object:
        return thing


class MakesThing(PipeTask):
    def pipe_requires(self) -> None:
        self.add_dependency("read", ReadsThing, {})

    def pipe_run(self, read: object) -> int:
        api.Bundle("demo", name="thing", data="later")
        return 1


class Gets(PipeTask):
    """Looks for a bundle by name."""

    def pipe_run(self) -> object:
        found = api.get("demo", "thing")
        return None if found is None else found.data


class Searches(PipeTask):
    """Looks for all bundles of a tag, and for its own results."""

    def pipe_run(self) -> list[object]:
        api.search("demo", "Searches")
        api.get("demo", "Searches")
        return [each.data for each in api.search("demo", tags={"kind": "good"})]


class GetsElsewhere(PipeTask):
    def pipe_run(self) -> object:
        found = api.get("other", "thing")
        return None if found is None else found.data


class Labelled(PipeTask):
    label = luigi.Parameter(default="first", significant=False)

    def pipe_requires(self) -> None:
        self.add_tags({"label": self.label})

    def pipe_run(self) -> int:
        return 1


class ReadsLabel(PipeTask):
    label = luigi.Parameter(default="first", significant=False)

    def pipe_requires(self) -> None:
        self.add_dependency("labelled", Labelled, {"label": self.label})

    def pipe_run(self, labelled: int) -> str:
        return self.get_tags("labelled")["label"]


class ReadsUuid(ReadsLabel):
    def pipe_run(self, labelled: int) -> str:
        return self.get_bundle_uuid("labelled")


class ReadsHandles(ReadsLabel):
    def pipe_run(self, labelled: int) -> str:
        return self.input_bundles()["labelled"].tags["label"]


class ReadsValue(ReadsLabel):
    def pipe_run(self, labelled: int) -> int:
        return labelled


class Slow(PipeTask):
    """Yields in two steps, and writes down each time that it gets to its end."""

    def pipe_run(self) -> Steps:
        first = yield self.yield_dependency(Gives, {"n": 1})
        second = yield self.yield_dependency(Gives, {"n": 2})
        with Path("ended.txt").open("a") as file:
            file.write("ended\n")
        time.sleep(0.1)
        return [first, second]


def lineage(applied: Applied, name: str) -> Lineage:
    return applied.context.catalog.bundle(applied.latest(name)).lineage


def add(applied: Applied, value: object, name: str = "thing", **tags: str) -> None:
    bundles.write(applied.context, value, Birth(name=name, tags=tags))


# Tasks that are yielded


@WORKERS
def test_what_was_yielded_is_an_input_by_its_task_id(applied: Applied, workers: int) -> None:
    applied(Yields, workers=workers)
    found = lineage(applied, "Yields")
    assert [each.argument for each in found.inputs] == [Gives(n=n).task_id for n in range(3)]
    assert {each.name for each in found.inputs} == {"Gives"}
    assert found.task is not None
    assert found.task.components["inputs"] == {}
    assert [dict(each) for each in found.observed][1] == {  # type: ignore[call-overload]
        "kind": "task",
        "argument": Gives(n=1).task_id,
        "class": "tests.pipeline.test_observed.Gives",
        "params": {"n": "1"},
        "digest": applied.context.catalog.bundle(found.inputs[1].uuid).exact,
    }


class Defaulted(PipeTask):
    n = luigi.IntParameter(default=1)
    m = luigi.IntParameter(default=5)

    def pipe_run(self) -> object:
        return self.n, self.m


class YieldsDefaulted(PipeTask):
    def pipe_run(self) -> object:
        return (yield self.yield_dependency(Defaulted, {"m": 6}))


def test_a_default_that_is_another_one_now_counts(applied: Applied) -> None:
    """As one of ``luigi.cfg``, which is in no code: the task that was yielded then is there, but it is not the same."""
    applied(YieldsDefaulted)
    assert [each["defaults"] for each in lineage(applied, "YieldsDefaulted").observed] == [["n"]]  # type: ignore[index, call-overload]
    assert applied(YieldsDefaulted) == []
    settings = luigi.configuration.get_config()
    settings.set("Defaulted", "n", "2")
    settings.set("Defaulted", "m", "9")
    try:
        assert applied(YieldsDefaulted) == ["Defaulted", "YieldsDefaulted"]
        assert applied.value("YieldsDefaulted") == (2, 6)
        why = "Defaulted(m=6, n=1), which it yielded, runs: n is 2 by default now"
        assert applied.decisions()["YieldsDefaulted()"] == ("made", why)
        assert applied(YieldsDefaulted) == []
    finally:
        settings.remove_section("Defaulted")
    assert applied(YieldsDefaulted) == []


def test_what_is_yielded_is_not_in_the_processing_name(applied: Applied) -> None:
    applied(Yields)
    row = applied.context.catalog.latest("Yields")
    assert row is not None
    assert row.processing_name == Yields().processing_id() == "Yields__99914b932b_d41d8cd98f"


@WORKERS
@RERUN
@pytest.mark.parametrize("task", [Yields, YieldsYielding, YieldsSecretly])
def test_a_second_run_makes_nothing(applied: Applied, task: type[PipeTask], rerun: str, workers: int) -> None:
    applied(task, rerun=rerun, workers=workers)
    assert applied(task, rerun=rerun, workers=workers) == []


def test_two_tasks_of_one_id_are_two_inputs(applied: Applied) -> None:
    applied(YieldsSecrets)
    found = lineage(applied, "YieldsSecrets")
    task_id = Secretive(token="any").task_id
    assert [each.argument for each in found.inputs] == [task_id, f"{task_id}#2"]
    assert applied.value("YieldsSecrets") == [7, 9]
    last = [event for event in applied.context.catalog.events() if event.kind == "decisions"][-1]
    assert last.payload["tasks"][0]["inputs"] == {task_id: 1, f"{task_id}#2": 2}  # type: ignore[index, call-overload]
    assert applied(YieldsSecrets) == []


def test_a_plan_shows_what_is_yielded_before_anything_runs(applied: Applied) -> None:
    applied(YieldsYielding)
    applied(YieldsYielding)
    expected = {f"Gives(n={n})": "reused" for n in (0, 1, 2, 9)} | {"Yields()": "reused", "YieldsYielding()": "reused"}
    assert {task: decision for task, (decision, _) in applied.decisions().items()} == expected


@WORKERS
@RERUN
def test_where_a_yielded_task_gives_something_else_who_yields_it_runs(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, rerun: str, workers: int
) -> None:
    """The new one yields more than the old one did."""
    applied(Yields, rerun=rerun)
    salt(monkeypatch, "other")
    Path("gives.txt").write_text("x")
    assert applied(Yields, rerun=rerun, workers=workers) == ["Gives"] * 4 + ["Yields"]
    assert applied.decisions()["Yields()"] == ("made", "Gives(n=0), which it yielded, runs: another salt")
    assert len(applied.value("Yields")) == 4  # type: ignore[arg-type]
    assert applied(Yields, rerun=rerun) == []


@WORKERS
@pytest.mark.parametrize(("rerun", "made"), [("content", ["Gives"] * 3), ("version", ["Gives"] * 3 + ["Yields"])])
def test_a_yielded_task_that_gives_the_same_counts_by_version_only(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, rerun: str, made: list[str], workers: int
) -> None:
    """It is begun, as it may yield others this time, and reused when all it yielded is known."""
    applied(Yields, rerun=rerun)
    salt(monkeypatch, "other")
    assert applied(Yields, rerun=rerun, workers=workers) == made
    assert applied(Yields, rerun=rerun) == []


@RERUN
def test_a_yielded_bundle_that_was_deleted_is_made_again(applied: Applied, rerun: str) -> None:
    applied(Yields)
    bundles.remove(applied.context, [find.need(applied.context, "Gives")])
    assert applied(Yields, rerun=rerun) == (["Gives"] if rerun == "content" else ["Gives", "Yields"])


def test_going_back_finds_what_was_yielded_then(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(Yields)
    first = applied.latest("Yields")
    Path("gives.txt").write_text("x")
    salt(monkeypatch, "other")
    applied(Yields)
    salt(monkeypatch, "")
    assert applied(Yields) == []
    assert applied.latest("Yields") == first


@WORKERS
def test_force_is_for_the_last_task_and_force_all_for_those_it_yields_too(applied: Applied, workers: int) -> None:
    """Each once, however often who yields them starts from its top."""
    applied(YieldsYielding)
    assert applied(YieldsYielding, force=True, workers=workers) == ["YieldsYielding"]
    every = ["Gives"] * 4 + ["Yields", "YieldsYielding"]
    assert applied(YieldsYielding, force_all=True, workers=workers) == every


@pytest.mark.parametrize(("rerun", "made"), [("content", ["Marked"]), ("version", ["Marked", "YieldsMarked"])])
def test_a_yielded_task_marked_to_be_forced_runs_each_time(applied: Applied, rerun: str, made: list[str]) -> None:
    applied(YieldsMarked)
    assert applied(YieldsMarked, rerun=rerun) == made


def test_a_yielded_task_may_read_what_is_external(applied: Applied) -> None:
    add(applied, "one")
    applied(YieldsExternally)
    assert applied(YieldsExternally) == []
    add(applied, "two")
    assert applied(YieldsExternally) == ["ReadsThing", "YieldsExternally"]
    bundles.remove(applied.context, applied.context.catalog.search(Filter(name="thing")))
    with pytest.raises(ApplyError, match=r"ReadsThing\(\) needs bundle named thing as thing"):
        apply(applied.context, YieldsExternally)


def test_yields_may_be_as_deep_as_chains(applied: Applied) -> None:
    applied(Deep, {"n": 150})
    assert applied.value("Deep") == 151
    assert applied(Deep, {"n": 150}) == []


def test_of_two_runs_at_once_one_works_though_both_yield(applied: Applied) -> None:
    told: list[dict[str, bool]] = []
    threads = [threading.Thread(target=lambda: told.append(apply(applied.context, Slow))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Path("ended.txt").read_text() == "ended\n"
    assert all(result["success"] for result in told)
    names = [row.name for row in applied.context.catalog.search(Filter())]
    assert sorted(names) == ["Gives", "Gives", "Slow"]


# What is looked for


@WORKERS
def test_a_task_that_looks_for_a_bundle_runs_when_it_finds_something_else(applied: Applied, workers: int) -> None:
    assert applied(Gets, workers=workers) == ["Gets"]
    assert applied(Gets, workers=workers) == []
    add(applied, "one")
    assert applied(Gets, workers=workers) == ["Gets"]
    assert applied.decisions()["Gets()"] == ("made", "what it looked for is another now: name thing")
    add(applied, "one")
    add(applied, "unrelated", name="other")
    assert applied(Gets, workers=workers) == []
    add(applied, "two")
    assert applied(Gets, workers=workers) == ["Gets"]
    assert applied.value("Gets") == "two"
    bundles.remove(applied.context, applied.context.catalog.search(Filter(name="thing", limit=1)))
    assert applied(Gets, workers=workers) == []
    assert applied.value("Gets") == "one"


def test_a_search_is_of_all_that_is_found_but_for_what_it_made_itself(applied: Applied) -> None:
    add(applied, 1, kind="good")
    applied(Searches)
    assert applied(Searches) == []
    add(applied, 2, kind="bad")
    assert applied(Searches) == []
    add(applied, 3, kind="good")
    assert applied(Searches) == ["Searches"]
    assert applied.value("Searches") == [3, 1]
    assert applied(Searches) == []


def test_other_contexts_are_looked_at_too(applied: Applied) -> None:
    other = contexts.create(applied.context.home, "other")
    applied(GetsElsewhere)
    bundles.write(other, 1, Birth(name="thing"))
    assert applied(GetsElsewhere) == ["GetsElsewhere"]
    assert applied(GetsElsewhere) == []


def test_what_an_apply_looks_up_is_not_what_its_task_looks_for(applied: Applied) -> None:
    applied(Inner)
    observed = lineage(applied, "Inner").observed
    assert [each["query"] for each in observed] == [{"name": "C", "limit": 1}]  # type: ignore[index, call-overload]
    assert applied(Inner) == []
    applied(C, {"n": 8})
    assert applied(Inner) == ["Inner"]


@WORKERS
def test_the_latest_of_a_name_is_the_same_for_all_tasks_of_a_run(applied: Applied, workers: int) -> None:
    add(applied, "first")
    applied(AlsoReadsThing, workers=workers)
    assert (applied.value("ReadsThing"), applied.value("AlsoReadsThing")) == ("first", "first")
    assert applied.value("thing") == "later"
    given = [
        {each.argument: each.uuid for each in lineage(applied, f"{also}ReadsThing").inputs} for also in ("", "Also")
    ]
    assert given[0]["thing"] == given[1]["thing"] != applied.latest("thing")


# What is asked of an input


@pytest.mark.parametrize(
    ("task", "made", "why"),
    [
        (ReadsLabel, ["Labelled", "ReadsLabel"], "the tags of input labelled changed"),
        (ReadsUuid, ["Labelled", "ReadsUuid"], "input labelled, whose uuid it read, is another bundle: "),
        (ReadsHandles, ["Labelled", "ReadsHandles"], "input labelled, whose uuid it read, is another bundle: "),
        (ReadsValue, ["Labelled"], None),
    ],
)
def test_a_task_that_asks_for_more_than_the_value_of_an_input_runs_when_that_changes(
    applied: Applied, task: type[PipeTask], made: list[str], why: str | None
) -> None:
    applied(task)
    assert applied(task) == []
    bundles.commit(applied.context, [find.need(applied.context, "Labelled")])
    assert applied(task) == []
    applied(Labelled, {"label": "second"}, force=True)
    assert applied(task, {"label": "second"}) == made[1:]
    decision, told = applied.decisions()[f"{task.__name__}()"]
    assert decision == ("reused" if why is None else "made")
    assert why is None or str(told).startswith(why)


def test_tags_that_are_changed_by_hand_count(applied: Applied) -> None:
    applied(ReadsLabel)
    bundles.tag(applied.context, find.need(applied.context, "Labelled"), set_to={"label": "by hand"})
    assert applied(ReadsLabel) == ["ReadsLabel"]
    assert applied.value("ReadsLabel") == "by hand"


# What nobody can look at


@pytest.mark.parametrize(
    "observation", [{"kind": "weather", "digest": "sunny"}, {"kind": "find"}, {"kind": "tags", "argument": "gone"}]
)
def test_what_cannot_be_looked_at_makes_the_task_run(
    applied: Applied, observation: dict[str, object], rewritten: Callable[[str, dict[str, object]], None]
) -> None:
    applied(Gives)
    rewritten("Gives", observation)
    assert applied(Gives) == ["Gives"]
    assert applied.decisions()["Gives(n=0)"][1] in {
        "it observed a weather, which this version cannot look at",
        "what it observed cannot be compared",
    }


@pytest.fixture
def rewritten(applied: Applied) -> Callable[[str, dict[str, object]], None]:
    """Makes a copy of the latest bundle of a name that observed something more."""

    def rewrite(name: str, observation: dict[str, object]) -> None:
        bundle = applied.context.catalog.bundle(applied.latest(name))
        lineage = Lineage(code=bundle.lineage.code, task=bundle.lineage.task, observed=(observation,))  # type: ignore[arg-type]
        value = bundles.value(applied.context, bundle.uuid)
        bundles.write(applied.context, value, Birth(name=name, processing_name=bundle.processing_name, lineage=lineage))
        bundles.remove(applied.context, [find.need(applied.context, uuid=bundle.uuid)])

    return rewrite
