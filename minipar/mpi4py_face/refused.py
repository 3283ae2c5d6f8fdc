"""Lists the names of mpi4py that minipar does not offer. The error for a name says what to use instead."""

from __future__ import annotations

from typing import Any

from minipar.comm.diagnostics.call_site import call_site
from minipar.mpi4py_face.exceptions import CLASSES, MPIError

ONE_SIDED = "one-sided messages are not offered; use Send and Recv, or shared memory: MPI.Win.Allocate_shared"
INTER = "intercommunicators are not offered; use one communicator and Split"
SPAWN = "starting more ranks is not offered; start them all with minipar run -n or mpirun -n"
FILES = ("MPI's files are not offered; gather to one rank and write there, or let each rank write a file of "
         "its own")
MATCHED = "matched probes are not offered; use Probe and then Recv with the status's source and tag"
PARTITIONED = "partitioned messages are not offered; use Isend for each part"
FAULT_TOLERANCE = "continuing without failed ranks is not offered; the job ends with a diagnosis"
PERSISTENT = "persistent collectives are not offered; call the non-blocking one in each step"
PACKING = "packing in the format external32 is not offered; use Pack and Unpack"
SESSIONS = "sessions are not offered; use MPI.COMM_WORLD"
HANDLES = "handles of C and Fortran do not exist here; a C library that calls MPI needs plain mpirun"
KEYVALS = "attribute keys are not offered; keep the values in a dict of the program"

# name in MPI, or name of a method -> the text of the error, which says what to use instead
REFUSED: dict[str, str] = {
    **dict.fromkeys(("Mprobe", "Improbe", "mprobe", "improbe", "Message", "MESSAGE_NO_PROC", "MESSAGE_NULL"),
                    MATCHED),
    **dict.fromkeys(("Spawn", "Spawn_multiple", "Join", "Connect", "Accept", "Open_port", "Close_port",
                     "Publish_name", "Unpublish_name", "Lookup_name"), SPAWN),
    **dict.fromkeys(("Create_intercomm", "Merge", "Get_remote_size", "Get_remote_group"), INTER),
    **dict.fromkeys(("File", "FILE_NULL", "Register_datarep"), FILES),
    **dict.fromkeys(("Psend_init", "Precv_init", "Pready", "Parrived"), PARTITIONED),
    **dict.fromkeys(("Revoke", "Is_revoked", "Shrink", "Ishrink", "Agree", "Iagree", "Get_failed",
                     "Ack_failed"),
                    FAULT_TOLERANCE),
    **dict.fromkeys((f"{name}_init" for name in (
        "Barrier", "Bcast", "Gather", "Gatherv", "Scatter", "Scatterv", "Allgather", "Allgatherv", "Alltoall",
        "Alltoallv", "Alltoallw", "Neighbor_allgather", "Neighbor_allgatherv", "Neighbor_alltoall",
        "Neighbor_alltoallv", "Neighbor_alltoallw", "Reduce", "Allreduce", "Reduce_scatter",
        "Reduce_scatter_block", "Scan", "Exscan")), PERSISTENT),
    **dict.fromkeys(("Pack_external", "Unpack_external", "Pack_external_size"), PACKING),
    **dict.fromkeys(("Session", "SESSION_NULL", "Create_from_session_pset"), SESSIONS),
    **dict.fromkeys(("_addressof", "_handleof", "_sizeof", "handle", "tohandle", "fromhandle", "f2py",
                     "fromint"), HANDLES),
    **dict.fromkeys(("Create_keyval", "Free_keyval"), KEYVALS),
    **dict.fromkeys(("Put", "Get", "Accumulate", "Get_accumulate", "Fetch_and_op", "Compare_and_swap", "Rput",
                     "Rget",
                     "Raccumulate", "Rget_accumulate", "Create_dynamic", "Attach", "Detach"), ONE_SIDED),
    **dict.fromkeys(("Attach_buffer", "Detach_buffer", "Flush_buffer", "Iflush_buffer"),
                    "buffers of one communicator are not offered; use MPI.Attach_buffer"),
    "Grequest": "requests of the program's own are not offered; use a thread and queue.Queue",
    "Create_darray": "Create_darray is not offered; use Create_subarray",
    "Get_address": "addresses in memory are not offered; pass the array itself",
    "Create_errhandler": "error handlers of the program's own are not offered; errors are exceptions",
}


class NotOffered(MPIError, NotImplementedError, AttributeError):
    """The error for a part of mpi4py that minipar does not offer."""

    def __init__(self, text: str) -> None:
        MPIError.__init__(self, CLASSES["ERR_UNSUPPORTED_OPERATION"], text)

    def __reduce__(self) -> Any:
        return NotOffered, (str(self),)


def not_offered(what: str, text: str) -> NotOffered:
    """Returns the error for a call of the program. what: the name of the call or of its argument. text: what
    to use instead.
    """
    return NotOffered(f"{what} at {call_site()}: {text}")


def refuse(owner: str, name: str) -> Any:
    """Raises NotOffered for a name of mpi4py that minipar does not offer. Raises AttributeError for any other
    name.
    """
    if name in REFUSED:
        raise not_offered(f"{owner}.{name}", REFUSED[name])
    raise AttributeError(f"{owner} has no attribute {name!r}")
