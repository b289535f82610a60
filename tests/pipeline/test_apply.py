"""Applies: what runs, what is reused, what is recorded, and what is left when something fails."""

from __future__ import annotations

import datetime as dt
import json
import logging
import pickle
import re
import sys
from collections.abc import Sequence

import luigi
import pytest

from disdat.catalog.catalog import Catalog
from disdat.catalog.queries import Filter, Row
from disdat.core.canonical import Json
from disdat.errors import ApplyError, InvalidInput, NotFound
from disdat.ops import bundles
from disdat.ops.bundles import Birth
from disdat.pipe import PipeTask
from disdat.pipeline.run import apply
from tests.pipeline import tasks
from tests.pipeline.conftest import Applied, Project
from tests.pipeline.tasks import A, B, Both, C

WORKERS = pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
IN_PROCESSES = pytest.mark.parametrize("workers", [1, 2])
"""For the few by which `make check` sees that tasks in worker processes fare as those in this one."""
RERUN = pytest.mark.parametrize("rerun", ["version", "content"])

ONE: dict[str, object] = {"n": 1}
TWO: dict[str, object] = {"n": 2}


@WORKERS
@RERUN
@pytest.mark.parametrize(
    ("first", "made"),
    [
        pytest.param([(A, ONE), (A, ONE)], [], id="A, A: nothing"),
        pytest.param([(A, ONE), (A, TWO)], ["A"], id="A, A*: A*"),
        pytest.param([(B, ONE), (A, TWO), (B, ONE)], [], id="A->B, A*, A->B: nothing"),
        pytest.param([(B, ONE), (A, TWO), (B, TWO)], ["B"], id="A->B, A*, A*->B: B"),
        pytest.param([(C, ONE), (B, TWO), (C, ONE)], [], id="A->B->C, A*->B, A->B->C: nothing"),
        pytest.param([(C, ONE), (B, TWO), (C, TWO)], ["C"], id="A->B->C, A*->B, A*->B->C: C"),
        pytest.param([(Both, {})], ["A", "B", "Both"], id="C(a=A, b=B)"),
        pytest.param([(Both, {}), (Both, {"swapped": True})], ["Both"], id="C(a=A, b=B), C(a=B, b=A): C"),
    ],
)
def test_a_task_runs_when_its_parameters_or_inputs_are_others(
    applied: Applied, first: list[tuple[type[PipeTask], dict[str, object]]], made: list[str], rerun: str, workers: int
):
    """The scenario table of Disdat, row by row: what the last apply of each row makes."""
    *before, (task, params) = first
    for earlier, given in before:
        applied(earlier, given, rerun=rerun, workers=workers)
    assert applied(task, params, rerun=rerun, workers=workers) == made


@WORKERS
@pytest.mark.parametrize(("rerun", "made"), [("version", ["B"]), ("content", [])])
def test_an_input_made_again_with_equal_content_counts_by_version_only(
    applied: Applied, rerun: str, made: list[str], workers: int
):
    applied(B)
    assert applied(A, force=True) == ["A"]
    assert applied(B, rerun=rerun, workers=workers) == made


@WORKERS
def test_a_run_stops_where_an_input_came_out_equal(applied: Applied, workers: int):
    """ReadsMarked waits for Marked, which always runs; then its input has the content it had."""
    applied(tasks.ReadsMarked)
    assert applied(tasks.ReadsMarked, rerun="content", workers=workers) == ["Marked"]
    assert applied(tasks.ReadsMarked, rerun="version", workers=workers) == ["Marked", "ReadsMarked"]


@WORKERS
def test_going_back_finds_the_old_result_and_makes_it_the_latest(applied: Applied, workers: int):
    applied(C, ONE)
    one = applied.latest("C")
    applied(C, TWO)
    assert applied.latest("C") != one
    assert applied(C, ONE, workers=workers) == []
    assert applied.latest("C") == one


def test_an_apply_that_changes_nothing_leaves_the_latest_of_every_name(applied: Applied):
    """Several bundles of one name in one run do not push each other aside in turns."""

    class Sum(PipeTask):
        def pipe_requires(self) -> None:
            self.add_dependency("one", A, {"n": 1})
            self.add_dependency("two", A, {"n": 2})

        def pipe_run(self, one: list[int], two: list[int]) -> int:
            return sum(one + two)

    applied(Sum)
    before = applied.latest("A")
    assert applied(Sum) == []
    assert applied.latest("A") == before
    assert [event.kind for event in applied.context.catalog.events()].count("reaffirm") == 0


