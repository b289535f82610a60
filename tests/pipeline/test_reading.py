"""The files that code reads, as far as its text tells: those count by what they hold."""

from __future__ import annotations

import importlib
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.pipeline import beside, outline, reading, source
from disdat.pipeline.closure import Read
from tests.conftest import unprivileged
from tests.pipeline.conftest import Applied
from tests.pipeline.test_closure import collect

Write = Callable[[str, str], Path]


def found(text: str) -> tuple[set[str], list[str]]:
    """The files that are read by what stands in a module, and where it reads others."""
    statements = outline.read(text.encode()).statements
    return {path for each in statements for path in each.files}, [what for each in statements for what in each.blind]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("T = json.load(open(Path(__file__).parent / 't.json'))", ":t.json"),
        ("T = (Path(__file__).resolve().parent.parent / 'data' / 't.json').read_text()", ":../data/t.json"),
        ("T = Path(__file__).parents[1].joinpath('data', 't.json').open('rb').read()", ":../data/t.json"),
        ("T = Path(__file__).with_name('t.json').read_text()", ":t.json"),
        ("HERE = os.path.dirname(os.path.abspath(__file__))\nT = open(os.path.join(HERE, 'a', 't.json'))", ":a/t.json"),
        ("HERE: Path = Path(__file__).parent\ndef f(): return load(HERE / 't.json')", ":t.json"),
        ("def f():\n    here = Path(__file__).parent\n    return load(f'{here}/t.json')", ":t.json"),
        ("def f(): return load(HERE + '/t.json')\nHERE = os.path.dirname(__file__)", ":t.json"),
        ("class A:\n    def f(self): self.path = Path(__file__).parent / 't.json'", ":t.json"),
        ("with open(Path(__file__).parent / 't.json') as file: T = file.read()", ":t.json"),
        ("T = Path(__file__).read_text()", f":{reading.OWN}"),
        ("class A:\n    H = Path(__file__).parent\n    def f(self): return load(self.H / 't.json')", ":t.json"),
        ("class A:\n    H = Path(__file__).parent\ndef f(): return load(A.H / 't.json')", ":t.json"),
        ("T = resources.files('p.data').joinpath('t.json').read_text()", "p.data:t.json"),
        ("T = (importlib.resources.files(__package__) / 't.json').read_text()", ":t.json"),
        ("with resources.as_file(resources.files('p') / 't.json') as path: T = load(path)", "p:t.json"),
        ("T = pkgutil.get_data('p', 't.json')", "p:t.json"),
        ("def f(): return resources.read_text(__package__, 't.json')", ":t.json"),
        ("def f(to): shutil.copy(Path(__file__).with_name('t.json'), to)", ":t.json"),
        ("H = Path(__file__).parent\nshutil.copyfile(H / 't.json', H / 'u.json')", ":t.json"),
        ("def f(): return load('%s/t.json' % os.path.dirname(__file__))", ":t.json"),
        ("def f(): return load('{}/a/t.json'.format(os.path.dirname(__file__)))", ":a/t.json"),
        ("def f(): return load(os.path.join(os.path.split(__file__)[0], 't.json'))", ":t.json"),
        ("T = open('t.json').read()", ".:t.json"),
        ("T = pd.read_csv('t.csv')", ".:t.csv"),
        ("T = Path('t.json').read_text()", ".:t.json"),
    ],
)
def test_a_file_whose_path_is_written_out_is_known(text: str, path: str):
    assert found(text) == ({path}, [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def f(name): return load(Path(__file__).parent / name)", "line 1: Path(__file__).parent / name"),
        ("H = Path(__file__).parent\nT = [load(each) for each in H.glob('*.json')]", "line 2: H.glob('*.json')"),
        (
            "def f(n): return open(os.path.join(os.path.dirname(__file__), n))",
            "line 1: os.path.join(os.path.dirname(__f",
        ),
        ("H = Path(__file__).parent\ndef f(n): return H / 'data' / n", "line 2: H / 'data' / n"),
        ("H = Path(__file__).parent\ndef f(n): return load(f'{H}/{n}')", "line 2: f'{H}/{n}'"),
        ("H = Path(__file__).parent\ndef f(n): return H.with_name(n)", "line 2: H.with_name(n)"),
    ],
)
def test_where_a_path_is_computed_that_is_told(text: str, what: str):
    files, blind = found(text)
    assert not files
    assert [each[: len(what)] for each in blind] == [what]


