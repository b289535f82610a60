"""What all tasks of one apply share: the context, the run, the settings, and what was looked up and is pinned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from disdat.catalog.queries import Filter, Row
from disdat.context import Context
from disdat.core import digest, manifest, naming
from disdat.core.bundle import Bundle, Dependency, Run
from disdat.errors import NotFound
from disdat.ops import find
from disdat.ops.handles import BundleHandle
from disdat.pipeline.reuse import Rerun

KEPT_BUNDLES = 256
"""Of so many bundles the manifest is kept in memory, the oldest first to go."""


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
    """One apply. What is looked up is looked up once; a copy in another process looks up for itself."""

    context: Context
    run: Run
    rerun: Rerun = "content"
    code_version: str = "closure"
    force_all: bool = False
    verbose: bool = False
    _externals: dict[tuple[str, str], External] = field(default_factory=dict)
    _read: dict[str, Dependency] = field(default_factory=dict)
    _bundles: dict[str, Bundle] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[object, ...]]:
        return Session, (self.context, self.run, self.rerun, self.code_version, self.force_all, self.verbose)

    def external_by_uuid(self, uuid: str) -> External:
        return self._pinned("bundle", uuid, lambda: find.get(self.context, uuid=uuid))

    def external_by_name(self, name: str) -> External:
        return self._pinned("bundle named", name, lambda: find.get(self.context, name))

    def external_by_processing_name(self, name: str, described: str) -> External:
        def newest() -> Row | None:
            return next(iter(self.context.catalog.search(Filter(processing_name=name, limit=1))), None)

        return self._pinned(described, name, newest)

    def given(self, argument: str, uuid: str) -> Dependency:
        """A bundle as the input *argument*, with the digests it has; NotFound if it was removed meanwhile."""
        if uuid not in self._read:
            row = self.context.catalog.get(uuid)
            if row is None:
                raise NotFound(f"the bundle {uuid} of input {argument} was removed", hint="apply again to make it anew")
            bundle = self.bundle(uuid)
            self._read[uuid] = Dependency("", uuid, row.name, bundle.processing_name, row.manifest, bundle.logical)
        return replace(self._read[uuid], argument=argument)

    def bundle(self, uuid: str) -> Bundle:
        """A bundle as its manifest records it."""
        if uuid not in self._bundles:
            self._keep(self.context.catalog.bundle(uuid))
        return self._bundles[uuid]

    def remember(self, made: Bundle) -> None:
        """Keep what was just made, so that what reads it need not look it up."""
        self._keep(made)
        name = digest.of_bytes(manifest.encode(made))
        self._read[made.uuid] = Dependency("", made.uuid, made.name, made.processing_name, name, made.logical)

    def _keep(self, bundle: Bundle) -> None:
        if len(self._bundles) >= KEPT_BUNDLES:
            del self._bundles[next(iter(self._bundles))]
        self._bundles[bundle.uuid] = bundle

    def _pinned(self, how: str, text: str, look_up: Callable[[], Row | None]) -> External:
        if (how, text) not in self._externals:
            row = look_up()
            bundle = None if row is None else BundleHandle(self.context, row)
            self._externals[how, text] = External(f"{how} {text}", bundle)
        return self._externals[how, text]