@IN_PROCESSES
def test_a_chain_is_made_once_and_values_pass_unchanged(applied: Applied, workers: int):
    assert applied(C, {"n": 2}, workers=workers) == ["A", "B", "C"]
    assert applied.value("A") == [2, 3]
    assert applied.value("B") == [2, 3, 20]
    assert applied.value("C") == 25
    assert applied.leftovers() == []


@WORKERS
def test_a_task_that_returns_nothing_gives_none(applied: Applied, workers: int):
    applied(tasks.ReadsNothing, workers=workers)
    assert applied.value("ReadsNothing") == "None"
    assert applied.value("Nothing") is None


def test_processing_names_are_disdats(applied: Applied):
    class GenData(PipeTask):
        n = luigi.IntParameter()

        def pipe_run(self) -> int:
            return self.n

    class Average(PipeTask):
        n = luigi.IntParameter()
        label = luigi.Parameter()

        def pipe_requires(self) -> None:
            self.add_dependency("data", GenData, {"n": self.n})

        def pipe_run(self, data: int) -> int:
            return data

    assert Average(n=3, label="lab").processing_id() == "Average_lab_3_443dee502f_6e1e39526a"
    applied(Average, {"n": 3, "label": "lab"})
    names = {row.name: row.processing_name for row in applied.context.catalog.search(Filter())}
    assert names == {
        "GenData": "GenData_3_ab99dd1074_d41d8cd98f",
        "Average": "Average_lab_3_443dee502f_6e1e39526a",
    }


def test_the_name_is_asked_for_or_set_or_the_classes(applied: Applied):
    assert applied(A) == ["A"]
    assert applied(tasks.Named) == ["the.name"]
    assert applied(tasks.Named, output_bundle="asked.for") == ["asked.for"]
    assert applied(tasks.Named, output_bundle="asked.for") == []
    assert applied(tasks.Named) == []
    assert applied(C, output_bundle="mine") == ["B", "mine"]


def test_a_new_name_makes_a_new_bundle(applied: Applied):
    applied(A)
    assert applied(A, output_bundle="other") == ["other"]
    assert applied.decisions() == {"A(n=1)": ("made", "renamed: A -> other")}


@WORKERS
def test_force_runs_the_last_task_and_force_all_every_task(applied: Applied, workers: int):
    applied(C)
    assert applied(C, force=True, workers=workers) == ["C"]
    assert applied(C, force_all=True, workers=workers) == ["A", "B", "C"]
    assert applied(C) == []


def test_a_task_marked_to_be_forced_runs_each_time_as_the_last_task_too(applied: Applied):
    assert applied(tasks.Marked) == ["Marked"]
    assert applied(tasks.Marked) == ["Marked"]


@WORKERS
def test_tags_are_those_of_the_task_and_for_the_last_one_those_asked_for(applied: Applied, workers: int):
    applied(tasks.SeesTags, output_tags={"who": "me"}, workers=workers)
    rows = {row.name: row for row in applied.context.catalog.search(Filter())}
    assert rows["Tagged"].tags == {"early": "1", "late": "2"}
    assert rows["SeesTags"].tags == {"root_task": "True", "who": "me"}
    assert applied.value("SeesTags") == [{"early": "1", "late": "2"}, rows["Tagged"].uuid]


@pytest.mark.parametrize("meta", [True, False])
def test_a_transient_output_is_tagged_so(applied: Applied, meta: bool):
    applied(tasks.Transient, {"push_meta": meta})
    row = applied.context.catalog.latest("Transient")
    assert row is not None
    assert row.tags.get("__transient") == "True"
    assert row.tags.get("__push_meta") == ("True" if meta else None)


def test_a_uuid_that_is_asked_for_is_the_new_bundles(applied: Applied):
    wanted = "12345678-1234-4234-8234-123456789abc"
    applied(A, output_bundle_uuid=wanted)
    assert applied.latest("A") == wanted
    assert applied(A, output_bundle_uuid="12345678-1234-4234-8234-123456789abd") == []


