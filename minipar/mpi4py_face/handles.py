"""The base class of all MPI objects. The objects have no handle of C or Fortran. They raise an error for a
name of mpi4py that minipar does not offer.
"""

from __future__ import annotations

from typing import Any

from minipar.mpi4py_face.refused import REFUSED, refuse


class RefusedName:
    """A class attribute that raises NotOffered when a program reads it.

    A method `__getattr__` could raise the same error. But Python would then read every attribute of these
    classes nine times as slowly.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: object | None, kind: type) -> Any:
        return refuse(kind.__name__, self.name)


class NoHandle:
    """The base class of objects that have a handle in mpi4py. In minipar, the handle is always -1. In mpi4py,
    -1 means that there is no handle.
    """

    __slots__ = ()  # so that requests need no dictionary

    def toint(self) -> int:
        return -1

    def py2f(self) -> int:
        return -1


for _name in REFUSED:
    setattr(NoHandle, _name, RefusedName(_name))
