"""Runs contenders side by side: each repetition all of them, in turns, each in a fresh home of its own."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO  # Any: what a contender reports is read as JSON

from bench import material, servers
from bench.contenders import CONTENDERS, Contender, Kind
from bench.report import DISK, FSYNC, LOAD
from bench.results import Failure, Number, Results, Sample
from bench.spec import Spec
from bench.workloads import Workload

PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "OPENBLAS_CORETYPE")
FSYNCS = 50
TRUNCATED_BYTES = 1 << 16

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run: where, how much, how often, and for how long at most one contender may take."""

    work: Path
    scale: float
    reps: int
    peer_reps: int
    """In so many of them peers take part."""
    timeout_s: int
    peers: Path | None
    only: tuple[str, ...]
    """Names of contenders; empty for all."""

    def has(self, contender: Contender, rep: int) -> bool:
        """Whether a contender takes part in a repetition."""
        return contender.kind is not Kind.PEER or rep < self.peer_reps

    @property
    def log(self) -> Path:
        return self.work / "log.txt"


def run(plan: Plan, workloads: Sequence[Workload], results: Results, tell: Tell) -> Iterator[Workload]:
    """Measure each workload into *results*, and yield it when it is done."""
    plan.work.mkdir(parents=True, exist_ok=True)
    plan.log.write_bytes(b"")
    _link_code(plan.work)
    results.machine.update(describe(plan))
    contenders = _present(plan, tell)
    for workload in workloads:
        _run_workload(plan, workload, contenders, results, tell)
        yield workload
    shutil.rmtree(plan.work / "trash", ignore_errors=True)


def forget_prepared(plan: Plan) -> None:
    """Delete what was made beforehand: homes to look at, and the files to add."""
    for name in ("prepared", "data", "state"):
        shutil.rmtree(plan.work / name, ignore_errors=True)


def describe(plan: Plan) -> dict[str, str]:
    """The machine in general words, and how the figures were taken."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "scale": f"{plan.scale:g}",
        "repetitions": str(plan.reps) if plan.peer_reps >= plan.reps else f"{plan.reps}, of peers {plan.peer_reps}",
        "processors": f"{os.cpu_count()} ({_processor()})",
        "memory": f"{memory_gb:.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "file system": _file_system(plan.work),
        "Python": platform.python_version(),
    }


def _present(plan: Plan, tell: Tell) -> list[Contender]:
    wanted = [each for each in CONTENDERS if not plan.only or each.name in plan.only]
    for each in wanted:
        if each.interpreter(plan.peers) is None:
            tell(f"{each.name} is left out: BENCH_PEERS has no {each.environment}/bin/python")
    return [each for each in wanted if each.interpreter(plan.peers) is not None]


def _run_workload(
    plan: Plan, workload: Workload, contenders: Sequence[Contender], results: Results, tell: Tell
) -> None:
    mine = [each for each in contenders if each.does(workload.name, workload.variant)]
    failed: set[str] = set()
    for rep in range(plan.reps):
        _measure_machine(plan, workload, rep, results)
        turn = rep % len(mine) if mine else 0
        for contender in (*mine[turn:], *mine[:turn]):
            if contender.name in failed or not plan.has(contender, rep):
                continue
            tell(f"{workload.key}, repetition {rep + 1}: {contender.name}")
            if reason := _run_one(plan, workload, contender, rep, results):
                failed.add(contender.name)
                results.failures.append(Failure(workload.name, workload.variant, contender.name, reason))
                tell(f"{contender.name} did not finish: {reason}")


def _run_one(plan: Plan, workload: Workload, contender: Contender, rep: int, results: Results) -> str:
    """Run one contender once; returns why it did not finish, or nothing."""
    state = plan.work / "state"
    if workload.prepared:
        state = plan.work / "prepared" / _slug(f"{contender.name}-{workload.key}-{plan.scale:g}")
        if not (state / "ready").exists():
            put_aside(state, plan.work)
            if reason := _spawn(plan, workload, contender, state, prepare=True)[1]:
                return f"preparing: {reason}"
            (state / "ready").touch()
    else:
        put_aside(state, plan.work)
    found, reason = _spawn(plan, workload, contender, state, prepare=False)
    place = (workload.name, workload.variant, contender.name, rep)
    results.samples += [Sample(*place, **taken) for taken in found.get("taken", [])]
    results.numbers += [Number(*place, name, value) for name, value in found.get("values", {}).items()]
    return reason


def _spec(plan: Plan, workload: Workload, contender: Contender, state: Path, *, prepare: bool) -> Spec:
    sizes = workload.scaled(plan.scale)
    data = ""
    if "files" in sizes:
        each_bytes = workload.per_file_bytes or sizes["bytes"]
        data = str(material.files(plan.work / "data", workload.variant, count=sizes["files"], size_bytes=each_bytes))
    work = state / "work"
    work.mkdir(parents=True, exist_ok=True)
    return Spec(
        contender.adapter, contender.name, workload.name, workload.variant, str(work), data, sizes, prepare=prepare
    )


def _spawn(
    plan: Plan, workload: Workload, contender: Contender, state: Path, *, prepare: bool
) -> tuple[dict[str, Any], str]:
    """What the contender's process reported, and why it did not finish, or nothing."""
    spec = _spec(plan, workload, contender, state, prepare=prepare)
    asked, answered = state / "spec.json", state / "result.json"
    spec.save(asked)
    answered.unlink(missing_ok=True)
    command = [str(contender.interpreter(plan.peers)), "-m", "bench.inside", str(asked), str(answered)]
    place = plan.work / "server"
    put_aside(place, plan.work)
    server = servers.running(workload.server, place)
    with plan.log.open("ab") as log, server as led:
        log.write(f"\n=== {spec.workload}/{spec.variant} {spec.contender}\n".encode())
        log.flush()
        os.sync()  # what others wrote is not this one's cost
        code = _wait(command, _environment(plan, state) | led, spec.work, log, timeout_s=plan.timeout_s)
    if not answered.exists():
        return {}, f"exit {code} without a result, at most {plan.timeout_s} s were allowed"
    found = json.loads(answered.read_text("utf-8"))
    return found, found["error"].replace("\n", " ")[:400]


