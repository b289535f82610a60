"""
obstore, for this process.

Its threads do not live on in a forked child, where each of its calls would wait for them for ever. So a child loads a
copy of the library, with threads of its own, when it first needs it: some 30 ms and 15 MB.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType
from typing import BinaryIO, cast

_NATIVE = "obstore._obstore"


class _Engine:
    """The library as this process loaded it."""

    def __init__(self) -> None:
        self.forks = 0
        self.loaded: ModuleType | None = None
        self.lock = threading.RLock()
        self.made: weakref.WeakSet[object] = weakref.WeakSet()
        self.of_parents: list[object] = []

    def forked(self) -> None:
        self.forks += 1
        self.loaded = None
        self.lock = threading.RLock()  # a thread that is not in the child may have held it
        self.of_parents += self.made
        self.made = weakref.WeakSet()


_engine = _Engine()
os.register_at_fork(after_in_child=_engine.forked)


def generation() -> int:
    """Differs between a process and one forked from it: what :func:`obstore` made is good in one of them only."""
    return _engine.forks


def lock() -> threading.RLock:
    """What threads hold while they make what is good in this process; one of its own after a fork."""
    return _engine.lock


def keep(made: object) -> None:
    """Never free in a forked child what was *made* of the library's: that would wait for its threads."""
    with _engine.lock:
        _engine.made.add(made)


def obstore() -> ModuleType:
    """The library; to be asked for again after a fork."""
    with _engine.lock:
        if _engine.loaded is None:
            if _engine.forks and _NATIVE in sys.modules:
                _replace_native()
            _engine.loaded = import_module("obstore")
        return _engine.loaded


def _replace_native() -> None:
    """Put a copy of the library's native part in the place of the one whose threads are gone."""
    original = sys.modules[_NATIVE].__file__
    assert original is not None
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        del sys.modules[name]
    with _copied(original) as path:
        native = module_from_spec(ModuleSpec(_NATIVE, ExtensionFileLoader(_NATIVE, path), origin=path))
        sys.modules[_NATIVE] = native
        assert native.__spec__ is not None
        assert native.__spec__.loader is not None
        native.__spec__.loader.exec_module(native)
    native.__file__ = original


@contextmanager
def _copied(original: str) -> Iterator[str]:
    """Give the path of a copy, for as long as it takes to load it: of one file the system loads one library only."""
    with open(original, "rb") as source, _new_file() as (target, path):
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        yield path


@contextmanager
def _new_file() -> Iterator[tuple[BinaryIO, str]]:
    if sys.platform == "linux":
        # In memory: from where temporary files lie, nothing may be loaded on some machines.
        with os.fdopen(os.memfd_create("obstore"), "wb") as file:
            yield file, f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            yield cast("BinaryIO", file), file.name
