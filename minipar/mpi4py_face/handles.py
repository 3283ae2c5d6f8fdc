"""mpi4py's handles of C and Fortran, as numbers: there are none here, which -1 says in mpi4py too."""

from __future__ import annotations


class NoHandle:
    """The base of what has a handle in mpi4py."""

    def toint(self) -> int:
        return -1

    def py2f(self) -> int:
        return -1
