"""Pipelines run from Python; what a pipeline does is tested with pipelines, here is what the caller sees."""

from __future__ import annotations

import luigi
import pytest

import disdat
from disdat import api
from disdat.common import ApplyError
from disdat.errors import ContextNotFound, DisdatError, NotConfigured


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
