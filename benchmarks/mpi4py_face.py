"""What a message costs through mpi4py's face, beside mpi4py alone: 8 bytes and 1 MiB on two ranks. The
messages go there and back with Send and Recv, or both ways at once with Isend, Irecv and two waits.

    python benchmarks/mpi4py_face.py [ROUNDS]

The three ways (mpi4py alone, minipar run, minipar run --unchecked) run in turns, ROUNDS times (default 5).
Each time is that of the quickest tenth of many short batches, so that most of those are not interrupted. It
prints the median over rounds in microseconds one way, and the median of the ratios to mpi4py alone in the
same round.
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
other = 1 - comm.rank


def blocking(data, got):
    if comm.rank == 0:
        comm.Send(data, dest=1)
        comm.Recv(got, source=1)
    else:
        comm.Recv(got, source=0)
        comm.Send(data, dest=0)


def nonblocking(data, got):
    receiving = comm.Irecv(got, source=other)
    sending = comm.Isend(data, dest=other)
    receiving.Wait()
    sending.Wait()


found = {}
for call, trip, messages in (("Send", blocking, 2), ("Isend", nonblocking, 1)):
    for nbytes, batches, trips in ((8, 400, 20), (1 << 20, 60, 3)):
        data, got, times = np.zeros(nbytes // 8), np.zeros(nbytes // 8), []
        for _ in range(batches):
            comm.Barrier()
            start = time.perf_counter()
            for _ in range(trips):
                trip(data, got)
            times.append((time.perf_counter() - start) / trips / messages)
        found[f"{call} {nbytes:,} B"] = sorted(times)[batches // 10] * 1e6
if comm.rank == 0:
    print(json.dumps(found))
"""
MINIPAR = [sys.executable, "-m", "minipar", "run"]
WAYS = {"mpi4py alone": [sys.executable], "checked": MINIPAR, "unchecked": [*MINIPAR, "--unchecked"]}


def measure(words: list[str], program: Path) -> dict[str, float]:
    """Returns the microseconds of one message by call and size."""
    environment = rank_environment(os.environ)
    launcher = find_launcher(environment["PATH"])
    if launcher is None:
        raise SystemExit("mpirun is missing: pip install mpich")
    line = launch_command(launcher, 2, [*words, str(program)], root=os.geteuid() == 0)
    job = subprocess.run(line, capture_output=True, text=True, check=True, env=environment, timeout=120)
    return dict(json.loads(job.stdout))


def main(rounds: int) -> None:
    times: list[dict[str, dict[str, float]]] = []                   # by round: way -> message -> microseconds
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "pingpong.py")
        program.write_text(PROGRAM, encoding="utf-8")
        for _ in range(rounds):
            times.append({way: measure(words, program) for way, words in WAYS.items()})
    for way in WAYS:
        cells = []
        for message in times[0][way]:
            one_way = median(each[way][message] for each in times)
            ratio = median(each[way][message] / each["mpi4py alone"][message] for each in times)
            cells.append(f"  {message:>18} {one_way:8.2f} us {ratio:5.2f} x")
        print(way, *cells, sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
