"""
JSON files that only save time: they may be deleted at any time, and of several who write one at once one wins.

``docs/format.md`` states how they are written. What is damaged counts as absent.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from disdat.pipeline import outline

MAX_FILES = 4096
"""Of more files than this in a directory the older ones go."""


def load(path: Path) -> Any:  # as it was saved; each reader says what that is
    """What a file holds; None if it is not there, damaged, or of another version."""
    try:
        told, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if told != outline.digest(body).encode():
        return None
    written = json.loads(body)
    return written["content"] if written["outline"] == outline.VERSION else None


def save(path: Path, content: object) -> None:
    """Replace a file, or leave it as it is where it cannot be written: then the next one looks again."""
    body = json.dumps({"outline": outline.VERSION, "content": content}, separators=(",", ":")).encode()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
        new.write_bytes(outline.digest(body).encode() + b"\n" + body)
        os.replace(new, path)
        _prune(path.parent)


def _prune(directory: Path) -> None:
    """Keep the newest files of a directory, as what asks for them comes and goes with projects."""
    files = [Path(each.path) for each in os.scandir(directory)]
    if len(files) > MAX_FILES:
        by_age = sorted(files, key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for each in by_age[MAX_FILES // 2 :]:
            each.unlink()
