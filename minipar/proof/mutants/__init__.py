"""Defines mutants: classic bugs of parallel training that can be planted. `minipar verify` must detect each
bug.

mutant.py defines the class Mutant. Each other file contains one kind of bug. Each mutant names the check of
`verify` that fails first.
"""

from minipar.proof.mutants import (
    batches,
    beyond,
    compressed,
    gathering,
    gradients,
    pipeline,
    sequence,
    sharding,
    shared,
    stages,
    starts,
    steps,
    tensor,
    vocabulary,
)
from minipar.proof.mutants.mutant import Mutant

KINDS = (starts, tensor, sequence, vocabulary, batches, gradients, compressed, sharding, gathering, pipeline,
         stages, steps, beyond, shared)
MUTANTS = {one.name: one for kind in KINDS for one in vars(kind).values() if isinstance(one, Mutant)}

__all__ = ["MUTANTS", "Mutant"]