def test_parameters_of_all_kinds_are_recorded_as_text_that_reads_back(applied: Applied):
    applied(tasks.AllKinds)
    row = applied.context.catalog.latest("AllKinds")
    assert row is not None
    given = tasks.AllKinds.from_str_params(row.params)
    assert given.param_kwargs == tasks.AllKinds().param_kwargs
    assert row.params["day"] == "2026-03-01"
    assert applied(tasks.AllKinds, {"day": dt.date(2026, 3, 2)}) == ["AllKinds"]


def test_inherited_parameters_count_and_are_recorded(applied: Applied):
    applied(tasks.Inherited, {"n": 4})
    row = applied.context.catalog.latest("Inherited")
    assert row is not None
    assert row.params == {"n": "4", "m": "7"}
    assert applied(tasks.Inherited, {"n": 4}) == []
    assert applied(tasks.Inherited, {"n": 5}) == ["A", "Inherited"]


def test_secret_parameters_are_in_no_file(applied: Applied):
    applied(tasks.Secret)
    row = applied.context.catalog.latest("Secret")
    assert row is not None
    assert row.params == {"password": "***", "jobs": "2"}
    assert applied(tasks.Secret, {"token": "another"}) == ["Secret"]
    assert applied(tasks.Secret, {"password": "another"}) == []
    for path in applied.context.home.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"swordfish" not in data, path
            assert b"hunter2" not in data, path


@WORKERS
@RERUN
@pytest.mark.parametrize("way", ["class", "name", "uuid"])
def test_an_external_input_is_found_and_never_made(applied: Applied, way: str, rerun: str, workers: int):
    applied(B)
    uuid = applied.latest("B")
    params: dict[str, dict[str, object]] = {"class": {}, "name": {"human_name": "B"}, "uuid": {"uuid": uuid}}
    assert applied(tasks.ReadsExternal, params[way], rerun=rerun, workers=workers) == ["ReadsExternal"]
    assert applied.value("ReadsExternal") == [1, 2, 10]
    row = applied.context.catalog.latest("ReadsExternal")
    assert row is not None
    assert row.tags["seen"] == "[1, 2, 10]"
    assert [each.uuid for each in applied.context.catalog.bundle(row.uuid).lineage.inputs] == [uuid]
    assert applied(tasks.ReadsExternal, params[way], rerun=rerun, workers=workers) == []
    assert applied(tasks.ReadsExternal, params[way], rerun=rerun, workers=workers, force_all=True) == ["ReadsExternal"]


def test_a_newer_external_bundle_counts_by_content_or_by_version(applied: Applied):
    def add(value: object) -> None:
        bundles.write(applied.context, value, Birth(name="ext"))

    params: dict[str, object] = {"human_name": "ext"}
    add([1])
    applied(tasks.ReadsExternal, params)
    first = applied.context.catalog.latest("ReadsExternal")
    add([1])
    assert applied(tasks.ReadsExternal, params, rerun="content") == []
    assert applied(tasks.ReadsExternal, params, rerun="version") == ["ReadsExternal"]
    second = applied.context.catalog.latest("ReadsExternal")
    assert first is not None
    assert second is not None
    assert first.processing_name != second.processing_name
    add([2])
    assert applied(tasks.ReadsExternal, params, rerun="content") == ["ReadsExternal"]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"human_name": "absent"}, "bundle named absent as data"),
        ({"uuid": "12345678-1234-4234-8234-123456789abc"}, "bundle 12345678-1234-4234-8234-123456789abc as data"),
        ({"n": 9}, r"B\(n=9\) .* as data"),
    ],
)
def test_a_missing_external_input_is_named_and_nothing_runs(applied: Applied, params: dict[str, object], told: str):
    with pytest.raises(ApplyError, match=told) as caught:
        apply(applied.context, tasks.ReadsExternal, params)
    assert caught.value.result == {"success": False, "did_work": False}
    assert applied.uuids() == set()


def test_a_deleted_dependency_is_made_again(applied: Applied):
    applied(B)
    bundles.remove(applied.context, applied.context.catalog.search(Filter(name="A")))
    assert applied(B, rerun="version") == ["A", "B"]
    bundles.remove(applied.context, applied.context.catalog.search(Filter(name="A")))
    assert applied(B, rerun="content") == ["A"]


