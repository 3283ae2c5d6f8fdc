"""Single messages: cycles, tags, sizes, dtypes, partners; lost, truncated and left-over messages."""

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.faults import Fault, Faults
from tests.comm.planted.table import planted

HERE = "at messages.py:"
LARGE = 1 << 20                                                     # float64: beyond any eager buffer


def ones(count: int = 4, dtype: str = "f8") -> np.ndarray:
    return np.ones(count, dtype)


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "rank 0 waits in recv(source=1) 'forward' at messages.py:",
         "rank 1 waits in recv(source=0) 'forward' at messages.py:")
def cycle_of_two_receives(comm: Communicator) -> None:
    """Two ranks receive from each other before they send."""
    comm.recv(ones(), 1 - comm.rank, label="forward")
    comm.send(ones(), 1 - comm.rank, label="forward")


@planted(3, "a cycle of waiting 0 -> 2 -> 1 -> 0", "rank 2 waits in recv(source=1) 'ring' at messages.py:")
def cycle_of_three_receives(comm: Communicator) -> None:
    """A ring of three ranks: each receives before it sends."""
    comm.recv(ones(), (comm.rank - 1) % 3, label="ring")
    comm.send(ones(), (comm.rank + 1) % 3, label="ring")


@planted(4, "a cycle of waiting 0 -> 3 -> 2 -> 1 -> 0", HERE)
def cycle_of_four_receives(comm: Communicator) -> None:
    """A ring of four ranks: each receives before it sends."""
    comm.recv(ones(), (comm.rank - 1) % 4, label="ring")
    comm.send(ones(), (comm.rank + 1) % 4, label="ring")


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "rank 0 waits in send(dest=1) 'exchange' at messages.py:",
         synchronous=True)
def cycle_of_two_sends(comm: Communicator) -> None:
    """Two blocking sends to each other: a deadlock if messages are large, or in synchronous mode."""
    comm.send(ones(), 1 - comm.rank, label="exchange")
    comm.recv(ones(), 1 - comm.rank, label="exchange")


@planted(3, "a cycle of waiting 0 -> 1 -> 2 -> 0", "waits in send(dest=1) 'ring' at messages.py:",
         synchronous=True)
def cycle_of_three_sends(comm: Communicator) -> None:
    """A ring of blocking sends, in synchronous mode."""
    comm.send(ones(), (comm.rank + 1) % 3, label="ring")
    comm.recv(ones(), (comm.rank - 1) % 3, label="ring")


@planted(2, "rank 1 never received a message from rank 0 'large exchange'", HERE,
         mpi=("a cycle of waiting 0 -> 1 -> 0", "waits in send(dest=1) 'large exchange'", HERE))
def cycle_of_large_sends(comm: Communicator) -> None:
    """Two large blocking sends to each other: a deadlock under MPI. On threads, messages of any size are
    buffered, so the program ends and reports messages without a receive.
    """
    comm.send(ones(LARGE), 1 - comm.rank, label="large exchange")


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "waits in send(dest=1) 'activation' at messages.py:",
         "waits in send(dest=0) 'gradient' at messages.py:", synchronous=True)
def cycle_in_a_pipeline(comm: Communicator) -> None:
    """1F1B with blocking sends: stage 0 sends an activation while stage 1 sends a gradient."""
    if comm.rank == 0:
        for _ in range(2):
            comm.send(ones(), 1, label="activation")
        comm.recv(ones(), 1, label="gradient")
    else:
        comm.recv(ones(), 0, label="activation")
        comm.send(ones(), 0, label="gradient")


@planted(3, "a cycle of waiting 0 -> 1 -> 0", "rank 2 ", HERE)
def cycle_with_a_bystander(comm: Communicator) -> None:
    """Two ranks wait for each other, and a third one for one of them."""
    comm.recv(ones(), {0: 1, 1: 0, 2: 0}[comm.rank], label="forward")


@planted(2, "rank 0 has finished", "rank 1 waits in recv(source=0, tag=2) 'weights' at messages.py:",
         "came with tag 1")
def tag_wrong(comm: Communicator) -> None:
    """Sent with tag 1, received with tag 2."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="weights", tag=1)
    else:
        comm.recv(ones(), 0, label="weights", tag=2)


@planted(2, "a cycle of waiting", "send(dest=1, tag=1) 'first' at messages.py:",
         "recv(source=0, tag=2) 'second' at messages.py:", synchronous=True)
def tag_order(comm: Communicator) -> None:
    """Sent with tags 1, 2; received with tags 2, 1, in synchronous mode."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="first", tag=1)
        comm.send(ones(), 1, label="second", tag=2)
    else:
        comm.recv(ones(), 0, label="second", tag=2)
        comm.recv(ones(), 0, label="first", tag=1)


