"""Bad input: one line that says what is wrong, an exit code, no traceback, and nothing changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from disdat import ops
from disdat.context import Home
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt, everything_below
from tests.conftest import NOBODY, unprivileged

MODULE = """\
import luigi
from disdat.pipe import PipeTask

class Task(PipeTask):
    n = luigi.IntParameter()
    def pipe_run(self):
        return self.n

class Unstorable(PipeTask):
    def pipe_run(self):
        return {"a": [object()]}

class Other:
    pass
"""

USAGE = [
    ("nonsense", "no command 'nonsense'"),
    ("ls --nonsense", "no such option"),
    ("--nonsense ls", "no such option"),
    ("switch", "missing argument 'NAME'"),
    ("switch demo more", "unexpected extra argument"),
    ("switch|", "NAME is empty"),
    ("switch|..", "'..' cannot name a context"),
    ("switch|.", "'.' cannot name a context"),
    ("context|", "NAME is empty"),
    ("context|..", "'..' cannot name a context"),
    ("context|.hidden", "cannot name a context"),
    ("context|a/b/c", "more than one slash"),
    ("context|/a", "cannot name a context"),
    ("context|a/", "cannot name a context"),
    ("context|a\\b", "cannot name a context"),
    ("context|a\nb", "cannot name a context"),
    ("context|" + "x" * 201, "longer than 200 bytes"),
    ("context|-d", "no context is named"),
    ("context|-d|", "NAME is empty"),
    ("context|-d|..|--yes", "'..' cannot name a context"),
    ("context|-d|.|--yes", "'.' cannot name a context"),
    ("context -d demo", "not a terminal"),
    ("context new --yes", "are for deleting"),
    ("--context|..|ls", "'..' cannot name a context"),
    ("--context||ls", "cannot name a context"),
    ("add", "missing argument"),
    ("add data", "missing argument"),
    ("add|name\udcff|a.txt", "NAME is not valid Unicode"),
    ("add data@-1 a.txt", "may not end as that of an earlier version does: 'data@-1'"),
    ("apply -o data@-1 tasks.Task --n 1", "may not end as that of an earlier version"),
    ("add|-t|nocolon|data|a.txt", "'nocolon' is not a tag"),
    ("add|-t|:value|data|a.txt", "':value' is not a tag"),
    ("add|-t||data|a.txt", "'' is not a tag"),
    ("add|-t|k:1|-t|k:2|data|a.txt", "the tag 'k' is given twice"),
    ("add -i data a.csv b.csv", "--inline takes one file"),
    ("ls a b", "unexpected extra argument"),
    ("ls|-A|yesterday", "cannot read the date 'yesterday'"),
    ("ls|-B|", "cannot read the date ''"),
    ("ls|-B|13-45-2026", "cannot read the date"),
    ("ls|-A|2026-02-30", "cannot read the date"),
    ("ls|-t|nocolon", "is not a tag"),
    ("ls|-u|", "is empty"),
    ("ls -u xyz", "'xyz' is not a uuid"),
    ("ls /[/", "not a regular expression"),
    ("cat data@never", "cannot read the date 'never'"),
    ("cat|-u|", "is empty"),
    ("commit", "nothing is named"),
    ("commit|-u|", "is empty"),
    ("rm", "nothing is named"),
    ("rm --all", "nothing is named"),
    ("rm --old --force", "nothing is named"),
    ("rm --all --old data", "exclude each other"),
    ("tag data", "missing argument"),
    ("tag data nocolon", "'nocolon' is not a tag"),
    ("untag data", "missing argument"),
    ("show", "missing argument 'REF'"),
    ("lineage data -d -1", "-1 is not in the range"),
    ("lineage data -d x", "'x' is not a valid"),
    ("apply", "missing argument 'MODULE.CLASS'"),
    ("apply -w 0 tasks.Task", "0 is not in the range"),
    ("apply --rerun always tasks.Task", "'always' is not one of"),
    ("apply --n 3 tasks.Task", "no such option"),
]

FAILURES = [
    ("switch none", "no context named 'none'"),
    ("context demo", "the context 'demo' already exists"),
    ("context -d none --yes", "no context named 'none'"),
    ("--context none ls", "no context named 'none'"),
    ("add data none.txt", "no such file or directory: none.txt"),
    ("add|data|", "no such file or directory"),
    ("add data a.txt a.txt", "a.txt is named twice"),
    ("add data socket", "not a regular file or directory"),
    ("add data fifo", "not a regular file or directory"),
    ("add data loop", "no such file or directory: loop"),
    ("add data leaving", "leaves the directory that is added"),
    ("add data circular", "leads back to a directory above it"),
    ("add -t committed:True data a.txt", "the tag 'committed' is reserved"),
    ("add -t __param.x:1 data a.txt", "the tag '__param.x' is reserved"),
    ("add -i data none.csv", "no such file or directory"),
    ("add -i data a.txt", "a.txt is no table"),
    ("add -i data tree", "tree is no table"),
    ("add -i data empty.csv", "cannot read"),
    ("add -i data broken.json", "cannot read"),
    ("add -i data broken.parquet", "cannot read"),
    ("add -i data remote.csv", "s3://bucket/key"),
    ("ls none", "no bundle named 'none'"),
    ("ls -u 00000000", "no bundle with uuid 00000000"),
    ("cat none", "no bundle 'none'"),
    ("cat data@-9", "none is 9 back"),
    ("cat data@1999-01-01", "had no version by 1999-01-01"),
    ("cat -t no:such", "no bundle tagged no:such"),
    ("cat data -t no:such", "no bundle named 'data' tagged no:such"),
    ("cat data -f none/out.csv", "none/out.csv"),
    ("cat data -f tree", "tree"),
    ("cat nested -f out.csv", "is no table"),
    ("show none", "no bundle 'none'"),
    ("commit none", "no bundle named 'none'"),
    ("rm none", "no bundle named 'none'"),
    ("rm none --all", "no bundle named 'none'"),
    ("rm|*", "no bundle named '*'"),
    ("rm|*|--all", "no bundle named '*'"),
    ("rm|%|--all", "no bundle named '%'"),
    ("rm|/./|--all", "no bundle named '/./'"),
    ("rm kept", "committed: kept"),
    ("rm|-t|no:such|--all", "no bundle tagged no:such"),
    ("tag none k:v", "no bundle 'none'"),
    ("tag data committed:True", "the tag 'committed' is reserved"),
    ("tag data root_task:True", "the tag 'root_task' is reserved"),
    ("tag data __x:1", "the tag '__x' is reserved"),
    ("untag data none", "no tag 'none'"),
    ("untag data committed", "the tag 'committed' is reserved"),
    ("lineage none", "no bundle 'none'"),
    ("apply tasks", "'tasks' does not name a class"),
    ("apply none.Task", "no module none"),
    ("apply tasks.None", "no class None in the module tasks"),
    ("apply tasks.Other", "tasks.Other is not a PipeTask"),
    ("apply broken.Task", "cannot import broken"),
    ("apply tasks.Task", "Task needs n"),
    ("apply tasks.Task --n x", "'x'"),
    ("apply tasks.Task --n", "n"),
    ("apply tasks.Task --m 1", "Task has no parameter 'm'"),
    ("apply tasks.Task 7", "7"),
    ("apply -ot committed:True tasks.Task --n 1", "the tag 'committed' is reserved"),
]


@pytest.fixture
def furnished(demo: Dsdt, add, home: Path) -> Dsdt:
    """A context with a few bundles, beside files of every awkward kind."""
    add("kept")
    demo("commit", "kept")
    ops.bundles.write(Home(home).context("demo"), {"a": {"b": 1}}, Birth("nested"))
    add("data")
    demo("cat", "data")  # a file's path is made when it is first asked for
    Path("a.csv").write_text("n\n1\n", "utf-8")
    Path("b.csv").write_text("n\n2\n", "utf-8")
    Path("empty.csv").touch()
    Path("remote.csv").write_text("where\ns3://bucket/key\n", "utf-8")
    Path("broken.json").write_text("{", "utf-8")
    Path("broken.parquet").write_text("PAR1", "utf-8")
    Path("broken.py").write_text("import this is no Python", "utf-8")
    Path("tasks.py").write_text(MODULE, "utf-8")
    Path("tree").mkdir()
    Path("tree/a.txt").write_text("a", "utf-8")
    Path("leaving").mkdir()
    Path("leaving/out").symlink_to("../a.txt")
    Path("circular/below").mkdir(parents=True)
    Path("circular/below/up").symlink_to("..")
    Path("loop").symlink_to("loop")
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    return demo


def words(line: str) -> list[str]:
    """The arguments of a line, split at ``|`` where it has some, else at spaces."""
    return line.split("|") if "|" in line else line.split()


def state(demo: Dsdt, home: Path) -> tuple[object, object, object]:
    """All that a failing command must leave as it is."""
    return demo.json("ls", "--context", "demo"), demo.json("context"), everything_below(home)


def checked(demo: Dsdt, home: Path, arguments: list[str], *, code: int) -> str:
    """What *arguments* are told, which must change nothing."""
    before = state(demo, home)
    told = demo.fails(*arguments, code=code)
    assert state(demo, home) == before
    return told


@pytest.mark.parametrize(("line", "told"), USAGE)
def test_words_that_are_no_command_are_refused(furnished: Dsdt, home: Path, line, told):
    assert told in checked(furnished, home, words(line), code=2)


@pytest.mark.parametrize(("line", "told"), FAILURES)
def test_what_cannot_be_done_is_not_begun(furnished: Dsdt, home: Path, line, told):
    assert told in checked(furnished, home, words(line), code=1)


@pytest.mark.parametrize(
    "line",
    ["ls", "cat", "show data", "rm data", "commit data", "add data a.txt", "tag data k:v", "status", "lineage x"],
)
def test_without_a_context_it_says_how_to_get_one(dsdt: Dsdt, home: Path, line):
    Path("a.txt").touch()
    assert dsdt.fails(*line.split()) == f"not in a data context: nothing is kept at {home} yet"
    assert not home.exists()
    dsdt("context", "demo")
    assert "`dsdt switch demo`" in dsdt.run(*line.split()).err


@pytest.fixture
def as_user(furnished: Dsdt, home: Path) -> Iterator[None]:
    """Not root for the rest of the test, to whom the home and its surroundings belong."""
    around = [parent for parent in home.parents if parent.stat().st_mode & 0o011 != 0o011]
    for parent in around:
        parent.chmod(0o711)
    if os.geteuid() == 0:
        for place in home.parent.rglob("*"):
            os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
    with unprivileged():
        yield
    for parent in around:
        parent.chmod(0o700)


@pytest.mark.parametrize("name", ["secret.txt", "tree", "closed"])
@pytest.mark.usefixtures("as_user")
def test_what_may_not_be_read_is_not_added(furnished: Dsdt, home: Path, name):
    for path in (Path("secret.txt"), Path("tree/secret.txt")):
        path.touch(mode=0)
    Path("closed").mkdir(mode=0)
    told = checked(furnished, home, ["add", "data", name], code=1)
    assert ("closed" if name == "closed" else "secret.txt") in told


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DISDAT_WORKERS", "many", "DISDAT_WORKERS is 'many'"),
        ("DISDAT_RERUN", "always", "DISDAT_RERUN is 'always'"),
        ("DISDAT_CONTEXT", "none", "no context named 'none'"),
        ("DISDAT_HOME", "/dev/null", "/dev/null is not a directory"),
        ("DISDAT_CONFIG", "/proc/version", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(furnished: Dsdt, home: Path, monkeypatch, variable, value, told):
    before = state(furnished, home)
    with monkeypatch.context() as patch:
        patch.setenv(variable, value)
        assert told in furnished.fails("ls")
    assert state(furnished, home) == before


@pytest.mark.parametrize("content", ["fs.json", "notes.txt"])
def test_a_directory_of_somebody_elses_is_no_home(dsdt: Dsdt, home: Path, content):
    home.mkdir()
    (home / content).write_text("{}", "utf-8")
    for line in ("context demo", "ls", "context", "switch demo"):
        assert "left as it is" in dsdt.fails(*line.split())
    assert [path.name for path in home.iterdir()] == [content]


def test_an_output_that_cannot_be_stored_is_named_by_its_place(furnished: Dsdt, home: Path):
    before = furnished.json("ls")
    ended = furnished.run("apply", "tasks.Unstorable")
    assert ended.code == 1
    assert "value['a'][0]" in ended.err.splitlines()[-2]
    assert furnished.json("ls") == before


def test_every_failure_of_a_command_that_prints_json_leaves_nothing_to_parse(furnished: Dsdt):
    for line in ("ls --json none", "show --json none", "lineage --json none", "add --json x none"):
        furnished.fails(*line.split())