@WORKERS
def test_a_failing_branch_stops_what_needs_it_only(
    applied: Applied, caplog: pytest.LogCaptureFixture, workers: int, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(
        ApplyError,
        match=r"^1 of 5 tasks failed, 2 not run since they need it: Raises\(\): ArithmeticError: seven[^;]*$",
    ) as caught:
        apply(applied.context, tasks.AfterFailure, workers=workers)
    assert caught.value.result == {"success": False, "did_work": True}
    assert sorted(row.name for row in applied.context.catalog.search(Filter())) == ["A", "B"]
    assert applied.leftovers() == []
    decided = applied.decisions()
    assert decided["Raises()"] == ("failed", "ArithmeticError: seven is too many")
    assert decided["OneFails()"] == ("not run", "Raises() failed")
    assert decided["AfterFailure()"] == ("not run", "OneFails() did not run")
    if workers == 1:  # a worker process writes to stderr itself
        (record,) = [each for each in caplog.records if each.name == "disdat.pipeline"]
        told = record.getMessage().splitlines()
        assert told[:2] == ["Raises() failed", "Traceback (most recent call last):"]
        assert "tasks.py" in told[2]
        assert told[-1] == "ArithmeticError: seven is too many"
        assert "luigi" not in record.getMessage()


def test_after_a_failure_the_finished_results_are_used(applied: Applied):
    with pytest.raises(ApplyError):
        apply(applied.context, tasks.OneFails)
    with pytest.raises(ApplyError) as caught:
        apply(applied.context, tasks.OneFails)
    assert caught.value.result == {"success": False, "did_work": False}


@IN_PROCESSES
def test_what_cannot_be_stored_is_told_with_what_to_do_and_leaves_nothing(
    applied: Applied, caplog: pytest.LogCaptureFixture, workers: int
):
    with pytest.raises(
        ApplyError, match=r"^1 of 1 tasks failed: Unstorable\(\): cannot store value\['a'\]\[1\]"
    ) as caught:
        apply(applied.context, tasks.Unstorable, workers=workers)
    assert "disdat.Pickled()" in caught.value.hint
    (record,) = [each for each in caplog.records if each.name == "disdat.pipeline"]
    assert "Traceback" not in record.getMessage()  # no line of the user's is in it
    assert record.getMessage().endswith(f"\nhint: {caught.value.hint}")
    assert applied.leftovers() == []
    assert applied.uuids() == set()


def test_a_worker_process_that_dies_fails_its_task(applied: Applied):
    with pytest.raises(ApplyError, match="its process ended with exit code 7"):
        apply(applied.context, tasks.Dies, workers=2)


def test_exceptions_in_pipe_requires_surface(applied: Applied):
    with pytest.raises(
        ApplyError, match=r"BrokenRequires\(\): pipe_requires raised KeyError: 'no such thing'"
    ) as caught:
        apply(applied.context, tasks.BrokenRequires)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ApplyError, match="parameter n of A is an int; str 'three' is not"):
        apply(applied.context, tasks.WrongUpstream)


def test_a_ring_of_tasks_is_refused(applied: Applied):
    with pytest.raises(InvalidInput, match=r"a cycle: .* -> "):
        apply(applied.context, tasks.NeedsNext, {"i": 0, "size": 3})


def test_a_long_chain_does_not_recurse(applied: Applied):
    class Top(PipeTask):
        def pipe_requires(self) -> None:
            self.add_dependency("chain", tasks.NeedsNext, {"i": sys.getrecursionlimit() + 200})
            self.add_external_dependency("none", B, {})

    with pytest.raises(ApplyError, match=r"Top\(\) needs B"):
        apply(applied.context, Top)


def test_to_yield_what_is_no_task_is_refused(applied: Applied):
    with pytest.raises(ApplyError, match="pipe_run of Yields yields 1, which is no task"):
        apply(applied.context, tasks.Yields)


@WORKERS
@pytest.mark.parametrize("inner", [1, 2])
@pytest.mark.parametrize("timeout", [None, pytest.param(60.0, marks=pytest.mark.slow)])
def test_a_task_may_apply_another(applied: Applied, workers: int, inner: int, timeout: float | None):
    """With a time limit in processes of its own, wherever it runs itself."""
    assert applied(tasks.Inner, {"workers": inner, "timeout": timeout}, workers=workers) == ["A", "B", "C", "Inner"]
    assert applied.value("Inner") == 3 + 4 + 30


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_task_that_applies_itself_is_refused(applied: Applied, timeout: float | None):
    """It would wait for its own turn, be that in another process."""
    with pytest.raises(ApplyError, match="applies itself"):
        apply(applied.context, tasks.AppliesItself, {"timeout": timeout})


