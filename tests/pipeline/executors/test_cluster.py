"""Applies on a cluster: what is made is what is made here, and what it takes gets there and back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dask
import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.canonical import Json
from disdat.errors import ApplyError, InvalidInput, NotConfigured, NotFound, Unavailable
from disdat.ops import bundles, contexts, fetching, find, presence, remotes
from disdat.pipeline.call import Call
from disdat.pipeline.executors import link
from disdat.pipeline.executors.sending import Sender
from disdat.pipeline.run import apply
from disdat.remote.known import Presence
from tests.servers.dask import Cluster, cluster_in
from tests.servers.processes import clean_environment, free_port
from tests.servers.s3 import S3Server

STEPS = """
    import os
    import sys
    import time
    from pathlib import Path

    import luigi

    import factors
    from disdat.pipe import PipeTask

    class Number(PipeTask):
        n = luigi.IntParameter()
        def pipe_run(self):
            return self.n

    class Scaled(PipeTask):
        n = luigi.IntParameter(default=3)
        def pipe_requires(self):
            self.add_dependency("one", Number, {"n": self.n})
            self.add_dependency("two", Number, {"n": self.n + 1})
        def pipe_run(self, one, two):
            print("scaling")
            return factors.FACTOR * (one + two)

    class Parity(PipeTask):
        n = luigi.IntParameter()
        def pipe_run(self):
            return self.n % 2

    class OfParity(PipeTask):
        n = luigi.IntParameter()
        def pipe_requires(self):
            self.add_dependency("parity", Parity, {"n": self.n})
        def pipe_run(self, parity):
            return ["even", "odd"][parity]

    class Files(PipeTask):
        def pipe_run(self):
            with self.create_output_file("large.bin").open("w") as file:
                file.write("x" * 200_000)
            with self.create_output_file("small.txt").open("w") as file:
                file.write("small")
            return {"files": [self.get_output_dir() + "/large.bin", self.get_output_dir() + "/small.txt"]}

    class Sizes(PipeTask):
        def pipe_requires(self):
            self.add_dependency("made", Files, {})
        def pipe_run(self, made):
            return [os.path.getsize(each) for each in made["files"]]

    class Passing(PipeTask):
        def pipe_run(self):
            self.mark_transient()
            return "y" * 100_000

    class OfPassing(PipeTask):
        def pipe_requires(self):
            self.add_dependency("passing", Passing, {})
        def pipe_run(self, passing):
            return len(passing)

    class Reads(PipeTask):
        def pipe_requires(self):
            self.add_external_dependency("given", None, {}, human_name="given")
        def pipe_run(self, given):
            return len(given)

    class Broken(PipeTask):
        def pipe_requires(self):
            self.add_dependency("one", Number, {"n": 1})
        def pipe_run(self, one):
            raise ValueError("boom")

    class Hangs(PipeTask):
        mark = luigi.Parameter()
        retry_count = 2
        def pipe_run(self):
            Path(self.get_output_dir(), "half.txt").write_text("half")
            mark = Path(self.mark)
            if mark.exists():
                return "again"
            Path(f"{mark}.new").write_text(f"{os.getpid()} {os.getppid()}")
            Path(f"{mark}.new").rename(mark)
            time.sleep(120)

    class Where(PipeTask):
        def pipe_run(self):
            return [os.getcwd(), *sys.path]
    """

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask")]


class Project:
    """Modules that this process can import, and applies of their tasks in a context."""

    def __init__(self, root: Path, context: Context, address: str) -> None:
        self.root = root
        self.context = context
        self.address = address
        self.write("steps.py", STEPS)
        self.write(
            "factors.py", "from pathlib import Path\nFACTOR = int(Path(__file__).with_name('ten.txt').read_text())\n"
        )
        self.write("ten.txt", "10")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(textwrap.dedent(text))

    def apply(self, task: str, params: dict[str, object] | None = None, **options: object) -> dict[str, bool]:
        asked = {"executor": "dask", "scheduler": self.address, **options}
        return apply(self.context, f"steps.{task}", params, **asked)  # type: ignore[arg-type]

    def value(self, name: str) -> object:
        return bundles.value(self.context, find.need(self.context, name).uuid)

    def keys(self) -> dict[str, Json]:
        """The keys of what was made, by processing names."""
        rows = self.context.catalog.search(Filter())
        read = self.context.catalog.bundles([row.uuid for row in rows])
        return {each.processing_name: each.lineage.task.digest for each in read.values() if each.lineage.task}

    def decisions(self) -> dict[str, Json]:
        last = [event for event in self.context.catalog.events() if event.kind == "decisions"][-1]
        return {each["task"]: each["decision"] for each in last.payload["tasks"]}  # type: ignore[union-attr, index, call-overload, misc]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    before = set(sys.modules)
    yield root
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(root)):
            del sys.modules[name]


@pytest.fixture
def project(modules: Path, bound: Context, cluster: Cluster) -> Project:
    return Project(modules, bound, cluster.address)


def test_what_is_made_there_is_what_is_made_here(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The same names, values and keys; what tasks print comes out here; nobody has to push what is there already."""
    assert project.apply("Scaled") == {"success": True, "did_work": True}
    assert "scaling\n" in capsys.readouterr().out
    here = Project(project.root, contexts.create(Home(tmp_path / "other"), "demo"), "")
    here.apply("Scaled", executor="inline", scheduler=None)
    assert project.value("Scaled") == here.value("Scaled") == 70
    assert project.keys() == here.keys()
    assert project.apply("Scaled") == {"success": True, "did_work": False}

    bob = remotes.bind(
        contexts.create(Home(tmp_path / "bob"), "demo"), "shared", f"file://{tmp_path}/remote", layout="packed"
    )
    fetching.fetch(bob.context)
    assert sorted(bob.context.catalog.names()) == ["Number", "Scaled"]
    assert bundles.value(bob.context, find.need(bob.context, "Scaled").uuid) == 70


