"""The remote of one context, opened: its backend, what is known of it, and who may publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from disdat.durable import Disk, storage_errors
from disdat.errors import Conflict, Unavailable
from disdat.remote.binding import Binding, store_id
from disdat.remote.known import Known
from disdat.remote.mirror import Mirror
from disdat.store.backend import Backend, open_backend
from disdat.store.locks import FileLock

LOCK = "push.lock"


class Remote:
    """
    What the context in *directory* is bound to. Opens what it needs when it is first asked for.

    *writer* names who publishes.
    """

    def __init__(
        self, binding: Binding, directory: Path, *, writer: Callable[[], str], disk: Disk, clock_us: Callable[[], int]
    ) -> None:
        self.binding = binding
        self.directory = directory
        self._writer = writer
        self._disk = disk
        self._clock_us = clock_us

    def __repr__(self) -> str:
        return f"Remote({self.binding.name!r} at {self.binding.url!r})"

    @cached_property
    def backend(self) -> Backend:
        """Where it is."""
        return open_backend(self.binding.url)

    @cached_property
    def known(self) -> Known:
        """What is known of it here."""
        return Known(self.directory, disk=self._disk)

    @contextmanager
    def mirror(self) -> Iterator[Mirror]:
        """
        Lend what fetches and publishes to one process at a time; the others wait.

        Raises:
            Conflict: Another store is at the URL than the context was bound to.
            UnknownFormat: A later version uses it.
        """
        lock = FileLock(self.directory / LOCK, disk=self._disk)
        with storage_errors(f"lock {self.directory / LOCK}"):
            lock.acquire_exclusive()
        try:
            self.check()
            yield Mirror(self.backend, self.binding.name, self.known, writer=self._writer(), clock_us=self._clock_us)
        finally:
            lock.release()

    def check(self) -> None:
        """Refuse what is not the store the context was bound to; raises what :meth:`mirror` does."""
        found = store_id(self.backend)
        if found is None:
            raise Unavailable(
                f"{self.binding.url} is empty, and is not the store this context was bound to",
                hint="check the URL; `dsdt remote CONTEXT URL` binds to it anew",
            )
        if found != self.binding.id:
            raise Conflict(
                f"{self.binding.url} is another store than this context was bound to",
                hint="`dsdt remote CONTEXT URL` binds to it anew",
            )