@WORKERS
def test_files_and_directories_are_kept_where_the_task_wrote_them(applied: Applied, workers: int):
    applied(tasks.Files, workers=workers)
    value = applied.value("Files")
    assert isinstance(value, dict)
    directory = applied.context.bundle_directory(applied.latest("Files"))
    assert value["one"] == str(directory / "one.txt")
    assert value["many"] == [str(directory / "deep/a.txt"), str(directory / "deep/b.txt")]
    assert value["named"] == {"c": str(directory / "c.txt")}
    assert value["only"] == str(directory / "only.txt")
    assert value["directory"] == str(directory / "sub")
    assert (directory / "sub" / "inside.txt").read_text() == "inside"
    assert not (directory / "never").exists()


def test_a_directory_is_there_only_where_something_is_in_it(applied: Applied):
    applied(C)
    applied(tasks.OnlyAsks)
    assert list(applied.context.objects.iterdir()) == []


def test_lineage_says_what_was_read_by_which_code(applied: Applied, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIPELINE_GIT_HASH", "abc123")
    monkeypatch.setattr(sys, "argv", ["prog", "--password", "swordfish"])
    applied(B, output_tags={"x": "y"})
    row, upstream = applied.context.catalog.latest("B"), applied.context.catalog.latest("A")
    assert row is not None
    assert upstream is not None
    lineage = applied.context.catalog.bundle(row.uuid).lineage
    (given,) = lineage.inputs
    assert (given.argument, given.uuid, given.name) == ("a", upstream.uuid, "A")
    assert (given.processing_name, given.manifest) == (upstream.processing_name, upstream.manifest)
    assert given.logical == applied.context.catalog.bundle(upstream.uuid).logical
    assert lineage.code is not None
    assert (lineage.code.method, lineage.code.commit) == ("tests.pipeline.tasks.B", "abc123")
    assert lineage.code.digest is not None
    assert lineage.started_us is not None
    assert lineage.stopped_us is not None
    assert lineage.started_us <= lineage.stopped_us <= row.created_us
    assert lineage.run is not None
    assert lineage.run.task == "B(n=1)"
    run = applied.context.catalog.run(lineage.run.id)
    assert run is not None
    assert run.argv == ("prog", "--password", "***")
    assert run.packages is not None
    packages = json.loads(applied.context.home.store.read(run.packages))
    assert "luigi" in dict(packages)


@WORKERS
def test_a_run_is_recorded_once_with_all_its_decisions(applied: Applied, workers: int):
    applied(B, workers=workers)
    applied(C, workers=workers)
    kinds = [event.kind for event in applied.context.catalog.events()]
    assert kinds == ["run", "add", "add", "decisions", "run", "add", "decisions"]
    assert {task: decision for task, (decision, _) in applied.decisions().items()} == {
        "A(n=1)": "reused",
        "B(n=1)": "reused",
        "C(n=1)": "made",
    }


def test_each_decision_says_why_and_what_was_read(applied: Applied):
    bundles.write(applied.context, 1, Birth(name="ext"))
    applied(B)
    before = applied.latest("A")
    applied(B, {"n": 2})
    first, second = last_decisions(applied)
    told = {"kind": "parameter", "text": "parameter n: 1 -> 2", "about": "n", "old": "1", "new": "2", "against": before}
    assert (first["task"], first["reasons"]) == ("A(n=2)", [told])
    assert second["inputs"] == {"a": 0}
    assert [each["kind"] for each in second["reasons"]] == ["parameter", "input"]  # type: ignore[index, union-attr, call-overload]
    applied(B, {"n": 2})
    assert [each.get("reasons") for each in last_decisions(applied)] == [None, None]
    applied(tasks.ReadsExternal, {"human_name": "ext"})
    [only] = last_decisions(applied)
    assert only["inputs"] == {"data": applied.latest("ext")}


def last_decisions(applied: Applied) -> list[dict[str, Json]]:
    """What the last run decided, inputs first."""
    last = [event for event in applied.context.catalog.events() if event.kind == "decisions"][-1]
    return last.payload["tasks"]  # type: ignore[return-value]


def test_a_context_where_nothing_was_applied_is_not_needed_to_describe_a_task():
    task = C(n=2)
    assert task.human_id() == "C"
    assert re.fullmatch(r"C_2_[0-9a-f]{10}_[0-9a-f]{10}", task.processing_id())
    assert task.output_bundle is None
    assert not task.is_new_output
    with pytest.raises(InvalidInput, match="no output yet"):
        _ = task.pipe_output


def test_what_a_task_made_can_be_read_from_it(applied: Applied):
    seen: list[PipeTask] = []

    class Keeps(PipeTask):
        def pipe_requires(self) -> None:
            self.add_dependency("a", A, {})

        def pipe_run(self, a: list[int]) -> int:
            seen.append(self)
            assert self.input_bundles()["a"].data == a
            assert self.output_bundle is None
            return len(a)

    applied(Keeps)
    (task,) = seen
    assert task.is_new_output
    assert task.pipe_output == 2
    assert task.output_bundle is not None
    assert (task.output_bundle.uuid, task.output_bundle.name) == (applied.latest("Keeps"), "Keeps")
    with pytest.raises(InvalidInput, match="in pipe_run only"):
        task.get_tags("a")


def test_tasks_pickle_by_class_and_parameters():
    again = pickle.loads(pickle.dumps(C(n=5)))
    assert type(again) is C
    assert again == C(n=5)
    assert again.n == 5


def test_two_tasks_of_equal_name_in_two_modules_are_two(applied: Applied, importable):
    importable("first.py", "from disdat.pipe import PipeTask\nclass T(PipeTask):\n    def pipe_run(self): return 1\n")
    importable("second.py", "from disdat.pipe import PipeTask\nclass T(PipeTask):\n    def pipe_run(self): return 2\n")
    importable(
        "both.py",
        """
        from disdat.pipe import PipeTask
        import first, second
        class Sum(PipeTask):
            def pipe_requires(self):
                self.add_dependency("one", first.T, {})
                self.add_dependency("two", second.T, {})
            def pipe_run(self, one, two):
                return [one, two]
        """,
    )
    for rerun in ("version", "content"):
        assert applied("both.Sum", rerun=rerun) == (["Sum", "T", "T"] if rerun == "version" else [])
        assert applied.value("Sum") == [1, 2]


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"workers": 0}, InvalidInput, "workers"),
        ({"output_bundle": ""}, InvalidInput, "needs a name"),
        ({"output_bundle": "\udcff"}, InvalidInput, "Unicode"),
        ({"output_bundle_uuid": "12"}, InvalidInput, "not a uuid"),
        ({"output_tags": {"committed": "True"}}, InvalidInput, "reserved"),
        ({"output_tags": {"a": 1}}, TypeError, "text"),
        ({"params": {"n": "1"}}, InvalidInput, "parameter n of A is an int"),
        ({"params": {"m": 1}}, InvalidInput, "no parameter 'm'"),
        ({"transform": int}, InvalidInput, "not a PipeTask"),
        ({"transform": "tests.pipeline.tasks.Nope"}, NotFound, "no class Nope"),
    ],
)
def test_what_cannot_be_applied_changes_nothing(applied: Applied, options: dict, error: type[Exception], told: str):
    with pytest.raises(error, match=told):
        apply(applied.context, **{"transform": A, **options})
    assert list(applied.context.catalog.events()) == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda task: task.add_dependency("a", A, {}), "two inputs 'a'"),
        (lambda task: task.add_dependency("b", int, {}), "not a PipeTask"),
        (lambda task: task.add_dependency("b", A, [1]), "are a dict"),
        (lambda task: task.add_dependency("not a name", A, {}), "cannot be an argument"),
        (lambda task: task.add_external_dependency("b", None, {}), "needs a class, a name or a uuid"),
        (lambda task: task.add_tags({"root_task": "x"}), "reserved"),
        (lambda task: task.create_output_file("x"), "in pipe_run only"),
        (lambda task: task.get_output_dir(), "in pipe_run only"),
    ],
)
def test_what_pipe_requires_may_not_do_is_told(applied: Applied, call, told: str):
    class Asks(PipeTask):
        def pipe_requires(self) -> None:
            self.add_dependency("a", A, {})
            call(self)

    with pytest.raises(ApplyError, match=told):
        apply(applied.context, Asks)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda task: task.add_dependency("b", A, {}), "in pipe_requires only"),
        (lambda task: task.mark_force(), "in pipe_requires only"),
        (lambda task: task.set_bundle_name("x"), "in pipe_requires only"),
        (lambda task: task.create_output_file("../out"), "no path inside a bundle"),
        (lambda task: task.create_output_file("/etc/x"), "no path inside a bundle"),
        (lambda task: task.create_output_dir(""), "no path inside a bundle"),
        (lambda task: task.get_tags("b"), "no input 'b'"),
        (lambda task: task.create_output_file(["a", "b", "./a"]), "two output files of the name './a'"),
    ],
)
def test_what_pipe_run_may_not_do_is_told(applied: Applied, call, told: str):
    class Asks(PipeTask):
        def pipe_run(self) -> None:
            call(self)

    with pytest.raises(ApplyError, match=told):
        apply(applied.context, Asks)
    assert applied.leftovers() == []


