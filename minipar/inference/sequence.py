"""A text that the engine is writing: one sample of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minipar.inference.requests import TextRequest
from minipar.inference.stops import TextStream
from minipar.rng import stream


@dataclass(eq=False)
class TextSequence:
    """A sequence. `text` holds the tokens of the prompt and the new ones that are in the context. The first
    `computed` of these tokens have keys and values in the cache, in the blocks of `table`.

    A sequence with one token to compute is decoding; with more it is in its prefill. `forks` are samples that
    will start from this sequence when its prompt is computed.
    """

    number: int                                                     # the number of its request
    request: TextRequest
    sample: int
    text: list[int]
    rng: np.random.Generator
    shown: TextStream | None = None
    forks: int = 0
    written: int = 0                                                # new tokens so far
    computed: int = 0
    table: list[int] = field(default_factory=list)
    registered: int = 0                                             # number of registered blocks
    prefix: int = 0                                                 # number of the prefix that ends there
    swapped: list[np.ndarray] | None = None                         # the blocks of a preempted sequence

    @property
    def arrival(self) -> tuple[int, int]:
        """The position in the queue; earlier sequences have priority."""
        return self.number, self.sample

    @property
    def pending(self) -> int:
        """The number of tokens to compute before the next token can be chosen."""
        return len(self.text) - self.computed


def random_numbers(request: TextRequest, sample: int) -> np.random.Generator:
    """Return the generator of one sample. Sample 0 has the same generator as `generate` with this seed."""
    key = ("generate", sample) if sample else ("generate",)
    return stream(request.sampling.seed, *key)
