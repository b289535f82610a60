"""
Processing names: text that says "made by the same code entry, with the same parameters, from the same kinds of inputs".

They are Disdat's, digit for digit, so that people and other tools can compare; reuse is decided by the task key.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping

_HEX_DIGITS = 10
_SHOWN_PARAMS = 3
_SHOWN_CHARS = 16
_NOT_WORD = re.compile(r"[^A-Za-z0-9_]")


def task_id(family: str, params: Mapping[str, str]) -> str:
    """
    The id Luigi gives a task (``luigi.task.task_id_str``).

    *params* are the significant parameters as serialised text. The id is the family, the first three values
    in the order of their names, cut and cleaned, and ten hex digits of the MD5 of them all as JSON.
    """
    text = json.dumps(params, separators=(",", ":"), sort_keys=True)
    shown = "_".join(params[name][:_SHOWN_CHARS] for name in sorted(params)[:_SHOWN_PARAMS])
    return f"{family}_{_NOT_WORD.sub('_', shown)}_{_short_md5(text)}"


def task_processing_name(task: str, upstream: Mapping[str, str]) -> str:
    """The processing name of a task's output: its id, and its inputs' processing names, by argument."""
    return f"{task}_{_joined_md5(upstream)}"


def bundle_processing_name(code_ref: str, params: Mapping[str, str], dependencies: Mapping[str, str]) -> str:
    """The processing name of a bundle made by hand: its code reference, its parameters' values, its inputs."""
    return f"{code_ref}_{_joined_md5(params)}_{_joined_md5(dependencies)}"


def default_name(code_ref: str) -> str:
    """The name of a bundle that was given none: the last dotted part of its code reference."""
    return code_ref.rpartition(".")[2]


def _joined_md5(named: Mapping[str, str]) -> str:
    return _short_md5(".".join(_in_name_order(named)))


def _in_name_order(named: Mapping[str, str]) -> Iterable[str]:
    return (named[name] for name in sorted(named))


@functools.lru_cache(maxsize=64)  # most bundles that are made one after another have the same, or no, parameters
def _short_md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()[:_HEX_DIGITS]
