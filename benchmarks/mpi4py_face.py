"""What a message costs through mpi4py's face, beside mpi4py alone: 8 bytes and 1 MiB, there and back, on two ranks.

    python benchmarks/mpi4py_face.py [ROUNDS]

The three ways (mpi4py alone, minipar run, minipar run --unchecked) run in turns, ROUNDS times (default 5), and the
best time of each counts: other programs on the machine only make it slower. It prints microseconds one way, and the
ratio to mpi4py alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from minipar.launcher.launch import find_launcher, launch_command, rank_environment

PROGRAM = """
import json
import time
from mpi4py import MPI
import numpy as np
comm = MPI.COMM_WORLD
found = {}
for nbytes, times in ((8, 2000), (1 << 20, 100)):
    data = np.zeros(nbytes // 8)
    best = 1e9
    for _ in range(5):
        comm.Barrier()
        start = time.perf_counter()
        for _ in range(times):
            if comm.rank == 0:
                comm.Send(data, dest=1)
                comm.Recv(data, source=1)
            else:
                comm.Recv(data, source=0)
                comm.Send(data, dest=0)
        best = min(best, (time.perf_counter() - start) / times / 2)
    found[nbytes] = best * 1e6
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
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "pingpong.py")
        program.write_text(PROGRAM, encoding="utf-8")
        for _ in range(rounds):
            for way, words in WAYS.items():
                for nbytes, time in measure(words, program).items():
                    best.setdefault(way, {}).setdefault(nbytes, time)
                    best[way][nbytes] = min(best[way][nbytes], time)
    plain = best["mpi4py alone"]
    for way, times in best.items():
        cells = [f"{int(nbytes):>9,} B {time:10.2f} us {time / plain[nbytes]:6.2f} x" for nbytes, time in times.items()]
        print(f"{way:<14}", *cells)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