@planted(2, "send 'weights' at messages.py:", " has tag -1; use 0 to 16383")
def tag_out_of_range(comm: Communicator) -> None:
    """A tag that is negative."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="weights", tag=-1)
    else:
        comm.recv(ones(), 0, label="weights")


@planted(2, "rank 0 waits for itself", "rank 0 waits in send(dest=0) 'own part' at messages.py:",
         synchronous=True)
def self_send(comm: Communicator) -> None:
    """A blocking send to itself, in synchronous mode."""
    if comm.rank == 0:
        comm.send(ones(), 0, label="own part")


@planted(2, "rank 1 waits for itself", "rank 1 waits in recv(source=1) 'own part' at messages.py:")
def self_receive(comm: Communicator) -> None:
    """A receive from itself without a send."""
    if comm.rank == 1:
        comm.recv(ones(), 1, label="own part")


@planted(3, "waits for itself", ") 'halo' at messages.py:")
def self_instead_of_neighbour(comm: Communicator) -> None:
    """An index that is off by one: `recv(rank)` instead of `recv(rank - 1)`."""
    comm.send(ones(), (comm.rank + 1) % 3, label="halo")
    comm.recv(ones(), comm.rank, label="halo")


@planted(3, "rank 2 of 3 in world: send 'forward' at messages.py:",
         " names rank 3, but the group has ranks 0 to 2")
def partner_out_of_range(comm: Communicator) -> None:
    """The last stage sends to a next stage, which does not exist."""
    comm.send(ones(), comm.rank + 1, label="forward")
    if comm.rank:
        comm.recv(ones(), comm.rank - 1, label="forward")


@planted(3, "rank 2 waits in recv(source=0) 'forward' at messages.py:", "rank 0 has finished")
def partner_wrong_source(comm: Communicator) -> None:
    """Rank 1 sends to rank 2, which receives from rank 0."""
    if comm.rank == 1:
        comm.send(ones(), 2, label="forward")
    elif comm.rank == 2:
        comm.recv(ones(), 0, label="forward")


@planted(3, "rank 1 waits in recv(source=0) 'forward' at messages.py:", "rank 0 has finished")
def partner_wrong_dest(comm: Communicator) -> None:
    """Rank 1 waits for a message from rank 0, which rank 0 sends to rank 2."""
    if comm.rank == 0:
        comm.send(ones(), 2, label="forward")
    elif comm.rank == 1:
        comm.recv(ones(), 0, label="forward")


@planted(2, "rank 1 of 2 in world: recv 'loss' at messages.py:", "expects (4,) float64 from rank 0",
         "float32")
def dtype_of_a_message(comm: Communicator) -> None:
    """Sent as float32, received as float64: plain MPI delivers wrong numbers."""
    if comm.rank == 0:
        comm.send(ones(4, "f4"), 1, label="loss")
    else:
        comm.recv(ones(4), 0, label="loss")


@planted(2, "expects (8,) float32 from rank 0", "4 elements of float64")
def dtype_with_the_same_bytes(comm: Communicator) -> None:
    """Four float64 sent, eight float32 expected: the numbers of bytes are equal."""
    if comm.rank == 0:
        comm.send(ones(4, "f8"), 1, label="loss")
    else:
        comm.recv(ones(8, "f4"), 0, label="loss")


@planted(2, "recv 'weights' at messages.py:", "expects (4,) float64 from rank 0",
         "5 elements of float64 for 'weights' at messages.py:", "expected 4 elements")
def size_too_long(comm: Communicator) -> None:
    """The message is longer than the array that receives it."""
    if comm.rank == 0:
        comm.send(ones(5), 1, label="weights")
    else:
        comm.recv(ones(4), 0, label="weights")


@planted(2, "recv 'weights' at messages.py:", "expects (4,) float64 from rank 0", "3 elements")
def size_too_short(comm: Communicator) -> None:
    """The message is shorter than the array: plain MPI leaves the rest of the array unchanged."""
    if comm.rank == 0:
        comm.send(ones(3), 1, label="weights")
    else:
        comm.recv(ones(4), 0, label="weights")


@planted(2, "send 'column' at messages.py:", " got a non-contiguous array of shape (4,)",
         "np.ascontiguousarray")
def array_not_contiguous(comm: Communicator) -> None:
    """A column of a matrix is sent: it is not contiguous."""
    if comm.rank == 0:
        comm.send(np.ones((4, 4))[:, 0], 1, label="column")
    else:
        comm.recv(ones(4), 0, label="column")


@planted(2, "send 'spectrum' at messages.py:", " cannot carry dtype complex128", "float64")
def array_of_another_kind(comm: Communicator) -> None:
    """An array of complex numbers, a dtype that cannot be sent."""
    if comm.rank == 0:
        comm.send(np.ones(4, complex), 1, label="spectrum")
    else:
        comm.recv(ones(4), 0, label="spectrum")


@planted(2, "recv 'weights' at messages.py:", " cannot fill a read-only array")
def array_read_only(comm: Communicator) -> None:
    """A receive into a read-only array."""
    if comm.rank == 0:
        comm.send(ones(4), 1, label="weights")
    else:
        weights = ones(4)
        weights.setflags(write=False)
        comm.recv(weights, 0, label="weights")


@planted(2, "rank 1 never received a message from rank 0 'extra' sent at messages.py:")
def left_over_message(comm: Communicator) -> None:
    """A message without a receive."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="extra")


