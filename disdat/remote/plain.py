"""Files that lie on a remote as people see them: what must be sent, and what the backend copies from where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from disdat.core.digest import Digest
from disdat.core.places import Place
from disdat.remote.transfer import JOBS, Outgoing
from disdat.store.backend import Backend, KeyNotFound

LARGEST_COPY_BYTES = 5 << 30
"""What is larger S3 does not copy in one request: it is sent."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file whose bytes are all that is kept under another key."""

    source: str
    target: Outgoing


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, and what is copied after that."""

    sent: tuple[Outgoing, ...] = ()
    copied: tuple[Copy, ...] = ()


def plan(wanted: Iterable[Outgoing], places: Mapping[Digest, Sequence[Place]]) -> Plan:
    """
    How files get to their keys, a function of values: of equal ones, one is sent, unless the remote has it.

    What lies there already under its own key is left out.
    """
    sent: list[Outgoing] = []
    copied: list[Copy] = []
    sources = {digest: [each.key for each in of_one if each.is_whole] for digest, of_one in places.items()}
    for each in wanted:
        assert each.key is not None
        known = sources.setdefault(each.digest, [])
        if each.key in known:
            continue
        if known and each.size_bytes <= LARGEST_COPY_BYTES:
            copied.append(Copy(known[0], each))
        else:
            sent.append(each)
            known.append(each.key)
    return Plan(tuple(sent), tuple(copied))


def copy(
    backend: Backend,
    copies: Iterable[Copy],
    *,
    progress: Callable[[int], None],
    is_there: Callable[[str, int], bool],
    noted: Callable[[str], None],
    jobs: int = JOBS,
) -> list[Outgoing]:
    """
    Have the backend copy files; those whose source is gone by now are returned, to be sent.

    *is_there* and *noted* are those of :func:`disdat.remote.transfer.send`.
    """

    def one(each: Copy) -> Outgoing | None:
        key, size_bytes = each.target.key or "", each.target.size_bytes
        if not is_there(key, size_bytes):
            try:
                backend.copy(each.source, key)
            except KeyNotFound:
                return each.target
            noted(key)
        progress(size_bytes)
        return None

    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        return [gone for gone in pool.map(one, copies) if gone is not None]
