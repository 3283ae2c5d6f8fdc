"""Defines MPI.Exception and MPI's error classes.

There are two kinds of errors. An `MPIError` is an error that MPI reports for one call, such as a rank that
does not exist. Programs may catch it as `MPI.Exception`. A CommError of minipar is an error that only a
checked run detects, such as a deadlock or ranks that do not agree.
"""

from __future__ import annotations

import builtins

from minipar.comm.diagnostics.call_site import caller
from minipar.errors import CommError

# MPI's text for each error class; the number of a class is its position in this dictionary
MEANINGS = {
    "SUCCESS": "no error", "ERR_BUFFER": "invalid buffer pointer", "ERR_COUNT": "invalid count argument",
    "ERR_TYPE": "invalid datatype", "ERR_TAG": "invalid tag", "ERR_COMM": "invalid communicator",
    "ERR_RANK": "invalid rank", "ERR_ROOT": "invalid root", "ERR_GROUP": "invalid group",
    "ERR_OP": "invalid reduce operation", "ERR_TOPOLOGY": "invalid topology",
    "ERR_DIMS": "invalid dimension argument", "ERR_ARG": "invalid argument", "ERR_UNKNOWN": "unknown error",
    "ERR_TRUNCATE": "message truncated", "ERR_OTHER": "other error", "ERR_INTERN": "internal error",
    "ERR_IN_STATUS": "error code is in status", "ERR_PENDING": "pending request",
    "ERR_REQUEST": "invalid request", "ERR_KEYVAL": "invalid attribute key", "ERR_WIN": "invalid window",
    "ERR_UNSUPPORTED_OPERATION": "unsupported operation", "ERR_SIZE": "invalid size",
    "ERR_DISP": "invalid displacement", "ERR_RMA_SHARED": "memory cannot be shared",
    "ERR_INFO": "invalid info argument", "ERR_ERRHANDLER": "invalid error handler",
    "ERR_FILE": "invalid file",
}
CLASSES = {name: number for number, name in enumerate(MEANINGS)}
CLASSES["ERR_LASTCODE"] = 0x3FFFFFFF
NAMES = {number: name for name, number in CLASSES.items()}


class MPIError(CommError, RuntimeError):
    """MPI.Exception, the error of one MPI call. text: the message; "" stands for MPI's text for the code.
    """

    def __init__(self, ierr: int = 0, text: str = "") -> None:
        self._code = ierr
        super().__init__(text or MEANINGS.get(NAMES.get(ierr, ""), "unknown error"))
        self._text = text

    def Get_error_code(self) -> int:
        return self._code

    def Get_error_class(self) -> int:
        return self._code

    def Get_error_string(self) -> str:
        return str(self)

    error_code = property(Get_error_code)
    error_class = property(Get_error_class)
    error_string = property(Get_error_string)

    def __int__(self) -> int:
        return self._code

    def __bool__(self) -> bool:
        return self._code != 0

    def __eq__(self, other: object) -> bool:
        return self._code == (other._code if isinstance(other, MPIError) else other)

    def __hash__(self) -> int:
        return hash(self._code)

    def __reduce__(self) -> tuple[builtins.type, tuple[int, str]]:
        return MPIError, (self._code, self._text)


MPIError.__name__ = MPIError.__qualname__ = "Exception"


def wrong(error_class: str, text: str) -> MPIError:
    """Returns an error for the program's current MPI call. Its message begins, for example, with "Send at
    program.py:12: ".
    """
    operation, location = caller()
    return MPIError(CLASSES[error_class], f"{operation} at {location}: {text} (MPI.{error_class})")
