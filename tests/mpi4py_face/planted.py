"""Programs in plain mpi4py with one mistake each, and what minipar says. As a command it runs each of them
three ways, on threads, under mpirun with minipar and under mpirun with mpi4py alone, and writes FAULTS.md
beside the face.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mpi4py_face.running import as_plain_mpi4py, as_processes
from tests.ranks import ROOT

HEAD = """from mpi4py import MPI
import numpy as np
comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()
"""
PLAIN_LIMIT = 6.0  # seconds after which plain MPI is said to hang


@dataclass(frozen=True)
class Planted:
    """words: what the diagnosis must hold. options: of minipar run."""

    mistake: str
    ranks: int
    source: str
    words: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return HEAD + self.source + "\n"


SYNCHRONOUS = ("--synchronous",)
PLANTED = [
    Planted("One rank broadcasts where the others all-reduce", 3, """
a, b = np.ones(4), np.zeros(4)
if rank == 0: comm.Bcast(a, root=0)
else: comm.Allreduce(a, b)""", ("do not agree on operation", "Bcast", "Allreduce")),
    Planted("One rank takes the maximum where the others sum", 3, """
b = np.zeros(4)
comm.Allreduce(np.ones(4), b, op=MPI.MAX if rank == 2 else MPI.SUM)""", ("operation", "MPI.MAX", "MPI.SUM")),
    Planted("Ranks all-reduce arrays of different lengths", 2, """
n = 4 + 2 * rank
comm.Allreduce(np.ones(n), np.zeros(n))""", ("number of elements", "(4,)", "(6,)")),
    Planted("The receivers of a broadcast expect another length", 3, """
comm.Bcast(np.ones(8 if rank == 0 else 4), root=0)""", ("number of elements", "(8,)", "(4,)")),
    Planted("One rank kept its gradients in float32", 2, """
a = np.ones(4, "f4" if rank else "f8")
comm.Allreduce(a, np.zeros_like(a))""", ("dtype", "float32", "float64")),
    Planted("The ranks name different roots of a broadcast", 3, """
comm.Bcast(np.ones(4), root=2 if rank == 2 else 0)""", ("root 0", "root 2")),
    Planted("Each rank reduces to itself", 2, """
comm.Reduce(np.ones(4), np.zeros(4), root=rank)""", ("root",)),
    Planted("One rank calls broadcast and reduce in another order", 3, """
a, b = np.ones(4), np.zeros(4)
if rank == 1: comm.Bcast(a); comm.Reduce(a, b)
else: comm.Reduce(a, b); comm.Bcast(a)""", ("Bcast", "Reduce")),
    Planted("A collective inside `if rank == 0`", 3, """
if rank == 0: comm.Barrier()""", ("has left", "Barrier")),
    Planted("A lower-case bcast meets an upper-case Bcast", 2, """
if rank == 0: comm.bcast(np.ones(4), root=0)
else: comm.Bcast(np.zeros(4), root=0)""", ("bcast", "Bcast")),
    Planted("One rank has one step less than the others", 3, """
total = np.zeros(1)
for step in range(3 - (rank == 1)): comm.Allreduce(np.ones(1), total)""", ("has left", "Allreduce")),
    Planted("One rank reduces over the world, the others over a sub-communicator", 3, """
