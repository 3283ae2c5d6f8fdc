"""Calls a function with a communicator like mpi4py's, or runs a whole program. This module runs in the
student's process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.exercises.submission_error import SubmissionError
from minipar.mpi4py_face.one_rank import Books, rank_of_program
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.package import install

__all__ = ["install", "run_program", "with_mpi4py"]


def with_mpi4py(function: Callable[..., Any], comm: Communicator, arguments: tuple[Any, ...]) -> Any:
    """Call a function with a communicator that has mpi4py's methods. During the call, `MPI.COMM_WORLD` is
    this communicator, too.
    """
    with rank_of_program(comm, RunOptions(), Books()) as rank:
        return function(rank.world, *arguments)


def run_program(program: CodeType, words: Sequence[str], comm: Communicator,
                arguments: tuple[Any, ...]) -> Any:
    """Run the whole file on this rank, like `python FILE`. Return its global variables with the names in
    `words`.

    arguments: empty, or one dict with global variables that the file gets.
    """
    names: dict[str, Any] = {"__name__": "__main__", **(arguments[0] if arguments else {})}
    with rank_of_program(comm, RunOptions(), Books()):
        exec(program, names)
    for word in words:
        if word not in names:
            raise SubmissionError(f"the program ends without a variable {word}; keep the name that the stub "
                                  "gave it")
    return {word: names[word] for word in words}
