"""The base class of all MPI objects. The objects have no handle of C or Fortran. They raise an error for a
name of mpi4py that minipar does not offer.
"""

from __future__ import annotations

from typing import Any

from minipar.mpi4py_face.refused import refuse


class RefusingNames(type):
    """The metaclass of MPI objects. It raises an error for a class attribute that mpi4py has but minipar does
    not offer.
    """

    def __getattr__(cls, name: str) -> Any:
        return refuse(cls.__name__, name)


class NoHandle(metaclass=RefusingNames):
    """The base class of objects that have a handle in mpi4py. In minipar, the handle is always -1. In mpi4py,
    -1 means that there is no handle.
    """

    def toint(self) -> int:
        return -1

    def py2f(self) -> int:
        return -1

    def __getattr__(self, name: str) -> Any:
        return refuse(type(self).__name__, name)
