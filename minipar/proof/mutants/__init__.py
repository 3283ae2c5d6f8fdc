"""A zoo of the classic bugs of parallel training, each of which `verify` must see.

mutant.py says what one is. Each stands next to those of its kind, and names the check that sees it first.
"""

from minipar.proof.mutants import (
    batches,
    beyond,
    gradients,
    pipeline,
    sequence,
    stages,
    starts,
    steps,
    tensor,
    vocabulary,
)
from minipar.proof.mutants.mutant import Mutant

KINDS = (starts, tensor, sequence, vocabulary, batches, gradients, pipeline, stages, steps, beyond)
MUTANTS = {one.name: one for kind in KINDS for one in vars(kind).values() if isinstance(one, Mutant)}

__all__ = ["MUTANTS", "Mutant"]