@pytest.mark.parametrize(
    "text",
    [
        "sys.path.insert(0, str(Path(__file__).parent / 'lib'))",
        "(Path(__file__).parent / 't.json').write_text(T)",
        "open(Path(__file__).parent / 't.json', 'w').write(T)",
        "(Path(__file__).parent / 't.json').open(mode='a').write(T)",
        "def f(name): T.to_csv(Path(__file__).parent / name)",
        "logger = logging.getLogger(__file__)",
        "LOG = Path(__file__).with_name('run.log')\nlogging.basicConfig(filename=LOG)",
        "def f(): return sqlite3.connect(Path(__file__).parent / 'notes.db')",
        "def f(): return open('t.json').read()",
        "resources = {}\nT = resources.get('t')",
        "x = " + " + ".join(["open(__file__)"] * 2000),
    ],
)
def test_a_file_that_is_written_or_only_named_does_not_count(text: str):
    assert found(text) == (set(), [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from settings import DATA\ndef f(): return load(DATA / 't.csv')", "?:settings:DATA:t.csv"),
        ("import settings as s\ndef f(): return load(s.DATA / 'a' / 't.csv')", "?:settings:DATA:a/t.csv"),
        ("import os\nfrom .s import DATA\nT = load(os.path.join(DATA, 't.csv'))", "?:.s:DATA:t.csv"),
        ("from s import DATA\ndef f(n): return load(DATA / 'a' / n)", "?:s:DATA:|line 2: DATA / 'a' / n"),
        ("from s import DATA\nT = load(DATA.parent / 't.csv')", "?:s:DATA:../t.csv"),
        ("import os\nfrom pathlib import Path\nT = load(Path(os.path.dirname(__file__), 't.csv'))", ":t.csv"),
    ],
)
def test_a_path_may_begin_in_another_module(text: str, told: str):
    assert found(text) == ({told}, [])


SETTINGS = (
    "from pathlib import Path\nROOT = Path(__file__).parent\nDATA = ROOT / 'data'\nHALF = 0.5\nFILE = DATA / 't.txt'"
)
SETTINGS += "\nclass Of:\n    H = DATA"


@pytest.mark.parametrize(
    ("text", "reads", "blind"),
    [
        ("from p.settings import DATA\nT = load(DATA / 't.csv')", {("p.settings", ":data/t.csv")}, []),
        ("from p.settings import Of\nT = load(Of.H / 't.csv')", {("p.settings", ":data/t.csv")}, []),
        ("from p import settings\ndef T(): return open(settings.FILE)", {("p.settings", ":data/t.txt")}, []),
        ("from p.settings import FILE\nT = FILE.read_text()", {("p.settings", ":data/t.txt")}, []),
        ("from p.settings import FILE, HALF\nT = FILE.write_text('') or open(FILE, 'w') or open(HALF)", set(), []),
        ("import p.settings\nT = load(p.settings.DATA / 't.csv')", {("p.settings", ":data/t.csv")}, []),
        ("from p import DATA\nT = load(DATA / 't.csv')", {("p.settings", ":data/t.csv")}, []),
        ("from p.more import MORE\nT = load(MORE / 't.csv')", {("p.settings", ":data/more/t.csv")}, []),
        ("from p.settings import DATA\ndef T(n): return load(DATA / n / 't')", set(), ["m, line 2: DATA / n / 't'"]),
        ("from p.settings import HALF\ndef T(n): return HALF / n, 'a' + f'{HALF}/ '", set(), []),
        ("from numpy import pi\ndef T(n): return pi / n, pi / 'a'", set(), []),
        ("def T(n): return n / 'a' / 't'", set(), []),
    ],
)
def test_a_path_is_followed_to_the_module_where_it_begins(text: str, reads: set[tuple[str, str]], blind: list[str]):
    package = {"p.": "from .settings import DATA", "p.settings": SETTINGS}
    closure = collect({"m": text, **package, "p.more": "from p.settings import DATA\nMORE = DATA / 'more'"})
    assert {(each.module, each.path) for each in closure.reads if each.counts} == reads
    assert closure.blind == blind


