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
    TABLE.write_text(HEADING + summary + "\n\n" + head + "\n".join(rows) + "\n", encoding="utf-8")
    print(summary)


def cell(said: str) -> str:
    """Fit for a table: a traceback's first and last line; no bars."""
    lines = said.splitlines()
    return (said if len(lines) < 2 else f"{lines[0]} ... {lines[-1]}").replace("|", "\\|")


main()
