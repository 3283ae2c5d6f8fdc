"""What a message costs through mpi4py's face, beside mpi4py alone: 8 bytes and 1 MiB, there and back, on two ranks.

    python benchmarks/mpi4py_face.py [ROUNDS]

The three ways (mpi4py alone, minipar run, minipar run --unchecked) run in turns, ROUNDS times (default 5). Each time is
that of the quickest tenth of many short batches, so that most of those are not interrupted. It prints the median over
rounds in microseconds one way, and the median of the ratios to mpi4py alone in the same round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from minipar.launcher.launch import find_launcher, launch_command, rank_environment

PROGRAM = """
import json
import time
from mpi4py import MPI
import numpy as np
comm = MPI.COMM_WORLD
found = {}
for nbytes, batches, trips in ((8, 400, 20), (1 << 20, 60, 3)):
    data, times = np.zeros(nbytes // 8), []
    for _ in range(batches):
        comm.Barrier()
        start = time.perf_counter()
        for _ in range(trips):
            if comm.rank == 0:
                comm.Send(data, dest=1)
                comm.Recv(data, source=1)
            else:
                comm.Recv(data, source=0)
                comm.Send(data, dest=0)
        times.append((time.perf_counter() - start) / trips / 2)
    found[nbytes] = sorted(times)[batches // 10] * 1e6
if comm.rank == 0:
    print(json.dumps(found))
"""
MINIPAR = [sys.executable, "-m", "minipar", "run"]
WAYS = {"mpi4py alone": [sys.executable], "checked": MINIPAR, "unchecked": [*MINIPAR, "--unchecked"]}


def measure(words: list[str], program: Path) -> dict[str, float]:
    """bytes -> microseconds of one message."""
    environment = rank_environment(os.environ)
    launcher = find_launcher(environment["PATH"])
    if launcher is None:
        raise SystemExit("mpirun is missing: pip install mpich")
    line = launch_command(launcher, 2, [*words, str(program)], root=os.geteuid() == 0)
    job = subprocess.run(line, capture_output=True, text=True, check=True, env=environment, timeout=120)
    return dict(json.loads(job.stdout))


def main(rounds: int) -> None:
    times: list[dict[str, dict[str, float]]] = []                   # by round: way -> bytes -> microseconds
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "pingpong.py")
        program.write_text(PROGRAM, encoding="utf-8")
        for _ in range(rounds):
            times.append({way: measure(words, program) for way, words in WAYS.items()})
    for way in WAYS:
        cells = []
        for nbytes in times[0][way]:
            one_way = median(each[way][nbytes] for each in times)
            ratio = median(each[way][nbytes] / each["mpi4py alone"][nbytes] for each in times)
            cells.append(f"{int(nbytes):>9,} B {one_way:10.2f} us {ratio:6.2f} x")
        print(f"{way:<14}", *cells)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
