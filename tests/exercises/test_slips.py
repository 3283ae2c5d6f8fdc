"""Each slip is found with its line, and no right program has one."""

from __future__ import annotations

import pytest

from minipar.exercises.catalogue import every
from minipar.exercises.slips import first_slip

SLIPS = [
    ("rank = comm.Get_rank", "comm.Get_rank()"), ("table[status.Get_source] = 1", "status.Get_source()"),
    ("def f(comm, seen=[]): ...", "only once"), ("def f(comm, *, seen={}): ...", "only once"),
    ("for j in range(3):\n    k = 2 ^ j", "power"), ("right = rank + 1 % size", "(rank + 1) % size"),
    ("left = rank - 1 % size", "(rank - 1) % size"), ("x = comm.Recv(buffer, source=0)", "returns None"),
    ("x = comm.send(a, 1)", "a send has no result"),
    ("left = right = np.zeros(1)", "left and right are the same array"),
    ("def f(comm):\n    comm.Recv(b)\n    first = b\n    comm.Recv(b)\n    return first + b", "b.copy()"),
    ("def f(comm):\n    comm.Sendrecv(x, dest=1, recvbuf=b, source=0)\n    a = b\n    comm.recv(b, 0)", "b.copy()"),
    ("status = MPI.Status()\ncomm.Recv(b)", "status=status"), ("status, row = MPI.Status(), np.empty(3)", "status=status"), ("text = text + comm.irecv(source=0)", "request"),
    ("request.wait", "request.wait()"), ("try:\n    f()\nexcept Exception:\n    pass", "hides"), ("name = input()", "keyboard"), ("rank = 0\ntext = 'rank {rank} of 3'; print(rank)", "write f before"),
    ("def f(comm):\n    return 'rank {comm.rank}'", "write f before"),
    ("def f(xs):\n    for x in xs:\n        y = x\n        return y", "first pass"),
    ("def f(xs):\n    total = np.zeros(3)\n    for x in xs:\n        total = 2 * x\n    return total", "overwrites total"),
    ("def f(xs):\n    n, total = 1, 0.0\n    for x in xs:\n        total = 2 * x\n    return total", "total += "),
]
RIGHT = [
    "rank = comm.Get_rank()", "other = rank ^ bit", "x = (rank + 1) % size", "x = 1 + 5 % 3", "a, b = np.zeros(1), np.zeros(1)",
    "def f(comm, seen=None): ...", "x = comm.recv(source=0)", "status = MPI.Status()\ncomm.Recv(b, status=status)",
    "def f(comm):\n    comm.Recv(b)\n    first = b.copy()\n    comm.Recv(b)", "a = b = 0", "this is no Python", "rank = 0; text = f'{rank}'", "rank = 0; text = '{rank}'.format(rank=rank)", "text = '{'",
    "text = '{x}'", "def f(rank):\n    \"Return {rank}.\"\n    return rank",
    "def f(comm):\n    old = b\n    comm.Recv(b)",
    "def f(xs):\n    total = 0\n    for x in xs:\n        total = total + x\n    return total",
    "def f(xs):\n    for x in xs:\n        if x > 0:\n            return x",
    "def f(xs):\n    for x in xs:\n        if x < 0:\n            continue\n        return x",
]


@pytest.mark.parametrize("source, words", SLIPS)
def test_a_slip_is_found_with_its_line(source: str, words: str) -> None:
    found = first_slip("# a comment\n" + source)
    assert words in found and found.startswith("line ") and not found.startswith("line 1:")


@pytest.mark.parametrize("source", RIGHT)
def test_right_code_has_no_slip(source: str) -> None:
    assert first_slip(source) == ""


def test_no_exercise_of_the_course_has_a_slip_in_its_own_code() -> None:
    for exercise in every():
        for name in ("stub.py", "solution.py"):
            assert first_slip(exercise.text(name)) == "", f"{exercise.name}/{name}"
