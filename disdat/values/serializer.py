"""The seams of values: what writing and reading one needs, and what every serializer promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from disdat.core.bundle import Frame
from disdat.core.digest import Digest
from disdat.core.tree import Entry, Tree
from disdat.registry import Registry


class Blob(Protocol):
    """A binary file to write one object to. After its ``with`` block the digest and size are set."""

    @property
    def digest(self) -> Digest: ...

    @property
    def size_bytes(self) -> int: ...

    def write(self, piece: bytes | bytearray | memoryview, /) -> int: ...


class Sink(Protocol):
    """What a value is written to: objects, and a tree of captured files. Used by one thread at a time."""

    def blob(self) -> AbstractContextManager[Blob]:
        """One object, written piece by piece and hashed on the way."""
        ...

    def put(self, data: bytes) -> tuple[Digest, int]:
        """One small object: its digest and size in bytes."""
        ...

    def add_files(self, paths: Sequence[Path]) -> list[str]:
        """Capture files; their encoded paths in the tree, in order. A file given twice has one path."""
        ...

    def add_directory(self, path: Path) -> str:
        """Capture a directory with everything below; its encoded path in the tree."""
        ...

    def add_links(self, links: Mapping[str, str]) -> dict[str, str]:
        """
        Capture what URLs name, each given with its place in the value for messages; encoded paths in the tree, by URL.

        Raises:
            BadLinkError: Nothing is at one, or it cannot be captured.
        """
        ...

    def entry(self, path: str) -> Entry:
        """The captured file at *path*."""
        ...

    def is_directory(self, path: str) -> bool:
        """Whether what was captured at *path* is a directory."""
        ...

    def below(self, path: str) -> Tree:
        """The captured files below the directory at *path*."""
        ...

    def is_own_directory(self, path: Path) -> bool:
        """Whether *path* is a directory the bundle's maker was given to write to."""
        ...

    def is_own_url(self, url: str) -> bool:
        """Whether *url* lies below the place on the remote that the bundle's maker was given to write to."""
        ...


class Source(Protocol):
    """What a value is read from. Everything it gives has been verified against its digest."""

    @property
    def trusted(self) -> bool:
        """Whether pickles may be loaded."""
        ...

    def read(self, digest: Digest) -> bytes:
        """One object whole."""
        ...

    def open_path(self, digest: Digest) -> tuple[Path, int, int]:
        """A local file that holds one object, its offset there and its length."""
        ...

    def file(self, path: str) -> Path:
        """The local path of a file of the tree."""
        ...

    def directory(self, path: str) -> Path:
        """The local path of a directory of the tree, complete."""
        ...

    def locate(self, paths: Sequence[str]) -> list[str]:
        """What files of the tree are read by: local paths, or URLs of those that are only where others read them so."""
        ...

    def locate_directory(self, path: str) -> str:
        """What a directory of the tree is read by, as :meth:`locate`."""
        ...

    def below(self, path: str) -> Tree:
        """The files of the tree below a directory."""
        ...


class Serializer(Protocol):
    """Values of some kinds as frames; one object, used from any number of threads."""

    def dump(self, value: object, where: str, sink: Sink) -> Frame:
        """
        Write *value* and return its frame, named ``""``.

        *where* is the place of the value, such as ``value['a'][3]``, for messages.

        Raises:
            Unserializable: Naming the place, inside the value too.
        """
        ...

    def load(self, frame: Frame, source: Source) -> object:
        """
        Return a value equal to the one :meth:`dump` was given, and of its type.

        Raises:
            Corrupt: The bytes are not what a serializer wrote.
        """
        ...


SERIALIZERS: Registry[Serializer] = Registry("serializer", group="disdat.serializers")
"""By the kind of their frames."""

_FILES = "disdat.values.files:SERIALIZER"
SERIALIZERS.add_lazy("table", "disdat.values.table:SERIALIZER", remedy="pip install pandas pyarrow")
SERIALIZERS.add_lazy("array", "disdat.values.array:SERIALIZER", remedy="pip install numpy")
SERIALIZERS.add_lazy("file", _FILES)
SERIALIZERS.add_lazy("directory", _FILES)
SERIALIZERS.add_lazy("pickle", "disdat.values.pickled:SERIALIZER", remedy="pip install 'disdat[pickle]'")
