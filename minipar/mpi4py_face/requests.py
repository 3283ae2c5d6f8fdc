"""MPI.Request: a running operation. The calls in this file wait for one, some, any or all operations.

A request holds its operation, a `Work`. A null request holds None. When a wait or a test finds that the
operation is complete, the request becomes null. A persistent request becomes inactive instead, and can be
started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any

from minipar.mpi4py_face.constants import UNDEFINED
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.status import Status
from minipar.mpi4py_face.work import Work

PAUSE = 20e-6  # seconds between tests of several requests


class PendingRequest(NoHandle):
    """A request. Request() is REQUEST_NULL."""

    __slots__ = "_work", "__weakref__"  # Python makes an object without a dictionary faster
    _work: Work | None

    def __new__(cls, request: PendingRequest | None = None) -> PendingRequest:
        new = super().__new__(cls)
        new._work = None if request is None else request._work
        return new

    @classmethod
    def of(cls, work: Work) -> PendingRequest:
        new = object.__new__(cls)
        new._work = work
        return new

    def _done(self, status: Status | None) -> Any:
        """Complete the request: fill the status and make the request null. Returns the received object, if
        there is one.
        """
        work = self._work
        if status is not None:
            fill(status, work)
        self._work = None
        return None if work is None else work.result

    def Wait(self, status: Status | None = None) -> bool:
        self.wait(status)
        return True

    def wait(self, status: Status | None = None) -> Any:
        if self._work is not None:
            self._work.wait()
        return self._done(status)

    def Test(self, status: Status | None = None) -> bool:
        return self.test(status)[0]

    def test(self, status: Status | None = None) -> tuple[bool, Any]:
        if self._work is not None and not self._work.test():
            return False, None
        return True, self._done(status)

    def Get_status(self, status: Status | None = None) -> bool:
        """Test the request as Test does, but do not make it null."""
        if self._work is not None and not self._work.test():
            return False
        fill(status, self._work)
        return True

    get_status = Get_status

    def Cancel(self) -> None:
        if self._work is None:
            raise wrong("ERR_REQUEST", "the request is REQUEST_NULL")
        self._work.cancel()

    cancel = Cancel

    def Free(self) -> None:
        """Free a request for which the program will not wait. At the end of the job, an unfinished receive is
        still reported.
        """
        if self._work is None:
            raise wrong("ERR_REQUEST", "the request is REQUEST_NULL")
        self._work.forget()
        self._work = None

    def free(self) -> None:
        if self._work is not None:
            self.Free()

    def __bool__(self) -> bool:
        return self._work is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PendingRequest) and self._work is other._work

    def __hash__(self) -> int:
        return id(self._work)

    # Calls for several requests at once. The lower-case forms return the received objects.

    @classmethod
    def Waitall(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> bool:
        if statuses is None:  # the usual case, and the quicker one
            for request in requests:
                request.Wait()
        else:
            cls.waitall(requests, statuses)
        return True

    @classmethod
    def waitall(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> list[Any]:
        each = [Status() for _ in requests]
        objects = [request.wait(status) for request, status in zip(requests, each, strict=True)]
        give_back(statuses, each)
        return objects

    @classmethod
    def Testall(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> bool:
        return cls.testall(requests, statuses)[0]

    @classmethod
    def testall(cls, requests: Sequence[PendingRequest],
                statuses: Any = None) -> tuple[bool, list[Any] | None]:
        if not all([request._work is None or request._work.test() for request in requests]):
            return False, None
        return True, cls.waitall(requests, statuses)

    @classmethod
    def Waitany(cls, requests: Sequence[PendingRequest], status: Status | None = None) -> int:
        return cls.waitany(requests, status)[0]

    @classmethod
    def waitany(cls, requests: Sequence[PendingRequest], status: Status | None = None) -> tuple[int, Any]:
        while True:
            index, flag, came = cls.testany(requests, status)
            if flag:
                return index, came
            time.sleep(PAUSE)

    @classmethod
    def Testany(cls, requests: Sequence[PendingRequest], status: Status | None = None) -> tuple[int, bool]:
        return cls.testany(requests, status)[:2]

    @classmethod
    def testany(cls, requests: Sequence[PendingRequest],
                status: Status | None = None) -> tuple[int, bool, Any]:
        active = [(index, request) for index, request in enumerate(requests) if is_active(request)]
        for index, request in active:
            if request._work is not None and request._work.test():
                return index, True, request._done(status)
        if not active:
            fill(status, None)
        return UNDEFINED, not active, None

    @classmethod
    def Waitsome(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> list[int] | None:
        return cls.waitsome(requests, statuses)[0]

    @classmethod
    def waitsome(cls, requests: Sequence[PendingRequest],
                 statuses: Any = None) -> tuple[list[int] | None, Any]:
        while True:
            indices, objects = cls.testsome(requests, statuses)
            if indices is None or indices:
                return indices, objects
            time.sleep(PAUSE)

    @classmethod
    def Testsome(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> list[int] | None:
        return cls.testsome(requests, statuses)[0]

    @classmethod
    def testsome(cls, requests: Sequence[PendingRequest],
                 statuses: Any = None) -> tuple[list[int] | None, Any]:
        active = [(index, request) for index, request in enumerate(requests) if is_active(request)]
        if not active:
            return None, None
        ready = [(index, request) for index, request in active
                 if request._work is not None and request._work.test()]
        each = [Status() for _ in ready]
        objects = [request._done(status) for (_, request), status in zip(ready, each, strict=True)]
        give_back(statuses, each)
        return [index for index, _ in ready], objects

    @classmethod
    def Get_status_any(cls, requests: Sequence[PendingRequest],
                       status: Status | None = None) -> tuple[int, bool]:
        active = [(index, request) for index, request in enumerate(requests) if is_active(request)]
        for index, request in active:
            if request.Get_status(status):
                return index, True
        if not active:
            fill(status, None)
        return UNDEFINED, not active

    @classmethod
    def Get_status_all(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> bool:
        each = [Status() for _ in requests]
        if not all([request.Get_status(status) for request, status in zip(requests, each, strict=True)]):
            return False
        give_back(statuses, each)
        return True

    @classmethod
    def Get_status_some(cls, requests: Sequence[PendingRequest], statuses: Any = None) -> list[int] | None:
        active = [(index, request) for index, request in enumerate(requests) if is_active(request)]
        if not active:
            return None
        each = [(index, Status()) for index, _ in active]
        ready = [(index, status) for (index, status), (_, request) in zip(each, active, strict=True)
                 if request.Get_status(status)]
        give_back(statuses, [status for _, status in ready])
        return [index for index, _ in ready]

    get_status_any, get_status_all, get_status_some = Get_status_any, Get_status_all, Get_status_some


PendingRequest.__name__ = PendingRequest.__qualname__ = "Request"


class Prequest(PendingRequest):
    """A persistent request. A program makes it once and can start it many times."""

    def __new__(cls, request: PendingRequest | None = None) -> Any:
        new = super().__new__(cls, request)
        if "_begin" in vars(request or new):
            vars(new)["_begin"] = vars(request)["_begin"]
        return new

    _begin: Callable[[], Work]

    @classmethod
    def made(cls, begin: Callable[[], Work]) -> Prequest:
        new = cls()
        assert isinstance(new, Prequest)
        new._begin = begin
        return new

    def Start(self) -> None:
        if self._work is not None:
            raise wrong("ERR_REQUEST", "the request is already active; wait for it before you start it again")
        self._work = self._begin()

    @classmethod
    def Startall(cls, requests: Sequence[Prequest]) -> None:
        for request in requests:
            request.Start()

    def Free(self) -> None:
        if self._work is not None:
            self._work.forget()
        self._work = None
        vars(self).pop("_begin", None)

    free = Free

    def __bool__(self) -> bool:
        return "_begin" in vars(self)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, PendingRequest)
                                 and vars(self).get("_begin") is vars(other).get("_begin"))

    def __hash__(self) -> int:
        return id(self)


def is_active(request: PendingRequest) -> bool:
    return request._work is not None


def fill(status: Status | None, work: Work | None) -> None:
    """Fill a status after a wait. work: the operation; None for a null request."""
    if status is None:
        return
    if work is None:
        status.reset()
    elif work.from_nobody:
        status.from_nobody()
    else:
        status.fill(work.envelope)
        status.cancelled = work.cancelled


def give_back(statuses: Any, found: Sequence[Status]) -> None:
    """Copy the statuses `found` into the program's list. If this list is too short, append the others to it.
    """
    if statuses is None:
        return
    for mine, status in zip(statuses, found, strict=False):
        mine._numbers[:] = status._numbers
    if isinstance(statuses, MutableSequence):
        statuses.extend(found[len(statuses):])
