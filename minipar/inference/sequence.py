"""Defines a sequence: a text that the engine is writing for one sample of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minipar.inference.requests import TextRequest
from minipar.inference.stops import TextStream
from minipar.rng import stream


@dataclass(eq=False)
class TextSequence:
    """A sequence. text: the tokens of the prompt and the new tokens; tokens that left the context are not
    included. computed: the number of first tokens whose keys and values are in the cache. table: the blocks
    of the cache that hold them.

    A sequence with one token to compute is decoding. With more tokens to compute, it is in its prefill.
    forks: the number of other samples that will copy this sequence when its prompt is computed.
    """

    number: int                                                     # the number of its request
    request: TextRequest
    sample: int
    text: list[int]
    rng: np.random.Generator
    shown: TextStream | None = None
    forks: int = 0
    written: int = 0                                                # number of new tokens so far
    computed: int = 0
    table: list[int] = field(default_factory=list)
    registered: int = 0                                             # number of registered blocks
    prefix: int = 0                                                 # prefix of these blocks, see blocks.py
    swapped: list[np.ndarray] | None = None                         # content of the blocks after preemption

    @property
    def arrival(self) -> tuple[int, int]:
        """The position in the queue. Sequences with a smaller position have priority."""
        return self.number, self.sample

    @property
    def pending(self) -> int:
        """The number of tokens to compute before the next token can be chosen."""
        return len(self.text) - self.computed


def random_numbers(request: TextRequest, sample: int) -> np.random.Generator:
    """Return the generator of one sample. Sample 0 has the same generator as `generate` with this seed."""
    key = ("generate", sample) if sample else ("generate",)
    return stream(request.sampling.seed, *key)
