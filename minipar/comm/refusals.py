"""Checks arguments before data are sent: the array, the rank and the tag of a message. For shared memory,
this file checks that all ranks of a group are on one node.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from minipar.arrays import no_array
from minipar.comm.diagnostics.call_site import wrong_call
from minipar.comm.protocol import CODES, DTYPES, NOT_GIVEN, TAGS, Communicator, OwnTag, is_whole

NEEDS = {"send": "the array to send and the rank to send it to: send(array, dest)",
         "recv": "an array to receive into and the rank that sends it: recv(np.empty(...), source)"}


def check_message(comm: Communicator, kind: str, array: np.ndarray, peer: int, label: str | None,
                  tag: int) -> int:
    """Returns the code of the array's dtype. Raises CommError for an invalid array, rank or tag."""
    try:  # this function runs once per message, so the valid case comes first
        code, flags = CODES[array.dtype], array.flags
        if (flags.c_contiguous and (type(array) is ndarray or not no_array(array))
                and (type(peer) is int or is_whole(peer)) and 0 <= peer < comm.size
                and (kind == "send" or flags.writeable)
                and ((type(tag) is int or is_whole(tag)) and 0 <= tag < TAGS or type(tag) is OwnTag)):
            return code
    except (AttributeError, KeyError):
        pass
    if text := no_array(array):
        item, wrong = "array", f"needs a NumPy array, not {text}"
        if peer is NOT_GIVEN:
            wrong = f"needs {NEEDS[kind]}, not {array!r:.40} alone"
    elif array.dtype not in CODES:
        item, wrong = "dtype", (f"cannot carry dtype {array.dtype}; use one of "
                                f"{', '.join(str(dtype) for dtype in DTYPES)}")
    elif not array.flags.c_contiguous:
        remedy = ("pass np.ascontiguousarray(...)" if kind == "send"
                  else "receive into a contiguous one and copy it there")
        item, wrong = "array", f"got a non-contiguous array of shape {array.shape}; {remedy}"
    elif peer is NOT_GIVEN:
        item, wrong = "rank", f"needs {NEEDS[kind]}; the rank is missing"
    elif not is_whole(peer):
        item, wrong = "rank", f"names rank {peer!r}, which is not a whole number; divide with //"
    elif not 0 <= peer < comm.size:
        item, wrong = "rank", no_such_rank(comm, f"rank {peer}", peer)
    elif not is_whole(tag) or not 0 <= tag < TAGS:
        item, wrong = "tag", f"has tag {tag!r}; use 0 to {TAGS - 1}"
    else:
        item, wrong = "array", "cannot fill a read-only array"
    raise wrong_call(comm, label, kind, wrong, item=item)


def no_such_rank(comm: Communicator, named: str, peer: object) -> str:
    """Returns the error text for a rank outside the group. If only one process runs, the program was probably
    started without mpirun, and the text says this.
    """
    if comm.size > 1 or comm.name != "world":
        return f"names {named}, but the group has ranks 0 to {comm.size - 1}"
    ranks = max(2, peer + 1) if is_whole(peer) else 2  # type: ignore[operator]
    return (
        f"names {named}, but only one process is running, rank 0; start {ranks}: mpirun -n {ranks} python ..."
    )


def one_node(comm: Communicator, label: str | None) -> None:
    """Raises CommError if the group spans several nodes, since nodes do not share memory."""
    if len(set(comm.nodes)) > 1:
        raise wrong_call(comm, label, "shared", f"spans nodes {sorted(set(comm.nodes))}; "
                         "split the group by comm.nodes first", item="nodes")
