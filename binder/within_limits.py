"""Runs a command as on mybinder: one processor, 2 GB of memory for it and all that it starts.

    python within_limits.py COMMAND ..

No cgroup is needed: the command may use one processor, no process of it more than 2 GB of private memory,
and what they hold together, shared pages counted once, is looked at ten times a second. Above 2 GB it fails.
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
    print(f"{time.monotonic() - start:.0f} s on one processor, at most {most / 1e6:.0f} MB: {parts}")
    return process.returncode or int(most > LIMIT)


def confine() -> None:
    os.sched_setaffinity(0, {0})
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))


def family(root: int) -> list[int]:
    """A process and all below it."""
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
    """What is in memory for a process, its share of what it shares."""
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
