"""The MPI library's own collectives, as algorithms. They are the reference for the speed of the hand-written
ones.

They need the MPI engine, which holds them as `comm.native`. Their messages do not pass through the protocol,
so no wrapper counts, traces, times or checks them. These collectives wait inside the library; the watchdog
limits this time. minipar/comm/mpi/native.py makes their results equal to the results of the hand-written
collectives. An op or dtype that the library does not have raises CommError.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.combine import Combine


def native(operation: str) -> Callable[..., AlgorithmSteps]:
    """Returns an algorithm that calls the library's own collective. It never yields a request."""

    def call(channel: Channel, *arguments: Any) -> AlgorithmSteps:
        comm = channel.comm
        if comm.native is None:
            raise channel.wrong(operation, "algorithm",
                                "cannot run algorithm='native': it is the MPI library's own and needs an "
                                "engine over MPI without a clock; choose another one")
        sums = [argument for argument in arguments if isinstance(argument, Combine)]
        plain = [argument.ufunc if isinstance(argument, Combine) else argument for argument in arguments]
        finite = bool(sums) and comm.native.all_finite(channel.label, arguments[0])
        if text := comm.native.attempt(operation, channel.label, *plain):
            raise channel.wrong(operation, "algorithm",
                                f"of {arguments[0].dtype}: the MPI library cannot do it ({text}); choose "
                                "another algorithm than native")
        holds_result = operation != "reduce" or comm.rank == arguments[-1]
        if finite and holds_result and not np.isfinite(arguments[1]).all():
            sums[0].report()
        yield from ()

    return call
