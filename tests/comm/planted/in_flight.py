"""Arrays that the program changes or reads while a pending message or collective uses them."""

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.protocol import Communicator
from tests.comm.planted.table import planted


def ones(count: int = 4) -> np.ndarray:
    return np.ones(count)


@planted(2, "send 'batch' at in_flight.py:", "was changed between isend at in_flight.py:")
def array_changed_while_sent(comm: Communicator) -> None:
    """The next batch is written into an array that is still being sent."""
    batch = ones()
    if comm.rank == 0:
        sending = comm.isend(batch, 1, label="batch")
        batch += 1
        comm.wait(sending)
    else:
        comm.recv(batch, 0, label="batch")


@planted(2, "recv 'right' at in_flight.py:",
         "still being received into by the recv 'left' started at in_flight.py:")
def array_received_into_twice(comm: Communicator) -> None:
    """Two receives at the same time into one buffer."""
    halo = ones()
    requests = [comm.irecv(halo, 1 - comm.rank, label=side) for side in ("left", "right")]
    for side in ("left", "right"):
        comm.send(ones(), 1 - comm.rank, label=side)
    for request in requests:
        comm.wait(request)


@planted(2, "recv 'gradient' at in_flight.py:",
         "still being sent by the send 'activation' started at in_flight.py:")
def array_sent_and_received_into(comm: Communicator) -> None:
    """A receive into an array that is still being sent."""
    x = ones()
    sending = comm.isend(x, 1 - comm.rank, label="activation")
    comm.recv(x, 1 - comm.rank, label="gradient")
    comm.wait(sending)


@planted(
    2,
    "start_all_reduce 'gradients' at in_flight.py:",
    "was changed between start_all_reduce at in_flight.py:",
)
def collective_input_changed(comm: Communicator) -> None:
    """Gradients are set to zero during their all-reduce."""
    gradients = ones(1000)
    handle = c.start_all_reduce(comm, gradients, label="gradients", algorithm="ring")
    gradients[:] = 0
    handle.wait()


@planted(
    3,
    "start_all_reduce 'bucket' at in_flight.py:",
    "(1000,) float64, was changed between start_all_reduce at",
)
def collective_in_place_changed(comm: Communicator) -> None:
    """More gradients are added to a bucket during its all-reduce in place."""
    bucket = ones(1000)
    handle = c.start_all_reduce(comm, bucket, label="bucket", out=bucket, algorithm="ring")
    handle.test()
    bucket += 1
    while not handle.test():
        pass


@planted(
    2, "start_reduce_scatter 'gradients' at in_flight.py:", "was changed between start_reduce_scatter at"
)
def collective_rows_changed(comm: Communicator) -> None:
    """Large gradients are scaled during their reduce-scatter."""
    gradients = ones(100_000)
    handle = c.start_reduce_scatter(comm, gradients, label="gradients", algorithm="ring")
    gradients *= 0.5
    handle.wait()


@planted(2, "all_reduce 'second' at in_flight.py:",
         "still being written by the start_all_reduce 'first' started at in_flight.py:")
def collective_two_into_one_array(comm: Communicator) -> None:
    """Two all-reduces at the same time into one array."""
    total = ones()
    handles = [c.start_all_reduce(comm, ones(), label=label, out=total, algorithm="ring")
               for label in ("first", "second")]
    for handle in handles:
        handle.wait()


@planted(
    2,
    "all_reduce 'total' at in_flight.py:",
    "still being received into by the recv 'halo' started at in_flight.py:",
)
def collective_into_a_receive(comm: Communicator) -> None:
    """The result of a collective is written into the buffer of a pending receive."""
    halo = ones()
    request = comm.irecv(halo, 1 - comm.rank, label="halo")
    c.all_reduce(comm, ones(2), label="total", out=halo[:2])
    comm.send(ones(), 1 - comm.rank, label="halo")
    comm.wait(request)


@planted(
    2,
    "all_gather 'rows' at in_flight.py:",
    "still being received into by the recv 'halo' started at in_flight.py:",
)
def collective_reads_a_receive(comm: Communicator) -> None:
    """A collective reads the buffer of a pending receive."""
    halo = ones()
    request = comm.irecv(halo, 1 - comm.rank, label="halo")
    comm.send(ones(), 1 - comm.rank, label="halo")
    c.all_gather(comm, halo, label="rows")
    comm.wait(request)


@planted(
    2,
    "send 'loss' at in_flight.py:",
    "still being written by the start_all_reduce 'loss' started at in_flight.py:",
)
def collective_result_sent_too_early(comm: Communicator) -> None:
    """The result of an all-reduce is sent before `wait`."""
    loss = ones(1)
    handle = c.start_all_reduce(comm, loss, label="loss", out=loss, algorithm="ring")
    comm.send(loss, comm.rank, label="loss")
    handle.wait()


@planted(2, "sendrecv 'halo' at in_flight.py:", "receives into the memory that it sends")
def sendrecv_in_place(comm: Communicator) -> None:
    """`sendrecv` with the same array for sending and receiving."""
    halo = ones(5)
    comm.sendrecv(halo[:4], 1 - comm.rank, halo[1:], 1 - comm.rank, label="halo")


@planted(2, "send 'table' at in_flight.py:", "(100000,) float64, was changed between isend at in_flight.py:")
def large_array_changed_while_sent(comm: Communicator) -> None:
    """A large array is scaled while it is being sent."""
    table = ones(100_000)
    if comm.rank == 0:
        sending = comm.isend(table, 1, label="table")
        table *= 2
        while not comm.test(sending):
            pass
    else:
        comm.recv(table, 0, label="table")