@pytest.mark.soak
def test_workers_keep_nothing_of_an_apply_and_have_no_project(project: Project, cluster: Cluster):
    project.apply("Where")
    here = project.value("Where")
    assert isinstance(here, list)
    assert str(project.root) not in here
    assert here[0] in {str(each.home.parent / each.name) for each in cluster.workers}
    assert any("cache/code" in each for each in here)
    assert [each.leftovers() for each in cluster.workers] == [[], []]


def test_an_edit_is_what_runs_next(project: Project):
    """Workers live long; modules of one apply are not those of the next."""
    project.apply("Scaled")
    project.write("factors.py", "FACTOR = 100  # more\n")
    for name in ("steps", "factors"):
        del sys.modules[name]
    assert project.apply("Scaled") == {"success": True, "did_work": True}
    assert project.value("Scaled") == 700
    assert [row.tainted for row in project.context.catalog.versions("Scaled")] == [False, False]


def test_what_reads_an_equal_input_is_reused(
    project: Project, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    """Though no worker knows what there is here; and none asks twice for code that it lacks."""
    lacked: list[str] = []
    provide = Sender.provide

    def noting(self: Sender, call: Call, what: Sequence[str]) -> None:
        lacked.extend(what)
        provide(self, call, what)

    monkeypatch.setattr(Sender, "provide", noting)
    project.write("new.py", f"# as no worker has it yet: {tmp_path}")
    project.apply("OfParity", {"n": 3})
    project.apply("OfParity", {"n": 5})
    assert project.decisions() == {"Parity(n=5)": "made", "OfParity(n=5)": "made"}
    assert 1 <= lacked.count("code") <= len(cluster.workers)


@pytest.mark.parametrize("layout", ["packed", pytest.param("plain", marks=pytest.mark.soak)])
def test_files_get_there_and_come_when_they_are_read(project: Project, layout: str):
    project.context = remotes.bind(project.context, "shared", project.context.remote.binding.url, layout=layout).context
    project.apply("Sizes", incremental_pull=True)
    assert project.value("Sizes") == [200_000, 5]
    files = find.need(project.context, "Files").uuid
    assert presence.of_rows(project.context, [files]) == {files: Presence.REMOTE}
    value = project.value("Files")
    assert isinstance(value, dict)
    paths = [each.removeprefix("file://") for each in value["files"]]
    assert [Path(each).stat().st_size for each in paths] == [200_000, 5]
    assert (paths != value["files"]) == (layout == "plain")


@pytest.mark.soak
def test_what_only_this_home_has_is_sent_for_who_reads_it(project: Project):
    """It is not published by that."""
    bundles.write(project.context, "z" * 300_000, bundles.Birth(name="given"))
    project.apply("Reads")
    assert project.value("Reads") == 300_000
    assert not find.need(project.context, "given").committed


@pytest.mark.soak
def test_what_is_transient_comes_here_and_is_not_published(project: Project, tmp_path: Path):
    project.apply("OfPassing")
    assert project.value("OfPassing") == 100_000
    passing = find.need(project.context, "Passing").uuid
    assert presence.of_rows(project.context, [passing]) == {passing: Presence.LOCAL}
    bob = remotes.bind(
        contexts.create(Home(tmp_path / "bob"), "demo"), "shared", f"file://{tmp_path}/remote", layout="packed"
    )
    fetching.fetch(bob.context)
    assert sorted(bob.context.catalog.names()) == ["OfPassing"]


@pytest.mark.soak
def test_what_was_made_before_a_failure_is_kept(project: Project, caplog: pytest.LogCaptureFixture):
    with pytest.raises(ApplyError, match="ValueError: boom"):
        project.apply("Broken")
    assert project.value("Number") == 1
    [told] = [each.getMessage() for each in caplog.records if "failed" in each.getMessage()]
    assert "steps.py" in told


def test_without_a_remote_workers_elsewhere_can_do_nothing(project: Project):
    project.context = contexts.create(project.context.home, "alone")
    with pytest.raises(NotConfigured, match="share nothing with this home, and the context alone has no remote"):
        project.apply("Scaled")


def test_nobody_at_the_address_is_told_with_the_time(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "CONNECT_S", 0.5)
    with pytest.raises(Unavailable, match=r"no dask scheduler answers at tcp://127.0.0.1:\d+; tried for 0.5 seconds"):
        project.apply("Scaled", scheduler=f"tcp://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"executor": "pool"}, "a scheduler is that of a cluster"),
        ({"scheduler": "nonsense://here"}, "no address of a dask scheduler"),
    ],
)
def test_what_cannot_be_asked_is_refused(project: Project, options: dict[str, object], told: str):
    with pytest.raises(InvalidInput, match=told):
        project.apply("Scaled", **options)


