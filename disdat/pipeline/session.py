"""What all tasks of one apply share: the context, the run, the settings, and what was looked up and is pinned."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from disdat import config
from disdat.catalog.queries import Filter, Row
from disdat.config import Packages
from disdat.context import Context
from disdat.core import naming
from disdat.core.bundle import Bundle, Dependency, Run
from disdat.core.digest import Digest
from disdat.errors import Corrupt, NotFound
from disdat.ops import find, runs
from disdat.ops.handles import BundleHandle
from disdat.pipeline.reach import Reach
from disdat.pipeline.reuse import Rerun
from disdat.pipeline.sharing import Sharing

KEPT_BUNDLES = 256
"""Of so many bundles the manifest is kept in memory, the oldest first to go."""
LOOKED_BACK = 8
"""So many of the newest results of a processing name are looked at to say why a task runs."""
COMPARED = 32
"""Of so many of the newest results of a name, where there are none of the processing name, the nearest is chosen."""


class Sought(NamedTuple):
    """What earlier results of a task are found by."""

    processing_name: str
    name: str
    params: Mapping[str, str]
    """As its key has them."""


@dataclass(frozen=True, slots=True)
class External:
    """A bundle that a task names as its input, and that no task of the run makes."""

    wanted: str
    """How it was named, for people."""
    bundle: BundleHandle | None

    def processing_id(self) -> str:
        """What it adds to the processing name of the task that reads it: another for each version."""
        uuid = self.bundle.uuid if self.bundle else ""
        return naming.task_processing_name(naming.task_id("ExternalDepTask", {"uuid": uuid}), {})


@dataclass(slots=True, eq=False)
class Session:
    """One apply, in one process. What is looked up is looked up once."""

    context: Context
    run: Run
    rerun: Rerun = "content"
    code_version: str = "closure"
    packages: Packages = "version"
    force_all: bool = False
    verbose: bool = False
    recompute: bool = False
    """Make anew what cannot be fetched as the remote does not answer."""
    sharing: Sharing = field(default_factory=Sharing)
    _externals: dict[tuple[str, str], External] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    """How long it took to make each bundle whose manifest was read, where that is recorded."""
    _read: dict[str, Dependency] = field(default_factory=dict)
    _exact: dict[str, Digest | None] = field(default_factory=dict)
    _bundles: dict[str, Bundle] = field(default_factory=dict)
    _looked: dict[tuple[str, str], list[tuple[str, str | None]]] = field(default_factory=dict)
    _reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        self._reach = Reach(self.context, recompute=self.recompute)

    def external_by_uuid(self, uuid: str) -> External:
        return self._pinned("bundle", uuid, lambda: find.get(self.context, uuid=uuid))

    def external_by_name(self, name: str) -> External:
        return self._pinned("bundle named", name, lambda: find.get(self.context, name))

    def external_by_processing_name(self, name: str, described: str) -> External:
        def newest() -> Row | None:
            return next(iter(self.context.catalog.search(Filter(processing_name=name, limit=1))), None)

        return self._pinned(described, name, newest)

    def earlier(self, wanted: Sequence[Sought]) -> list[list[Row]]:
        """
        The newest bundles there are now for each of these, newest first.

        They are those of the processing name; where there are none, of those of the human name the one whose
        parameters differ least.
        """
        found = self.context.catalog.search_each(
            [Filter(processing_name=each.processing_name, limit=LOOKED_BACK) for each in wanted]
        )
        others = list(dict.fromkeys(each.name for each, rows in zip(wanted, found, strict=True) if not rows))
        newest = self.context.catalog.search_each([Filter(name=name, limit=COMPARED) for name in others])
        named = {name: [(row, row.params) for row in rows] for name, rows in zip(others, newest, strict=True)}
        return [rows or _nearest(named[each.name], each.params) for each, rows in zip(wanted, found, strict=True)]

    def read(self, uuids: Iterable[str]) -> None:
        """Read together what :meth:`given` needs of these bundles; those that were removed are left out."""
        if unread := [uuid for uuid in uuids if uuid not in self._read]:
            self._read_rows(self.context.catalog.rows(unread))

    def refresh(self, inputs: Mapping[str, str]) -> None:
        """Make sure that the bundles *inputs* are still there; NotFound if one was removed meanwhile."""
        rows = self.context.catalog.rows(list(inputs.values())) if inputs else {}
        _refuse_removed(inputs, rows)
        self._read_rows({uuid: row for uuid, row in rows.items() if uuid not in self._read})

    def given(self, inputs: Mapping[str, str]) -> dict[str, Dependency]:
        """The bundles *inputs* by argument, with the digests they have; NotFound if one was gone when it was read."""
        self.read(inputs.values())
        _refuse_removed(inputs, self._read)
        return {argument: replace(self._read[uuid], argument=argument) for argument, uuid in inputs.items()}

    def exact(self, given: Dependency) -> Digest | None:
        """What counts of a bundle that was :meth:`given`: see :attr:`~disdat.core.bundle.Bundle.exact`."""
        return self._exact[given.uuid]

    def recorded(self, inputs: Mapping[str, Dependency]) -> dict[str, Bundle]:
        """What was given, by argument, as the manifests record it; NotFound if one was removed meanwhile."""
        found = self._recorded([each.uuid for each in inputs.values()])
        _refuse_removed({argument: each.uuid for argument, each in inputs.items()}, found)
        return {argument: found[each.uuid] for argument, each in inputs.items()}

    def bundle(self, uuid: str) -> Bundle:
        """A bundle as its manifest records it."""
        if uuid not in self._bundles:
            self.remember(self.context.catalog.bundle(uuid))
        return self._bundles[uuid]

    def manifests(self, uuids: Sequence[str]) -> dict[str, Bundle]:
        """As :meth:`bundle` of each; those that were removed, or whose manifest is lost or damaged, are left out."""
        try:
            return self._recorded(uuids)
        except (Corrupt, NotFound):
            found = self._reach.manifests(uuids)
            for each in found.values():
                self.remember(each)
            return found

    def lacking(self, bundles: Iterable[Bundle]) -> set[str]:
        """See :meth:`disdat.pipeline.reach.Reach.lacking`."""
        return self._reach.lacking(bundles)

    def found(self, context: Context, wanted: Filter) -> list[tuple[str, str | None]]:
        """What there is to be found, as :meth:`contents`; looked for once, until :meth:`look_again`."""
        question = (context.name, repr(wanted))
        if question not in self._looked:
            self._looked[question] = self.contents(context, context.catalog.search(wanted))
        return self._looked[question]

    def look_again(self) -> None:
        """Forget what was found: tasks that ran since may have made what is another answer."""
        self._looked.clear()

    def contents(self, context: Context, rows: Sequence[Row]) -> list[tuple[str, str | None]]:
        """The uuid of each bundle, and the exact digest of its value; of one that cannot be read, its manifest's."""
        uuids = [row.uuid for row in rows]
        found = self.manifests(uuids) if context.name == self.context.name else Reach(context).manifests(uuids)
        return [(row.uuid, found[row.uuid].exact if row.uuid in found else row.manifest) for row in rows]

    def remember(self, bundle: Bundle) -> None:
        """Keep a bundle that was just made or read, so that its manifest need not be read again."""
        if len(self._bundles) >= KEPT_BUNDLES:
            del self._bundles[next(iter(self._bundles))]
        self._bundles[bundle.uuid] = bundle

    def _read_rows(self, rows: Mapping[str, Row]) -> None:
        for uuid, bundle in self._recorded(list(rows)).items():
            row = rows[uuid]
            self._read[uuid] = Dependency("", uuid, row.name, bundle.processing_name, row.manifest, bundle.logical)
            self._exact[uuid] = bundle.exact
            start, stop = bundle.lineage.started_us, bundle.lineage.stopped_us
            if start is not None and stop is not None:
                self.took_s[uuid] = (stop - start) / 1_000_000

    def _recorded(self, uuids: Sequence[str]) -> dict[str, Bundle]:
        """Bundles as their manifests record them; those that were removed are left out."""
        found = {uuid: self._bundles[uuid] for uuid in uuids if uuid in self._bundles}
        if unread := [uuid for uuid in uuids if uuid not in found]:
            read = self.context.catalog.bundles(unread)
            for each in read.values():
                self.remember(each)
            found |= read
        return found

    def _pinned(self, how: str, text: str, look_up: Callable[[], Row | None]) -> External:
        if (how, text) not in self._externals:
            row = look_up()
            bundle = None if row is None else BundleHandle(self.context, row)
            self._externals[how, text] = External(f"{how} {text}", bundle)
        return self._externals[how, text]


def _refuse_removed(inputs: Mapping[str, str], found: Container[str]) -> None:
    for argument, uuid in inputs.items():
        if uuid not in found:
            raise NotFound(f"the bundle {uuid} of input {argument} was removed", hint="apply again to make it anew")


def of_run(
    context: Context,
    *,
    rerun: Rerun | None = None,
    code_version: str | None = None,
    force_all: bool = False,
    recompute: bool = False,
    verbose: bool = False,
    sharing: Sharing | None = None,
) -> Session:
    """The session of a new run; *rerun* and *code_version* default to the settings."""
    settings = config.load()
    return Session(
        context,
        runs.of_pipeline(context),
        rerun=rerun or settings.rerun,
        code_version=code_version or settings.code_version,
        packages=settings.packages,
        force_all=force_all,
        verbose=verbose,
        recompute=recompute,
        sharing=sharing or Sharing(),
    )


def _nearest(rows: Sequence[tuple[Row, Mapping[str, str]]], params: Mapping[str, str]) -> list[Row]:
    """Of rows with their parameters the first of those that have the most of *params*."""
    if not rows:
        return []
    row, _ = min(rows, key=lambda each: len(params.items() - each[1].items()))
    return [row]
