"""`python -m tests.comm.planted` runs all wrong programs on both engines, and writes the table."""

import sys
from pathlib import Path

from tests.comm.planted.play import PLANTED, play, wrong

TABLE = Path(__file__).parents[3] / "minipar" / "comm" / "FAULTS.md"
HEADING = """# Planted faults

Programs with one mistake each, run on purpose, as threads of one process and under mpirun. Each must end by itself, fail, and
say what is wrong. Seconds are from start to end; under mpirun they include the start of the job. Written by
`python -m tests.comm.planted`.

"""

# What needs a process of its own, and so cannot run as a thread. Tested by the file that is named.
ENDINGS = """
## Exit statuses and signals

| one rank | what is said | status of `mpirun` | tested by |
|---|---|---|---|
| calls `os._exit(0)` or `os._exit(256)` within the job | the call and its line | not 0 | `tests/comm/diagnostics/test_exits.py` |
| calls `sys.exit(256)` or `sys.exit(-256)`, which the system would cut to 0 | "left with status 256" | not 0 | `tests/comm/diagnostics/test_exits.py` |
| fails in a helper thread, an `atexit` function or a `__del__` | the error of that thread or function | not 0 | `tests/comm/diagnostics/test_exits.py` |
| ends, raises or is killed before or within `with job()` | the rank, and in which part of the start | not 0 | `tests/comm/test_start.py` |
| gets SIGTERM, SIGINT, SIGHUP or SIGUSR1 during `minipar train` | the signal, the step that is saved, how to go on; once | 128 + the signal's number | `tests/cli/test_signals.py` |
| the launcher itself gets SIGUSR1 or SIGTERM | see [HOSTS.md](../launcher/HOSTS.md) | not 0 | `tests/launcher/test_signals_to_the_launcher.py` |
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
    head = "| | mistake | ranks | what is said under mpirun | s, threads | s, mpirun |\n|---|---|---|---|---|---|\n"
    if good < 2 * len(PLANTED):
        sys.exit(f"{good} of {2 * len(PLANTED)} runs ended with the right diagnosis; {TABLE} is left as it "
                 "was")
    TABLE.write_text(HEADING + summary + "\n\n" + head + "\n".join(rows) + "\n" + ENDINGS, encoding="utf-8")
    print(summary)


def cell(said: str) -> str:
    """Fit for a table: a traceback's first and last line; no bars."""
    lines = said.splitlines()
    return (said if len(lines) < 2 else f"{lines[0]} ... {lines[-1]}").replace("|", "\\|")


if __name__ == "__main__":
    main()
