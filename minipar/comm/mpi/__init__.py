"""The only package that imports mpi4py. Import it only where MPI is wanted; `minipar.comm.job` does."""

from minipar.comm.mpi.engine import MpiComm
from minipar.comm.mpi.world import world

__all__ = ["MpiComm", "world"]
