"""Runs a command with mybinder's limits: one processor, and 2 GB of memory including child processes.

    python within_limits.py COMMAND ..

No cgroup is needed: CPU affinity and an rlimit of 2 GB of private memory per process apply, and the total of all
processes, with shared pages counted once, is measured ten times per second. Above 2 GB the run fails.
"""

import os
import pathlib
import resource
import subprocess
import sys
import time

LIMIT = 2 << 30


def main(command: list[str]) -> int:
    process = subprocess.Popen(command, preexec_fn=confine)
    most, parts, start = 0, {}, time.monotonic()
    while process.poll() is None:
        now = {pid: held for pid in family(process.pid) if (held := memory(pid))}
        if sum(now.values()) > most:
            most, parts = sum(now.values()), {name(pid): round(held / 1e6) for pid, held in now.items()}
        time.sleep(0.1)
    print(f"{time.monotonic() - start:.0f} s on one processor, peak memory {most / 1e6:.0f} MB: {parts}")
    return process.returncode or int(most > LIMIT)


def confine() -> None:
    os.sched_setaffinity(0, {0})
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))


def family(root: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = entry.read_text().split(" ", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(rest.rsplit(") ", 1)[1].split()[1]), []).append(int(pid))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def memory(pid: int) -> int:
    """The proportional set size of a process in bytes."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def name(pid: int) -> str:
    try:
        return f"{pathlib.Path(f'/proc/{pid}/comm').read_text().strip()} {pid}"
    except (FileNotFoundError, ProcessLookupError):
        return str(pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
