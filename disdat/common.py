"""Disdat's errors under the names and in the place its users import them from; :mod:`disdat.errors` has them all."""

from __future__ import annotations

from disdat.errors import ApplyError, BadLinkError
from disdat.errors import BundleNotFound as CatNoBundleError

__all__ = ["ApplyError", "BadLinkError", "CatNoBundleError"]
