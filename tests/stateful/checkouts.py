"""
Any versions checked out into a directory that a user works in, in any order, cut short at any step.

After every step what lies there is what the user was promised: his own files, and those of the bundle.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from disdat.context import Context, Home
from disdat.core.digest import of_bytes
from disdat.errors import Conflict
from disdat.ops import add, contexts, gc, maintain
from disdat.ops.checkout import checkout, plan
from disdat.ops.gc import Policy, Step
from disdat.testing.faults import Crash, FailingDisk
from tests.stateful.directory import DATA, Claim, Expected, Files, Found, above, expected, read

MEMORY = Path("/dev/shm")
PATHS = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g"]
CRASHES = st.none() | st.integers(1, 12)
PICKS = st.integers(0, 1000)


@st.composite
def trees(draw: st.DrawFn) -> Files:
    """The files of a bundle; what is a file in one may be a directory in another."""
    files: Files = {}
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, unique=True)):
        if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in files):
            files[path] = draw(st.integers(0, len(DATA) - 1)), draw(st.booleans())
    return files


class CheckoutMachine(RuleBasedStateMachine):
    """The rules. The user's own bytes are never those of a bundle, or nobody could tell whose they are."""

    @initialize(versions=st.lists(trees(), min_size=2, max_size=4))
    def begin(self, versions: list[Files]) -> None:
        self.place = Path(tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self.root, self.out = self.place / "home", self.place / "work" / "out"
        self.out.parent.mkdir()
        self.versions = versions
        self.mine = 0
        self.claims = [Claim()]
        """One of these is what is known of the directory: where a checkout was cut off, nobody can tell which."""
        context = contexts.create(Home(self.root), "demo")
        for files in versions:
            self.put(context, "data", files)

    def teardown(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)  # what is not closed yet may go meanwhile by itself

    # Checking out

    @rule(pick=PICKS, scoped=st.none() | PICKS, force=st.booleans(), link=st.booleans())
    def check_out(self, pick: int, scoped: int | None, force: bool, link: bool, crash: int | None = None) -> None:
        number = pick % len(self.versions)
        whole = self.versions[number]
        scope = None if scoped is None else _any_path(whole, scoped)
        found = read(self.out)
        ways = [expected(claim, found, whole, scope, force=force) for claim in self.claims]
        reference, paths = self.reference(number), [] if scope is None else [scope]
        told = {
            each.path for each in plan(self.context(), reference, self.out, paths, link=link, force=force).obstacles
        }
        assert told in [way.obstacles for way in ways]
        assert read(self.out) == found
        possible = [(claim, way) for claim, way in zip(self.claims, ways, strict=True) if way.obstacles == told]
        disk = None if crash is None else FailingDisk(crash, error=Crash)
        try:
            checkout(self.context(disk), reference, self.out, paths, link=link, force=force)
        except Conflict:
            assert told
            assert read(self.out) == found
            self.claims = [claim for claim, _ in possible]
        except Crash:
            self.was_cut(found, possible)
        else:
            assert not told
            now = read(self.out)
            done = [way.claim for _, way in possible if way.after == now]
            assert done, f"{now} is none of {[way.after for _, way in possible]}"
            assert not [*self.out.parent.rglob(".dsdt-*")]
            self.claims = _distinct(done)

    @rule(
        pick=PICKS,
        scoped=st.none() | PICKS,
        link=st.booleans(),
        crash=st.integers(3, 25),
        deed=st.none() | PICKS,
        then=PICKS,
    )
    def be_cut_off(self, pick: int, scoped: int | None, link: bool, crash: int, deed: int | None, then: int) -> None:
        """And go on, with that version or another one, after the user changed something or at once."""
        self.check_out(pick, scoped, False, link, crash)
        if deed is not None:
            self.change_something(deed, deed)
        self.check_out(then, None, False, link)

    def was_cut(self, before: Found, possible: list[tuple[Claim, Expected]]) -> None:
        """Each path is as it was, or as it was to be; or nothing is there, where that was to go."""
        now = read(self.out)
        going_on = [way for _, way in possible if not way.obstacles]
        afters: list[Found] = [before, *(way.after for way in going_on)]
        assert any(_is_between(before, now, after) for after in afters), f"{now} after {before}, to be one of {afters}"
        # What is begun is noted before anything is written, and that it is done after all is.
        untouched = [claim for claim, _ in possible if now == before]
        done = [way.claim for way in going_on if now == way.after]
        self.claims = _distinct([*untouched, *(way.noted for way in going_on), *done])

    # What the user does meanwhile

    @rule(deed=PICKS, pick=PICKS)
    def change_something(self, deed: int, pick: int) -> None:
        deeds = [
            self.write_a_file,
            self.make_a_symbolic_link,
            self.make_a_directory,
            self.delete,
            self.move_away,
            self.change_whether_it_can_be_executed,
        ]
        deeds[deed % len(deeds)](pick)

    def write_a_file(self, pick: int) -> None:
        """In place, at once, and of the size that was there, where that can be."""
        path = self.out / PATHS[pick % len(PATHS)]
        if not self.make_room(path):
            return
        self.mine += 1
        size_bytes = path.stat().st_size if path.exists() and path.stat().st_nlink == 1 else 0
        if path.exists() and not size_bytes:
            path.unlink()
        data = b"mine %d" % self.mine
        with path.open("r+b" if path.exists() else "xb") as file:
            file.write(data)
            file.truncate(max(size_bytes, len(data)))

    def make_a_symbolic_link(self, pick: int) -> None:
        path = self.out / PATHS[pick % len(PATHS)]
        if self.make_room(path):
            path.unlink(missing_ok=True)
            path.symlink_to(self.place)

    def make_a_directory(self, pick: int) -> None:
        path = self.out / PATHS[pick % len(PATHS)]
        if self.make_room(path):
            path.unlink(missing_ok=True)
            path.mkdir()

    def delete(self, pick: int) -> None:
        for path in self.any_file(pick):
            path.unlink()

    def move_away(self, pick: int) -> None:
        for path in self.any_file(pick):
            path.rename(self.out.parent / "moved")

    def change_whether_it_can_be_executed(self, pick: int) -> None:
        for path in self.any_file(pick):
            if not path.is_symlink() and path.stat().st_nlink == 1:
                path.chmod(path.stat().st_mode ^ 0o100)

    @rule()
    def delete_all(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    @rule(pick=PICKS)
    def write_to_a_link(self, pick: int) -> None:
        """Which damages the store: it is told, and healed by moving the file away and adding the data again."""
        links = [path for path in map(self.out.joinpath, sorted(read(self.out))) if self.is_of_the_store(path)]
        if not links:
            return
        path = links[pick % len(links)]
        number, found = DATA.index(path.read_bytes()), path.stat()
        path.chmod(0o755)
        with path.open("r+b") as file:
            file.write(b"mine")
        same = {str(each.relative_to(self.out)): each for each in links if each.stat().st_ino == found.st_ino}
        for version, files in enumerate(self.versions):
            told = plan(self.context(), self.reference(version), self.out).obstacles
            assert {each.path for each in told} >= same.keys() & files.keys()
            wanted = {name for name, (data, _) in files.items() if data == number}
            assert {each.path for each in told if each.is_object} >= same.keys() & wanted
        assert maintain.verify(self.context()).findings
        for each in same.values():
            each.rename(self.out.parent / "moved")
        self.put(self.context(), "again", {"again": (number, bool(found.st_mode & 0o100))})
        assert maintain.verify(self.context()).findings == ()

    # What must change nothing

    @rule(steps=st.sets(st.sampled_from(Step), min_size=1), crash=CRASHES)
    def collect(self, steps: set[Step], crash: int | None) -> None:
        home = Home(self.root, disk=None if crash is None else FailingDisk(crash, error=Crash))
        with suppress(Crash):
            gc.collect(home, Policy(0, 0), frozenset(steps))

    @rule()
    def lose_the_state(self) -> None:
        """And with it which of the store's files are known to be right."""
        (self.root / "store" / "state.db").unlink(missing_ok=True)

    @precondition(lambda self: self.claims[0].begun == {} and len(self.claims) == 1)
    @rule(damaged=st.booleans())
    def lose_the_record(self, damaged: bool) -> None:
        """Then all files are the user's."""
        for path in (self.root / "checkouts").glob("*.json"):
            path.write_bytes(path.read_bytes()[:-9]) if damaged else path.unlink()
        self.claims = [Claim()]

    def context(self, disk: FailingDisk | None = None) -> Context:
        return Home(self.root, disk=disk).context("demo")

    def reference(self, number: int) -> str:
        return f"data@-{len(self.versions) - 1 - number}"

    def put(self, context: Context, name: str, files: Files) -> None:
        source = self.place / "source"
        for path, (data, executable) in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(DATA[data] if isinstance(data, int) else data)
            (source / path).chmod(0o755 if executable else 0o644)
        add.add(context, name, [source])
        shutil.rmtree(source)

    def is_of_the_store(self, path: Path) -> bool:
        """Whether a file is the store's own; one that was just named when all stopped has two names as well."""
        if path.is_symlink() or path.stat().st_nlink == 1:
            return False
        stored = self.context().home.store.loose_path(of_bytes(path.read_bytes()))
        return stored.exists() and stored.samefile(path)

    def make_room(self, path: Path) -> bool:
        """Make the directories above a path; whether it can be a file then."""
        above = [each for each in path.parents if each.is_relative_to(self.out)]
        if any(os.path.lexists(each) and (each.is_symlink() or not each.is_dir()) for each in above):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.is_symlink() or not path.is_dir()

    def any_file(self, pick: int) -> list[Path]:
        """One of the files, if there are any."""
        found = sorted(read(self.out))
        return [self.out / found[pick % len(found)]] if found else []


def _is_between(before: Found, now: Found, after: Found) -> bool:
    """Whether each path is as it was, or as it is to be."""
    paths = before.keys() | now.keys() | after.keys()
    return all(now.get(path) in (before.get(path), after.get(path)) for path in paths)


def _any_path(files: Files, pick: int) -> str:
    """A file or a directory of a bundle."""
    paths = sorted(files.keys() | above(files))
    return paths[pick % len(paths)]


def _distinct(claims: list[Claim]) -> list[Claim]:
    return [claim for n, claim in enumerate(claims) if claim not in claims[:n]]
