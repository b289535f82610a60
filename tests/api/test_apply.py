"""Pipelines run from Python; what a pipeline does is tested with pipelines, here is what the caller sees."""

from __future__ import annotations

import luigi
import pytest

import disdat
from disdat import api
from disdat.common import ApplyError
from disdat.errors import ContextNotFound, DisdatError, InvalidInput, NotConfigured, NotFound


class Numbers(disdat.pipe.PipeTask):
    """The first numbers."""

    count = luigi.IntParameter(default=3)

    def pipe_run(self) -> list[int]:
        return list(range(self.count))


class Total(disdat.pipe.PipeTask):
    """Their sum."""

    count = luigi.IntParameter(default=3)
    broken = luigi.BoolParameter(default=False)

    def pipe_requires(self) -> None:
        self.set_bundle_name("total")
        self.add_dependency("numbers", Numbers, {"count": self.count})

    def pipe_run(self, numbers: list[int]) -> int:
        if self.broken:
            raise ZeroDivisionError("broken on purpose")
        return sum(numbers)


def test_a_pipeline_runs_once_and_is_reused(ctx):
    assert api.apply(ctx, Total, params={"count": 5}) == {"success": True, "did_work": True}
    assert api.apply(ctx, Total, params={"count": 5}) == {"success": True, "did_work": False}
    assert api.cat(ctx, "total") == 10
    assert len(api.search(ctx)) == 2


def test_other_parameters_make_another_version(ctx):
    for count in (3, 5):
        api.apply(ctx, Total, params={"count": count})
    assert [bundle.data for bundle in api.search(ctx, "total")] == [10, 3]
    assert api.get(ctx, "total").params["count"] == "5"


def test_the_last_tasks_bundle_is_the_root_and_the_others_are_intermediates(ctx):
    api.apply(ctx, Total, output_tags={"kind": "demo"})
    [root] = api.search(ctx, find_roots=True)
    [other] = api.search(ctx, find_intermediates=True)
    assert root.tags == {"root_task": "True", "kind": "demo"}
    assert other.tags == {}
    assert other.data == [0, 1, 2]
    assert len(api.search(ctx, find_roots=True, find_intermediates=True)) == 2


def test_what_a_pipeline_made_names_its_sources(ctx):
    api.apply(ctx, Total)
    total, numbers = api.search(ctx)
    assert total.dependencies == {"numbers": (numbers.processing_name, numbers.uuid)}
    assert api.lineage(ctx, total.uuid) == [(0, total.uuid, total), (1, numbers.uuid, numbers)]
    assert total.code_ref.endswith("Total")
    start, stop = total.timing
    assert 0 < start <= stop <= total.creation_date


def test_the_output_may_be_given_a_name_and_a_uuid(ctx):
    uuid = "12345678-1234-4234-8234-123456789abc"
    api.apply(ctx, Total, "mine", output_bundle_uuid=uuid)
    assert api.get(ctx, "mine").uuid == uuid


def test_force_makes_the_last_task_again_and_force_all_every_one(ctx):
    api.apply(ctx, Total)
    api.apply(ctx, Total, force=True)
    assert len(api.search(ctx)) == 3
    api.apply(ctx, Total, force_all=True)
    assert len(api.search(ctx)) == 5


def test_a_failing_task_raises_with_what_would_have_been_returned(ctx):
    with pytest.raises(ApplyError, match="broken on purpose") as caught:
        api.apply(ctx, Total, params={"broken": True})
    assert caught.value.result == {"success": False, "did_work": True}
    assert isinstance(caught.value, DisdatError)
    assert api.get(ctx, "total") is None
    assert len(api.search(ctx)) == 1


@pytest.mark.parametrize("option", ["incremental_push", "incremental_pull"])
def test_without_a_remote_incremental_options_are_refused_and_nothing_runs(ctx, option):
    with pytest.raises(NotConfigured):
        api.apply(ctx, Total, **{option: True})
    assert api.search(ctx) == []


def test_input_tags_change_nothing_and_say_so(ctx):
    with pytest.warns(DeprecationWarning, match="input_tags") as caught:
        api.apply(ctx, Total, input_tags={"a": "b"})
    assert caught[0].filename == __file__


def test_an_unknown_context_runs_nothing(home):
    with pytest.raises(ContextNotFound):
        api.apply("nobody", Total)
    assert not home.exists()


def test_a_class_may_be_named_and_a_rule_and_a_limit_be_given(ctx):
    named = f"{Total.__module__}.Total"
    api.apply(ctx, named, timeout=60, executor="inline")
    api.apply(ctx, Numbers, force=True)
    assert api.apply(ctx, named, rerun="content") == {"success": True, "did_work": False}
    assert api.apply(ctx, named, rerun="version") == {"success": True, "did_work": True}
    with pytest.raises(NotFound, match="no executor named 'cloud'"):
        api.apply(ctx, Total, executor="cloud")


def test_a_plan_says_what_an_apply_would_do(ctx):
    api.apply(ctx, Numbers)
    found = api.plan(ctx, Total)
    assert [(each.task, each.decision) for each in found.tasks] == [
        ("Numbers(count=3)", "reuse"),
        ("Total(count=3, broken=False)", "run"),
    ]
    assert [each.decision for each in api.plan(ctx, Total, {"count": 4}).tasks] == ["run", "run"]
    assert [each.decision for each in api.plan(ctx, Numbers, force=True).tasks] == ["run"]
    assert len(api.search(ctx)) == 1


def test_why_answers_for_bundles_and_for_tasks(ctx):
    for count in (3, 4):
        api.apply(ctx, Total, params={"count": count})
    assert api.why(ctx, "total").last.why.startswith("parameter count: 3 -> 4")
    assert api.why(ctx, Numbers, {"count": 3}).last.why == "no earlier result"
    assert api.why(ctx, f"{Total.__module__}.Numbers", {"count": 4}).last.because == ()
    with pytest.raises(NotFound):
        api.why(ctx, Numbers, {"count": 9})


def test_lineage_is_drawn_in_either_direction(ctx):
    api.apply(ctx, Total)
    total, numbers = api.search(ctx)
    assert api.lineage(ctx, numbers.uuid, down=True) == [(0, numbers.uuid, numbers), (1, total.uuid, total)]
    assert api.lineage(ctx, total.uuid, format="tree").splitlines()[1].startswith("└── numbers: Numbers(count=3)  ")
    assert f'"{numbers.uuid}" -> "{total.uuid}"' in api.lineage(ctx, total.uuid, format="dot")
    assert api.lineage(ctx, numbers.uuid, down=True, format="html").startswith("<!doctype html>")
    with pytest.raises(InvalidInput, match="there is no format 'gif'"):
        api.lineage(ctx, total.uuid, format="gif")
