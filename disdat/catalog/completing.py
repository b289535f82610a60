"""
What begins with a prefix in a catalog: names, tags and uuids, for a shell that completes a word.

Reads the file as it is, without a lock, and follows no log: what was written a moment ago may be missing. Nothing is
written, no journal either, and nothing is imported that takes long.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

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
_NEXT_TAG = "SELECT key, value FROM tags WHERE (key, value) > (?, ?) ORDER BY key, value LIMIT 1"
_FIRST_TAG = "SELECT key, value FROM tags WHERE (key, value) >= (?, ?) ORDER BY key, value LIMIT 1"
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
        found: list[str] = []
        for pair in self._tags(prefix.partition(":")[0]):
            text = ":".join(pair)
            if not text.startswith(prefix) and pair[0] > prefix:
                break
            if text.startswith(prefix):
                found.append(text)
            if len(found) == MOST:
                break
        return found

    def tags_of(self, name: str) -> str:
        """The tags of the latest version of a name, as JSON; empty where there is none."""
        found = self._connection.execute(_TAGS_OF, (name,)).fetchone()
        return str(found[0]) if found else ""

    def _tags(self, key: str) -> Iterator[tuple[str, str]]:
        pair = self._connection.execute(_FIRST_TAG, (key, "")).fetchone()
        while pair is not None:
            yield pair
            pair = self._connection.execute(_NEXT_TAG, pair).fetchone()


@contextmanager
def words(directory: Path) -> Iterator[Words]:
    """The words of a context's catalog; sqlite3.Error or OSError where there is none that can be read."""
    target = Path(os.path.realpath(directory / _LINK))
    journal, shared = (target.with_name(target.name + suffix) for suffix in ("-wal", "-shm"))
    # SQLite would make both files if they were missing; without them the file is whole.
    in_use = shared.exists() and journal.exists() and journal.stat().st_size > 0
    parameters = "mode=ro" if in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{quote(os.fsencode(target))}?{parameters}", uri=True, timeout=0.1)
    try:
        yield Words(connection)
    finally:
        connection.close()
