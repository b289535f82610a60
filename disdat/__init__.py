"""
Disdat: immutable, versioned bundles of data, and pipelines that make them.

Importing the package costs next to nothing: a public name is loaded from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "2.0.0.dev0"

_HOMES: dict[str, str] = {}
"""Public name -> module that defines it."""

__all__ = ["__version__"]


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