def test_an_executor_that_is_not_there_is_told_with_those_that_are(project: Project):
    with pytest.raises(NotFound, match="no executor named 'spark'") as caught:
        project.apply("Scaled", executor="spark", scheduler=None)
    assert caught.value.hint == "there are: dask, inline, pool"


def test_a_lost_worker_loses_its_call_alone(project: Project, tmp_path: Path):
    """It is tried again as often as its task says, by those that are left, and its process is gone with the worker."""
    mark = tmp_path / "mark"
    with cluster_in(tmp_path, 2) as cluster:
        killing = subprocess.Popen(
            ["sh", "-c", f"while ! [ -e {mark} ]; do sleep 0.1; done; kill -9 $(cut -d' ' -f2 {mark})"]
        )
        assert project.apply("Hangs", {"mark": str(mark)}, scheduler=cluster.address)["success"]
        assert killing.wait(10) == 0
        assert sorted(each.process.poll() or 0 for each in cluster.workers) == [-signal.SIGKILL, 0]
        hanging = int(mark.read_text().split()[0])
        wait_until(lambda: not lives(hanging))
    assert project.value("Hangs") == "again"


@pytest.mark.soak
def test_a_lost_scheduler_ends_the_run_and_what_runs_there(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link, "CONNECT_S", 5.0)
    mark = tmp_path / "mark"
    with cluster_in(tmp_path, 1) as cluster:
        killing = subprocess.Popen(
            ["sh", "-c", f"while ! [ -e {mark} ]; do sleep 0.1; done; kill -9 {cluster.scheduler.pid}"]
        )
        with pytest.raises(Unavailable, match=r"the dask scheduler at .* is gone"):
            project.apply("Hangs", {"mark": str(mark)}, scheduler=cluster.address)
        assert killing.wait(10) == 0
        hanging = int(mark.read_text().split()[0])
        # Dask's worker would wait for it, and for half a minute at most.
        cluster.workers[0].process.wait(20)
        assert not lives(hanging)


