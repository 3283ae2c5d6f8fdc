"""The engine over MPI. Only this package imports mpi4py, so import it only for MPI, as `minipar.comm.job`
does.
"""

from minipar.comm.mpi.engine import MPI, MpiComm
from minipar.comm.mpi.job import mpi_job
from minipar.comm.mpi.world import world

__all__ = ["MPI", "MpiComm", "mpi_job", "world"]
