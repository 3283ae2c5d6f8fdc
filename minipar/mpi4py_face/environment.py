"""MPI's functions about the job: Init, Finalize, Wtime, Get_processor_name and others."""

from __future__ import annotations

import platform
import time
from typing import Any

from minipar.mpi4py_face import constants as c
from minipar.mpi4py_face.current import current
from minipar.mpi4py_face.exceptions import MEANINGS, NAMES, wrong
from minipar.mpi4py_face.host_memory import memory_of
from minipar.mpi4py_face.memory import RawMemory

LIBRARY = "minipar"


def Init() -> None:
    """Initialize MPI. Only a program that has set mpi4py.rc.initialize to False needs this call. In other
    programs, the import initializes MPI.
    """
    if Is_initialized():
        raise wrong("ERR_OTHER", "MPI is initialized already: importing MPI does it; leave the call out")
    current().initialized = True


def Init_thread(required: int = c.THREAD_MULTIPLE) -> int:
    Init()
    return c.THREAD_FUNNELED


def Finalize() -> None:
    """End the use of MPI on this rank. No MPI call may follow."""
    current().finalized = True


def Is_initialized() -> bool:
    rank = current()
    return rank.initialized or rank.settings.get("initialize", True) is not False


def Is_finalized() -> bool:
    return current().finalized


def Query_thread() -> int:
    """Returns the level of thread support, MPI.THREAD_FUNNELED: a program may start threads, but only the
    rank's own thread may call MPI.
    """
    return c.THREAD_FUNNELED


def Is_thread_main() -> bool:
    import threading

    return current().thread == threading.get_ident()


def Get_version() -> tuple[int, int]:
    return c.VERSION, c.SUBVERSION


def Get_abi_version() -> tuple[int, int]:
    """Returns (-1, -1). It means that minipar has no binary interface."""
    return -1, -1


def get_vendor() -> tuple[str, tuple[int, int, int]]:
    from minipar import __version__

    major, minor, micro = __version__.split(".")[:3]
    return LIBRARY, (int(major), int(minor), int(micro))


def Get_library_version() -> str:
    name, version = get_vendor()
    return f"{name} {'.'.join(map(str, version))}, the interface of mpi4py on minipar's communicators"


def Get_processor_name() -> str:
    return platform.node()


def Wtime() -> float:
    """Returns the time in seconds. It is virtual time if the job has a clock (minipar run --clock)."""
    clock = current().clock
    return time.perf_counter() if clock is None else float(clock.now)


def Wtick() -> float:
    return time.get_clock_info("perf_counter").resolution


def Pcontrol(level: int) -> None:
    """Do nothing, since minipar has no profiler."""


def Attach_buffer(buf: Any) -> None:
    """Set the buffer for messages of Bsend."""
    rank = current()
    if rank.attached:
        raise wrong("ERR_BUFFER", "a buffer is attached already; call MPI.Detach_buffer first")
    memory, _ = memory_of(buf, writable=True)
    rank.attached, rank.attached_buffer = memory.size, buf


def Detach_buffer() -> Any:
    """Wait until all messages in the attached buffer are sent, then return the buffer."""
    rank = current()
    Flush_buffer()
    buffer, rank.attached, rank.attached_buffer = rank.attached_buffer, 0, None
    return buffer


def Flush_buffer() -> None:
    rank = current()
    while rank.buffered:
        comm, message = rank.buffered.pop(0)
        comm.wait(message)


def Alloc_mem(size: int, info: Any = None) -> Any:
    return RawMemory.allocate(size)


def Free_mem(memory: Any) -> None:
    """Do nothing, since Python frees the memory after its last use."""


def Get_error_class(errorcode: int) -> int:
    return errorcode


def Get_error_string(errorcode: int) -> str:
    return MEANINGS.get(NAMES.get(errorcode, ""), "unknown error")


class Info(dict[str, str]):
    """MPI.Info, a dictionary of hints. In minipar, the hints have no effect. MPI allows this."""

    @classmethod
    def Create(cls, items: Any = None) -> Info:
        return cls(items or {})

    def Get(self, key: str) -> str | None:
        return self.get(key)

    def Set(self, key: str, value: str) -> None:
        self[key] = value

    def Get_nkeys(self) -> int:
        return len(self)

    def Dup(self) -> Info:
        return Info(self)

    def Free(self) -> None:
        self.clear()


class Errhandler:
    """The class of MPI.ERRORS_RETURN and other error handlers. In minipar, errors are always exceptions."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def Free(self) -> None:
        """Do nothing, since there is nothing to free."""

    def __bool__(self) -> bool:
        return bool(self.name)
