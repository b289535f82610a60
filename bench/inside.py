"""Runs one contender on one workload, in the contender's interpreter: ``python -m bench.inside SPEC RESULT``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.meter import Meter
from bench.spec import Spec


def main(spec_file: str, result_file: str) -> None:
    spec, meter = Spec.load(Path(spec_file)), Meter()
    error = ""
    try:
        adapter = import_module(f"bench.adapters.{spec.adapter}")
        work = adapter.PREPARE.get(spec.workload) if spec.prepare else adapter.WORK[spec.workload]
        if work is not None:  # not every contender has something to prepare
            work(meter, spec)
    except Exception as exc:  # noqa: BLE001 - told in the report, whatever it is
        error = f"{type(exc).__name__}: {exc}"
        traceback.print_exc()
    result = {"taken": list(map(asdict, meter.taken)), "values": meter.values, "error": error}
    Path(result_file).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
    sys.stdout.flush()
    os._exit(0)  # what a contender does at exit is no part of its operations
