"""Defines the communicator in the student's process. It sends each call as a request to the grader.

The grader executes the requests on a real communicator (`broker.py`). So messages are counted, delayed and
checked outside of the student's process, and the student's code cannot change the records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minipar.errors
from minipar.comm.diagnostics.call_site import CallSite, caller, count_as_inside, label_or_call_site
from minipar.comm.message_types import bytes_of
from minipar.comm.protocol import NOT_GIVEN, Communicator, MessageEnvelope, OwnTag, Request
from minipar.comm.refusals import check_message
from minipar.errors import CommError

Ask = Callable[[dict[str, Any]], dict[str, Any]]                    # sends a request, and returns its answer


class RemoteComm(Communicator):
    """The communicator of a group of ranks. number: the index of the group in the grader's list."""

    checked = True

    def __init__(self, ask: Ask, about: dict[str, Any]) -> None:
        self.ask, self.number = ask, about["number"]
        self.rank, self.size, self.name = about["rank"], about["size"], about["name"]
        self.members, self.nodes = tuple(about["members"]), tuple(about["nodes"])

    def call(self, name: str, label: str | None = None, **words: Any) -> Any:
        """Send a request, and return the value in the grader's answer. Raises the error that the grader
        reports.
        """
        shown = label_or_call_site(label)
        answer = self.ask({"call": name, "group": self.number, "label": str(shown), "site": caller()[1],
                           "labelled": not isinstance(shown, CallSite), **words})
        if "error" in answer:
            raise getattr(minipar.errors, answer["type"], CommError)(answer["error"])
        return answer["value"]

    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        label = label_or_call_site(label)
        check_message(self, "send", array, dest, label, tag)
        number = self.call("isend", label, array=array, dest=int(dest), tag=int(tag))
        return Request("send", int(dest), tag, array, label, number)

    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        label = label_or_call_site(label)
        check_message(self, "recv", out, source, label, tag)
        number = self.call("irecv", label, dtype=out.dtype.str, shape=list(out.shape), source=int(source),
                           tag=int(tag))
        return Request("recv", int(source), tag, out, label, number)

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        number = self.call("isend_message", label, array=bytes_of(data), dest=int(dest), type_code=type_code,
                           tag=int(tag), synchronous=synchronous)
        return Request("send", int(dest), tag, data, label, number, type_code=type_code)

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        label = label_or_call_site(label)
        nbytes = None if out is None else out.nbytes
        number = self.call("irecv_message", label, nbytes=nbytes, source=int(source), type_code=type_code,
                           tag=int(tag))
        return Request("recv", int(source), tag, out,               # type: ignore[arg-type]
                       label, number, type_code=type_code)

    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        label = label_or_call_site(label)
        number = self.call("probe_message", label, source=int(source), tag=int(tag))
        return Request("probe", int(source), tag, None, label, number, type_code=0)  # type: ignore[arg-type]

    def cancel_message(self, request: Request) -> bool:
        return bool(self.call("cancel_message", request=request.handle))

    def forget_message(self, request: Request) -> None:
        self.call("forget_message", request=request.handle)

    def open_messages(self) -> None:
        self.call("open_messages")

    def close(self) -> None:
        self.call("close")

    def wait(self, request: Request) -> np.ndarray:
        if not request.done:
            self._arrived(request, self.call("wait", request.label, request=request.handle))
        return request.array

    def test(self, request: Request) -> bool:
        came = None if request.done else self.call("test", request.label, request=request.handle)
        if came is not None:
            self._arrived(request, came)
        return request.done

    def _arrived(self, request: Request, came: dict[str, Any]) -> None:
        """Fill the request's array with the data that the grader received."""
        request.done, data = True, came["array"]
        if came["envelope"] is not None:
            request.came = MessageEnvelope(*came["envelope"])
        if request.kind == "recv" and request.array is None:
            request.array = data
        elif request.kind == "recv":
            flat = request.array.reshape(-1) if request.type_code is None else bytes_of(request.array)
            flat[:data.size] = data.reshape(-1)

    def sendrecv(self, array: np.ndarray, dest: int, out: np.ndarray = NOT_GIVEN, source: int = NOT_GIVEN,
                 *, label: str | None = None, tag: int = 0) -> np.ndarray:
        label = label_or_call_site(label)
        check_message(self, "send", array, dest, label, tag)
        check_message(self, "recv", out, source, label, tag)
        out[...] = self.call("sendrecv", label, array=array, dest=int(dest), dtype=out.dtype.str,
                             shape=list(out.shape), source=int(source), tag=int(tag))
        return out

    def send(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> None:
        label = label_or_call_site(label)
        check_message(self, "send", array, dest, label, tag)
        self.call("send", label, array=array, dest=int(dest), tag=int(tag))

    def recv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> np.ndarray:
        label = label_or_call_site(label)
        check_message(self, "recv", out, source, label, tag)
        out[...] = self.call("recv", label, dtype=out.dtype.str, shape=list(out.shape), source=int(source),
                             tag=int(tag))
        return out

    def barrier(self, *, label: str | None = None) -> None:
        self.call("barrier", label)

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        self.collectives += 1
        return OwnTag(self.call("entering", label, op=op, shape=None if shape is None else list(shape),
                                dtype=None if dtype is None else dtype.str, agreed=agreed))

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        return self._group(self.call("split", label, color=color, key=key))

    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        return self._group(self.call("subgroup", label, ranks=[int(rank) for rank in ranks]))

    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        part = self._group(self.call("group_of", label, ranks=[int(rank) for rank in ranks], tag=int(tag)))
        assert part is not None
        return part

    def _group(self, about: dict[str, Any] | None) -> Communicator | None:
        return None if about is None else RemoteComm(self.ask, about)

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        raise CommError(f"rank {self.rank}: ranks that are graded share no memory; send messages")


count_as_inside(__file__)
