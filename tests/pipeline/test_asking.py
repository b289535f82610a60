"""Why a task ran, or did not, is answered afterwards from what its runs recorded."""

from __future__ import annotations

from pathlib import Path

import luigi
import pytest

from disdat.context import Context, Home
from disdat.errors import InvalidInput, NotFound
from disdat.ops import add, bundles, contexts, find, pull, push, remotes
from disdat.pipe import PipeTask
from disdat.pipeline import asking
from tests.pipeline.conftest import Applied


class Source(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_run(self) -> int:
        return self.n


class Middle(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_requires(self) -> None:
        self.add_dependency("source", Source, {"n": self.n})

    def pipe_run(self, source: int) -> int:
        return source * 10


class Last(PipeTask):
    """Other parameters above it are other inputs to it."""

    n = luigi.IntParameter(default=1, significant=False)
    broken = luigi.BoolParameter(default=False)

    def pipe_requires(self) -> None:
        self.add_dependency("middle", Middle, {"n": self.n})

    def pipe_run(self, middle: int) -> int:
        if self.broken:
            raise ValueError("no good")
        return middle


class After(PipeTask):
    """What reads the output of a task that fails."""

    def pipe_requires(self) -> None:
        self.add_dependency("last", Last, {"broken": True})

    def pipe_run(self, last: int) -> int:
        return last


def test_it_names_what_was_why_and_what_that_was_because_of(context: Context, applied: Applied):
    applied(Last)
    applied(Last, {"n": 2})
    found = asking.ask(context, "Last")
    assert found.made is None
    assert (found.last.task, found.last.decision) == ("Last(broken=False)", "made")
    assert found.last.why.startswith("input middle has other content: ")
    [middle] = found.last.because
    assert (middle.task, middle.why.split("; ")[0]) == ("Middle(n=2)", "parameter n: 1 -> 2")
    [source] = middle.because
    assert (source.task, source.why, source.because) == ("Source(n=2)", "parameter n: 1 -> 2", ())
    assert found.last.run is not None
    assert found.last.run.user


def test_a_skip_is_answered_with_what_the_result_is_known_by_and_why_it_was_made(context: Context, applied: Applied):
    applied(Middle)
    applied(Middle)
    found = asking.ask(context, "Middle")
    assert (found.last.decision, found.last.why) == ("reused", "same code, parameters and input content")
    assert found.made is not None
    assert (found.made.decision, found.made.why) == ("made", "no earlier result")
    assert found.components["params"] == {"n": "1"}
    assert str(found.components["class"]).endswith("test_asking.Middle")
    assert {argument: (read.name, read.yielded) for argument, read in found.inputs.items()} == {
        "source": ("Source", None)
    }


def test_an_old_version_is_answered_by_the_run_that_made_it(context: Context, applied: Applied):
    applied(Source)
    applied(Source, {"n": 2})
    found = asking.ask(context, "Source@-1")
    assert (found.last.task, found.last.decision, found.made) == ("Source(n=1)", "made", None)


def test_of_a_class_it_is_the_last_decision_or_that_about_the_parameters(context: Context, applied: Applied):
    applied(Middle)
    applied(Middle, {"n": 2})
    assert asking.ask(context, Middle).last.task == "Middle(n=2)"
    assert asking.ask(context, Middle, {}).last.task == "Middle(n=1)"
    assert asking.ask(context, Source, {"n": 2}).last.decision == "made"
    with pytest.raises(NotFound, match=r"no run in demo decided about Source\(n=9\)"):
        asking.ask(context, Source, {"n": 9})
    with pytest.raises(InvalidInput, match="has no parameter 'm'"):
        asking.ask(context, Source, {"m": 9})


def test_a_failure_is_answered_too(context: Context, applied: Applied):
    with pytest.raises(Exception, match="no good"):
        applied(Last, {"broken": True})
    found = asking.ask(context, Last)
    assert (found.last.decision, found.last.bundle, found.made) == ("failed", None, None)
    assert "no good" in found.last.why


def test_of_what_was_made_elsewhere_it_says_who_made_it(context: Context, applied: Applied, tmp_path: Path):
    """A pull brings the bundle and the record of its run; what that decided stays where it ran."""
    here = remotes.bind(context, "team", f"file://{tmp_path}/shared", layout="packed").context
    there = contexts.create(Home(tmp_path / "theirs"), "other")
    there = remotes.bind(there, "team", f"file://{tmp_path}/shared", layout="packed").context
    Applied(here)(Middle)
    made = find.need(here, "Middle")
    bundles.commit(here, [made])
    push.push(here, [find.need(here, "Middle")])
    pull.pull(there)
    found = asking.ask(there, "Middle")
    own = asking.ask(here, "Middle")
    assert (found.last.decision, found.last.why) == ("made", "made elsewhere: what its run decided is not known here")
    assert (found.last.task, found.last.run, found.last.bundle) == ("Middle(n=1)", own.last.run, made.uuid)
    assert (found.components, found.inputs, found.made) == (own.components, own.inputs, None)


def test_what_did_not_run_follows_from_what_failed(context: Context, applied: Applied):
    with pytest.raises(Exception, match="no good"):
        applied(After)
    found = asking.ask(context, After)
    assert (found.last.decision, found.last.why) == ("not run", "Last(broken=True) failed")
    [fault] = found.last.because
    assert (fault.task, fault.decision, fault.why) == ("Last(broken=True)", "failed", "ValueError: no good")


def test_what_no_task_made_is_said_to_be_none(context: Context, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text", "utf-8")
    add.add(context, "added", [path])
    with pytest.raises(NotFound, match=r"no run is known that decided about added .*: it was made by add"):
        asking.ask(context, "added")
    with pytest.raises(NotFound, match="no bundle 'nothing'"):
        asking.ask(context, "nothing")


def test_a_result_that_was_removed_is_answered_as_far_as_is_known(context: Context, applied: Applied):
    applied(Source)
    bundles.remove(context, [find.need(context, "Source")])
    found = asking.ask(context, Source)
    assert (found.last.decision, found.components) == ("made", {})
