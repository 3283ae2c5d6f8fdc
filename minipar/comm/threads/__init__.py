"""The engine whose ranks are threads of one process. Notebooks, debuggers and most tests use it. `run(4,
function)` calls a function on four ranks.
"""

from minipar.comm.threads.engine import ThreadComm
from minipar.comm.threads.run import run
from minipar.comm.threads.world import World

__all__ = ["ThreadComm", "World", "run"]
