"""`%%ranks` in a real kernel of IPython, as Jupyter starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

LONGEST = 60                                                        # seconds


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(startup_timeout=LONGEST)
    try:
        assert output(client, "%load_ext minipar.mpi4py_face.notebook") == {}
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def output(client: BlockingKernelClient, cell: str) -> dict[str, str]:
    """What a cell shows: "stdout", "stderr", and "error" for a traceback."""
    shown: dict[str, str] = {}

    def keep(message: dict) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            shown[content["name"]] = shown.get(content["name"], "") + content["text"]
        elif message["msg_type"] == "error":
            shown["error"] = content["ename"]

    client.execute_interactive(cell, timeout=LONGEST, output_hook=keep)
    return shown


def test_a_cell_runs_on_every_rank(kernel: BlockingKernelClient) -> None:
    shown = output(kernel, "%%ranks 3\nfrom mpi4py import MPI\ncomm = MPI.COMM_WORLD\n"
                           "print('sum', comm.allreduce(comm.rank))")
    assert (
        sorted(shown["stdout"].splitlines()) == [f"[{rank}] sum 3" for rank in range(3)]
        and "error" not in shown
    )
    assert output(kernel, "print('still here')")["stdout"] == "still here\n"


@pytest.mark.parametrize("cell, words", [
    ("%%ranks 2\nfrom mpi4py import MPI\nMPI.COMM_WORLD.recv()", ("deadlock", "recv")),
    ("%%ranks 2\nfrom mpi4py import MPI\n1 / MPI.COMM_WORLD.rank", ("ZeroDivisionError", "rank 0")),
    ("%%ranks\nprint(1)", ("number of ranks",)), ("%%ranks 2 --fast\nprint(1)", ("--fast",))])
def test_a_mistake_is_shown_as_its_diagnosis(
    kernel: BlockingKernelClient, cell: str, words: tuple[str, ...]
) -> None:
    shown = output(kernel, cell)
    assert "error" not in shown and all(word in shown["stderr"] for word in words), shown


def test_ranks_do_not_see_the_notebook_s_variables(kernel: BlockingKernelClient) -> None:
    output(kernel, "mine = 1")
    assert "NameError" in output(kernel, "%%ranks 1\nprint(mine)")["stderr"]
    assert output(kernel, "%%ranks 2 --count\nfrom mpi4py import MPI\nMPI.COMM_WORLD.barrier()")["stdout"]
