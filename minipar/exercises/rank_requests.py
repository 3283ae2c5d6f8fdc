"""Executes, in the grader, the requests of a student's process on the real communicator. `remote.py` sends
the requests.

The student's process is not trusted. An invalid request raises WireError, which ends the rank. If the
communicator raises an error, the answer holds this error, and the student's process raises it. The call then
counts as failed, even if the student's code catches the error: the text of an error can hold numbers of other
ranks, so a rank could learn them without a message.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import CallSite, count_as_inside
from minipar.comm.protocol import Communicator, OwnTag, Request
from minipar.errors import CommError, MiniparError
from minipar.exercises.wire import Opaque, WireError
from minipar.exercises.worker_process import problem
from minipar.exercises.wrapping import kind_of

MOST_BYTES, MOST_REQUESTS = 1 << 28, 100_000  # bytes of a rank's messages in a call; open requests
MOST_GROUPS = 16  # groups that a rank may make in a call: each tells it a little, without a message
NAMES = ("isend", "irecv", "send", "recv", "sendrecv", "isend_message", "irecv_message", "probe_message",
         "cancel_message", "forget_message", "open_messages", "close", "wait", "test", "barrier", "entering",
         "split", "subgroup", "group_of")


class RankRequests:
    """Executes the requests of one rank. comm: the communicator of all ranks, which has number 0. Groups that
    are split from it get the numbers 1, 2, and so on. path: the path of the student's file, so that messages
    can name its lines.
    """

    def __init__(self, comm: Communicator, path: str) -> None:
        self.groups, self.path = [comm], path
        self.requests: dict[int, Request] = {}
        self.tags: set[int] = set()                                 # tags that collectives have reserved
        self.asked, self.bytes = 0, 0
        self.error: dict[str, Any] | None = None                    # the first error of a request

    def about(self, number: int) -> dict[str, Any]:
        """Return the description of a communicator for the student's process."""
        comm = self.groups[number]
        return {"number": number, "rank": comm.rank, "size": comm.size, "name": comm.name,
                "members": list(comm.members), "nodes": list(comm.nodes)}

    def answer(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Execute one request and return the answer. Raises WireError if the frame is not a valid request."""
        try:
            name, site = frame["call"], str(frame["site"])
            if name not in NAMES or len(self.requests) > MOST_REQUESTS:
                raise WireError(f"no request: {str(name)[:40]}")
            label = str(frame["label"]) if frame["labelled"] else CallSite(frame["label"])
            act = getattr(self, name)
            comm = self.groups[frame["group"]]
            return {"value": called_at(self.path, site, act, comm, frame, label)}
        except MiniparError as error:
            self.error = self.error or problem(kind_of(str(error)), str(error), site)
            return {"error": str(error), "type": type(error).__name__}
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError) as error:
            raise WireError(f"no request: {error}") from error

    def _tag(self, frame: dict[str, Any]) -> int:
        tag = frame["tag"]
        return OwnTag(tag) if tag in self.tags else tag

    def _space(self, frame: dict[str, Any]) -> np.ndarray:
        """Return a new array into which a message can be received."""
        dtype, shape = np.dtype(frame["dtype"]), tuple(int(size) for size in frame["shape"])
        if dtype.hasobject:
            raise WireError("no numbers")
        self._take(dtype.itemsize * math.prod(shape))
        return np.zeros(shape, dtype)

    def _take(self, nbytes: int) -> None:
        """Count the bytes of a message. Raises WireError if the call's messages need too much memory."""
        self.bytes += nbytes
        if nbytes < 0 or self.bytes > MOST_BYTES:
            raise WireError("the messages of this call need too much memory")

    def _array(self, frame: dict[str, Any]) -> np.ndarray:
        if not isinstance(frame["array"], np.ndarray):
            raise WireError("no array")
        self._take(frame["array"].nbytes)
        return frame["array"]

    def _keep(self, request: Request) -> int:
        self.asked += 1
        self.requests[self.asked] = request
        return self.asked

    def isend(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        return self._keep(comm.isend(self._array(frame), frame["dest"], label=label, tag=self._tag(frame)))

    def irecv(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        return self._keep(comm.irecv(self._space(frame), frame["source"], label=label, tag=self._tag(frame)))

    def send(self, comm: Communicator, frame: dict[str, Any], label: str) -> None:
        comm.send(self._array(frame), frame["dest"], label=label, tag=self._tag(frame))

    def recv(self, comm: Communicator, frame: dict[str, Any], label: str) -> np.ndarray:
        return comm.recv(self._space(frame), frame["source"], label=label, tag=self._tag(frame))

    def sendrecv(self, comm: Communicator, frame: dict[str, Any], label: str) -> np.ndarray:
        return comm.sendrecv(self._array(frame), frame["dest"], self._space(frame), frame["source"],
                             label=label, tag=self._tag(frame))

    def isend_message(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        return self._keep(comm.isend_message(self._array(frame), frame["dest"], type_code=frame["type_code"],
                                             tag=self._tag(frame), label=label,
                                             synchronous=frame["synchronous"]))

    def irecv_message(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        nbytes = frame["nbytes"]
        self._take(nbytes or 0)
        out = None if nbytes is None else np.zeros(nbytes, np.uint8)
        return self._keep(comm.irecv_message(out, frame["source"], type_code=frame["type_code"],
                                             tag=self._tag(frame), label=label))

    def probe_message(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        return self._keep(comm.probe_message(frame["source"], tag=self._tag(frame), label=label))

    def cancel_message(self, comm: Communicator, frame: dict[str, Any], label: str) -> bool:
        return comm.cancel_message(self.requests[frame["request"]])

    def forget_message(self, comm: Communicator, frame: dict[str, Any], label: str) -> None:
        comm.forget_message(self.requests[frame["request"]])

    def open_messages(self, comm: Communicator, frame: dict[str, Any], label: str) -> None:
        comm.open_messages()

    def close(self, comm: Communicator, frame: dict[str, Any], label: str) -> None:
        comm.close()

    def wait(self, comm: Communicator, frame: dict[str, Any], label: str) -> dict[str, Any]:
        request = self.requests[frame["request"]]
        comm.wait(request)
        return self._came(frame["request"], request)

    def test(self, comm: Communicator, frame: dict[str, Any], label: str) -> dict[str, Any] | None:
        request = self.requests[frame["request"]]
        return self._came(frame["request"], request) if comm.test(request) else None

    def _came(self, number: int, request: Request) -> dict[str, Any]:
        del self.requests[number]
        data = None if request.kind == "send" else request.array
        return {"array": data, "envelope": None if request.envelope is None else list(request.envelope)}

    def barrier(self, comm: Communicator, frame: dict[str, Any], label: str) -> None:
        comm.barrier(label=label)

    def entering(self, comm: Communicator, frame: dict[str, Any], label: str) -> int:
        shape, dtype, agreed = frame["shape"], frame["dtype"], dict(frame["agreed"])
        unknown = set(agreed) - {"root", "algorithm", "counts"}
        if unknown or any(isinstance(value, Opaque) for value in agreed.values()):
            raise WireError("no collective")
        tag = comm.entering(frame["op"], None if shape is None else tuple(shape), None if dtype is None
                            else np.dtype(dtype), label=label, **agreed)
        self.tags.add(int(tag))
        return int(tag)

    def split(self, comm: Communicator, frame: dict[str, Any], label: str) -> dict[str, Any] | None:
        return self._made(comm.split(frame["color"], frame["key"], label=label))

    def subgroup(self, comm: Communicator, frame: dict[str, Any], label: str) -> dict[str, Any] | None:
        return self._made(comm.subgroup(list(frame["ranks"]), label=label))

    def group_of(self, comm: Communicator, frame: dict[str, Any], label: str) -> dict[str, Any] | None:
        return self._made(comm.group_of(list(frame["ranks"]), frame["tag"], label=label))

    def _made(self, comm: Communicator | None) -> dict[str, Any] | None:
        if comm is None:
            return None
        if len(self.groups) > MOST_GROUPS:
            raise CommError(f"a rank may make at most {MOST_GROUPS} groups in a call of an exercise")
        self.groups.append(comm)
        return self.about(len(self.groups) - 1)


def called_at(path: str, site: str, act: Callable[..., Any], *words: Any) -> Any:
    """Call act(*words) so that error messages name the student's line. site: this line, such as "ring.py:14".

    The messages of `minipar.comm` name the line that has called `minipar.comm`. The student's file does not
    run in this process. So this function compiles, under the name of the student's file, a source in which
    the call is in that line. For line 14, the source is 13 empty lines and the call.
    """
    _, _, line = site.rpartition(":")
    names: dict[str, Any] = {"act": act, "words": words}
    exec(_at_line(path, min(int(line), 100_000) if line.isdigit() else 1), names)
    return names["value"]


@cache
def _at_line(path: str, line: int) -> CodeType:
    return compile("\n" * (line - 1) + "value = act(*words)", path, "exec")


count_as_inside(__file__)
