"""Explains why a process pool of the program fails, if the ranks are threads.

A pool pickles a function by its name, `__main__.f`, and a process of the pool looks this name up. But if the
ranks are threads, `__main__` is minipar, and not the program.
"""

from __future__ import annotations

import os
import pickle
import traceback

from minipar.mpi4py_face.program import UserProgram
from minipar.mpi4py_face.refused import NotOffered


def explained(error: BaseException, program: UserProgram) -> BaseException:
    """Returns NotOffered for the error of a pool that cannot pickle a function of the program. Returns any
    other error as it is.
    """
    if not isinstance(error, (pickle.PicklingError, AttributeError)) or "__main__" not in str(error):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    if not any("multiprocessing" in frame.filename for frame in frames):
        return error
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == program.path), 0)
    name = os.path.basename(program.path)
    return NotOffered(f"the process pool at {name}:{line} cannot use functions and classes of {name}, since "
                      f"the ranks are threads; start it with mpirun -n N minipar run {name}")
