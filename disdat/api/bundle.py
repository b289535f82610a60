"""The bundle as users of Python hold it: open and being described, or stored and for good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from disdat import ops
from disdat.api import selection
from disdat.api.draft import Draft
from disdat.api.selection import ContextLike
from disdat.api.stored import Stored
from disdat.core import bundle as core
from disdat.errors import BundleClosed, BundleNotFound, InvalidInput
from disdat.ops.handles import Known

if TYPE_CHECKING:  # they bring in SQLAlchemy, which importing the API must not
    from disdat.context import Context
    from disdat.ops.bundles import BundleWriter


class Bundle:
    """
    One version of a named data product.

    With *data* it is stored at once. Without, it is open until :meth:`close`, or until the end of its ``with``
    block; an exception there abandons it, and nothing of it is left. What it is given while it is open is stored
    when it is closed, in one step: others see all of it or nothing. *dependencies* maps argument names to closed
    bundles; *vc_info* is (repository, commit, branch); times are in seconds since the epoch, 0 where unknown.

    An open bundle is for one thread; a closed one for any number. Two are equal if they are the same bundle of
    the same context.

    Raises:
        ContextNotFound: There is no such context.
        Unserializable: The value cannot be stored; the message names the place in it.
        BundleClosed: What only an open bundle can do was asked of one that is closed or abandoned.
        TypeError: A name, tag or parameter is not text.
    """

    _writer: BundleWriter | None = None
    _abandoned = False

    def __init__(
        self,
        local_context: ContextLike,
        name: str | None = None,
        data: object = None,
        processing_name: str | None = None,
        owner: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        dependencies: Mapping[str, Bundle] | None = None,
        code_method: str | None = None,
        vc_info: tuple[str, str, str] | None = None,
        start_time: float = 0,
        stop_time: float = 0,
    ) -> None:
        self._context = selection.context(local_context)
        draft = Draft()
        self._facts: Draft | Stored = draft
        draft.name, draft.processing_name, draft.owner = name or "", processing_name or "", owner or ""
        draft.add_tags(tags or {})
        draft.add_params(params or {})
        if code_method:
            draft.add_code_ref(code_method)
        if dependencies:
            self.add_dependencies(dependencies.values(), dependencies.keys())
        draft.add_timing(start_time, stop_time)
        if vc_info is not None:
            draft.add_git_info(*vc_info)
        if data is not None:
            draft.add_data(data)
            self._store(draft)

    @property
    def closed(self) -> bool:
        """Whether it is stored."""
        return isinstance(self._facts, Stored)

    @property
    def data(self) -> Any:  # of the type that was stored
        """
        The value: of an open bundle what it was given, of a closed one what is stored.

        The latter is read when it is first asked for and is the same object from then on. It is the caller's to
        change: no change reaches the store, nor another Bundle of the same uuid. :meth:`cat` reads it anew.
        """
        return self._facts.data

    @property
    def name(self) -> str:
        """The human name; where none was given, the last part of :attr:`code_ref` from closing on."""
        return self._facts.name

    @name.setter
    def name(self, name: str) -> None:
        self._draft.name = name

    @property
    def processing_name(self) -> str:
        """The text that is equal for bundles made alike; where none was given, computed at closing."""
        return self._facts.processing_name

    @processing_name.setter
    def processing_name(self, name: str) -> None:
        self._draft.processing_name = name

    @property
    def owner(self) -> str:
        """The login name of who made it, unless another was given."""
        return self._facts.owner

    @property
    def uuid(self) -> str:
        """The only true identity, 36 characters."""
        return self._facts.uuid if isinstance(self._facts, Stored) else self._writing().uuid

    @property
    def creation_date(self) -> float:
        """When it was closed, in seconds since the epoch; InvalidInput while it is open."""
        return self._stored.creation_date

    @property
    def local_dir(self) -> str:
        """
        The directory of its files.

        While the bundle is open it is there to be written to; what of it is named in the data becomes part of the
        bundle. Of a closed one every file is there, read-only, and verified when this is first asked for.
        """
        if isinstance(self._facts, Stored):
            return str(self._facts.directory())
        self._check_open()
        return str(self._writing().directory())

    @property
    def remote_dir(self) -> str | None:
        """The URL below which its files lie on the remote in the plain layout; None without a remote."""
        return ops.paths.remote_directory(self._context, self.uuid)

    @property
    def tags(self) -> dict[str, str]:
        """The tags as they are now: ``committed`` is "True" once it is; parameters are not among them."""
        return dict(self._facts.tags)

    @property
    def params(self) -> dict[str, str]:
        """The parameters it was made with."""
        return dict(self._facts.params)

    @property
    def dependencies(self) -> dict[str, tuple[str, str]]:
        """The (processing name, uuid) of every bundle it was made from, by argument name."""
        return {name: (each.processing_name, each.uuid) for name, each in self._facts.inputs.items()}

    @property
    def code_ref(self) -> str:
        """The dotted name of the code that made it; empty where nobody said."""
        return self._facts.code_ref

    @property
    def timing(self) -> tuple[float, float]:
        """When making it began and ended, in seconds since the epoch, to the microsecond; 0 where nobody said."""
        return self._facts.timing

    @property
    def git_info(self) -> tuple[str, str, str]:
        """The (repository, commit, branch) of the code; empty where nobody said."""
        return self._facts.git_info

    @property
    def is_presentable(self) -> bool:
        """Whether there is a value to present."""
        return self._facts.is_presentable

    def add_tags(self, tags: Mapping[str, str]) -> Bundle:
        """Set tags; ``committed``, ``root_task`` and what begins with ``__`` are the system's own."""
        self._draft.add_tags(tags)
        return self

    def add_params(self, params: Mapping[str, str]) -> Bundle:
        """Record parameters it is made with."""
        self._draft.add_params(params)
        return self

    def add_dependencies(
        self, bundles: Bundle | Iterable[Bundle], arg_names: str | Iterable[str] | None = None
    ) -> Bundle:
        """Record closed bundles it is made from, under these argument names, else as ``_arg_0`` and so on."""
        given = [bundles] if isinstance(bundles, Bundle) else list(bundles)
        names = [arg_names] if isinstance(arg_names, str) else arg_names
        self._draft.add_dependencies([_manifest(each) for each in given], names)
        return self

    def add_code_ref(self, code_ref: str) -> Bundle:
        """Record the dotted name of the code that makes it."""
        self._draft.add_code_ref(code_ref)
        return self

    def add_git_info(self, repo: str, commit: str, branch: str) -> Bundle:
        """Record the version of the code that makes it."""
        self._draft.add_git_info(repo, commit, branch)
        return self

    def add_timing(self, start_time: float, stop_time: float) -> Bundle:
        """Record when making it began and ended, in seconds since the epoch."""
        self._draft.add_timing(start_time, stop_time)
        return self

    def add_data(self, data: object) -> Bundle:
        """Give it its value, which is read at closing; a second one replaces the first, with a warning."""
        self._draft.add_data(data)
        return self

    def get_file(self, filename: str) -> str:
        """The path of a file to write in its directory: name it in the data, and it is never copied."""
        self._check_open()
        return str(self._writing().file(filename))

    def get_directory(self, dirname: str) -> str:
        """The path of a new or earlier directory to write in, below its own."""
        self._check_open()
        return str(self._writing().subdirectory(dirname))

    def get_remote_file(self, filename: str) -> str:
        """
        The URL of a file to write on the remote: name it in the data, and it stays where it is.

        Raises:
            NotConfigured: The context has no remote.
        """
        self._check_open()
        return self._writing().remote_url(filename)

    def get_remote_directory(self, dirname: str) -> str:
        """As :meth:`get_remote_file`, of a directory: all that is written below its URL."""
        self._check_open()
        return self._writing().remote_url(dirname)

    def open(self, force_uuid: str | None = None) -> Bundle:
        """Open it, which all else does by itself; with *force_uuid* under that uuid, if nothing has it yet."""
        self._check_open()
        if force_uuid is not None and self._writer is not None and self._writer.uuid != force_uuid:
            raise InvalidInput(f"the bundle has the uuid {self._writer.uuid} already", hint="force it earlier")
        self._writing(force_uuid)
        return self

    def close(self) -> Bundle:
        """
        Store it: durable, complete and visible on return, or not there at all. Without data it holds None.

        Raises:
            Unserializable: The value cannot be stored. The bundle is abandoned, as after every error here.
        """
        draft = self._draft
        try:
            self._writing()
            self._context = selection.context(self._context)
            self._store(draft)
        except BaseException:
            self.abandon()
            raise
        return self

    def abandon(self) -> None:
        """Forget it and delete its directory; a closed bundle stays what it is."""
        if self._writer is not None and not self.closed:
            self._writer.abandon()
        self._abandoned = not self.closed

    def __enter__(self) -> Bundle:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.closed or self._abandoned:
            return
        if error is None:
            self.close()
        else:
            self.abandon()

    def cat(self) -> Any:  # of the type that was stored
        """The value, read anew."""
        return self._stored.read()

    def rm(self, *, force: bool = False) -> Bundle:
        """Remove it from its context; Conflict if it is committed and not *force*."""
        ops.bundles.remove(self._context, [self._stored.row], force=force)
        return self

    def commit(self) -> Bundle:
        """Mark it as eligible for pushing; that it is already is fine."""
        ops.bundles.commit(self._context, [self._stored.row])
        return self

    def push(self, delocalize: bool = False) -> Bundle:
        """
        Send it to the remote; others see all of it on return. With *delocalize*, its bytes here are dropped then.

        Raises:
            InvalidInput: It is not committed.
            NotConfigured: Its context has no remote.
        """
        rows = ops.push.selected(self._context, uuid=self._stored.uuid)
        ops.push.push(self._context, rows)
        if delocalize:
            ops.delocalizing.delocalize(self._context, rows)
        return self

    def pull(self, localize: bool = False) -> Bundle:
        """Take over what others said of it since, with *localize* also the bytes that are not here."""
        ops.pull.pull(self._context, uuid=self._stored.uuid, with_bytes=localize)
        return self

    def localize(self, path: str | os.PathLike[str] | None = None) -> str:
        """
        Fetch the file, or directory, that its data names by this URL or path, or all its bytes; where that is here.

        Raises:
            InvalidInput, PathNotFound: It has no such file.
            ObjectNotFound, DigestMismatch: The remote lacks it too, or has it damaged.
        """
        if path is not None:
            return str(ops.paths.localize(self._context, self._stored.row, os.fspath(path)))
        ops.localizing.localize(self._context, [self._stored.row])
        return self.local_dir

    def delocalize(self, path: str | os.PathLike[str] | None = None) -> str:
        """
        Drop the bytes of a file, of a directory, or all its bytes here, once the remote is proved to have them.

        The result is what it is read by from now on: its URL in the plain layout, else the path at which it will be
        when it is asked for again. Bytes that another bundle needs stay.

        Raises:
            InvalidInput, PathNotFound: It was not pushed, or has no such file; nothing was dropped.
            ObjectNotFound, DigestMismatch: The remote lacks some, or has it damaged; nothing was dropped.
        """
        if path is not None:
            return ops.paths.delocalize(self._context, self._stored.row, os.fspath(path))
        ops.delocalizing.delocalize(self._context, [self._stored.row])
        return self.remote_dir or ""

    def rmr(self) -> Bundle:
        """Remove it for everybody who shares the remote context, here too; InvalidInput if it was never pushed."""
        ops.rmr.remove(self._context, ops.rmr.selected(self._context, [self._stored.uuid]))
        return self

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Bundle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self) -> tuple[Callable[[str, str, str], Bundle], tuple[str, str, str]]:
        """By reference: the home's path, the context's name and the uuid, so it must be there when it is read."""
        return _reopen, (str(self._context.home.root), self._context.name, self._stored.uuid)

    def __repr__(self) -> str:
        return f"<Bundle {self.name!r} {self.uuid} in {self._context.name}, {self._condition()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows; of a table the first rows, whatever its size."""
        from disdat.api import html  # only notebooks need it

        facts = {"name": self.name, "uuid": self.uuid, "context": self._context.name, "state": self._condition()}
        try:
            facts |= {"tags": _listed(self.tags), "params": _listed(self.params)}
            found = ops.details.of(self._context, self._stored.row) if self.closed else None
        except BundleNotFound:
            return html.facts({**facts, "": "removed"})
        return html.facts(facts) if found is None else html.details(facts, found)

    @property
    def _draft(self) -> Draft:
        self._check_open()
        assert isinstance(self._facts, Draft)
        return self._facts

    @property
    def _stored(self) -> Stored:
        if not isinstance(self._facts, Stored):
            ended = "was abandoned" if self._abandoned else "is still open"
            raise InvalidInput(f"the bundle {self.name!r} {ended}", hint="only a closed bundle can do this")
        return self._facts

    def _check_open(self) -> None:
        if self.closed or self._abandoned:
            raise BundleClosed(f"the bundle {self.name!r} is {self._condition()}", hint="make a new one")

    def _writing(self, force_uuid: str | None = None) -> BundleWriter:
        """What writes it, from now on if not before."""
        if self._writer is None:
            self._writer = ops.bundles.BundleWriter(self._context, uuid=force_uuid)
        return self._writer

    def _store(self, draft: Draft) -> None:
        self._facts = Stored(self._context, self._writing().close(draft.data, draft.birth()))

    def _condition(self) -> str:
        if isinstance(self._facts, Stored):
            moment = datetime.fromtimestamp(self.creation_date, UTC).astimezone()
            return f"closed {moment:%Y-%m-%d %H:%M:%S}"
        return "abandoned" if self._abandoned else "open"

    def _identity(self) -> tuple[Path, str, str]:
        return self._context.home.root, self._context.name, self.uuid


def stored(context: Context, known: Known) -> Bundle:
    """The bundle of *context* that *known* speaks of."""
    bundle = Bundle.__new__(Bundle)
    bundle._context = context
    bundle._facts = Stored(context, known)
    return bundle


def _manifest(bundle: Bundle) -> core.Bundle:
    if not isinstance(bundle, Bundle):
        raise TypeError(f"a dependency is a Bundle, not {bundle!r}")
    return bundle._stored.manifest


def _reopen(root: str, context_name: str, uuid: str) -> Bundle:
    context = selection.home_at(Path(root)).context(context_name)
    return stored(context, ops.find.need(context, uuid=uuid))


def _listed(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {text}" for key, text in texts.items())
