"""Tags that only the system sets. Apart from bundles, so that who completes a word in a shell loads nothing else."""

from __future__ import annotations

COMMITTED = "committed"
ROOT_TASK = "root_task"
TRANSIENT = "__transient"
PUSH_META = "__push_meta"
PARAM_PREFIX = "__param."
RESERVED_TAGS = frozenset({COMMITTED, ROOT_TASK})


def is_reserved(key: str) -> bool:
    """Whether *key* is a tag only the system sets: ``committed``, ``root_task`` and all that begin with ``__``."""
    return key in RESERVED_TAGS or key.startswith("__")
