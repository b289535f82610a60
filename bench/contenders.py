"""Who is measured, for what, and in which interpreter."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from pathlib import Path


class Kind(enum.Enum):
    """What a contender is to us."""

    OURS = "ours"
    LIMIT = "limit"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do some workloads; *environment* names a peer's directory, empty for this interpreter."""

    name: str
    kind: Kind
    adapter: str
    works: tuple[str, ...]
    """``workload``, or ``workload/variant`` where it does not do all of them."""
    environment: str = ""

    def does(self, workload: str, variant: str) -> bool:
        return workload in self.works or f"{workload}/{variant}" in self.works

    def interpreter(self, peers: Path | None) -> Path | None:
        """The Python that runs it; None where it is not there."""
        if not self.environment:
            return Path(sys.executable)
        found = peers / self.environment / "bin" / "python" if peers else None
        return found if found is not None and found.exists() else None


HUNDRED = ("pipeline/chain100", "pipeline/fan100")
"""Of those who start a process for each task, and would take ten minutes for a thousand."""

CONTENDERS = (
    Contender(
        "ours",
        Kind.OURS,
        "ours",
        (
            "startup",
            "add",
            "readd",
            "create",
            "catalog",
            "reindex",
            "frame",
            "diff",
            "checkout",
            "gc",
            "pipeline",
            "nothing",
            "plan",
            "handed",
            "dask",
            "cluster",
            "code",
            "asof",
            "contexts",
            "push",
            "pull",
            "remote",
            "publish",
        ),
    ),
    Contender("dsdt", Kind.OURS, "ours", ("add",)),
    Contender("python", Kind.LIMIT, "limits", ("startup",)),
    Contender("cp", Kind.LIMIT, "limits", ("add", "checkout")),
    Contender("cp+sync", Kind.LIMIT, "limits", ("add",)),
    Contender("hash", Kind.LIMIT, "limits", ("readd",)),
    Contender("fdatasync", Kind.LIMIT, "limits", ("create",)),
    Contender("sqlite", Kind.LIMIT, "limits", ("catalog", "reindex/batches")),
    Contender("parquet", Kind.LIMIT, "limits", ("frame",)),
    Contender("parquet+sync", Kind.LIMIT, "limits", ("frame/store",)),
    Contender("luigi", Kind.LIMIT, "plain_luigi", ("pipeline", "nothing/fan10000", "plan", "handed")),
    Contender("luigi+pickle", Kind.LIMIT, "plain_luigi", ("handed",)),
    Contender("plain dask", Kind.LIMIT, "plain_dask", ("dask", "cluster")),
    Contender("s5cmd", Kind.PEER, "s3tools", ("push", "pull"), environment="s3"),
    Contender("awscli", Kind.PEER, "s3tools", ("push", "pull"), environment="s3"),
    Contender(
        "disdat 1.2",
        Kind.PEER,
        "disdat12",
        ("startup", "add", "readd", "create", "catalog/n10000", "frame", "pipeline", "handed", "push", "pull"),
        environment="disdat",
    ),
    Contender("dvc", Kind.PEER, "dvc", ("startup", "add", "readd", *HUNDRED, "push", "pull"), environment="dvc"),
    Contender("redun", Kind.PEER, "redun", ("pipeline", "handed"), environment="redun"),
    Contender("metaflow", Kind.PEER, "metaflow", (*HUNDRED, "handed"), environment="metaflow"),
)