part = comm.Split(rank // 2)
(comm if rank == 0 else part).allreduce(1)""", ("deadlock",)),
    Planted("Non-blocking collectives in another order", 2, """
a, b = np.ones(2), np.zeros(2)
calls = [lambda: comm.Ibcast(a, 0), lambda: comm.Iallreduce(np.ones(2), b)]
MPI.Request.Waitall([call() for call in (calls if rank == 0 else calls[::-1])])""", ("Ibcast", "Iallreduce")),
    Planted("The counts of Allgatherv differ between ranks", 2, """
counts = [1, 2] if rank == 0 else [2, 1]
comm.Allgatherv(np.ones(counts[rank]), [np.zeros(3), counts])""", ("counts",)),
    Planted("Both receive before they send", 2, """
other, data = 1 - rank, np.ones(3)
comm.Recv(np.zeros(3), source=other); comm.Send(data, dest=other)""", ("deadlock", "0 -> 1 -> 0", "Recv")),
    Planted("A ring in which every rank receives first", 4, """
left, right = (rank - 1) % size, (rank + 1) % size
comm.recv(source=left); comm.send(rank, dest=right)""", ("deadlock", "recv(source=")),
    Planted("Both send before they receive: this works with small messages and hangs with large ones", 2, """
other, out = 1 - rank, np.zeros(3)
comm.Send(np.ones(3), dest=other); comm.Recv(out, source=other)""", ("deadlock", "Send(dest="), SYNCHRONOUS),
    Planted("Both receive from any rank before they send", 2, """
comm.recv(source=MPI.ANY_SOURCE); comm.send(rank, dest=1 - rank)""", ("deadlock", "ANY_SOURCE")),
    Planted("Sent with tag 1, expected with tag 2", 2, """
if rank == 0: comm.Send(np.ones(3), dest=1, tag=1)
else: comm.Recv(np.zeros(3), source=0, tag=2)""", ("tag=2", "a message came with tag 1")),
    Planted("Rank 0 sends a message to rank 2, but rank 1 waits for it", 3, """
if rank == 0: comm.send("work", dest=2)
elif rank == 1: comm.recv(source=0)""", ("has left", "rank 1 waits in recv(source=0")),
    Planted("The root waits for one answer too many", 3, """
if rank: comm.send(rank, dest=0)
else: [comm.recv(source=MPI.ANY_SOURCE) for _ in range(size)]""", ("left", "ANY_SOURCE")),
    Planted("A loop of Iprobe waits for a message that no rank sends", 2, """
if rank == 0:
    while not comm.Iprobe(source=1, tag=5): pass""", ("has left", "tag=5")),
    Planted("float32 is sent, float64 is expected: plain MPI delivers wrong numbers", 2, """
out = np.zeros(4)
if rank == 0: comm.Send(np.arange(8, dtype="f4"), dest=1)
else: comm.Recv(out, source=0); print(out)""", ("float64", "float32", "sent 8 elements")),
    Planted("int64 is sent, int32 is expected", 2, """
out = np.zeros(8, "i4")
if rank == 0: comm.Send(np.arange(4), dest=1)
else: comm.Recv(out, source=0); print(out)""", ("int32", "int64")),
    Planted("More elements are sent than expected", 2, """
if rank == 0: comm.Send(np.ones(8), dest=1)
else: comm.Recv(np.zeros(4), source=0)""", ("at most 4 elements", "float64")),
    Planted("An object is sent, an array is received", 2, """
out = np.zeros(4)
if rank == 0: comm.send(np.ones(4), dest=1)
else: comm.Recv(out, source=0)""", ("a pickled object", "float64")),
    Planted("The last rank sends to a next rank, which does not exist", 3, """
comm.send(rank, dest=rank + 1)""", ("rank 3", "ranks 0 to 2")),
    Planted("A column of a matrix is sent", 2, """
if rank == 0: comm.Send(np.ones((4, 4))[:, 0], dest=1)
else: comm.Recv(np.zeros(4), source=0)""", ("not contiguous",)),
    Planted("A message that no rank receives", 2, """
if rank == 0: comm.send("extra", dest=1)""", ("rank 1 never received a message from rank 0",)),
    Planted("A request without a wait", 2, """
if rank == 1: request = comm.irecv(source=0)
else: comm.send(1, dest=1)""", ("never waited for", "irecv")),
    Planted("A buffer is changed while it is being sent", 2, """
data = np.ones(4)
if rank == 0:
    request = comm.Isend(data, dest=1); data[:] = 2; request.Wait()
else: comm.Recv(data, source=0)""", ("was changed between",)),
    Planted("A buffer is sent while it is being received", 2, """
data = np.zeros(4)
if rank == 0:
    request = comm.Irecv(data, source=1); comm.Send(data, dest=1); request.Wait()
else: comm.Send(data, dest=0); comm.Recv(data, source=0)""", ("still being received into",)),
    Planted("An exception on one rank, while the others wait", 3, """
if rank == 2: raise ValueError("the loss is not a number")
comm.Barrier()""", ("rank 2 of 3 raised", "the loss is not a number")),
    Planted("One rank leaves with sys.exit(0)", 3, """
import sys
if rank == 0: sys.exit(0)
comm.Barrier()""", ("has left", "Barrier")),
    Planted("MPI is called after Finalize", 2, """
MPI.Finalize()
comm.Barrier()""", ("after MPI.Finalize",)),
    Planted("A second thread calls MPI", 2, """
import threading
worker = threading.Thread(target=lambda: comm.send(1, dest=1 - rank)); worker.start(); worker.join()
comm.recv(source=1 - rank)""", ("thread",)),
]


def without_stack(text: str) -> str:
    """What was said, without the lines of a traceback, which name folders of this machine."""
    return "\n".join(line.replace("Traceback (most recent call last):", "")
                     for line in text.splitlines() if not line.startswith(" "))


def run_plainly(path: Path, planted: Planted) -> str:
    """What mpi4py alone does with it, in a few words."""
    began = time.monotonic()
    try:
        job = as_plain_mpi4py(planted.ranks, path, timeout=PLAIN_LIMIT)
    except subprocess.TimeoutExpired:
        return "hangs"
    if job.returncode == 0:
        printed = " ".join(job.stdout.split())[:60]
        return f"ends without an error{': prints ' * bool(printed)}{printed}"
    # The ranks write at the same time, so that lines may be cut.
    last = re.findall(r"\w+(?:\.\w+)*(?:Error|Exception): .*", job.stdout + job.stderr)
    return f"{(last or ['fails'])[-1].strip()[:90]} ({time.monotonic() - began:.0f} s)"


def table() -> str:
    rows = [
        "| | mistake | ranks | mpi4py alone | with minipar, under mpirun | right |",
        "|---|---|---|---|---|---|",
    ]
    right = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, planted in enumerate(PLANTED, 1):
            path = Path(folder, "program.py")
            path.write_text(planted.program)
            job = as_processes(planted.ranks, path, before=planted.options)
            told = " ".join(without_stack(job.stderr).split())
            fine = job.returncode != 0 and all(word in told for word in planted.words)
            right += fine
            cells = (number, planted.mistake, planted.ranks, run_plainly(path, planted), told[:300],
                     "yes" if fine else "NO")
            rows.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
            sys.stderr.write(f"{number} {planted.mistake}: {'right' if fine else 'WRONG: ' + told[:300]}\n")
    return f"{right} of {len(PLANTED)} programs end with the right diagnosis.\n\n" + "\n".join(rows) + "\n"


INTRODUCTION = """# Planted faults in plain mpi4py

Each row is a program for mpi4py with one mistake. It runs under mpirun twice: with mpi4py alone, and with `minipar run`. "hangs"
means that the program had not ended after {limit:.0f} seconds. `python -m tests.mpi4py_face.planted` writes this page. The tests run the
programs on threads.

"""

if __name__ == "__main__":
    page = INTRODUCTION.format(limit=PLAIN_LIMIT) + table()
    (ROOT / "minipar" / "mpi4py_face" / "FAULTS.md").write_text(page, encoding="utf-8")
