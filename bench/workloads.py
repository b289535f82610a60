"""What is done, and how much of it at a scale of 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Workload:
    """One variant of a workload: its sizes at scale 1, and those below which it would say nothing."""

    name: str
    variant: str
    sizes: Mapping[str, int]
    least: Mapping[str, int] = field(default_factory=dict)
    per_file_bytes: int = 0
    """Of a workload that adds files: how large each is; that of a single file is what scales."""
    prepared: bool = False
    """Whether what it looks at is made once, untimed, and then read by every repetition."""
    server: str = ""
    """The server it needs, of those in :mod:`bench.servers`; anew for each run of a contender."""
    optional: bool = False
    """Whether it is only done when it is asked for: it takes many minutes."""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.variant}"

    def scaled(self, scale: float) -> dict[str, int]:
        """The sizes at a scale, with those that follow from others."""
        sizes = {name: max(self.least.get(name, 1), int(size * scale)) for name, size in self.sizes.items()}
        if "bundles" in sizes:  # a hundred bundles of each name, a thousand of each tag
            sizes |= {"names": max(2, sizes["bundles"] // 100), "tags": max(2, sizes["bundles"] // 1000)}
        if self.per_file_bytes:
            sizes |= {"bytes": sizes["files"] * self.per_file_bytes}
        elif "bytes" in sizes:
            sizes |= {"files": 1}
        return sizes


def _files(name: str, *, server: str = "") -> tuple[Workload, ...]:
    return (
        Workload(name, "big", {"bytes": 10**9}, server=server),
        Workload(name, "small", {"files": 10_000}, per_file_bytes=10_000, server=server),
        Workload(name, "medium", {"files": 1_000}, per_file_bytes=1_000_000, server=server),
    )


WORKLOADS = (
    Workload("startup", "cli", {"bundles": 1_000, "times": 5}, {"bundles": 20, "times": 1}, prepared=True),
    *_files("add"),
    *_files("readd"),
    Workload("create", "scalars", {"singles": 2_000, "batch": 10_000}, {"singles": 40, "batch": 100}),
    Workload("catalog", "n10000", {"bundles": 10_000}, {"bundles": 200}, prepared=True),
    Workload("catalog", "million", {"bundles": 1_000_000}, {"bundles": 2_000}, prepared=True, optional=True),
    Workload("asof", "n10000", {"bundles": 10_000}, {"bundles": 400}, prepared=True),
    Workload("asof", "n100000", {"bundles": 100_000}, {"bundles": 400}, prepared=True),
    Workload("reindex", "batches", {"bundles": 10_000}, {"bundles": 200}, prepared=True),
    Workload("reindex", "singles", {"bundles": 10_000}, {"bundles": 200}, prepared=True),
    Workload("frame", "store", {"rows": 10_000_000}),
    Workload("frame", "load", {"rows": 10_000_000}, prepared=True),
    Workload("checkout", "small", {"files": 10_000}, per_file_bytes=10_000),
    Workload("diff", "table", {"rows": 1_000_000}, {"rows": 1_000}, prepared=True),
    Workload("diff", "tree", {"files": 100_000}, {"files": 2_000}, per_file_bytes=100, prepared=True),
    Workload("contexts", "n100000", {"bundles": 100_000}, {"bundles": 400}, prepared=True),
    Workload("gc", "plan", {"objects": 1_000_000}, {"objects": 20_000}, prepared=True),
    Workload("pipeline", "chain100", {"tasks": 100}, {"tasks": 10}),
    Workload("pipeline", "fan100", {"tasks": 100}, {"tasks": 10}),
    Workload("pipeline", "chain1000", {"tasks": 1_000}, {"tasks": 10}),
    Workload("pipeline", "fan1000", {"tasks": 1_000}, {"tasks": 10}),
    Workload("nothing", "fan1000", {"tasks": 1_000}, {"tasks": 10}, prepared=True),
    Workload("nothing", "fan10000", {"tasks": 10_000}, {"tasks": 20}, prepared=True),
    Workload("plan", "fan10000", {"tasks": 10_000}, {"tasks": 20}, prepared=True),
    Workload("handed", "frame", {"rows": 2_900_000}, {"rows": 1_000}),
    Workload("dask", "fan1000", {"tasks": 1_000}, {"tasks": 10}),
    Workload("dask", "chain100", {"tasks": 100}, {"tasks": 5}),
    Workload("cluster", "fan1000", {"tasks": 1_000}, {"tasks": 10}, server="dask"),
    Workload("cluster", "chain100", {"tasks": 100}, {"tasks": 5}, server="dask"),
    Workload("code", "n500", {"modules": 500}, {"modules": 20}),
    *_files("push", server="rclone"),
    *_files("pull", server="ministack"),
    Workload("remote", "n100000", {"bundles": 100_000}, {"bundles": 200}, prepared=True, server="ministack"),
    Workload("publish", "w48", {"publications": 1_440}, {"publications": 48}, server="ministack"),
)
