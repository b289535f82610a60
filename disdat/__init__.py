"""
Disdat: immutable, versioned bundles of data, and pipelines that make them.

Importing the package costs next to nothing: a public name is loaded from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what __getattr__ gives
    from disdat import api, common, errors, pipe
    from disdat.values.markers import Pickled, text

__version__ = "2.0.0.dev0"

__all__ = ["__version__", "api", "common", "errors", "pipe", "text", "Pickled"]

_HOMES = {"text": "disdat.values.markers", "Pickled": "disdat.values.markers"}
"""Public name -> the module that defines it; the others are modules themselves."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name)
    value: object = getattr(import_module(home), name) if home else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
