"""What is found of sources is kept between processes, and never outlives what it was found from."""

from __future__ import annotations

import ast
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from disdat.pipeline import hints, outline, packages, source, sources
from disdat.pipeline.sources import Kept

Write = Callable[[str, str], Path]

TASK = "from disdat.pipe import PipeTask\nimport {m}_h\nclass T(PipeTask):\n    def pipe_run(self): return {m}_h.f()\n"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once."""
    monkeypatch.setattr(sources, "SETTLED_NS", -(10**12))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The sources that were parsed."""
    found: list[bytes] = []
    parse = ast.parse

    def spy(text: bytes) -> ast.Module:
        found.append(text)
        return parse(text)

    monkeypatch.setattr(ast, "parse", spy)
    return found


@pytest.fixture
def of_task(importable: Write, tmp_path: Path) -> Callable[[str], source.Code]:
    """The code of a task as a new process finds it."""

    def code(module: str) -> source.Code:
        sources._known.clear()
        sources.kept.cache_clear()
        cls = importlib.import_module(module).T
        return source.of_class(cls, kept_in=tmp_path / "cache")

    return code


def write(importable: Write, module: str) -> tuple[Path, Path]:
    return importable(f"{module}.py", TASK.format(m=module)), importable(f"{module}_h.py", "def f(): return 1")


@pytest.mark.usefixtures("settled")
def test_a_second_process_parses_nothing(importable: Write, of_task: Callable[[str], source.Code], parsed: list[bytes]):
    write(importable, "warm")
    first = of_task("warm")
    assert len(parsed) == 2
    again = of_task("warm")
    assert len(parsed) == 2
    assert (again.counted, again.parts, dict(again.files)) == (first.counted, first.parts, dict(first.files))


@pytest.mark.usefixtures("settled")
def test_only_what_was_edited_is_parsed_again(
    importable: Write, of_task: Callable[[str], source.Code], parsed: list[bytes]
):
    _, helper = write(importable, "partly")
    before = of_task("partly").counted
    helper.write_text("def f(): return 2 + 0")
    assert of_task("partly").counted != before
    assert parsed[2:] == [b"def f(): return 2 + 0"]


@pytest.mark.usefixtures("settled")
def test_an_edit_that_leaves_size_and_time_is_seen(importable: Write, of_task: Callable[[str], source.Code]):
    """The change time tells, which nobody sets back."""
    _, helper = write(importable, "same_stamp")
    stat = helper.stat()
    before = of_task("same_stamp").counted
    time.sleep(0.01)  # the file system's clock ticks
    helper.write_text("def f(): return 2")
    os.utime(helper, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert of_task("same_stamp").counted != before


def test_a_file_that_was_just_written_is_not_kept(
    importable: Write, of_task: Callable[[str], source.Code], parsed: list[bytes]
):
    write(importable, "fresh")
    of_task("fresh")
    of_task("fresh")
    assert len(parsed) == 4


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone", "version"])
def test_what_is_damaged_is_found_again(
    importable: Write, tmp_path: Path, of_task: Callable[[str], source.Code], damage: str
):
    write(importable, f"damaged_{damage}")
    before = of_task(f"damaged_{damage}").counted
    files = [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]
    assert len(files) == 2
    for file in files:
        content = file.read_bytes()
        match damage:
            case "cut":
                file.write_bytes(content[: len(content) // 2])
            case "changed":
                file.write_bytes(content.replace(b"def", b"fed").replace(b"function", b"constant"))
            case "empty":
                file.write_bytes(b"")
            case "gone":
                file.unlink()
            case "version":
                body = content.partition(b"\n")[2].replace(b'{"outline":', b'{"outline":9')
                file.write_bytes(outline.digest(body).encode() + b"\n" + body)
    assert of_task(f"damaged_{damage}").counted == before


@pytest.mark.usefixtures("settled")
def test_a_module_that_comes_before_another_on_the_path_is_seen(
    importable: Write, tmp_path: Path, of_task: Callable[[str], source.Code]
):
    """Where a module is not loaded yet, a new file may take its place."""
    importable(
        "shadowed.py",
        """
        from disdat.pipe import PipeTask
        class T(PipeTask):
            def pipe_run(self):
                import shade
                return shade.f()
        """,
    )
    before = of_task("shadowed").counted
    importable("shade.py", "def f(): return 1")
    after = of_task("shadowed").counted
    assert "shade.py:f" not in before.definitions
    assert "shade.py:f" in after.definitions


@pytest.mark.usefixtures("settled")
def test_another_version_of_a_package_is_seen(
    importable: Write, of_task: Callable[[str], source.Code], monkeypatch: pytest.MonkeyPatch
):
    site = importable("lib/site-packages/wanted.py", "X = 1").parent
    info = importable("lib/site-packages/wanted-1.0.dist-info/METADATA", "").parent
    monkeypatch.syspath_prepend(str(site))
    importable(
        "packaged.py",
        """
        import wanted
        from disdat.pipe import PipeTask
        class T(PipeTask):
            def pipe_run(self): return wanted.X
        """,
    )
    assert of_task("packaged").counted.packages == {"wanted": "1.0"}
    info.rename(site / "wanted-2.0.dist-info")
    _forget_packages()
    assert of_task("packaged").counted.packages == {"wanted": "2.0"}


def _forget_packages() -> None:

    packages._versions.cache_clear()
    packages._installed.cache_clear()


@pytest.mark.usefixtures("settled")
def test_a_home_that_cannot_be_written_only_costs_time(importable: Write, tmp_path: Path):
    write(importable, "unwritable")
    blocked = tmp_path / "blocked"
    blocked.write_text("no directory")
    assert source.of_class(importlib.import_module("unwritable").T, kept_in=blocked).counted.definitions


@pytest.mark.usefixtures("settled")
def test_files_that_are_gone_are_forgotten(importable: Write, tmp_path: Path):
    one, two = importable("one.py", "x = 1"), importable("two.py", "x = 2")
    kept = Kept(tmp_path, "root")
    for path in (one, two):
        sources.read(str(path), kept)
    one.unlink()
    kept.save()
    [file] = tmp_path.glob("*.json")
    assert list(hints.load(file)) == [str(two)]


def test_files_that_nobody_asked_for_of_late_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hints, "MAX_FILES", 8)
    for number in range(9):
        hints.save(tmp_path / f"{number}.json", number)
        os.utime(tmp_path / f"{number}.json", (number, number))
    hints.save(tmp_path / "9.json", 9)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["5", "6", "7", "8", "9"]


def _save_many(path: Path) -> None:
    for number in range(100):
        hints.save(path, [number] * 1000)


@pytest.mark.slow
def test_of_several_who_write_at_once_one_wins(tmp_path: Path):
    path = tmp_path / "shared.json"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_save_many, args=(path,)) for _ in range(3)]
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        found = hints.load(path)
        assert found is None or found == [found[0]] * 1000
        assert found is not None or not path.exists() or sys.platform != "linux"
    assert [each.exitcode for each in writers] == [0, 0, 0]
    assert hints.load(path) == [99] * 1000
    assert list(tmp_path.iterdir()) == [path]