def test_a_worker_that_hangs_keeps_nobody_waiting():
    assert link.within(0.01, threading.Event().wait) is None
    assert link.within(60, lambda: 1) == 1
    assert isinstance(link.within(60, lambda: int("one")), ValueError)


def test_another_version_there_is_refused_before_anything_runs(
    project: Project, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("disdat.__version__", "1.9")
    with pytest.raises(NotConfigured, match=r"scheduler at tcp://.* has disdat 2\..*, and this is 1\.9") as told:
        project.apply("Scaled")
    assert told.value.hint == "pip install 'disdat[dask]==1.9' there"


WITHOUT_DISDAT = """
    import sys
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "disdat":
                raise ModuleNotFoundError("No module named 'disdat'", name=name)
    sys.meta_path.insert(0, Missing())
    """


@pytest.mark.soak
def test_a_worker_without_disdat_is_named_and_lives(project: Project, tmp_path: Path):
    """What it cannot read would end it, and the next one after it."""
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(WITHOUT_DISDAT))
    with cluster_in(tmp_path, 1, PYTHONPATH=str(tmp_path)) as cluster:
        with pytest.raises(NotConfigured, match=r"the worker tcp://.* has no disdat: ModuleNotFoundError"):
            project.apply("Scaled", scheduler=cluster.address)
        assert cluster.workers[0].process.poll() is None


def test_an_interrupt_ends_what_runs_there(project: Project, tmp_path: Path, cluster: Cluster):
    mark = tmp_path / "mark"
    applying = start(project, "Hangs", str(mark))
    wait_until(mark.exists)
    applying.send_signal(signal.SIGINT)
    _, err = applying.communicate(timeout=60)
    assert applying.returncode != 0, err
    pid = int(mark.read_text().split()[0])
    assert not lives(pid)
    assert [each.leftovers() for each in cluster.workers] == [[], []]


@pytest.mark.soak
def test_when_who_applied_is_killed_what_runs_there_ends(project: Project, tmp_path: Path):
    mark = tmp_path / "mark"
    applying = start(project, "Hangs", str(mark))
    wait_until(mark.exists)
    applying.kill()
    applying.communicate(timeout=60)
    pid = int(mark.read_text().split()[0])
    wait_until(lambda: not lives(pid))


def test_processes_of_this_machine_need_no_remote(modules: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Without a scheduler there is a cluster of this process, which works in its home."""
    project = Project(modules, contexts.create(Home(tmp_path / "alone"), "demo"), "")
    with warnings.catch_warnings(), dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 B"}):
        warnings.filterwarnings("error", message="Sending large graph")
        project.apply("Scaled", scheduler=None, workers=2)
    assert project.value("Scaled") == 70
    assert [row.committed for row in project.context.catalog.versions("Scaled")] == [False]
    project.apply("Hangs", {"mark": str(tmp_path / "mark")}, scheduler=None, timeout=1)
    assert "timed out after 1 seconds" in caplog.text
    assert project.value("Hangs") == "again"


@pytest.mark.soak
def test_a_bucket_will_do(project: Project, ministack: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Workers have credentials of their own."""
    bucket = ministack.fresh_bucket()
    for name, text in ministack.environment().items():
        monkeypatch.setenv(name, text)
    context = contexts.create(Home(tmp_path / "s3"), "demo")
    project.context = remotes.bind(context, "shared", f"s3://{bucket}/prefix", layout="packed").context
    with cluster_in(tmp_path, 1, **ministack.environment()) as cluster:
        project.apply("Sizes", scheduler=cluster.address)
    assert project.value("Sizes") == [200_000, 5]


PROGRAM = """
    import sys
    from disdat import config
    from disdat.context import Home
    from disdat.pipeline.run import apply
    if __name__ == "__main__":
        task, mark, address = sys.argv[1:]
        context = Home.open(config.load()).context("demo")
        apply(context, f"steps.{task}", {"mark": mark}, executor="dask", scheduler=address)
    """


def start(project: Project, task: str, mark: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), task, mark, project.address],
        cwd=project.root,
        env=clean_environment(DISDAT_HOME=str(project.context.home.root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
