"""A context to run pipelines in, what an apply made in it, and projects of modules that tests may edit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.catalog.queries import Filter
from disdat.context import Context, Home
from disdat.core.canonical import Json
from disdat.ops import bundles, contexts, needs
from disdat.pipe import PipeTask
from disdat.pipeline.run import apply


@pytest.fixture
def context(home: Path) -> Context:
    """An empty context in a home of its own; the current directory is the test's too."""
    return contexts.create(Home(home), "demo")


class Applied:
    """Applies tasks in a context, and tells what that changed."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def __call__(
        self, task: type[PipeTask] | str, params: dict[str, object] | None = None, **options: object
    ) -> list[str]:
        """Apply; the names of the bundles that this made, sorted."""
        before = self.uuids()
        result = apply(self.context, task, params, **options)  # type: ignore[arg-type]
        made = sorted(row.name for row in self.context.catalog.search(Filter()) if row.uuid not in before)
        assert result == {"success": True, "did_work": bool(made)}
        return made

    def uuids(self) -> set[str]:
        return {row.uuid for row in self.context.catalog.search(Filter())}

    def latest(self, name: str) -> str:
        """The uuid of the latest bundle of a name."""
        row = self.context.catalog.latest(name)
        assert row is not None, f"nothing is called {name}"
        return row.uuid

    def value(self, name: str) -> object:
        return bundles.value(self.context, self.latest(name))

    def decisions(self) -> dict[str, tuple[Json, Json]]:
        """What the last run decided for each task, and why."""
        last = [event for event in self.context.catalog.events() if event.kind == "decisions"][-1]
        return {each["task"]: (each["decision"], each["why"]) for each in last.payload["tasks"]}  # type: ignore[union-attr, index, call-overload]

    def leftovers(self) -> list[str]:
        """Directories of bundles that the catalog does not know, and leases that are still there."""
        known = self.uuids()
        directories = [path.name for path in self.context.objects.iterdir() if path.name not in known]
        leases = self.context.home.root / "store" / "leases"
        return directories + ([path.name for path in leases.iterdir()] if leases.is_dir() else [])


@pytest.fixture
def applied(context: Context) -> Applied:
    return Applied(context)


def lose_objects(context: Context, uuid: str) -> None:
    """Remove from the store all that holds bytes of a bundle."""
    store, row = context.home.store, context.catalog.rows([uuid])[uuid]
    bundle = context.catalog.bundle(uuid)
    objects = {row.manifest, *(frame.digest for frame in bundle.frames if frame.digest is not None)}
    objects |= {entry.digest for entry in needs.files(bundle, store.read).values()}
    for each in objects:
        store.loose_path(each).unlink(missing_ok=True)
    for path in store.pack_paths(objects):
        path.unlink()


class Project:
    """A directory of modules, and fresh Python processes that apply tasks of them."""

    def __init__(self, root: Path, context: Context) -> None:
        self.root = root
        self.context = context

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def python(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in a fresh interpreter, in the project's directory."""
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            cwd=self.root,
            env={**os.environ, "DISDAT_HOME": str(self.context.home.root)},
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    def apply(self, task: str, **options: object) -> list[str]:
        """Apply a task in a fresh interpreter; the names of the bundles that this made, sorted."""
        before = {row.uuid for row in self.context.catalog.search(Filter())}
        program = """
            import json, sys
            from disdat import config
            from disdat.context import Home
            from disdat.pipeline.run import apply
            if __name__ == "__main__":
                context = Home.open(config.load()).context("demo")
                apply(context, sys.argv[1], **json.loads(sys.argv[2]))
            """
        self.python(program, task, json.dumps(options))
        return sorted(row.name for row in self.context.catalog.search(Filter()) if row.uuid not in before)


@pytest.fixture
def project(tmp_path: Path, context: Context) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return Project(root, context)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes modules that this process can import; they are forgotten after the test."""
    root = tmp_path / "modules"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    before = set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(root)):
            del sys.modules[name]