@planted(2, "rank 1 never waited for its recv with rank 0 'prefetch' started at messages.py:")
def left_over_request(comm: Communicator) -> None:
    """A request without a `wait`."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="prefetch")
    else:
        comm.irecv(ones(), 0, label="prefetch")


@planted(2, "rank 1 waits in recv(source=0) 'weights' at messages.py:", "rank 0 has finished")
def lost_message(comm: Communicator) -> None:
    """The network loses a message."""
    comm = Faults(comm, Fault("drop", rank=0))
    if comm.rank == 0:
        comm.send(ones(), 1, label="weights")
    else:
        comm.recv(ones(), 0, label="weights")


@planted(2, "recv 'weights' at messages.py:", "expects (4,) float64 from rank 0", "2 elements")
def truncated_message(comm: Communicator) -> None:
    """The network delivers only half of a message."""
    comm = Faults(comm, Fault("truncate", rank=0))
    if comm.rank == 0:
        comm.send(ones(), 1, label="weights")
    else:
        comm.recv(ones(), 0, label="weights")


@planted(
    2,
    "recv 'bias' at messages.py:",
    "gets a message from rank 0 that was sent as 'weight' at messages.py:",
    "in the same order",
)
def labels_swapped(comm: Communicator) -> None:
    """Weight and bias of equal size, received in a different order: plain MPI swaps them."""
    arrays = {name: ones() for name in ("weight", "bias")}
    if comm.rank == 0:
        for name in ("weight", "bias"):
            comm.send(arrays[name], 1, label=name)
    else:
        for name in ("bias", "weight"):
            comm.recv(arrays[name], 0, label=name)


@planted(3, "recv 'right' at messages.py:", "that was sent as 'left' at messages.py:")
def labels_of_two_halos(comm: Communicator) -> None:
    """The halos of both neighbours have one tag, and are received in the wrong order."""
    left, right = (comm.rank - 1) % 3, (comm.rank + 1) % 3
    requests = [comm.isend(ones(5000), right, label=side) for side in ("left", "right")]
    for side in ("right", "left"):
        comm.recv(ones(5000), left, label=side)
    for request in requests:
        comm.wait(request)


@planted(
    2,
    "recv at messages.py:",
    "expects (10,) float64 from rank 0, which sent 12 elements of float64 at messages.py:",
    "expected 10 elements",
)
def size_of_a_message_without_labels(comm: Communicator) -> None:
    """12 elements sent, 10 expected, and the messages have no labels."""
    if comm.rank == 0:
        comm.send(ones(12), 1)
    else:
        comm.recv(ones(10), 0)


@planted(2, "recv 'table' at messages.py:", "expects (2000,) float64 from rank 0, which sent 4000 elements")
def size_of_a_long_message(comm: Communicator) -> None:
    """A long message (4000 elements) is longer than the array that receives it."""
    if comm.rank == 0:
        comm.wait(comm.isend(ones(4000), 1, label="table"))
    else:
        comm.recv(ones(2000), 0, label="table")
