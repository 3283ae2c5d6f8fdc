"""The MPI library's own collectives, behind the same names: what the hand-written ones are raced against.

They need an engine over MPI. Their messages pass below the protocol, so no wrapper counts, traces, times or checks
them, and no time limit holds for them: they wait inside the library.
"""

from collections.abc import Callable
from typing import Any

from minipar.comm.collectives.channel import Channel, Steps
from minipar.errors import CommError


def native(operation: str) -> Callable[..., Steps]:
    """The library's form of an operation, as an algorithm that never yields."""

    def call(channel: Channel, *arguments: Any) -> Steps:
        comm = channel.comm
        if comm.native is None:
            raise CommError(f"rank {comm.rank} of {comm.size}: {operation} '{channel.label}': algorithm='native' is the MPI "
                            "library's own and needs an engine over MPI without a clock; choose another one")
        from minipar.comm.mpi import native as library  # only here: importing it starts MPI

        getattr(library, operation)(comm.native, *arguments)
        yield from ()

    return call
