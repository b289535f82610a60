"""A bundle's bytes kept in memory: what a value is dumped to and loaded from where a test needs no home."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from disdat.core.digest import Digest, of_bytes
from disdat.core.tree import Entry, Tree, decode_path, encode_path
from disdat.errors import BadLinkError, DigestMismatch


class MemoryBlob:
    """One object being written."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, piece: bytes | bytearray | memoryview, /) -> int:
        self.content += piece
        return memoryview(piece).nbytes

    @property
    def digest(self) -> Digest:
        return of_bytes(self.content)

    @property
    def size_bytes(self) -> int:
        return len(self.content)


@dataclass
class MemoryBundle:
    """
    A :class:`~disdat.values.serializer.Sink`, and the :class:`~disdat.values.serializer.Source` of what it took.

    Captured files, and objects that must be opened as files, lie below *root*; what is below ``root / "own"``
    counts as the bundle's own.
    """

    root: Path
    trusted: bool = True
    objects: dict[Digest, bytes] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, bytes] = field(default_factory=dict)
    """What is found at URLs."""

    @contextmanager
    def blob(self) -> Iterator[MemoryBlob]:
        blob = MemoryBlob()
        yield blob
        self.objects[blob.digest] = bytes(blob.content)

    def put(self, data: bytes) -> tuple[Digest, int]:
        digest = of_bytes(data)
        self.objects[digest] = bytes(data)
        return digest, len(data)

    def add_files(self, paths: Sequence[Path]) -> list[str]:
        return [self._add(path, self._place(path)) for path in paths]

    def add_directory(self, path: Path) -> str:
        place = self._place(path)
        for file in sorted(path.rglob("*")):
            if file.is_file():
                self._add(file, f"{place}/{encode_path(os.fsencode(file.relative_to(path)))}")
        return place

    def add_links(self, links: Mapping[str, str]) -> dict[str, str]:
        for url, where in links.items():
            if url not in self.links:
                raise BadLinkError(f"cannot store {where}: {url} is not there", hint="give it to `links`")
        return {url: self._keep(self._place(Path(url)), self.links[url], executable=False) for url in links}

    def entry(self, path: str) -> Entry:
        return self.entries[path]

    def below(self, path: str) -> Tree:
        return Tree(self.entries).below(path)

    def is_directory(self, path: str) -> bool:
        return path not in self.entries

    def is_own_url(self, url: str) -> bool:
        return False

    def is_own_directory(self, path: Path) -> bool:
        return path.is_dir() and path.is_relative_to(self.root / "own")

    def read(self, digest: Digest) -> bytes:
        data = self.objects[digest]
        if of_bytes(data) != digest:
            raise DigestMismatch("an object", expected=digest, found=of_bytes(data))
        return data

    def open_path(self, digest: Digest) -> tuple[Path, int, int]:
        """As a home does: an object of 64 KiB or more is a file of its own, a smaller one lies among others."""
        data = self.read(digest)
        before, after = (b"", b"") if len(data) >= 64 << 10 else (b"pack", b"end")
        path = self.root / f"object-{digest.hex}"
        path.write_bytes(before + data + after)
        return path, len(before), len(data)

    def file(self, path: str) -> Path:
        return self.root / "tree" / os.fsdecode(decode_path(path))

    def directory(self, path: str) -> Path:
        return self.file(path)

    def locate(self, paths: Sequence[str]) -> list[str]:
        return [str(self.file(path)) for path in paths]

    def locate_directory(self, path: str) -> str:
        return str(self.file(path))

    def _place(self, path: Path) -> str:
        name = encode_path(os.fsencode(path.name))
        taken = {place.partition("/")[0] for place in self.entries}
        return name if name not in taken else f"{len(taken)}/{name}"

    def _add(self, path: Path, place: str) -> str:
        return self._keep(place, path.read_bytes(), executable=os.access(path, os.X_OK))

    def _keep(self, place: str, data: bytes, *, executable: bool) -> str:
        target = self.file(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.entries[place] = Entry(of_bytes(data), len(data), executable)
        return place
