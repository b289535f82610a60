"""Bad input: one line that says what is wrong, an exit code, no traceback, and nothing changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from disdat import ops
from disdat.cli.choices import Verb
from disdat.cli.commands import COMMANDS
from disdat.cli.main import main
from disdat.context import Home
from disdat.ops.bundles import Birth
from tests.cli.conftest import Dsdt, everything_below
from tests.conftest import NOBODY, live_in, unprivileged

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
    ("completion", "missing argument 'bash|zsh|fish'. Choose from: bash, zsh, fish"),
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
    ("cat data@never", "'never' is neither the beginning of a uuid of data nor a date"),
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
    ("lineage data -d -1", "-1 is less than 0"),
    ("lineage data -d x", "'x' is no whole number"),
    ("apply", "missing argument 'MODULE.CLASS'"),
    ("apply -w 0 tasks.Task", "0 is less than 1"),
    ("apply --rerun always tasks.Task", "'always' is not one of"),
    ("apply --n 3 tasks.Task", "no such option"),
    ("Add data a.txt", "no command 'Add'"),
    ("list", "no command 'list'"),
    ("-x", "no such option '-x'"),
    ("init extra", "unexpected extra argument"),
    ("init --json", "no such option '--json'"),
    ("status extra", "unexpected extra argument"),
    ("status|--context|a\nb", "cannot name a context"),
    ("config demo value", "unexpected extra arguments"),
    ("context a b", "unexpected extra argument"),
    ("context -d demo more", "unexpected extra argument"),
    ("context|a\udcff", "NAME is not valid Unicode"),
    ("context|demo\udcff|-d", "NAME is not valid Unicode"),
    ("context|-dy|demo/", "cannot name a context"),
    ("context|/", "cannot name a context"),
    ("context|a\0b", "cannot name a context"),
    ("context|a\u202eb", "cannot name a context"),
    ("context -y new", "are for deleting"),
    ("context -f new", "are for deleting"),
    ("switch|demo\udcff", "NAME is not valid Unicode"),
    ("switch|a\\b", "cannot name a context"),
    ("switch|demo/", "cannot name a context"),
    ("switch -d demo", "no such option '-d'"),
    ("--context|demo\udcff|ls", "cannot name a context"),
    ("add||a.txt", "NAME is empty"),
    ("add -i data", "missing argument"),
    ("add|-t|k\udcff:v|data|a.txt", "--tag is not valid Unicode"),
    ("add|-t|k:\udcff|data|a.txt", "--tag is not valid Unicode"),
    ("add|-t|:|data|a.txt", "':' is not a tag"),
    ("commit a b", "unexpected extra argument"),
    ("commit|-t|nocolon", "'nocolon' is not a tag"),
    ("commit -u 000", "'000' is not a uuid"),
    ("commit -u zzzzzzzz", "'zzzzzzzz' is not a uuid"),
    ("commit|data\udcff", "NAME is not valid Unicode"),
    ("commit data@", "''"),
    ("commit data@ffff", "'ffff'"),
    ("tag", "missing argument 'REF'"),
    ("tag data k:v :v", "':v' is not a tag"),
    ("tag data k:1 k:2", "the tag 'k' is given twice"),
    ("tag|data|", "'' is not a tag"),
    ("tag|data|k\udcff:v", "KEY:VALUE is not valid Unicode"),
    ("tag||k:v", "REF is empty"),
    ("tag|data@2026-13-45|k:v", "'2026-13-45'"),
    ("untag", "missing argument 'REF'"),
    ("untag|data|", "KEY is empty"),
    ("untag|data|k\udcff", "KEY is not valid Unicode"),
    ("untag||k", "REF is empty"),
    ("rm a b", "unexpected extra argument"),
    ("rm --dry-run", "nothing is named"),
    ("rm|-t|nocolon", "'nocolon' is not a tag"),
    ("rm|-u|", "--uuid is empty"),
    ("rm -u xyz", "'xyz' is not a uuid"),
    ("rm|data\udcff", "NAME is not valid Unicode"),
    ("rm data@never", "'never'"),
    ("rm --all --old", "exclude each other"),
    ("ls|/*/", "not a regular expression"),
    ("ls|/(/", "not a regular expression"),
    ("ls|data\udcff", "PATTERN is not valid Unicode"),
    ("ls|-t|:v", "':v' is not a tag"),
    ("ls|-A|99999-01-01", "cannot read the date"),
    ("ls|-A|0000-01-01", "cannot read the date"),
    ("ls|-A|2026-01-01T25:00", "cannot read the date"),
    ("ls|-B|1", "cannot read the date '1'"),
    ("ls|-B|\udcff", "cannot read the date"),
    ("ls -u 12", "'12' is not a uuid"),
    ("cat a b", "unexpected extra argument"),
    ("cat|data\udcff", "REF is not valid Unicode"),
    ("cat data@", "''"),
    ("cat -u zz", "'zz' is not a uuid"),
    ("cat -t x", "'x' is not a tag"),
    ("cat|data|-f|", "--file is empty"),
    ("cat --json data", "no such option '--json'"),
    ("show a b", "unexpected extra argument"),
    ("show|", "REF is empty"),
    ("show|data\udcff", "REF is not valid Unicode"),
    ("show data@never", "'never'"),
    ("show -u 0000", "no such option '-u'"),
    ("lineage", "missing argument 'REF'"),
    ("lineage a b", "unexpected extra argument"),
    ("lineage|", "REF is empty"),
    ("lineage|data\udcff", "REF is not valid Unicode"),
    ("lineage data@", "''"),
    ("lineage data -d 1.5", "'1.5' is"),
    ("verify a b", "unexpected extra argument"),
    ("verify|", "REF is empty"),
    ("verify|data\udcff", "REF is not valid Unicode"),
    ("verify data@never", "'never'"),
    *(
        (f"verify|--sample|{share}", "is not a share")
        for share in ("", "0", "%", "x", "2", "101%", "-1%", "nan", "inf")
    ),
    ("reindex extra", "unexpected extra argument"),
    ("apply -w x tasks.Task", "'x' is"),
    ("apply -w 1.5 tasks.Task", "'1.5' is"),
    ("apply -w -1 tasks.Task", "-1 is"),
    ("apply|-o||tasks.Task|--n|1", "--output-bundle is empty"),
    ("apply|-o|a\udcff|tasks.Task|--n|1", "--output-bundle is not valid Unicode"),
    ("apply -ot nocolon tasks.Task --n 1", "'nocolon' is not a tag"),
    ("apply -it nocolon tasks.Task --n 1", "'nocolon' is not a tag"),
    ("apply|", "MODULE.CLASS is empty"),
    ("apply|tasks.Task\udcff", "MODULE.CLASS is not valid Unicode"),
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
    ("switch a/demo", "no context named 'a/demo'"),
    ("switch a/b/c", "no context named"),
    ("--context a/b add data a.txt", "no context named"),
    ("context other/demo", "the context 'demo' already exists"),
    ("context -d a/demo --yes", "no context named 'a/demo'"),
    ("context demo --json", "the context 'demo' already exists"),
    ("add data none/a.txt", "no such file or directory: none/a.txt"),
    ("add data a.txt/below", "no such file or directory: a.txt/below"),
    ("add data a.txt none.txt", "no such file or directory: none.txt"),
    ("add|data|gone\udcff", "no such file or directory: gone\\udcff"),
    ("add|data|nul\0", "no such file or directory: nul\\x00"),
    ("add data " + "x" * 5000, "no such file or directory: xxx"),
    ("add data tree tree/", "tree/ is named twice"),
    ("add data /dev/null", "/dev/null is not a regular file"),
    ("add data /dev/zero", "/dev/zero is not a regular file"),
    ("add data tree a.txt /dev/full", "/dev/full is not a regular file"),
    ("add data /proc/self/mem", "cannot read /proc/self/mem"),
    ("add data /proc/self/status", "/proc/self/status changed while it was read"),
    ("add -t root_task:True data a.txt", "the tag 'root_task' is reserved"),
    ("add -t __x:1 -i data a.csv", "the tag '__x' is reserved"),
    ("add -i data dir.csv", "is no table"),
    ("add -i data /dev/null", "is no table"),
    ("add -i data latin.csv", "cannot read"),
    ("add -i data scalar.json", "cannot read"),
    ("add -i data ragged.csv", "cannot read"),
    ("commit -t no:such", "no bundle tagged no:such"),
    ("commit -u 00000000-0000-0000-0000-000000000000", "no bundle with uuid 00000000-0000"),
    ("commit data -t no:such", "no bundle named 'data' tagged no:such"),
    ("commit data -u 00000000", "no bundle with uuid 00000000"),
    ("commit data@-9", "none is 9 back"),
    ("commit /data/", "no bundle named '/data/'"),
    ("commit dat*", "no bundle named 'dat*'"),
    ("tag data@-9 k:v", "none is 9 back"),
    ("tag dat* k:v", "no bundle 'dat*'"),
    ("tag 0000 k:v", "no bundle '0000'"),
    ("tag kept committed:False", "the tag 'committed' is reserved"),
    ("tag data k:v __x:1", "the tag '__x' is reserved"),
    ("untag none k", "no bundle 'none'"),
    ("untag data none other", "no tag 'none'"),
    ("untag data __param.path", "the tag '__param.path' is reserved"),
    ("untag data@-9 k", "none is 9 back"),
    ("rm|", "no bundle named ''"),
    ("rm data@-9", "none is 9 back"),
    ("rm data@1999-01-01", "had no version by 1999-01-01"),
    ("rm -u 00000000", "no bundle with uuid 00000000"),
    ("rm --dry-run none", "no bundle named 'none'"),
    ("rm kept --all", "committed: kept"),
    ("rm none --old", "no bundle named 'none'"),
    ("rm nested -t no:such", "no bundle named 'nested' tagged no:such"),
    ("ls data@-1", "no bundle named 'data@-1'"),
    ("cat dat*", "no bundle 'dat*'"),
    ("cat data -u 00000000", "no bundle with uuid 00000000"),
    ("cat data -f a.txt/out.csv", "cannot write a.txt/out.csv"),
    ("cat data -f /dev/full", "cannot write /dev/full"),
    ("show data@-9", "none is 9 back"),
    ("show 0000", "no bundle '0000'"),
    ("show /data/", "no bundle '/data/'"),
    ("lineage data@-9", "none is 9 back"),
    ("verify none", "no bundle 'none'"),
    ("verify data@-9", "none is 9 back"),
    ("verify 0000", "no bundle '0000'"),
    ("apply .", "'.' does not name a class"),
    ("apply .Task", "'.Task' does not name a class"),
    ("apply tasks.", "'tasks.' does not name a class"),
    ("apply tasks..Task", "'tasks..Task' does not name a class"),
    ("apply ta/sks.Task", "'ta/sks.Task' does not name a class"),
    ("apply tasks.py", "no class py in the module tasks"),
    ("apply tasks.Task.n", "no module tasks.Task"),
    ("apply builtins.int", "builtins.int is not a PipeTask"),
    ("apply luigi.Task", "luigi.Task is not a PipeTask"),
    ("apply tasks.Task --n 1 --n 2", "parameter n is given twice"),
    ("apply tasks.Task --n 1.5", "'1.5'"),
    ("apply tasks.Task --n=", "''"),
    ("apply|tasks.Task|--n|\udcff", "'\\udcff'"),
    ("apply tasks.Task -n 1", "'-n' is not a parameter"),
    ("apply tasks.Task --n 1 --", "'--' is not a parameter"),
    ("apply -ot __x:1 tasks.Task --n 1", "the tag '__x' is reserved"),
    ("apply -ot root_task:True tasks.Task --n 1", "the tag 'root_task' is reserved"),
]

ENOUGH = {
    "init": "",
    "context": "",
    "fork": "another",
    "switch": "demo",
    "status": "",
    "completion": "bash",
    "config": "",
    "add": "data a.txt",
    "apply": "tasks.Task --n 1",
    "plan": "tasks.Task --n 1",
    "why": "data",
    "commit": "data",
    "tag": "data k:v",
    "untag": "data k",
    "rename": "data other",
    "copy": "data --to demo",
    "move": "data --to demo",
    "rm": "data",
    "ls": "",
    "cat": "data",
    "show": "data",
    "lineage": "data",
    "remote": "",
    "push": "",
    "pull": "",
    "fetch": "",
    "clone": "file:///none",
    "localize": "data",
    "delocalize": "data",
    "rmr": "data",
    "share": "data",
    "log": "",
    "undo": "",
    "checkout": "data",
    "diff": "data",
    "du": "",
    "gc": "",
    "verify": "",
    "doctor": "",
    "reindex": "",
}
"""What makes each command a whole one."""
TAKES_WORDS = {"apply", "plan", "why"}
"""What takes any words after a class: they are parameters."""
WITHOUT_CONTEXT = {"init", "context", "switch", "completion", "config", "clone", "gc", "doctor"}


def options_of(name: str) -> list[click.Option]:
    command = COMMANDS[name].load()
    assert isinstance(command, Verb)
    # Click makes a command's help option once, of the names that the first context has.
    found = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    return [each for each in found if isinstance(each, click.Option) and each.name != "help"]


GENERATED = [
    *(
        (f"{name} {ENOUGH[name]} --nonsense", "no such option '--nonsense'")
        for name in sorted({*COMMANDS} - TAKES_WORDS)
    ),
    *(
        (f"{name} {option.opts[-1]}", f"option '{option.opts[-1]}' requires an argument")
        for name in COMMANDS
        for option in options_of(name)
        if not option.is_flag
    ),
    *(
        (f"{name} {option.opts[-1]}=yes", f"option '{option.opts[-1]}' does not take a value")
        for name in COMMANDS
        for option in options_of(name)
        if option.is_flag
    ),
]
"""What every command refuses of every option it has."""


def furnish(home: Path) -> None:
    """Make a context with a few bundles, beside files of every awkward kind in the current directory."""
    Path("a.txt").write_text("text", "utf-8")
    for line in ("context demo", "switch demo", "add kept a.txt", "commit kept"):
        assert main(words(line)) == 0
    ops.bundles.write(Home(home).context("demo"), {"a": {"b": 1}}, Birth("nested"))
    for line in ("add data a.txt", "cat data"):  # a file's path is made when it is first asked for
        assert main(words(line)) == 0
    Path("a.csv").write_text("n\n1\n", "utf-8")
    Path("b.csv").write_text("n\n2\n", "utf-8")
    Path("empty.csv").touch()
    Path("remote.csv").write_text("where\ns3://bucket/key\n", "utf-8")
    Path("ragged.csv").write_text("a,b\n1,2\n1,2,3\n", "utf-8")
    Path("latin.csv").write_text("n\ncafé\n", "latin-1")
    Path("scalar.json").write_text("7", "utf-8")
    Path("dir.csv").mkdir()
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


@pytest.fixture
def furnished(dsdt: Dsdt, home: Path) -> Dsdt:
    """The command line where :func:`furnish` was, for one test alone."""
    furnish(home)
    return dsdt


@dataclass
class World:
    """Where :func:`furnish` was once, for all the tests that leave everything as it is."""

    root: Path
    state: tuple[object, ...] | None = None
    """What the last of them left; it is costly to tell."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("furnished")
    (root / "user").mkdir()
    (root / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        furnish(live_in(root, patch))
    return World(root)


@pytest.fixture
def refuses(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs what must fail and change nothing; gives what it is told."""
    demo, home = Dsdt(capsys), live_in(world.root, monkeypatch)

    def refuses(arguments: list[str], *, code: int) -> str:
        before = world.state or state(demo, home)
        stamps = stamps_below(home)
        told = demo.fails(*arguments, code=code)
        # To list costs most: what is listed changes only where some file does, be it one of a catalog.
        listed = before[0] if stamps_below(home) == stamps else listing(demo)
        world.state = listed, *files(home)
        assert world.state == before
        return told

    return refuses


def words(line: str) -> list[str]:
    """The arguments of a line, split at ``|`` where it has some, else at spaces."""
    return line.split("|") if "|" in line else line.split()


def state(demo: Dsdt, home: Path) -> tuple[object, ...]:
    """All that a failing command must leave as it is: what is listed, the home, the user's files and settings."""
    return listing(demo), *files(home)


def listing(demo: Dsdt) -> object:
    return demo.json("ls", "--context", "demo"), demo.json("context")


def files(home: Path) -> tuple[object, ...]:
    """The home, but for what is made again at any time, and the user's files and settings."""
    return everything_below(home), *(stamps_below(home.parent / name) for name in ("user", "work"))


def stamps_below(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below *root*, also what may not be read, with what would tell a change of it."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(directory, name)
            if "__pycache__" not in path.parts:  # Python's, of the module that holds the tasks
                stat = path.lstat()
                found[str(path)] = stat.st_mode, stat.st_size if name in files else 0, stat.st_mtime_ns
    return found


def checked(demo: Dsdt, home: Path, arguments: list[str], *, code: int) -> str:
    """What *arguments* are told, which must change nothing."""
    before = state(demo, home)
    told = demo.fails(*arguments, code=code)
    assert state(demo, home) == before
    return told


@pytest.mark.parametrize(("line", "told"), USAGE)
def test_words_that_are_no_command_are_refused(refuses, line, told):
    assert told in refuses(words(line), code=2)


@pytest.mark.parametrize(("line", "told"), GENERATED)
def test_an_option_stands_as_it_is_defined(refuses, line, told):
    assert told in refuses(words(line), code=2)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_CONTEXT])
@pytest.mark.parametrize(
    ("wanted", "told", "code"), [("none", "no context named 'none'", 1), ("..", "cannot name a context", 2)]
)
def test_a_context_that_is_not_there_is_named_by_every_command(refuses, name, wanted, told, code):
    assert told in refuses([name, "--context", wanted, *ENOUGH[name].split()], code=code)


def test_there_is_a_case_for_every_command():
    assert ENOUGH.keys() == COMMANDS.keys()
    assert len(USAGE) + len(FAILURES) + len(GENERATED) >= 200


@pytest.mark.parametrize(("line", "told"), FAILURES)
def test_what_cannot_be_done_is_not_begun(refuses, line, told):
    assert told in refuses(words(line), code=1)


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


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("cat dtaa", "did you mean 'data'?"),
        ("cat DATA", "did you mean 'data'?"),
        ("show dtaa@-1", "did you mean 'data'?"),
        ("ls dtaa", "did you mean 'data'?"),
        ("rm dtaa", "did you mean 'data'?"),
        ("rm data -t no:such", "`dsdt ls` shows what is there"),
        ("cat other.than.all", "`dsdt ls` lists bundles; a reference is NAME"),
        ("add data https://host.example/a.csv", "but for s3://, URLs are not fetched"),
    ],
)
def test_it_says_how_to_go_on(furnished: Dsdt, line, hint):
    assert furnished.run(*line.split()).err.splitlines()[1].startswith(f"hint: {hint}")


@pytest.fixture
def as_user(furnished: Dsdt, home: Path) -> Iterator[None]:
    """Not root for the rest of the test, to whom the home and its surroundings belong."""
    for parent in home.parents:
        if parent.stat().st_mode & 0o011 != 0o011:
            parent.chmod(0o711)  # for good: tests that run beside this one lie below the same directories
    if os.geteuid() == 0:
        for place in home.parent.rglob("*"):
            os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
    with unprivileged():
        yield


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
