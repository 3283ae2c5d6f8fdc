"""Computes prompts on one rank, and new tokens on another rank, which receives the KV cache (Zhong et al.
2024, "DistServe").

The prefill (computation of a prompt) of a long prompt takes as long as hundreds of decoding steps. If the
prefill has its own rank, it does not delay the tokens of other requests. Rank 0 computes the keys and values
of all tokens of a prompt except the last one, and sends them. Rank 1 stores them in its blocks, computes the
last token of the prompt, and then decodes the sequence.

A prompt of T tokens needs one message of (T - 1) * token_bytes bytes, where token_bytes = 2 * layers * width
* bytes per number. Example: GPT-2 in float32 sends 73,728 bytes per token.
"""


from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.errors import LayoutError
from minipar.inference.batch import make_batch
from minipar.inference.engine import Engine
from minipar.inference.requests import NewToken, TextRequest
from minipar.inference.sequence import TextSequence

PREFILL, DECODE = 0, 1                                              # ranks


class HandoverEngine:
    """An engine on two ranks, with the interface of Engine. Each rank has its own engine for the same model.
    Both ranks must make the same calls.
    """

    def __init__(self, engine: Engine, comm: Communicator):
        """Raises LayoutError if the number of ranks is not two."""
        if comm.size != 2:
            raise LayoutError(f"prefill and decoding need 2 ranks; this group has {comm.size}")
        self.engine, self.comm = engine, comm
        self._numbers = itertools.count()
        self._unfinished: dict[int, int] = {}                       # request -> samples
        self._prompts: dict[int, TextSequence] = {}                 # prompts that rank 1 does not have yet

    @property
    def busy(self) -> bool:
        """True while a request is unfinished."""
        return bool(self._unfinished)

    def add(self, request: TextRequest) -> int:
        """Queue a request and return its number, like `Engine.add`."""
        self.engine.check(request)
        number = next(self._numbers)
        sequence = self.engine.sequence_of(number, request)
        self._prompts[number], self._unfinished[number] = sequence, request.samples
        if self.comm.rank == PREFILL:
            sequence.text = sequence.text[:-1]
            if sequence.text:
                self.engine.scheduler.add(sequence)
        return number

    def step(self) -> list[NewToken]:
        """Compute a part of the prompts on rank 0 and, at the same time, new tokens on rank 1. Returns the
        new tokens on both ranks.
        """
        ready = self._prefill() if self.comm.rank == PREFILL else []
        own = [] if self.comm.rank == PREFILL else [asdict(token) for token in self.engine.step()]
        (ready, _), (_, new) = gathered(self.comm, (ready, own), "handover")
        for number in ready:
            self._hand_over(self._prompts.pop(number))
        tokens = [NewToken(**values | {"likely": tuple(map(tuple, values["likely"]))}) for values in new]
        for token in tokens:
            if token.finished:
                self._unfinished[token.request] -= 1
                if not self._unfinished[token.request]:
                    del self._unfinished[token.request]
        return tokens

    def _prefill(self) -> list[int]:
        """Compute a part of the waiting prompts. Returns the numbers of the requests whose prompts are
        complete.
        """
        engine = self.engine
        planned = engine.scheduler.plan()
        if planned:
            parts = [(one.text[one.computed : one.computed + rows], one.computed, one.table, 0)
                     for one, rows in planned.items()]
            engine.runner.run(make_batch(parts, engine.options.block_size))
        for sequence, rows in planned.items():
            sequence.computed += rows
            engine.memory.register(sequence)
        return [number for number, sequence in self._prompts.items() if not sequence.pending]

    def _hand_over(self, sequence: TextSequence) -> None:
        """Send the keys and values of a prompt from rank 0 to rank 1. On rank 1, add the sequence to the
        queue.
        """
        length, caches = len(sequence.request.prompt) - 1, self.engine.runner.caches
        label = f"prompt of request {sequence.number}"
        if self.comm.rank == PREFILL:
            if length:
                data = packed([array[:, :, :length] for cache in caches
                               for array in cache.save(sequence.table)])
                self.engine.scheduler.remove(sequence)
                self.comm.send(data, DECODE, label=label)
            return
        if length:
            size = length * sum(cache.token_bytes for cache in caches)
            data = self.comm.recv(np.empty(size, np.uint8), PREFILL, label=label)
            like = [array[:, :, :length] for cache in caches for array in cache.arrays()]
            sequence.swapped, sequence.computed = unpacked(data, like), length
        self.engine.scheduler.add(sequence)


def packed(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return the bytes of all arrays, concatenated, as uint8."""
    return np.concatenate([np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays])


def unpacked(data: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that `packed` joined. `like` holds arrays of the same shapes and dtypes."""
    parts = np.split(data, np.cumsum([array.nbytes for array in like])[:-1])
    return [part.view(one.dtype).reshape(one.shape) for part, one in zip(parts, like, strict=True)]
