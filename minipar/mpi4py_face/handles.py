"""The base of all MPI objects: they have no handle of C or Fortran, and refuse names that are not offered."""

from __future__ import annotations

from typing import Any

from minipar.mpi4py_face.refused import refuse


class RefusingNames(type):
    """Names of classes that mpi4py has and minipar does not offer are refused by name."""

    def __getattr__(cls, name: str) -> Any:
        return refuse(cls.__name__, name)


class NoHandle(metaclass=RefusingNames):
    """The base of objects that have a handle in mpi4py. As there, -1 means that there is none."""

    def toint(self) -> int:
        return -1

    def py2f(self) -> int:
        return -1

    def __getattr__(self, name: str) -> Any:
        return refuse(type(self).__name__, name)
