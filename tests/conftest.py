"""What every test may use: a home of its own, and a way to need a tool that may be missing."""

from __future__ import annotations

import gc
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

# How long one example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("disdat", deadline=None)
# For `make check`, which is run before every commit: `make test` tries more examples.
hypothesis.settings.register_profile("check", deadline=None, max_examples=10)
hypothesis.settings.load_profile("disdat")

pytest_plugins = ["tests.servers.fixtures"]

USUAL_EXAMPLES = 100
"""What hypothesis tries where nothing else is said."""

LONGEST_ID = 100
"""Characters of a test's parameter that name the test."""

SETTING_PREFIXES = ("DISDAT_", "AWS_", "PIPELINE_GIT_", "GIT_", "XDG_")
SETTINGS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
NOBODY = 65534

_places = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What must stay together in one worker comes first: it takes long, and the others do the rest meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_collection_finish() -> None:
    """What is there before the first test stays: no collection of garbage looks through it again."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A long value is not the name of a test: each is sent to who runs it and back, and printed where it fails."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{argname} of {len(val)}"
    return None


def examples(count: int) -> int:
    """Return how many examples a test that tries *count* in `make test` tries in the profile that is loaded."""
    return -(-count * hypothesis.settings().max_examples // USUAL_EXAMPLES)


def missing(what: str) -> NoReturn:
    """Skip the test for want of *what*; on CI, where everything must be there, fail it."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(f"needs {what}, which CI must have", pytrace=False)
    pytest.skip(f"needs {what}")


def require(tool: str) -> str:
    """Return the path of an executable; where it is missing, skip the test by its name (on CI: fail)."""
    return shutil.which(tool) or missing(tool)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run the block as a user who is not root, where we are: permissions do not bind root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory of the test's own. Pytest would look for a name through those of all tests that ran before."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    return tmp_path_factory.mktemp(f"{name}{next(_places)}", numbered=False)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing the developer has set reaches a test."""
    for name in os.environ:
        if name.startswith(SETTING_PREFIXES) or name in SETTINGS:
            monkeypatch.delenv(name)


def live_in(root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make *root* the place of all that a command reads and writes; where its home is, in it."""
    patch.setenv("HOME", str(root / "user"))
    patch.setenv("XDG_CONFIG_HOME", str(root / "user" / ".config"))
    patch.setenv("DISDAT_HOME", str(root / "home"))
    patch.chdir(root / "work")
    return root / "home"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    Give a DISDAT_HOME that does not exist yet.

    HOME, the config directory and the current directory are the test's own too.
    """
    (tmp_path / "user").mkdir()
    (tmp_path / "work").mkdir()
    return live_in(tmp_path, monkeypatch)
