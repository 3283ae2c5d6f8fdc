"""Names of mpi4py that minipar does not offer, and the quick requests of Isend and Irecv."""

from __future__ import annotations

from pathlib import Path

import pytest

import minipar as mp
from minipar.mpi4py_face.communicators import Comm, Intracomm
from minipar.mpi4py_face.datatypes import Datatype
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.refused import REFUSED, NotOffered
from minipar.mpi4py_face.requests import PendingRequest


@pytest.mark.parametrize("kind", [Comm, Intracomm, Datatype, PendingRequest])
def test_refused_names_are_attributes_that_raise(kind: type[NoHandle]) -> None:
    """A method __getattr__ would slow down every attribute of the objects."""
    owner = kind()
    for name in REFUSED:
        for where in (kind, owner):
            if not hasattr(where, name):
                with pytest.raises(NotOffered, match=name):
                    getattr(where, name)
    for where in (kind, owner):
        with pytest.raises(AttributeError, match="nothing"):
            print(where.nothing)
    assert not any("__getattr__" in vars(base) for base in (*kind.__mro__, *type(kind).__mro__))


@pytest.mark.parametrize("call, instead", [
    ("MPI.Win.Create(bytearray(8), comm=comm)", "Allocate_shared"),
    ("MPI.Win.Allocate(8, comm=comm)", "Allocate_shared"),
    ("MPI.Win.Allocate_shared(8, comm=comm).Lock(0)", "Fence"),
    ("MPI.File.Open(comm, 'data')", "gather to one rank"),
    ("comm.Spawn('program')", "minipar run -n"),
    ("comm.Mprobe()", "Probe"),
    ("comm.Send([MPI.BOTTOM, 1, MPI.INT], 0)", "pass the array itself"),
])
def test_refused_call_names_its_line_and_what_to_use(call: str, instead: str, tmp_path: Path) -> None:
    path = tmp_path / "refused.py"
    path.write_text(f"from mpi4py import MPI\ncomm = MPI.COMM_WORLD\n{call}\n")
    with pytest.raises(NotOffered, match=rf"at refused.py:3: .*; .*{instead}"):
        mp.run_program(1, path)


QUICK = """
import numpy as np
from mpi4py import MPI
comm = MPI.COMM_WORLD
other = 1 - comm.rank
matrix, got, status = np.arange(6.0).reshape(2, 3) + comm.rank, np.zeros((2, 3)), MPI.Status()
receiving, sending = comm.Irecv(got, other, 7), comm.Isend(matrix, other, 7)
again = MPI.Request(receiving)
assert type(receiving).__name__ == "Request" and isinstance(receiving, MPI.Request)
assert again == receiving and hash(again) == hash(receiving) and receiving and sending
assert receiving.Wait(status) and (got == matrix - comm.rank + other).all()
assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (other, 7, 6)
assert receiving == MPI.REQUEST_NULL and not receiving and receiving.Wait()
while not sending.Test():
    pass
assert sending == MPI.REQUEST_NULL and MPI.Request.Waitall([comm.Irecv(got, other), comm.Isend(matrix, other)])
empty = MPI.Status()
receiving, sending = comm.Irecv(got[:1], other), comm.Isend(matrix[1:], other)
sending.Wait(empty)
receiving.Wait()
assert (got[0] == matrix[1] - comm.rank + other).all()
lost = comm.Irecv(got, MPI.PROC_NULL, 3)
assert lost.Wait(status) and status.source == MPI.PROC_NULL
unused = comm.Irecv(got, other, 9)
unused.Cancel()
unused.Wait()
"""


def test_quick_requests_behave_like_the_others(tmp_path: Path) -> None:
    path = tmp_path / "quick.py"
    path.write_text(QUICK)
    mp.run_program(2, path)


CHANGED = QUICK.split("matrix, got")[0] + """
matrix, got = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((2, 3), np.float32)
receiving, sending = comm.Irecv(got, other), comm.Isend(matrix, other)
matrix[1, 1] = 9
receiving.Wait()
sending.Wait()
"""


def test_a_changed_array_is_shown_with_its_own_shape_and_dtype(tmp_path: Path) -> None:
    path = tmp_path / "changed.py"
    path.write_text(CHANGED)
    with pytest.raises(mp.MiniparError, match=r"\(2, 3\) float32, was changed between isend at changed.py:8"):
        mp.run_program(2, path)
