"""The code of a project as an archive: what is in it, its name, and where it is unpacked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from disdat.context import Home
from disdat.errors import InvalidInput
from disdat.ops import bundles, contexts
from disdat.ops.bundles import Birth
from disdat.pipeline.executors import shipping
from disdat.pipeline.executors.shipping import importable, pack, unpacked


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write(root, "steps.py", "import helpers.clean\n")
    write(root, "helpers/__init__.py", "")
    write(root, "helpers/clean.py", "x = 1\n")
    return root


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def held(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text() for path in directory.glob("?/**/*") if path.is_file()
    }


def there(tmp_path: Path, *roots: Path) -> dict[str, str]:
    archive = pack(map(str, roots))
    directory = unpacked(tmp_path / "cache", archive.name, archive.data)
    assert directory is not None
    return held(directory)


def test_an_archive_holds_the_modules_as_they_are(project: Path, tmp_path: Path):
    assert there(tmp_path, project) == {
        "0/steps.py": "import helpers.clean\n",
        "0/helpers/__init__.py": "",
        "0/helpers/clean.py": "x = 1\n",
    }


def test_equal_files_give_the_same_archive_whatever_their_times(project: Path):
    first = pack([str(project)])
    os.utime(project / "steps.py", (1, 1))
    assert pack([str(project)]) == first
    write(project, "steps.py", "")
    assert pack([str(project)]).name != first.name


def test_each_directory_of_modules_has_its_place(project: Path, tmp_path: Path):
    write(tmp_path / "more", "other.py", "y = 2\n")
    archive = pack([str(project), str(tmp_path / "more")])
    directory = unpacked(tmp_path / "cache", archive.name, archive.data)
    assert directory is not None
    found = [sorted(os.listdir(each)) for each in importable(directory)]
    assert sorted(found) == [["helpers", "steps.py"], ["other.py"]]


@pytest.mark.parametrize(
    "name", [".hidden/a.py", "__pycache__/a.py", "data.csv", "disdat/__init__.py", "node_modules/a/b.py"]
)
def test_what_is_no_code_of_the_project_stays(project: Path, tmp_path: Path, name: str):
    before = pack([str(project)])
    write(project, name, "z = 3\n")
    assert pack([str(project)]) == before


def test_other_environments_stay(project: Path):
    before = pack([str(project)])
    write(project, "env/pyvenv.cfg", "")
    write(project, "env/lib/a.py", "")
    assert pack([str(project)]) == before


def test_a_home_stays(project: Path):
    before = pack([str(project)])
    bundles.write(contexts.create(Home(project / "data"), "demo"), 1, Birth("n"))
    write(project, "data/cache/code/a/0/b.py", "")
    assert pack([str(project)]) == before
    subprocess.run(["git", "init", "-q", project], check=True)
    assert pack([str(project)]) == before


def test_what_git_ignores_stays_and_what_it_does_not_know_yet_comes(project: Path, tmp_path: Path):
    subprocess.run(["git", "init", "-q", project], check=True)
    write(project, ".gitignore", "build/\n")
    write(project, "build/generated.py", "")
    write(project, "new.py", "")
    names = set(there(tmp_path, project))
    assert names == {"0/steps.py", "0/helpers/__init__.py", "0/helpers/clean.py", "0/new.py"}
    subprocess.run(["git", "-C", project, "add", "."], check=True)
    (project / "new.py").unlink()
    assert set(there(tmp_path, project)) == names - {"0/new.py"}


def test_what_the_code_reads_comes_as_far_as_it_fits(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(project, "data/table.csv", "1,2")
    write(project, "data/large.csv", "1" * 100)
    write(tmp_path, "other.csv", "3")
    monkeypatch.setattr(shipping, "MOST_BYTES", 80)
    beside = [project / "data" / "table.csv", project / "data" / "large.csv", tmp_path / "other.csv", project / "gone"]
    archive = pack([str(project)], beside)
    directory = unpacked(tmp_path / "cache", archive.name, archive.data)
    assert directory is not None
    assert {name for name in held(directory) if name.endswith(".csv")} == {"0/data/table.csv"}
    write(directory, "0/data/written.csv", "by a task")
    monkeypatch.setattr(shipping, "_whole", set())  # as in another process
    assert unpacked(tmp_path / "cache", archive.name, None) == directory
    write(directory, "0/data/table.csv", "3,4")
    monkeypatch.setattr(shipping, "_whole", set())
    assert unpacked(tmp_path / "cache", archive.name, None) is None


def test_too_much_code_is_refused_with_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shipping, "MOST_BYTES", 10)
    with pytest.raises(InvalidInput, match="too much code to send") as told:
        pack([str(project)])
    assert "git ignore" in str(told.value.hint)


def test_where_an_archive_is_unpacked_it_is_not_needed_again(project: Path, tmp_path: Path):
    archive = pack([str(project)])
    cache = tmp_path / "cache"
    assert unpacked(cache, archive.name, None) is None
    directory = unpacked(cache, archive.name, archive.data)
    assert unpacked(cache, archive.name, None) == directory


def test_what_was_cut_short_or_changed_is_not_used(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = pack([str(project)])
    cache = tmp_path / "cache"
    directory = unpacked(cache, archive.name, archive.data)
    assert directory is not None
    (directory / "0" / "helpers" / "clean.py").write_text("")
    monkeypatch.setattr(shipping, "_whole", set())  # as in another process
    assert unpacked(cache, archive.name, None) is None
    assert unpacked(cache, archive.name, archive.data) == directory
    assert held(directory)["0/helpers/clean.py"] == "x = 1\n"
    assert [path.name for path in cache.iterdir()] == [archive.name]


def test_what_nobody_used_for_long_is_removed(project: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    old, new = pack([str(project)]), pack([str(project / "helpers")])
    directory = unpacked(cache, old.name, old.data)
    assert directory is not None
    os.utime(directory, (1, 1))
    unpacked(cache, new.name, new.data)
    assert [path.name for path in cache.iterdir()] == [new.name]