def _wait(command: Sequence[str], environment: dict[str, str], cwd: str, log: BinaryIO, *, timeout_s: int) -> int:
    """Run a command in a process group of its own, all of which ends with it or with the time."""
    process = subprocess.Popen(
        command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):  # nobody of the group is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(plan: Plan, state: Path) -> dict[str, str]:
    """The contender's environment: its home is its own, and nothing of the user's reaches it."""
    temporary = state / "tmp"
    temporary.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": str(state), "TMPDIR": str(temporary), "USER": "bench", "LOGNAME": "bench", "NO_COLOR": "1"}
    return kept | own | {"PYTHONPATH": str(plan.work / "code"), "DVC_NO_ANALYTICS": "1"}


def _link_code(work: Path) -> None:
    """
    Give contenders this package, and nothing that lies beside it.

    The repository itself on their path would put our ``disdat`` in the place of the released one.
    """
    link = work / "code" / "bench"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(Path(__file__).resolve().parent)


def put_aside(tree: Path, work: Path) -> None:
    """
    Take a used-up tree out of the way without freeing its inodes.

    ext4 shuns inodes that were freed within the last minute or so: every file made after a mass deletion pays for the
    search, up to ten times its price. So the bytes go now, the inodes at the end of the run.
    """
    if not tree.exists():
        return
    for path in material.below(tree):
        found = path.lstat()
        if found.st_size > TRUNCATED_BYTES and found.st_nlink == 1 and stat.S_ISREG(found.st_mode):
            path.chmod(0o600)
            os.truncate(path, 0)
    trash = work / "trash"
    trash.mkdir(exist_ok=True)
    tree.rename(trash / str(time.time_ns()))


def _measure_machine(plan: Plan, workload: Workload, rep: int, results: Results) -> None:
    """Take the time of one fsync after a small append, the price of anything that is durable, and how busy it is."""
    load = os.getloadavg()[0]
    results.numbers.append(Number(workload.name, workload.variant, DISK, rep, LOAD, load))
    path = plan.work / "fsync"
    with path.open("wb", buffering=0) as file:
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(FSYNCS):
            file.write(bytes(512))
            os.fsync(file.fileno())
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    path.unlink()
    results.samples.append(Sample(workload.name, workload.variant, DISK, rep, FSYNC, wall_s, cpu_s, 0, FSYNCS, 0))


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(path: Path) -> str:
    """What the nearest mount above a path is of."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return "unknown"
    mounts = [(mounted, kind) for _, mounted, kind, *_ in map(str.split, lines) if path.is_relative_to(mounted)]
    return max(mounts, key=lambda mount: len(mount[0]))[1]
