"""
What begins with a prefix in a catalog: names, tags and uuids, for a shell that completes a word.

Reads the file as it is, without a lock, and follows no log: what was written a moment ago may be missing. Nothing is
written, no journal either, and nothing is imported that takes long.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

MOST = 300
"""So many at most: more, nobody reads."""
_LINK = "catalog.db"
_BEYOND = "\U0010ffff"

# Each step is one look into the index, however many bundles have a name.
_NAMES = """
    WITH RECURSIVE found(name) AS (
        SELECT (SELECT min(name) FROM bundles WHERE name >= ?1)
        UNION ALL SELECT (SELECT min(name) FROM bundles WHERE name > found.name) FROM found WHERE found.name < ?2)
    SELECT name FROM found WHERE name < ?2 LIMIT ?3"""
_NEXT_KEY = "SELECT min(key) FROM tags WHERE key > ?"
_FIRST_KEY = "SELECT min(key) FROM tags WHERE key >= ?"
_NEXT_VALUE = "SELECT min(value) FROM tags WHERE key = ? AND value > ?"
_FIRST_VALUE = "SELECT min(value) FROM tags WHERE key = ? AND value >= ?"
_UUIDS = "SELECT uuid FROM bundles WHERE uuid >= ? AND uuid < ? ORDER BY uuid LIMIT ?"
_VERSIONS = """
    SELECT uuid FROM bundles WHERE name = ? AND uuid >= ? AND uuid < ? ORDER BY made_us DESC, uuid DESC LIMIT ?"""
_TAGS_OF = "SELECT tags FROM bundles WHERE name = ? ORDER BY made_us DESC, uuid DESC LIMIT 1"


class Words:
    """What is in a catalog that begins with a prefix."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def names(self, prefix: str) -> list[str]:
        """Names of bundles, in order."""
        found = self._connection.execute(_NAMES, (prefix, prefix + _BEYOND, MOST))
        return [name for (name,) in found]

    def versions(self, name: str, prefix: str) -> list[str]:
        """The uuids of the versions of a name, newest first."""
        found = self._connection.execute(_VERSIONS, (name, prefix, prefix + _BEYOND, MOST))
        return [uuid for (uuid,) in found]

    def uuids(self, prefix: str) -> list[str]:
        """Uuids of bundles, in order."""
        return [uuid for (uuid,) in self._connection.execute(_UUIDS, (prefix, prefix + _BEYOND, MOST))]

    def tags(self, prefix: str) -> list[str]:
        """Tags that bundles have, as ``key:value``, in the order of the keys."""
        return list(islice(self._tags(prefix), MOST))

    def tags_of(self, name: str) -> str:
        """The tags of the latest version of a name, as JSON; empty where there is none."""
        found = self._connection.execute(_TAGS_OF, (name,)).fetchone()
        return str(found[0]) if found else ""

    def _tags(self, prefix: str) -> Iterator[str]:
        """A key may have colons itself, so the prefix may end in a key, or in a value."""
        key = self._one(_FIRST_KEY, prefix.partition(":")[0])
        while key is not None and (key < prefix or key.startswith(prefix)):
            if key.startswith(prefix):
                yield from self._values(key, "")
            elif prefix.startswith(f"{key}:"):
                yield from self._values(key, prefix[len(key) + 1 :])
            key = self._one(_NEXT_KEY, key)

    def _values(self, key: str, prefix: str) -> Iterator[str]:
        value = self._one(_FIRST_VALUE, key, prefix)
        while value is not None and value.startswith(prefix):
            yield f"{key}:{value}"
            value = self._one(_NEXT_VALUE, key, value)

    def _one(self, sql: str, *values: str) -> str | None:
        found: tuple[str | None] = self._connection.execute(sql, values).fetchone()
        return found[0]


@contextmanager
def words(directory: Path) -> Iterator[Words]:
    """
    The words of a context's catalog; sqlite3.Error or OSError where there is none that can be read.

    So there is none where a killed process left a journal, and nobody opened the catalog since.
    """
    target = Path(os.path.realpath(directory / _LINK))
    journal, shared = (target.with_name(target.name + suffix) for suffix in ("-wal", "-shm"))
    # SQLite would make both files if they were missing; without a journal the file is whole.
    has_journal = journal.exists() and journal.stat().st_size > 0
    if has_journal and not shared.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(shared))
    parameters = "mode=ro" if has_journal else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{_quoted(str(target))}?{parameters}", uri=True, timeout=0.1)
    try:
        yield Words(connection)
    finally:
        connection.close()


def _quoted(path: str) -> str:
    """A path in SQLite's URIs; urllib would take 3 ms to be imported."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
