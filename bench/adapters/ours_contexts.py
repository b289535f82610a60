"""A context of many bundles: forked, and asked for words that begin so."""

from __future__ import annotations

from pathlib import Path

from bench import material
from bench.meter import Meter, own_bin
from bench.spec import Spec
from disdat.api import selection
from disdat.ops import contexts, fork

NAME = "b"
TIMES = 5


def measure(meter: Meter, spec: Spec) -> None:
    """
    Each fork is deleted again; what completes words is measured as the whole process a shell starts.

    *new MB* is by how much a fork made the store's objects grow.
    """
    context = selection.context(NAME)
    store = context.home.root / "store"
    bytes_before = sum(material.bytes_below(store / part) for part in ("objects", "packs"))
    fork.fork(context, "warm")
    contexts.delete(context.home, "warm")
    with meter.op("fork"):
        made = fork.fork(context, "forked")
    assert made.catalog.counts().bundles == spec.sizes["bundles"]
    bytes_after = sum(material.bytes_below(store / part) for part in ("objects", "packs"))
    meter.value("new MB", (bytes_after - bytes_before) / 1e6)
    contexts.delete(context.home, "forked")
    context.catalog.close()
    program = own_bin() / "dsdt"
    for _ in range(TIMES):
        for op, prefix, before in (("names", "name_1", "cat"), ("tags", "k:1", "ls -t"), ("words", "s", "")):
            words: list[str | Path] = [program, "completion", "zsh", "--complete", prefix, "--", *before.split()]
            meter.run(f"complete {op}", words)
