"""The engine over MPI. This package imports mpi4py. So `minipar.comm.job` imports it only under mpirun.
"""

from minipar.comm.mpi.engine import MPI, MpiComm
from minipar.comm.mpi.job import mpi_job
from minipar.comm.mpi.world import world

__all__ = ["MPI", "MpiComm", "mpi_job", "world"]
