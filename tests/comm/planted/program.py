"""`mpirun -n N python -m tests.comm.planted.program NAME` runs one of the wrong programs.

It imports little, because every job of these tests waits for the imports.
"""

import sys

from minipar.comm.job import job
from tests.comm.planted import (
    arguments,
    beneath,
    collective,
    departures,
    groups,
    in_flight,
    messages,
    polling,
)
from tests.comm.planted.table import PLANTED

FILES = (arguments, beneath, collective, messages, in_flight, departures, groups,
         polling)  # importing them fills the list


if __name__ == "__main__":
    fault = PLANTED[sys.argv[1]]
    with job(timeout=fault.timeout, synchronous=fault.synchronous) as comm:
        fault.program(comm)
