"""How much of a run is logged: luigi's own words, and each task's beginning and end, only where that is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_SILENT = logging.CRITICAL + 1
_LUIGI_LOGGERS = ("luigi-interface", "luigi", "luigi.scheduler")
_SHOWN_LOGGERS = ("luigi-interface", "disdat.pipeline")

_lock = threading.Lock()
_levels_before: list[dict[str, int]] = []
_open_blocks = 0


@contextmanager
def luigis(*, verbose: bool) -> Iterator[None]:
    """Luigi's loggers silent, or (verbose) at INFO on stderr; as they were once the last of such blocks ends."""
    if verbose:
        with _on_stderr():
            yield
        return
    global _open_blocks  # noqa: PLW0603  threads that apply at once share luigi's loggers
    with _lock:
        if _open_blocks == 0:
            _levels_before.append(_set_levels(_LUIGI_LOGGERS, _SILENT))
        _open_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _open_blocks -= 1
            if _open_blocks == 0:
                for name, level in _levels_before.pop().items():
                    logging.getLogger(name).setLevel(level)


def set_luigis(*, verbose: bool) -> None:
    """Luigi's loggers as :func:`luigis` has them, for as long as this process lives: one that runs tasks only."""
    _set_levels(_LUIGI_LOGGERS, logging.INFO if verbose else _SILENT)


@contextmanager
def _on_stderr() -> Iterator[None]:
    before = _set_levels(_SHOWN_LOGGERS, logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    for name in _SHOWN_LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).removeHandler(handler)


def _set_levels(names: Iterable[str], level: int) -> dict[str, int]:
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(level)
    return before
