"""Runs: who ran what, recorded once, and what a pipeline's run decided."""

from __future__ import annotations

import json

from disdat import capture
from disdat.context import Context, Home
from disdat.ops import bundles, runs
from disdat.ops.bundles import Birth
from disdat.testing.faults import RecordingDisk


def kinds(context: Context) -> list[str]:
    return [event.kind for event in context.catalog.events()]


def test_a_run_is_recorded_once_whoever_is_first(context: Context):
    run = runs.of_pipeline(context)
    bundles.write(context, 1, Birth(name="a", run=run))
    runs.record(context, run)
    bundles.write(context, 2, Birth(name="b", run=run))
    runs.conclude(context, run, [], reaffirmed=[])
    assert kinds(context) == ["run", "add", "add", "decisions"]


def test_to_begin_a_run_writes_nothing(context: Context):
    runs.of_pipeline(context)
    assert kinds(context) == []
    assert not (context.home.root / "store" / "packs").exists()


def test_the_package_set_of_two_runs_is_stored_once(context: Context):
    first, second = runs.of_pipeline(context), runs.of_pipeline(context)
    assert first.id != second.id
    assert first.packages == second.packages is not None
    runs.record(context, first)
    packs = list((context.home.root / "store" / "packs").iterdir())
    runs.record(context, second)
    assert list((context.home.root / "store" / "packs").iterdir()) == packs
    stored = json.loads(context.home.store.read(first.packages))
    assert stored == [list(each) for each in capture.packages()]


def test_a_package_set_that_another_just_stored_is_durable_before_a_run_names_it(context: Context) -> None:
    """He gave its pack a name, but may not have synced that yet."""
    runs.record(context, runs.of_pipeline(context))
    disk = RecordingDisk(context.home.root)
    other = Home(context.home.root, disk=disk).context(context.name)
    runs.record(other, runs.of_pipeline(other))
    calls = [(call.name, call.path.split("/")[0], call.path) for call in disk.calls]
    synced = calls.index(("sync_dir", "store", "store/packs"))
    [logged] = [n for n, (name, top, _) in enumerate(calls) if name == "write" and top == "context"]
    assert synced < logged


def test_what_was_decided_and_found_right_again_is_one_commit(context: Context):
    old, new = (bundles.write(context, number, Birth(name="n")).uuid for number in (1, 2))
    run = runs.of_pipeline(context)
    decision = {"task": "T()", "key": None, "bundle": old, "decision": "reused", "why": "same", "seconds": 0.0}
    runs.conclude(context, run, [decision], reaffirmed=[old])
    assert kinds(context)[-3:] == ["run", "reaffirm", "decisions"]
    *_, reaffirm, decided = context.catalog.events()
    assert reaffirm.payload == {"uuids": [old], "run": run.id}
    assert decided.payload == {"run": run.id, "tasks": [decision]}
    latest = context.catalog.latest("n")
    assert latest is not None
    assert latest.uuid == old != new