TASK = """
    from pathlib import Path
    from disdat.pipe import PipeTask
    HERE = Path(__file__).parent
    TEXT = (HERE / "{name}.txt").read_text()
    def later(): return (HERE / "{name}_later.txt").read_text()
    class T(PipeTask):
        def pipe_run(self): return TEXT + later()
    """


def test_what_a_file_holds_counts_and_an_edit_of_it_is_noticed(importable: Write):
    table, later = importable("read_one.txt", "1"), importable("read_one_later.txt", "1")
    importable("read_one.py", TASK.format(name="read_one"))
    cls = importlib.import_module("read_one").T
    before = source.of_class(cls)
    assert {"read_one.txt:", "read_one_later.txt:"} <= before.counted.definitions.keys()
    later.write_text("2")
    assert before.edited()
    assert source.of_class(cls).outdated == ()
    table.write_text("2")
    after = source.of_class(cls)
    assert after.counted.digest != before.counted.digest
    assert after.outdated == ("read_one",)  # what is loaded read the file as it was


def test_a_file_in_another_package_is_found_and_a_directory_is_told(importable: Write):
    importable("read_p/__init__.py", "")
    importable("read_p/data/t.txt", "1")
    importable(
        "read_two.py",
        """
        from importlib import resources
        from disdat.pipe import PipeTask
        class T(PipeTask):
            def pipe_run(self):
                files = resources.files("read_p")
                return (files / "data/t.txt").read_text(), load(files / "data")
        """,
    )
    found = source.of_class(importlib.import_module("read_two").T)
    assert "read_p/data/t.txt:" in found.counted.definitions
    assert found.blind == ("read_p/data/, a directory",)


def test_a_file_that_an_import_reads_is_needed_and_counts_only_where_that_is_used(importable: Write):
    table = importable("read_four.txt", "1")
    importable(
        "read_four.py",
        """
        from pathlib import Path
        from disdat.pipe import PipeTask
        TEXT = Path(__file__).with_name("read_four.txt").read_text()
        class T(PipeTask):
            def pipe_run(self): return 1
        """,
    )
    found = source.of_class(importlib.import_module("read_four").T)
    assert found.beside == {table}
    assert found.counted.definitions.keys() == {"read_four.py:T", "read_four.py:PipeTask"}
    table.write_text("2")
    assert not found.edited()


def test_what_is_too_long_for_a_name_is_no_file(importable: Write):
    importable(
        "read_five.py",
        f"""
        from disdat.pipe import PipeTask
        class pd:
            def read_sql(query): return query
        TEXT = pd.read_sql("select {"abc, " * 100} from t")
        class T(PipeTask):
            def pipe_run(self): return TEXT
        """,
    )
    assert source.of_class(importlib.import_module("read_five").T).data == ()


def test_a_file_that_may_not_be_read_is_none():
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)  # those of pytest are closed to others
        root.chmod(0o755)
        (root / "shut.txt").touch(mode=0)
        (root / "below").mkdir()
        (root / "below/t.txt").touch()
        (root / "below").chmod(0)
        reads = [Read("m", path, is_imported=False, counts=True) for path in (":shut.txt", ":below/t.txt")]
        with unprivileged():
            assert beside.find(reads, lambda _: ("m.py", str(root / "m.py"))) == ([], [])
        (root / "below").chmod(0o755)


def test_a_task_runs_again_when_a_file_beside_it_changed(
    applied: Applied, importable: Write, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    importable("read_three.txt", "1")
    later = importable("read_three_later.txt", "1")
    importable("read_three.py", TASK.format(name="read_three"))
    task = importlib.import_module("read_three").T
    assert applied(task) == ["T"]
    assert applied(task) == []
    later.write_text("2")
    assert applied(task) == ["T"]
    assert applied.value("T") == "12"
    assert applied.decisions() == {"T()": ("made", "file read_three_later.txt changed")}
    assert not caplog.records
