"""What all of MPI's objects have in common: no handle of C or Fortran, and names that are refused."""

from __future__ import annotations

from typing import Any

from minipar.mpi4py_face.refused import refuse


class RefusingNames(type):
    """A name of a class that mpi4py has and minipar does not offer is refused by name."""

    def __getattr__(cls, name: str) -> Any:
        return refuse(cls.__name__, name)


class NoHandle(metaclass=RefusingNames):
    """The base of what has a handle in mpi4py. -1 says, there too, that there is none."""

    def toint(self) -> int:
        return -1

    def py2f(self) -> int:
        return -1

    def __getattr__(self, name: str) -> Any:
        return refuse(type(self).__name__, name)
