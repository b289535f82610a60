"""What an earlier version wrote is read, checked and changed by this one."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from disdat import api
from disdat.context import Home
from disdat.ops import maintain
from tests.api.kinds import same
from tests.formats.frozen import CONTEXT, FILES, MANY, VALUES

HOMES = sorted(Path(__file__).parent.glob("home-*.tar.xz"))


@pytest.fixture(params=HOMES, ids=lambda path: path.name.partition(".")[0])
def frozen(request: pytest.FixtureRequest, home: Path) -> Path:
    """A copy of a frozen home, where it is looked for."""
    with tarfile.open(request.param) as packed:
        packed.extractall(home.parent, filter="tar")
    return home


def files(name: str) -> dict[str, bytes]:
    """What lies in a bundle of files, by path."""
    bundle = api.get(CONTEXT, name)
    directory = bundle.local_dir
    return {str(Path(path).relative_to(directory)): Path(path).read_bytes() for path in bundle.data}


def check() -> None:
    """All that was put into the home is there."""
    for name, value in VALUES.items():
        found = api.get(CONTEXT, name) if name != "literal" else api.search(CONTEXT, name)[-1]
        assert same(found.data, value), name
    assert files("few") == FILES
    assert files("many") == {f"{number:03d}": b"%d" % number for number in range(MANY)}
    assert api.cat(CONTEXT, "literal") == "newer"
    made_from = [uuid for _, uuid in api.get(CONTEXT, "made").dependencies.values()]
    assert made_from == [api.get(CONTEXT, name).uuid for name in ("array", "frame")]
    assert api.get(CONTEXT, "made").params == {"rate": "0.1"}
    assert api.get(CONTEXT, "array").tags == {"kind": "array", "later": "yes"}
    assert api.get(CONTEXT, "frame").tags == {"committed": "True"}
    assert [bundle.name for bundle in api.search(CONTEXT, is_committed=True)] == ["frame"]
    assert api.get(CONTEXT, "gone") is None


def test_it_is_read(frozen):
    check()


def test_its_log_alone_gives_the_same(frozen):
    for cache in [*frozen.glob("context/*/catalog*"), *frozen.glob("store/state.db*")]:
        cache.unlink()
    check()


def test_nothing_in_it_is_damaged(frozen):
    assert maintain.verify(Home(frozen).context(CONTEXT)).findings == ()


def test_it_is_written_to(frozen):
    api.Bundle(CONTEXT, name="literal", data="newest")
    assert api.cat(CONTEXT, "literal") == "newest"
    assert same(api.search(CONTEXT, "literal")[-1].data, VALUES["literal"])
