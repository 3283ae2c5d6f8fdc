"""The only package that imports mpi4py. Import it only where MPI is wanted; `minipar.comm.job` does."""

from minipar.comm.mpi.engine import MPI, MpiComm
from minipar.comm.mpi.job import mpi_job
from minipar.comm.mpi.world import world

__all__ = ["MPI", "MpiComm", "mpi_job", "world"]
