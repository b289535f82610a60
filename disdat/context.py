"""
The home, and the contexts in it: what wires store, catalog and the user's files together.

A :class:`Home` is a directory; nothing is written to it before the first thing is kept. A :class:`Context`
is a named collection of bundles in it. Both are cheap to make and open what they need when it is first asked for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from disdat import config, making, marker
from disdat.catalog import asof
from disdat.catalog.catalog import Catalog
from disdat.catalog.lock import ContextLock
from disdat.core import canonical, event, similar
from disdat.core.canonical import Json
from disdat.core.contextname import check_context_name
from disdat.durable import Disk, storage_errors
from disdat.errors import (
    BadQuery,
    ContextNotFound,
    Corrupt,
    NotConfigured,
    StorageError,
    UnknownFormat,
)
from disdat.marker import WRITER_FEATURES, Marker
from disdat.remote import unbound
from disdat.remote.binding import URLS, Binding
from disdat.remote.unbound import Left
from disdat.store.objects import ObjectStore

if TYPE_CHECKING:
    from disdat.remote.remote import Remote

FORMAT = 1

_Stamp: TypeAlias = "tuple[int, int]"


def now_us() -> int:
    """The clock of this machine, µs since the epoch, UTC."""
    return time.time_ns() // 1000


class Home:
    """
    The directory that holds contexts and the object store they share.

    Threads and processes may use one home at once.

    Raises:
        InvalidInput: *root* is not empty and not a home, and is therefore left alone.
        UnknownFormat: The home was written by a later version.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None, clock_us: Callable[[], int] = now_us) -> None:
        self.root = root.expanduser().absolute()
        self.disk = disk or Disk()
        self.clock_us = clock_us
        self._format = self.root / marker.NAME
        self._format_path = str(self._format)  # it is looked at many times, which a Path makes slow
        self._lock = threading.RLock()
        self._contexts: dict[str, _Known] = {}
        self._marker = marker.read(self.root)

    @classmethod
    def open(cls, settings: config.Settings) -> Home:
        """The home the settings name."""
        return cls(settings.home)

    @property
    def id(self) -> str:
        """The home's id, the writer of its events; makes the home if there is none yet."""
        self.ensure()
        assert self._marker is not None
        return self._marker.home

    @property
    def known_id(self) -> str | None:
        """The home's id; None where nothing was kept yet. Writes nothing."""
        return self._marker.home if self._marker else None

    @property
    def writer_features(self) -> frozenset[str]:
        """What is needed of who writes to it. Writes nothing."""
        return self._marker.writers if self._marker else frozenset()

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of another home, which :meth:`ensure` gives an id of its own. Writes nothing."""
        return self._marker is not None and marker.inode(self._format_path) != self._marker.inode

    @cached_property
    def store(self) -> ObjectStore:
        """The object store all contexts share."""
        return ObjectStore(self.root / "store", disk=self.disk)

    def ensure(self) -> None:
        """
        Make the home where it is not, and give a copied one an id of its own; durable on return.

        Raises:
            StorageError: It cannot be written; PermissionDenied where that is why.
            UnknownFormat: It needs a writer feature this version lacks.
        """
        if self._marker and self._marker.writers <= WRITER_FEATURES and not self.is_copy:
            return
        with self._lock, storage_errors(f"write to {self.root}"):
            if self._marker is None:
                self._marker = self._create()
            if missing := self._marker.writers - WRITER_FEATURES:
                raise UnknownFormat(str(self.root), found=sorted(missing), supported=sorted(WRITER_FEATURES))
            if self._marker.inode != self._format.stat().st_ino:
                self._marker = self._renewed()

    def context_names(self) -> list[str]:
        """The names of its contexts, sorted."""
        directory = self.root / "context"
        with storage_errors(f"list the contexts of {self.root}"):
            if not directory.is_dir():
                return []
            visible = [
                entry for entry in directory.iterdir() if not entry.name.startswith(".")
            ]  # others are being made
            return sorted(entry.name for entry in visible if (entry / "context.json").is_file())

    def context(self, name: str) -> Context:
        """
        The context of this name; ContextNotFound if there is none, BadName if there cannot be one.

        The same object for every call, until its ``context.json`` is another: a context that another process
        deleted and made anew is not taken for the one that was.
        """
        known = self._contexts.get(name)
        if known is not None and _stamp(known.path) == known.stamp:
            return known.context
        check_context_name(name)
        with self._lock:
            path = str(self.root / "context" / name / "context.json")
            stamp = _stamp(path)
            if stamp is None:
                raise ContextNotFound(name, hint=self._hint_for(name))
            known = self._contexts.get(name)
            if known is None or known.stamp != stamp:
                known = self._contexts[name] = _Known(Context(self, name), path, stamp)
            return known.context

    def create_context(self, name: str, *, settings: Mapping[str, Json] | None = None) -> Context:
        """
        Make an empty context; a crash leaves none or a whole one.

        One that lost its ``context.json``, and nothing else, gets a new one.

        Raises:
            AlreadyExists: There is one of this name.
            BadName: It cannot be a context's name.
        """
        check_context_name(name)
        self.ensure()
        directory = self.root / "context" / name
        if _stamp(str(directory / "context.json")) is not None:
            raise making.taken(name)
        fields: dict[str, Json] = {
            "format": FORMAT,
            "id": event.ulid(self.clock_us()),
            "remote": None,
            "settings": dict(settings or {}),
        }
        with storage_errors(f"create context {name!r}"):
            making.context(directory, _line(fields), disk=self.disk, now_us=self.clock_us())
        return self.context(name)

    def trash_context(self, name: str) -> Path:
        """
        Move a context's directory into the store's trash and return where it is now; one rename.

        Waits for who is changing the context.
        """
        context = self.context(name)
        self.ensure()
        # The store's lock first, as everywhere: collection must not miss the context between its two places.
        with self.store.kept(), storage_errors(f"delete context {name!r}"), ContextLock(context.directory).held():
            target = making.moved_away(
                context.directory, self.root / "store" / "trash", disk=self.disk, now_us=self.clock_us()
            )
            if self.current_name() == name:
                with suppress(FileNotFoundError):  # another process may have forgotten it first
                    self.disk.unlink(self.root / "current")
        with self._lock:
            self._contexts.pop(name, None)
        return target

    def current_name(self) -> str | None:
        """The name of the current context, if one was switched to; it may have been deleted since."""
        path = self.root / "current"
        with storage_errors(f"read {path}"):
            try:
                return path.read_text("utf-8").removesuffix("\n") or None
            except FileNotFoundError:
                return None
            except UnicodeDecodeError as exc:
                raise Corrupt(f"{path} is damaged", hint="`dsdt switch NAME` writes it anew") from exc

    def switch(self, name: str) -> Context:
        """Make a context the current one, for every process that names none."""
        context = self.context(name)
        self.ensure()
        with storage_errors(f"switch to {name!r}"):
            self.make_file(self.root / "current", lambda _: f"{name}\n".encode(), self.disk.rename)
            self.disk.sync_dir(self.root)
        return context

    def _hint_for(self, wanted: str) -> str:
        """How to go on where there is no context *wanted*."""
        creates = f"`dsdt context {wanted}` creates it"
        if self.known_id is None:
            return f"{nothing_kept(self)}; {creates}, and DISDAT_HOME names another place"
        meant = similar.closest(wanted, self.context_names())
        return creates if meant is None else f"did you mean {meant!r}? {creates}"

    def _create(self) -> Marker:
        self.disk.mkdir(self.root)
        # Before there is a home to be found: others who find it, should we be killed, count on the names above it.
        for above in self.root.parents:
            if not os.access(above, os.W_OK, effective_ids=True):
                break  # nothing was made here, nor above
            self.disk.sync_dir(above)
        with suppress(FileExistsError):  # another process made it first: its id counts
            self.make_file(self._format, marker.new(self.clock_us(), marker.NO_FEATURES), self.disk.link)
        self.disk.sync_dir(self.root)
        return self._reread()

    def _renewed(self) -> Marker:
        """The marker of a home that was copied, under a new id; the one that another process gave it counts too."""
        found = self._reread()
        if found.inode == found.found_inode:
            return found
        self.make_file(self._format, marker.new(self.clock_us(), found.fields), self.disk.rename)
        self.disk.sync_dir(self.root)
        return self._reread()

    def _reread(self) -> Marker:
        found = marker.read(self.root)
        if found is None:
            raise StorageError(f"{self.root} was removed", hint="run the command again to make it anew")
        return found

    def make_file(self, path: Path, content: Callable[[int], bytes], place: Callable[[Path, Path], None]) -> None:
        """Write a small file, as :func:`disdat.making.file`."""
        making.file(path, content, place, disk=self.disk, now_us=self.clock_us())


class Context:
    """
    A named collection of bundles: its catalog, its settings, and the directory its files are seen in.

    Made by :meth:`Home.context`; threads may share one.
    """

    def __init__(self, home: Home, name: str, *, moment_us: int | None = None) -> None:
        self.home = home
        self.name = name
        self.moment_us = moment_us
        """The moment it is seen as of, µs since the epoch; None for now. See :meth:`as_of`."""
        self.directory = home.root / "context" / name
        self.objects = self.directory / "objects"
        """Where the files of its bundles are seen, each bundle's below its uuid."""
        self.recorded_runs: set[str] = set()
        """Ids of the runs whose record is in this context's log already, as far as this process knows."""

    def __repr__(self) -> str:
        return f"Context({self.name!r}, home={str(self.home.root)!r})"

    def __reduce__(self) -> tuple[Callable[[str, str, int | None], Context], tuple[str, str, int | None]]:
        return _reopen, (str(self.home.root), self.name, self.moment_us)

    def as_of(self, moment_us: int) -> Context:
        """
        The context as it was at a moment, µs since the epoch; nothing can be changed in it.

        Of a bundle that was removed since, the value can be read while its bytes are there.

        Raises:
            BadQuery: It began later; the message says when.
        """
        began_us = self._began_us()
        if began_us is not None and moment_us < began_us:
            began = datetime.fromtimestamp(began_us // 1_000_000, UTC).astimezone()
            raise BadQuery(
                f"the context {self.name} began {began:%Y-%m-%d %H:%M:%S}, and was not there before",
                hint="name a later moment",
            )
        return Context(self.home, self.name, moment_us=moment_us)

    def check_is_now(self) -> None:
        """Refuse, with InvalidInput, to change what is seen as of a moment."""
        if self.moment_us is not None:
            raise asof.refusal(self.name)

    def _began_us(self) -> int | None:
        """When it was made, or what it took over from another one began; None where neither is known."""
        known = [asof.began_us(self.catalog)]
        with suppress(KeyError, TypeError, ValueError):  # an id that is none of ours
            known.append(event.ulid_time_us(cast("str", self.settings["id"])))
        return min((each for each in known if each is not None), default=None)

    def bundle_directory(self, uuid: str) -> Path:
        """Where the files of one bundle are seen; not made by asking."""
        return self.objects / uuid

    @cached_property
    def settings(self) -> Mapping[str, Json]:
        """The content of ``context.json``."""
        path = self.directory / "context.json"
        with storage_errors(f"read {path}"):
            try:
                data = path.read_bytes()
            except FileNotFoundError as exc:
                raise ContextNotFound(self.name) from exc
        fields: Any = None  # whatever somebody wrote
        with suppress(ValueError):
            fields = canonical.decode(data)
        found = fields.get("format") if isinstance(fields, dict) else None
        if found not in (None, FORMAT):
            raise UnknownFormat(str(path), found=found, supported=FORMAT)
        if found is None or not isinstance(fields.get("settings", {}), dict):
            raise Corrupt(f"{path} is damaged", hint="restore it from a backup, or move the context aside")
        return cast("dict[str, Json]", fields)

    @property
    def id(self) -> str:
        """What tells it from every other context, also from one of its name; empty where nobody wrote it."""
        return str(self.settings.get("id", ""))

    @cached_property
    def binding(self) -> Binding | None:
        """The remote it is bound to; None where there is none."""
        found = self.settings.get("remote")
        try:
            return None if found is None else Binding.from_json(found)
        except ValueError as exc:
            path = self.directory / "context.json"
            raise Corrupt(f"{path} is damaged: {exc}", hint="`dsdt remote --unbind`, and bind it anew") from exc

    @property
    def remote_name(self) -> str:
        """The name it goes by on a remote: its own unless it was created as ``remote/local``, or bound so."""
        names = cast("Mapping[str, str]", self.settings.get("settings", {}))
        return self.binding.name if self.binding else names.get("remote_name", self.name)

    @cached_property
    def remote(self) -> Remote:
        """The remote it is bound to, opened; NotConfigured where there is none."""
        from disdat.remote.remote import Remote  # most commands need no remote

        if self.binding is None:
            lefts = unbound.read(self.directory)
            again = f"`{lefts[-1].remedy}` binds it again" if lefts else ""
            hint = again or f"`dsdt remote {self.remote_name} URL` binds it; {URLS}"
            raise NotConfigured(f"the context {self.name} has no remote", hint=hint)
        return Remote(
            self.binding,
            self.directory,
            writer=lambda: f"{self.home.id}.{self.id}",
            disk=self.home.disk,
            clock_us=self.home.clock_us,
        )

    def bind(self, binding: Binding | None, *, left: Left | None = None) -> Context:
        """
        Bind it to a remote, or to none; durable on return. The context as it is then.

        What was known of another remote is forgotten, but for what it *left* there.
        """
        self.check_is_now()
        self.home.ensure()
        path = self.directory / "context.json"
        with storage_errors(f"write {path}"), ContextLock(self.directory).held():
            fields = {**Context(self.home, self.name).settings, "remote": binding.to_json() if binding else None}
            self._note_left(unbound.noted(unbound.read(self.directory), left, binding))
            for known in self.directory.glob("mirror.db*"):
                self.home.disk.unlink(known)
            self.home.make_file(path, lambda _: _line(fields), self.home.disk.rename)
            self.home.disk.sync_dir(self.directory)
        return self.home.context(self.name)

    def _note_left(self, lefts: Sequence[Left]) -> None:
        path = self.directory / unbound.NAME
        if lefts:
            self.home.make_file(path, lambda _: unbound.line(lefts), self.home.disk.rename)
        elif path.exists():
            self.home.disk.unlink(path)

    @cached_property
    def catalog(self) -> Catalog:
        """What happened here, up to the moment it is seen as of, and how things are found."""
        if self.moment_us is not None:
            return asof.CatalogThen(self.home.context(self.name).catalog, self.moment_us)
        return Catalog(
            self.directory,
            writer=lambda: self.home.id,
            fetch=self.home.store.read_unlocked,
            disk=self.home.disk,
            now_us=self.home.clock_us,
        )


class _Known(NamedTuple):
    """A context that was opened, its ``context.json``, and what that was then."""

    context: Context
    path: str
    stamp: _Stamp


def resolve(home: Home, name: str | None) -> Context:
    """The context *name*, or the current one if None; NotConfigured says how to get one."""
    wanted = name if name is not None else home.current_name()
    if wanted is None and home.known_id is None:
        raise NotConfigured(
            f"not in a data context: {nothing_kept(home)}",
            hint="use `dsdt context NAME` and `dsdt switch NAME`; DISDAT_HOME names another place to look in",
        )
    if wanted is None:
        names = home.context_names()
        way = f"`dsdt switch {names[0]}`" if names else "`dsdt context NAME` and `dsdt switch NAME`"
        raise NotConfigured("not in a data context", hint=f"use {way}, or name one with --context")
    return home.context(wanted)


def nothing_kept(home: Home) -> str:
    """What to say of a home that is not there, which may be because it is elsewhere."""
    return f"nothing is kept at {home.root} yet"


def _reopen(root: str, name: str, moment_us: int | None) -> Context:
    context = Home(Path(root)).context(name)
    return context if moment_us is None else Context(context.home, name, moment_us=moment_us)


def _stamp(path: str) -> _Stamp | None:
    """What tells this file from another one of its name; None where there is none."""
    with storage_errors(f"read {path}"):
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    return found.st_ino, found.st_mtime_ns


def _line(fields: Mapping[str, Json]) -> bytes:
    return canonical.encode(fields) + b"\n"
