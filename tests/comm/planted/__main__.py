"""`python -m tests.comm.planted` runs all wrong programs on both engines, and writes the table."""

import sys
from pathlib import Path

from tests.comm.planted.play import PLANTED, play, wrong

TABLE = Path(__file__).parents[3] / "minipar" / "comm" / "FAULTS.md"
HEADING = """# Planted faults

Each row is a program with one mistake. It runs on threads of one process and under mpirun. It must end by itself, with a
failure and the right message. The seconds are for the whole program; under mpirun they include the start of the job. This page is
written by `python -m tests.comm.planted`.

"""

# Faults that need a process, so they cannot run on threads. Each row names its test.
ENDINGS = """
## Exit statuses and signals

| one rank | the message names | status of `mpirun` | tested by |
|---|---|---|---|
| calls `os._exit(0)` or `os._exit(256)` within the job | the call and its line | not 0 | `tests/comm/diagnostics/test_exits.py` |
| calls `sys.exit(256)` or `sys.exit(-256)`: the system keeps only the last 8 bits, which are 0 | "left with status 256" | not 0 | `tests/comm/diagnostics/test_exits.py` |
| raises an error in a helper thread, an `atexit` function or a `__del__` | the error of that thread or function | not 0 | `tests/comm/diagnostics/test_exits.py` |
| ends, raises or is killed before or within `with job()` | the rank, and the phase of the start | not 0 | `tests/comm/test_start.py` |
| gets SIGTERM, SIGINT, SIGHUP or SIGUSR1 during `minipar train` | the signal, the saved step and the command that resumes; once | 128 + the signal's number | `tests/cli/test_signals.py` |
| (no rank: the launcher gets SIGUSR1 or SIGTERM) | see [HOSTS.md](../launcher/HOSTS.md) | not 0 | `tests/launcher/test_signals_to_the_launcher.py` |
"""


def main() -> None:
    rows, good = [], 0
    for number, fault in enumerate(PLANTED.values(), 1):
        endings = {engine: play(fault, engine) for engine in ("threads", "mpi")}
        verdicts = {engine: wrong(fault, engine, ending) for engine, ending in endings.items()}
        good += sum(verdict == "" for verdict in verdicts.values())
        told = [f"{engine} {ending.seconds:6.2f} s {verdicts[engine]}" for engine, ending in endings.items()]
        print(f"{number:3} {fault.name:36}", *told, flush=True)
        rows.append(f"| {number} | {fault.mistake} | {fault.ranks} | {cell(endings['mpi'].said)} | "
                    f"{endings['threads'].seconds:.2f} | {endings['mpi'].seconds:.2f} |")
    summary = f"{good} of {2 * len(PLANTED)} runs ended with the right diagnosis; none hung."
    head = (
        "| | mistake | ranks | message under mpirun | s, threads | s, mpirun |\n|---|---|---|---|---|---|\n"
    )
    if good < 2 * len(PLANTED):
        sys.exit(f"{good} of {2 * len(PLANTED)} runs ended with the right diagnosis; {TABLE} is not "
                 "changed")
    TABLE.write_text(HEADING + summary + "\n\n" + head + "\n".join(rows) + "\n" + ENDINGS, encoding="utf-8")
    print(summary)


def cell(said: str) -> str:
    """The message as a cell of the table: of several lines the first and the last; bars are escaped."""
    lines = said.splitlines()
    return (said if len(lines) < 2 else f"{lines[0]} ... {lines[-1]}").replace("|", "\\|")


if __name__ == "__main__":
    main()
