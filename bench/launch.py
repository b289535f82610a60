"""
Runs a command and tells what it used: ``python -I -S launch.py FD COMMAND...``.

A process of its own, as small as Python can be: the peak memory that the kernel tells of a command is at least what
its parent had when it was started.
"""

import json
import os
import sys
import time


def main(fd: int, command: list[str]) -> None:
    os.set_inheritable(fd, False)
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    wall_s = time.perf_counter() - start
    found = {
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    os.write(fd, json.dumps(found).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
