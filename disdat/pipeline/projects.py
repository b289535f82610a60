"""
Which modules are the project's, and where they lie.

A module is the project's if it is neither the standard library's nor installed (``site-packages``) nor this
package's; of an installed pipeline, the modules of its own top-level package are. The result is the same in every
process, whether a module is loaded there or not.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

from disdat.core.canonical import Json

_OURS = frozenset({"disdat", "luigi"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SUFFIXES = (".py", ".pyw", *EXTENSION_SUFFIXES, ".pyc")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module of the project lies: its file, and of a package the directories with its modules."""

    path: str | None
    """None for a directory of modules without a file of its own."""
    directories: tuple[str, ...] = ()

    @property
    def is_package(self) -> bool:
        return bool(self.directories)


class Project:
    """The modules of one project; what was found out once stays so for as long as this lives."""

    def __init__(self, own_package: str, roots: Iterable[str]) -> None:
        self._own_package = own_package
        self._roots = tuple(dict.fromkeys([*roots, *_importable_roots()]))
        self._places: dict[str, Place | None] = {}
        self._installed: dict[str, bool] = {}
        self._names: dict[str, frozenset[str]] = {}

    def add(self, name: str, path: str) -> None:
        """Say where a module lies."""
        is_package = os.path.basename(path).startswith("__init__.")
        self._places[name] = Place(path, (os.path.dirname(path),) if is_package else ())

    def asked(self) -> list[Json]:
        """What decides where modules are looked for."""
        return [self._own_package, list(self._roots), list(sys.path)]

    def searched(self) -> list[str]:
        """The directories that were looked through for modules."""
        return list(self._names)

    def place(self, name: str) -> Place | None:
        """Where a module of the project lies; None for any other, and for what is no module."""
        if name not in self._places:
            self._places[name] = self._find(name)
        return self._places[name]

    def is_installed(self, name: str) -> bool:
        """Whether a module belongs to an installed package that is not the project's own."""
        top = name.partition(".")[0]
        if top not in self._installed:
            self._installed[top] = self._top_is_installed(top)
        return self._installed[top]

    def _find(self, name: str) -> Place | None:
        parent, _, leaf = name.rpartition(".")
        if name.partition(".")[0] in _OURS:
            return None
        if not parent:
            found = _of_loaded(name) or self._search_top(name)
            return found if found and self._counts(found, name) else None
        around = self.place(parent)
        if around is None:
            return None
        return _of_loaded(name) or self._search(around.directories, leaf)

    def _search_top(self, name: str) -> Place | None:
        found = self._search(self._roots, name)
        if found is not None and found.path is not None:
            return found
        # A directory without __init__.py is a package only where nothing else has its name.
        return _of_spec(name) or (None if name in sys.stdlib_module_names else found)

    def _search(self, directories: Iterable[str], leaf: str) -> Place | None:
        for directory in directories:
            if leaf in self._listed(directory):
                package = os.path.join(directory, leaf)
                if os.path.isfile(file := os.path.join(package, "__init__.py")):
                    return Place(file, (package,))
                for suffix in _SUFFIXES:
                    if os.path.isfile(file := package + suffix):
                        return Place(file)
                if os.path.isdir(package):
                    return Place(None, (package,))
        return None

    def _listed(self, directory: str) -> frozenset[str]:
        """What modules a directory may hold: one look instead of several for each name that is none."""
        if directory not in self._names:
            self._names[directory] = _modules_in(directory)
        return self._names[directory]

    def _counts(self, place: Place, name: str) -> bool:
        return is_projects(place.path or place.directories[0] + os.sep, name, self._own_package)

    def _top_is_installed(self, top: str) -> bool:
        if top in _OURS or self.place(top) is not None:
            return False
        found = _of_loaded(top) or _of_spec(top)
        return found is not None and _is_installed(found.path or found.directories[0] + os.sep)


def is_projects(path: str, name: str, own_package: str) -> bool:
    """Whether the module *name* in *path* is the project's, whose class is in *own_package*."""
    if _is_installed(path):
        return name.partition(".")[0] == own_package
    return not path.startswith(_standard_library())


def listing(directory: str) -> str:
    """What stands for the modules a directory may hold."""
    return " ".join(sorted(_files_of_modules(directory)))


def file_of(module: ModuleType) -> str | None:
    """The file a module was loaded from; None if there is none on disk."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    path = os.path.join(_real(os.path.dirname(file)), os.path.basename(file))
    return path if os.path.isfile(path) else None


def root_of(path: str, name: str) -> str:
    """The directory from which the file *path* is imported as *name*."""
    file = Path(path)
    base = file.parent if file.stem == "__init__" else file
    levels = len(name.split("."))
    return str(base.parents[min(levels, len(base.parents)) - 1])


def is_installed(directory: str) -> bool:
    """Whether a directory is one that packages are installed in."""
    return _is_installed(directory + os.sep)


def is_ours(name: str) -> bool:
    """Whether a module is this package's, or luigi's: what a task is made with."""
    return name.partition(".")[0] in _OURS


def _of_loaded(name: str) -> Place | None:
    module = sys.modules.get(name)
    if module is None:
        return None
    path = file_of(module)
    # Not by an attribute: a module may have a __getattr__ of its own.
    inner = [each for each in getattr(module, "__dict__", {}).get("__path__", ()) if isinstance(each, str)]
    if path is None and not inner:
        return None
    return Place(path, tuple(map(_real, inner)))


def _of_spec(name: str) -> Place | None:
    """Where the import system would find a top-level module, as one that an editable install maps."""
    if name in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # what finders of others raise for what they cannot find
        return None
    if spec is None:
        return None
    path = os.path.realpath(spec.origin) if spec.origin and os.path.isfile(spec.origin) else None
    inner = tuple(map(_real, spec.submodule_search_locations or ()))
    return Place(path, inner) if path or inner else None


def _modules_in(directory: str) -> frozenset[str]:
    return frozenset(each.partition(".")[0] for each in _files_of_modules(directory))


def _files_of_modules(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [each for each in names if ("." not in each or each.endswith(_SUFFIXES)) and each != "__pycache__"]


@cache
def _real(directory: str) -> str:
    return os.path.realpath(directory)


def _is_installed(path: str) -> bool:
    return not _INSTALLED.isdisjoint(path.split(os.sep)) or path.startswith(_site_directories())


@cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib"))


@cache
def _site_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = [paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()]
    return tuple(os.path.realpath(each) + os.sep for each in found)


def _importable_roots() -> tuple[str, ...]:
    """Where modules that are not loaded yet may lie: the current directory and the path, without what is installed."""
    try:
        here = [os.getcwd()]
    except FileNotFoundError:
        here = []
    found = dict.fromkeys(_real(each or ".") if each else os.path.realpath(".") for each in [*here, *sys.path])
    library = _standard_library()
    return tuple(
        each
        for each in found
        if os.path.isdir(each) and not _is_installed(each + os.sep) and not f"{each}{os.sep}".startswith(library)
    )
