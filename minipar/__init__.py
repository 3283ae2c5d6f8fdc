"""minipar shows how large models are trained in parallel. Its code is small enough to read. Its checks
compare parallel results with those of one process.

The names in `__all__` are the public ones. Each name is loaded at its first use, so `import minipar` is quick
and does not load NumPy:

    import minipar as mp

    print(mp.run(4, lambda comm: comm.rank))        # [0, 1, 2, 3]: four ranks, as threads of this process

All other names are internal and may change. You are welcome to read them.
"""

from __future__ import annotations

import atexit
import importlib
import os
import threading
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

# public name -> "module" that defines it, or "module:name" if it has another name there
_MODULES = {
    "Communicator": "minipar.comm.protocol",
    "run": "minipar.comm.threads",
    "run_program": "minipar.mpi4py_face.run_program",
    "job": "minipar.comm.job",
    "all_reduce": "minipar.comm.collectives",
    "Tensor": "minipar.autograd",
    "backward": "minipar.autograd",
    "gradcheck": "minipar.autograd",
    "GPT": "minipar.nn",
    "ModelConfig": "minipar.config",
    "TrainConfig": "minipar.config",
    "Layout": "minipar.config",
    "Grid": "minipar.parallel.grid",
    "Trainer": "minipar.training.trainer",
    "fit": "minipar.training.fit",
    "RunFolder": "minipar.training.run_folder",
    "make_tokenizer": "minipar.data.tokenizer",
    "train": "minipar.training.train_text",
    "generate": "minipar.inference.generate",
    "Engine": "minipar.inference.engine",
    "EngineOptions": "minipar.inference.options",
    "TextRequest": "minipar.inference.requests",
    "Sampling": "minipar.inference.requests",
    "verify": "minipar.proof.on_threads",
    "schedule": "minipar.schedules.find:find_schedule",
    "lint": "minipar.schedules.lint",
    "simulate": "minipar.schedules.simulate",
    "equivalent": "minipar.proof.equivalent.equivalent",
    "compare_gradients": "minipar.proof.equivalent.compare_gradients",
    "same_on_all_ranks": "minipar.proof.equivalent.equivalent",
    "Shard": "minipar.proof.equivalent.sharding:Sharded",
    "Replicated": "minipar.proof.equivalent.sharding",
    "Partial": "minipar.proof.equivalent.sharding",
    "OnRank": "minipar.proof.equivalent.sharding",
    "MiniparError": "minipar.errors",
}

__all__ = ["GPT", "Communicator", "Engine", "EngineOptions", "Grid", "Layout", "MiniparError", "ModelConfig",
           "OnRank", "Partial", "Replicated", "RunFolder", "Sampling", "Shard", "Tensor", "TextRequest",
           "TrainConfig", "Trainer", "all_reduce", "backward", "compare_gradients", "equivalent", "fit",
           "generate", "gradcheck", "job", "lint", "make_tokenizer", "run", "run_program",
           "same_on_all_ranks", "schedule", "simulate", "train", "verify"]

if TYPE_CHECKING:
    from minipar.autograd import Tensor, backward, gradcheck
    from minipar.comm.collectives import all_reduce
    from minipar.comm.job import job
    from minipar.comm.protocol import Communicator
    from minipar.comm.threads import run
    from minipar.config import Layout, ModelConfig, TrainConfig
    from minipar.data.tokenizer import make_tokenizer
    from minipar.errors import MiniparError
    from minipar.inference.engine import Engine
    from minipar.inference.generate import generate
    from minipar.inference.options import EngineOptions
    from minipar.inference.requests import Sampling, TextRequest
    from minipar.mpi4py_face.run_program import run_program
    from minipar.nn import GPT
    from minipar.parallel.grid import Grid
    from minipar.proof.equivalent.compare_gradients import compare_gradients
    from minipar.proof.equivalent.equivalent import equivalent, same_on_all_ranks
    from minipar.proof.equivalent.sharding import OnRank, Partial, Replicated
    from minipar.proof.equivalent.sharding import Sharded as Shard
    from minipar.proof.on_threads import verify
    from minipar.schedules.find import find_schedule as schedule
    from minipar.schedules.lint import lint
    from minipar.schedules.simulate import simulate
    from minipar.training.fit import fit
    from minipar.training.run_folder import RunFolder
    from minipar.training.train_text import train
    from minipar.training.trainer import Trainer


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'minipar' has no attribute {name!r}; its public names are "
                             f"{', '.join(__all__)}")
    module, _, own_name = _MODULES[name].partition(":")
    value = getattr(importlib.import_module(module), own_name or name)
    globals()[name] = value
    return value


def _say_goodbye() -> None:
    """Inform waiting ranks that this process exits. Under mpirun, other ranks may wait in `with job()` for
    this process, which never reaches its own `with job()`.
    """
    if "PMI_RANK" in os.environ or "OMPI_COMM_WORLD_RANK" in os.environ:
        from minipar.comm.deadlock.meeting import leave_unmet

        leave_unmet(os.environ)


# `_say_goodbye` must run before all `atexit` functions, since mpi4py's `atexit` function waits for the other
# ranks.
getattr(threading, "_register_atexit", atexit.register)(_say_goodbye)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
