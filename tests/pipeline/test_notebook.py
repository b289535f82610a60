"""A pipeline in a notebook: cells that are run again are what counts, and what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

TASKS = """
import luigi
from disdat import api
from disdat.pipe import PipeTask

SCALE = 2

def scaled(number):
    return number * SCALE

class Number(PipeTask):
    n = luigi.IntParameter(default=1)

    def pipe_run(self):
        return scaled(self.n)

class Total(PipeTask):
    def pipe_requires(self):
        self.add_dependency("number", Number, {"n": 5})

    def pipe_run(self, number):
        return number + 1

def applied(**options):
    did_work = api.apply("notebook", Total, **options)["did_work"]
    print(did_work, api.get("notebook", "Total").data, api.why("notebook", Number).last.why)
"""
START = "api.context('notebook')"


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotebookClient]:
    """A notebook whose kernel has a home of its own, the same each time it is started."""
    for name in ("DISDAT_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with started() as client:
        yield client


@contextmanager
def started() -> Iterator[NotebookClient]:
    """A new notebook with a new kernel, which is spoken to through sockets in a directory: no port is taken."""
    with TemporaryDirectory() as place:  # a socket's path must be short
        config = Config(KernelManager={"transport": "ipc", "ip": f"{place}/kernel"})
        client = NotebookClient(new_notebook(), timeout=60, kernel_name="python3", config=config)
        with client.setup_kernel():
            yield client


def printed(notebook: NotebookClient, source: str) -> str:
    """What a cell prints."""
    cell: NotebookNode = new_code_cell(source)
    notebook.nb.cells.append(cell)
    notebook.execute_cell(cell, len(notebook.nb.cells) - 1)
    return "".join(each["text"] for each in cell["outputs"] if each.get("name") == "stdout")


@pytest.mark.slow
def test_what_was_run_last_of_a_notebook_counts(notebook: NotebookClient) -> None:
    def printing(source: str) -> str:
        return printed(notebook, source).strip()

    printing(TASKS + START)
    assert printing("applied()") == "True 11 no earlier result"
    assert printing("applied()") == "False 11 same code, parameters and input content"
    printing("def scaled(number):\n    return number * SCALE + 100")
    assert printing("applied()") == "True 111 function scaled in __main__ changed"
    printing("SCALE = 3")
    assert printing("applied()") == "True 116 constant SCALE in __main__ changed"
    assert printing("applied(workers=2, force_all=True)") == "True 116 forced, as all tasks"
    printing(TASKS)
    assert printing("applied()") == "False 11 same code, parameters and input content"


@pytest.mark.slow
def test_a_notebook_that_is_started_anew_finds_what_it_made(notebook: NotebookClient) -> None:
    printed(notebook, TASKS + START)
    printed(notebook, "applied()")
    with started() as again:
        printed(again, TASKS)
        assert printed(again, "applied()").startswith("False 11 same code")
