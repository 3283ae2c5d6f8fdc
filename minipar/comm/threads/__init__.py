"""The engine whose ranks are threads of one process. It serves notebooks, debuggers and most tests. Call it
as `run(4, function)`.
"""

from minipar.comm.threads.engine import ThreadComm
from minipar.comm.threads.run import run
from minipar.comm.threads.world import World

__all__ = ["ThreadComm", "World", "run"]
