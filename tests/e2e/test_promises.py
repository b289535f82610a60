"""What the tool promises its users on its first page, each promise as a newcomer would try it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import disdat
from tests.e2e.conftest import Shell

pytestmark = pytest.mark.slow
CSV = "examples/hello_data.csv"

PIPELINE = """\
import luigi
from disdat.pipe import PipeTask

FACTOR = 2

class Numbers(PipeTask):
    n = luigi.IntParameter(default=3)

    def pipe_run(self):
        return list(range(self.n))

class Total(PipeTask):
    n = luigi.IntParameter(default=3)

    def pipe_requires(self):
        self.add_dependency("numbers", Numbers, {"n": self.n})

    def pipe_run(self, numbers):
        return FACTOR * sum(numbers)
"""


def test_one_install_gives_the_api_and_the_command(shell: Shell) -> None:
    assert "Running Disdat version" in shell("--version")
    assert shell.python("import disdat.api; print(disdat.api.__name__)") == "disdat.api\n"


def test_init_makes_the_configuration_once(shell: Shell) -> None:
    shell("init")
    config = Path.home() / ".config" / "disdat" / "disdat.cfg"
    config.write_text("# mine\n", encoding="utf-8")
    shell("init", code=1)
    assert config.read_text(encoding="utf-8") == "# mine\n"


def test_version_says_which_runs(shell: Shell) -> None:
    assert shell("--version") == f"Running Disdat version {disdat.__version__}\n"


def test_a_context_is_a_database_of_its_own(shell: Shell) -> None:
    for name in ("one", "two"):
        shell("context", name)
    shell("--context", "one", "add", "data", CSV)
    assert shell("--context", "one", "ls") == "data\n"
    assert shell("--context", "two", "ls") == ""


def test_switching_moves_no_data(shell: Shell) -> None:
    for name in ("one", "two"):
        shell("context", name)
    shell("switch", "one")
    shell("add", "data", CSV)
    assert "Switched to context two" in shell("switch", "two")
    assert shell("ls") == ""
    shell("switch", "one")
    assert shell("ls") == "data\n"


def test_adding_a_file_copies_it_into_a_new_version(in_context: Shell) -> None:
    before = Path(CSV).read_bytes()
    in_context("add", "my.first.bundle", CSV)
    in_context("add", "my.first.bundle", CSV)
    Path(CSV).unlink()
    assert len(in_context.json("ls", "my.first.bundle")) == 2
    assert Path(in_context("cat", "my.first.bundle").strip()).read_bytes() == before


def test_adding_a_directory_keeps_its_tree(in_context: Shell) -> None:
    Path("tree/sub").mkdir(parents=True)
    Path("tree/a.txt").write_text("a", encoding="utf-8")
    Path("tree/sub/b.txt").write_text("b", encoding="utf-8")
    in_context("add", "a.tree", "tree")
    paths = in_context("cat", "a.tree").splitlines()
    assert [Path(path).read_text(encoding="utf-8") for path in paths] == ["a", "b"]
    assert paths[1].endswith("/sub/b.txt")


def test_adding_a_table_inline_keeps_its_types_and_its_files(in_context: Shell) -> None:
    in_context("add", "-i", "my.second.bundle", CSV)
    printed = in_context.python(
        "import disdat.api as a; f = a.get('mycontext', 'my.second.bundle').data; print(dict(f.dtypes.astype(str)));"
        "print(all(open(p, 'rb').read() for p in f['s3paths']))"
    )
    types, files = printed.splitlines()
    assert re.search(r"'someints': 'int64', 'somefloats': 'float64', 'bool': 'bool', 'somestr': 'str'", types)
    assert files == "True"


def test_listing_shows_the_columns_in_their_order(in_context: Shell) -> None:
    in_context("add", "-t", "who:me", "my.first.bundle", CSV)
    header, line = in_context("ls", "-v", "-p").splitlines()
    assert header.split() == ["NAME", "PROC_NAME", "OWNER", "DATE", "COMMITTED", "UUID", "TAGS"]
    assert re.match(r"my\.first\.bundle +\tadd_\w+_d41d8cd98f\t\S+ *\t\d\d-\d\d-\d\d \d\d:\d\d:\d\d \t?.*False", line)
    assert "[who]:[me]" in line


def test_printing_a_file_bundle_gives_its_path(in_context: Shell) -> None:
    in_context("add", "my.first.bundle", CSV)
    path = Path(in_context("cat", "my.first.bundle").removesuffix("\n"))
    assert path.name == "hello_data.csv"
    assert path.read_bytes() == Path(CSV).read_bytes()


def test_printing_a_table_shows_rows_and_links(in_context: Shell) -> None:
    in_context("add", "-i", "my.second.bundle", CSV)
    printed = in_context("cat", "my.second.bundle")
    assert printed.split()[:5] == ["s3paths", "someints", "somefloats", "bool", "somestr"]
    for link in re.findall(r"file://(\S+)", printed):
        assert Path(link).is_file()
    assert printed.count("file://") == 2


def test_a_bundle_holds_literal_values_and_files_together(in_context: Shell) -> None:
    in_context.python(
        f"import disdat.api as a; a.Bundle('mycontext', 'both', data={{'n': 7, 'names': ['x'], 'file': {CSV!r}}})"
    )
    printed = in_context.python(
        "import disdat.api as a; d = a.get('mycontext', 'both').data;print(d['n'], d['names'], open(d['file']).read(7))"
    )
    assert printed == "7 ['x'] s3paths\n"


def test_a_name_means_its_latest_version(in_context: Shell) -> None:
    for text in ("old", "new"):
        Path("f.txt").write_text(text, encoding="utf-8")
        in_context("add", "data", "f.txt")
    assert Path(in_context("cat", "data").strip()).read_text(encoding="utf-8") == "new"
    assert Path(in_context("cat", "data@-1").strip()).read_text(encoding="utf-8") == "old"


def test_tags_are_kept_found_and_changed(in_context: Shell) -> None:
    in_context("add", "-t", "city:Rome", "-t", "k:a:b", "data", CSV)
    in_context("add", "data", CSV)
    assert [row["tags"] for row in in_context.json("ls", "-t", "city:Rome")] == [{"city": "Rome", "k": "a:b"}]
    in_context("tag", "data", "city:Oslo")
    assert len(in_context.json("ls", "-t", "city:Oslo")) == 1
    in_context("untag", "data", "city")
    assert in_context.json("ls", "-t", "city:Oslo") == []


def test_a_bundle_is_committed_and_says_so(in_context: Shell) -> None:
    in_context("add", "data", CSV)
    assert not in_context.json("ls", "data")[0]["committed"]
    in_context("commit", "data")
    assert in_context.json("ls", "-c")[0]["committed"]
    assert in_context.json("ls", "--uncommitted") == []


def test_python_creates_and_finds_bundles(in_context: Shell) -> None:
    in_context.python("import disdat.api as a; a.Bundle('mycontext', 'numbers', data=[1, 2], tags={'k': 'v'})")
    printed = in_context.python(
        "import disdat.api as a; [b] = a.search('mycontext', tags={'k': 'v'}); print(b.name, b.data, b.tags)"
    )
    assert printed == "numbers [1, 2] {'k': 'v'}\n"


def test_a_task_is_two_functions_and_its_output_a_bundle(
    in_context: Shell, write_module: Callable[[str, str], None]
) -> None:
    write_module("pipe", PIPELINE)
    in_context("apply", "pipe.Total", "--n", "4")
    assert in_context("cat", "Total") == "12\n"
    assert in_context("cat", "Numbers") == "[0, 1, 2, 3]\n"


def test_a_bundle_is_the_input_of_a_pipeline(in_context: Shell, write_module: Callable[[str, str], None]) -> None:
    in_context.python("import disdat.api as a; a.Bundle('mycontext', 'given', data=[20, 1])")
    write_module(
        "external",
        "from disdat.pipe import PipeTask\n"
        "class Sum(PipeTask):\n"
        "    def pipe_requires(self):\n"
        "        self.add_external_dependency('given', None, {}, human_name='given')\n"
        "    def pipe_run(self, given):\n"
        "        return sum(given)\n",
    )
    in_context("apply", "external.Sum")
    assert in_context("cat", "Sum") == "21\n"


def test_a_step_runs_again_when_its_code_or_data_changes(
    in_context: Shell, write_module: Callable[[str, str], None]
) -> None:
    def versions() -> tuple[int, int]:
        return len(in_context.json("ls", "Numbers")), len(in_context.json("ls", "Total"))

    write_module("pipe", PIPELINE)
    in_context("apply", "pipe.Total")
    in_context("apply", "pipe.Total")
    assert versions() == (1, 1)
    in_context("apply", "pipe.Total", "--n", "5")
    assert versions() == (2, 2)
    write_module("pipe", PIPELINE.replace("FACTOR = 2", "FACTOR = 300"))
    in_context("apply", "pipe.Total", "--n", "5")
    assert in_context("cat", "Total") == "3000\n"


def test_lineage_names_the_code_and_the_data_of_every_step(
    in_context: Shell, write_module: Callable[[str, str], None]
) -> None:
    write_module("pipe", PIPELINE)
    in_context("apply", "pipe.Total")
    printed = in_context("lineage", "Total")
    assert printed.index("Total(") < printed.index("Numbers(")
    for uuid in (row["uuid"] for row in in_context.json("ls")):
        assert uuid[:8] in printed


def test_outputs_need_no_names_of_files(in_context: Shell, write_module: Callable[[str, str], None]) -> None:
    write_module(
        "files",
        "from disdat.pipe import PipeTask\n"
        "class Write(PipeTask):\n"
        "    def pipe_run(self):\n"
        "        target = self.create_output_file('out.txt')\n"
        "        with target.open('w') as file:\n"
        "            file.write('made')\n"
        "        return target\n",
    )
    in_context("apply", "files.Write")
    path = Path(in_context("cat", "Write").strip())
    assert path.read_text(encoding="utf-8") == "made"
    assert path.is_relative_to(Path(in_context.json("status")["home"]))


def test_a_three_task_example_ships_and_runs(in_context: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("examples")
    in_context("apply", "pipelines.mnist.Evaluate")
    assert {"GetData", "Train", "Evaluate"} == {row["name"] for row in in_context.json("ls")}
    again = in_context.json("ls")
    in_context("apply", "pipelines.mnist.Evaluate")
    assert in_context.json("ls") == again


def test_data_is_easy_to_discard(in_context: Shell) -> None:
    for _ in range(3):
        in_context("add", "data", CSV)
    newest = in_context.json("ls", "data")[0]["uuid"]
    in_context("rm", "--old", "data")
    assert [row["uuid"] for row in in_context.json("ls", "data")] == [newest]
    in_context("rm", "data")
    assert in_context.json("ls") == []
    assert in_context.run("rm").returncode == 2


def test_the_short_test_drive_runs_line_by_line(shell: Shell) -> None:
    shell("init")
    shell("context", "mycontext")
    shell("switch", "mycontext")
    shell("add", "my.first.bundle", CSV)
    assert "my.first.bundle" in shell("ls", "-v")
    assert shell("cat", "my.first.bundle").endswith("/hello_data.csv\n")
    shell("add", "-i", "my.second.bundle", CSV)
    listing = shell("ls", "-v")
    assert listing.index("my.second.bundle") < listing.index("my.first.bundle")
    assert "file://" in shell("cat", "my.second.bundle")