def test_a_parameter_may_not_take_the_name_of_a_method():
    with pytest.raises(InvalidInput, match="'salt'"):

        class Salted(PipeTask):
            salt = luigi.Parameter()


def test_a_parameter_may_take_the_name_of_what_luigi_lets_parameters_be(applied: Applied):
    class Urgent(PipeTask):
        priority = luigi.IntParameter(default=5, significant=False)

        def pipe_run(self) -> int:
            return self.priority

    applied(Urgent)
    assert applied.value("Urgent") == 5


def test_luigis_events_come_with_the_users_task(applied: Applied):
    seen: list[object] = []

    class Watched(PipeTask):
        def pipe_run(self) -> int:
            return 1

    Watched.event_handler(luigi.Event.SUCCESS)(seen.append)
    applied(Watched)
    assert seen == [Watched()]


def test_luigis_loggers_are_left_as_they_were(applied: Applied, capfd: pytest.CaptureFixture[str]):
    before = logging.getLogger("luigi-interface").level
    applied(A)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("luigi-interface").level == before
    applied(B, verbose=True)
    assert "INFO: " in capfd.readouterr().err
    assert logging.getLogger("luigi-interface").handlers == []


def test_what_a_chain_finds_again_it_asks_for_together(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question to the catalog takes longer than the rest of what a task takes that is up to date."""
    applied(tasks.Link, {"i": 49})
    asked: list[int] = []
    really = Catalog.search_each

    def search_each(self: Catalog, wanted: Sequence[Filter]) -> list[list[Row]]:
        asked.append(len(wanted))
        return really(self, wanted)

    monkeypatch.setattr(Catalog, "search_each", search_each)
    assert applied(tasks.Link, {"i": 49}) == []
    assert max(asked) == 50
    assert len(asked) < 10


def test_a_chain_finds_what_it_made_before_the_last_time(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is newest is expected, but what has the key decides."""
    applied(tasks.Link, {"i": 9}, code_version="manual:1")
    monkeypatch.setattr(tasks.Link, "step", 5)
    assert len(applied(tasks.Link, {"i": 9}, code_version="manual:2")) == 10
    assert applied.value("Link") == 50
    assert applied(tasks.Link, {"i": 9}, code_version="manual:1") == []
    assert applied.value("Link") == 10


def test_an_apply_that_finds_everything_brings_in_nothing_that_runs_tasks(project: Project) -> None:
    """Nor what only few values or mistakes need: to start is half of what such an apply takes."""
    project.write("mine.py", "from disdat.pipe import PipeTask\nclass One(PipeTask):\n    def pipe_run(self): return 1")
    assert project.apply("mine.One") == ["One"]
    program = """
        import json, sys
        from disdat import api
        api.apply("demo", "mine.One")
        print(json.dumps(sorted(sys.modules)))
        """
    brought_in = json.loads(project.python(program).stdout)
    assert "disdat.pipeline.plan" in brought_in
    needless = {
        "disdat.pipeline.driver",
        "disdat.pipeline.executors.pool",
        "difflib",
        "pandas",
        "pyarrow",
        "sqlalchemy",
    }
    assert needless & set(brought_in) == set()
