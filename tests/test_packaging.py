"""What is built is whole: it installs into an empty environment and works there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import disdat
from tests.conftest import require

ROOT = Path(__file__).parents[1]
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", ".*cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "site", ".demo"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory build-dist.sh filled, from a copy of the sources so that the checkout stays as it is."""
    require("bash")
    sources = tmp_path_factory.mktemp("build") / "a checkout"
    shutil.copytree(ROOT, sources, ignore=NOT_SOURCE)
    run("bash", "build-dist.sh", cwd=sources, env=os.environ | {"PYTHON": sys.executable})
    return sources / "dist"


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment that holds the wheel and what it needs, nothing else."""
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "env")
    (wheel,) = built.glob("*.whl")
    there = [sys.executable, "-m", "pip", "--python", str(root / "env/bin/python")]
    run(*there, "install", "--quiet", "--no-compile", str(wheel), cwd=root, env=dict(os.environ))
    return root / "env/bin"


def run(*command: str, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_version_is_stated_once_and_is_the_installed_one():
    assert version("disdat") == disdat.__version__


def test_dsdt_is_the_command_line():
    (script,) = entry_points(group="console_scripts", name="dsdt")
    assert script.value == "disdat.cli.main:main"


def test_what_goes_into_images_is_part_of_the_package():
    import disdat.dockerizer

    assert Path(disdat.dockerizer.__file__).parent.name == "dockerizer"


def test_everything_we_depend_on_has_a_floor_and_only_luigi_and_pytest_a_ceiling():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    named = [need for need in needs if not need.startswith("disdat[")]
    assert [need for need in named if ">=" not in need] == []
    assert [need for need in named if "<" in need] == ["luigi>=3.6,<4", "pytest>=8.3,<9.2"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("packaging")
def test_the_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"disdat", f"disdat-{disdat.__version__}.dist-info"}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "disdat").rglob("*.py")}
    assert ours - set(names) == set()
    assert {
        f"disdat/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "dockerizer").iterdir() if path.is_file()
    } <= set(names)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("packaging")
def test_the_wheel_works_in_an_empty_environment(installed, home):
    """A file goes in and comes out equal, by the installed command, with nothing of the checkout in reach."""
    work = Path.cwd()
    original = work / "numbers.csv"
    original.write_bytes((ROOT / "examples/hello_data.csv").read_bytes())
    env = dict(os.environ)

    def dsdt(*arguments: str) -> str:
        return run(str(installed / "dsdt"), *arguments, cwd=work, env=env).strip()

    assert disdat.__version__ in dsdt("--version")
    dsdt("context", "demo")
    dsdt("switch", "demo")
    dsdt("add", "my.numbers", "numbers.csv")
    assert "my.numbers" in dsdt("ls")
    assert "numbers.csv" in dsdt("cat", "my.numbers")
    bundle = "import disdat.api as api; print(api.get('demo', 'my.numbers').data)"
    printed = run(str(installed / "python"), "-c", bundle, cwd=work, env=env)
    assert "numbers.csv" in printed
