"""Applies in several processes: one key is worked on once, and workers may be started in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.core import digest
from disdat.errors import InvalidInput
from disdat.ops import gc, maintain
from disdat.ops.gc import Policy, Step
from disdat.pipeline.turns import turn
from tests.pipeline.conftest import Applied, Project

PROGRAM = """
    import json, multiprocessing, sys
    from disdat import config
    from disdat.context import Home
    from disdat.errors import ApplyError
    from disdat.pipeline.run import apply

    if __name__ == "__main__":
        method, task, workers = sys.argv[1:]
        multiprocessing.set_start_method(method)
        context = Home.open(config.load()).context("demo")
        try:
            print(json.dumps(apply(context, task, workers=int(workers))))
        except ApplyError as exc:
            print(json.dumps(exc.result), exc)
    """

STEPS = """
    import ctypes
    import os
    import signal
    import time
    import luigi
    from pathlib import Path
    from disdat.pipe import PipeTask

    class Slow(PipeTask):
        n = luigi.IntParameter(default=0)
        def pipe_run(self):
            with open("runs.txt", "a") as file:
                file.write("run ")
            time.sleep(0.3)
            return self.n

    class Yields(PipeTask):
        def pipe_run(self):
            one = yield self.yield_dependency(Slow, {"n": 1})
            two = yield self.yield_dependency(Slow, {"n": 2})
            return one + two

    class Sum(PipeTask):
        def pipe_requires(self):
            self.add_dependency("one", Slow, {"n": 1})
            self.add_dependency("two", Slow, {"n": 2})
        def pipe_run(self, one, two):
            with self.create_output_file("sum.txt").open("w") as file:
                file.write(str(one + two))
            return one + two

    class Fails(PipeTask):
        def pipe_requires(self):
            self.add_dependency("one", Slow, {"n": 1})
        def pipe_run(self, one):
            self.get_output_dir()
            raise ValueError("boom")

    class Hangs(PipeTask):
        def pipe_run(self):
            Path(self.get_output_dir(), "half.txt").write_text("half")
            Path("begun.txt").write_text(str(os.getpid()))
            Path("begun.txt").rename("hangs.txt")
            time.sleep(60)

    class Dies(PipeTask):
        def pipe_requires(self):
            self.add_dependency("one", Slow, {"n": 1})
        def pipe_run(self, one):
            Path(self.get_output_dir(), "half.txt").write_text("half")
            how = Path("how.txt").read_text()
            if how == "exit":
                os._exit(7)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            return one if how == "not" else ctypes.string_at(0)

    class Patient(PipeTask):
        worker_timeout = 1
        def pipe_run(self):
            Path(self.get_output_dir(), "half.txt").write_text("half")
            time.sleep(60)
    """


def start(project: Project, task: str, *, workers: int = 1, method: str = "fork") -> subprocess.Popen[str]:
    program = project.write("main_program.py", PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), method, task, str(workers)],
        cwd=project.root,
        env={**os.environ, "DISDAT_HOME": str(project.context.home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate(timeout=100)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", pytest.param("forkserver", marks=pytest.mark.soak), "spawn"])
def test_workers_may_be_started_in_every_way(project: Project, method: str):
    project.write("steps.py", STEPS)
    out, err = finish(start(project, "steps.Sum", workers=2, method=method))
    assert (out, err) == ('{"success": true, "did_work": true}\n', "")
    assert Applied(project.context).value("Sum") == 3
    out, err = finish(start(project, "steps.Sum", workers=2, method=method))
    assert (out, err) == ('{"success": true, "did_work": false}\n', "")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_worker_raised_is_shown_first_and_alone(project: Project, method: str):
    project.write("steps.py", STEPS)
    out, err = finish(start(project, "steps.Fails", workers=2, method=method))
    assert out.startswith('{"success": false, "did_work": true} 1 of 2 tasks failed: Fails(): ValueError: boom')
    lines = err.splitlines()
    assert lines[:2] == ["Fails() failed", "Traceback (most recent call last):"]
    assert "steps.py" in lines[2]
    assert lines[-1] == "ValueError: boom"
    assert Applied(project.context).leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("task", ["Sum", "Yields"])
def test_of_two_runs_of_one_key_at_once_one_works_and_the_other_waits(project: Project, task: str, workers: int):
    project.write("steps.py", STEPS)
    both = [start(project, f"steps.{task}", workers=workers) for _ in range(2)]
    told = sorted(finish(process) for process in both)
    assert [err for _, err in told] == ["", ""]
    assert all(out.startswith('{"success": true') for out, _ in told)
    assert (project.root / "runs.txt").read_text().split() == ["run", "run"]
    names = sorted(row.name for row in project.context.catalog.search(Filter()))
    assert names == ["Slow", "Slow", task]
    assert Applied(project.context).leftovers() == []


@pytest.mark.slow
def test_a_killed_owner_gives_its_turn_away(project: Project):
    project.write("steps.py", STEPS)
    hanging = start(project, "steps.Hangs")
    wait_for(project.root / "hangs.txt")
    os.killpg(hanging.pid, signal.SIGKILL)
    finish(hanging)
    project.write("steps.py", STEPS.replace("time.sleep(60)", "pass", 1))
    began = time.monotonic()
    out, err = finish(start(project, "steps.Hangs"))
    assert (out, err) == ('{"success": true, "did_work": true}\n', "")
    assert time.monotonic() - began < 30


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_apply_leaves_nothing_behind(project: Project, workers: int):
    project.write("steps.py", STEPS)
    hanging = start(project, "steps.Hangs", workers=workers)
    wait_for(project.root / "hangs.txt")
    os.killpg(hanging.pid, signal.SIGINT)
    _, err = finish(hanging)
    assert hanging.returncode != 0
    assert "KeyboardInterrupt" in err
    assert Applied(project.context).leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "signals"),
    [
        ("1", [signal.SIGINT]),
        ("2", [signal.SIGINT]),
        ("1", [signal.SIGTERM]),
        ("2", [signal.SIGHUP]),
        pytest.param("2", [signal.SIGINT, signal.SIGINT], marks=pytest.mark.soak),
    ],
)
def test_an_interrupted_command_says_so_and_leaves_nothing_behind(
    project: Project, workers: str, signals: list[signal.Signals]
):
    """As Ctrl-C does and a terminal that is closed, which reach all its processes; however often."""
    project.write("steps.py", STEPS)
    hanging = subprocess.Popen(
        # These tests may run under `nohup`, which has it ignored.
        ["env", "--default-signal=HUP", Path(sys.executable).with_name("dsdt"), "apply", "-w", workers, "steps.Hangs"],
        cwd=project.root,
        env={**os.environ, "DISDAT_HOME": str(project.context.home.root), "DISDAT_CONTEXT": "demo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(project.root / "hangs.txt")
    for each in signals:
        os.killpg(hanging.pid, each)
    _, err = finish(hanging)
    assert hanging.returncode == 130, err
    assert err.startswith("dsdt: interrupted")
    assert Applied(project.context).leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("exit", 7),
        pytest.param("kill", -signal.SIGKILL, marks=pytest.mark.soak),
        pytest.param("crash", -signal.SIGSEGV, marks=pytest.mark.soak),
    ],
)
def test_a_task_that_takes_the_whole_process_with_it_leaves_what_was_finished(project: Project, how: str, code: int):
    """One worker is the process that applies; what was begun there counts for nothing, and is collected as garbage."""
    project.write("steps.py", STEPS)
    project.write("how.txt", how)
    dying = start(project, "steps.Dies")
    finish(dying)
    assert dying.returncode == code
    assert maintain.verify(project.context).is_sound
    project.write("how.txt", "not")
    out, err = finish(start(project, "steps.Dies"))
    assert (out, err) == ('{"success": true, "did_work": true}\n', "")
    assert (project.root / "runs.txt").read_text().split() == ["run"]
    gc.collect(project.context.home, Policy(retention_us=0, grace_us=0), frozenset({Step.APPLY}))
    assert Applied(project.context).leftovers() == []
    assert Applied(project.context).value("Dies") == 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_is_out_of_time_is_ended_and_leaves_nothing_behind(project: Project, workers: int):
    """With one worker, too, as what runs in this process could not be ended."""
    project.write("steps.py", STEPS)
    out, _ = finish(start(project, "steps.Patient", workers=workers))
    assert "timed out after 1 seconds" in out
    assert Applied(project.context).leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_and_leave_nothing_behind_when_their_driver_is_killed(project: Project, method: str):
    project.write("steps.py", STEPS)
    hanging = start(project, "steps.Hangs", workers=2, method=method)
    wait_for(project.root / "hangs.txt")
    assert int((project.root / "hangs.txt").read_text()) != hanging.pid
    began = time.monotonic()
    os.kill(hanging.pid, signal.SIGKILL)
    finish(hanging)  # which waits until nobody has the output open, so for all workers
    assert time.monotonic() - began < 30
    assert Applied(project.context).leftovers() == []


MAIN = """
    import multiprocessing, os, sys
    import luigi
    from disdat import config
    from disdat.context import Home
    from disdat.pipe import PipeTask
    from disdat.pipeline.run import apply

    class Mine(PipeTask):
        n = luigi.IntParameter(default=0)
        def pipe_run(self):
            return os.getpid()

    class Both(PipeTask):
        def pipe_requires(self):
            self.add_dependency("one", Mine, {"n": 1})
            self.add_dependency("two", Mine, {"n": 2})
        def pipe_run(self, one, two):
            return [one, two]

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        result = apply(Home.open(config.load()).context("demo"), Both, workers=2)
        print(result, os.getpid())
    """


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_classes_of_a_script_run_where_they_are_known(project: Project, method: str):
    """In processes forked from it, or else in its own; under the name by which others could import them."""
    program = project.write("script.py", MAIN)
    done = subprocess.run(
        [sys.executable, str(program), method],
        cwd=project.root,
        env={**os.environ, "DISDAT_HOME": str(project.context.home.root)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    told, own = done.stdout.rsplit(maxsplit=1)
    assert (told, done.stderr) == ("{'success': True, 'did_work': True}", "")
    pids = Applied(project.context).value("Both")
    assert (set(pids) == {int(own)}) == (method == "spawn")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_threads_may_apply_at_once(applied: Applied, project: Project, workers: int):
    program = textwrap.dedent("""
        import sys
        import threading
        from disdat import config
        from disdat.context import Home
        from disdat.pipeline.run import apply
        context = Home.open(config.load()).context("demo")
        import steps
        told = []
        workers = int(sys.argv[1])
        run = lambda: told.append(apply(context, steps.Slow, workers=workers))
        threads = [threading.Thread(target=run) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(sorted(result["did_work"] for result in told))
        """)
    project.write("steps.py", STEPS)
    assert project.python(program, str(workers)).stdout == "[False, False, True]\n"


def test_a_turn_inside_a_turn_for_the_same_key_is_refused(applied: Applied):
    key = digest.of_bytes(b"key")
    home = applied.context.home
    home.ensure()
    other = turn(home, digest.of_bytes(b"other"), "U()")
    told = pytest.raises(InvalidInput, match=r"T\(\) applies itself")
    with turn(home, key, "T()"), other, told, turn(home, key, "T()"):
        pass
    with turn(home, key, "T()"):
        assert applied.leftovers() == [f"task-{key.hex}.lock"]
    assert applied.leftovers() == []


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
