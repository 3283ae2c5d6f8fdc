"""Sums gradients over dp in short messages with error feedback: "int8" and "1bit".

Rounding a gradient to a byte or a bit loses most of its digits. Error feedback keeps the rounding error,
called the residual, and adds it to the gradient of the next step (Seide et al. 2014; Karimireddy et al. 2019,
"Error feedback fixes SignSGD"). So every part of a gradient is sent at some time:

    gradient + old residual = sent + new residual

The sum of rounded gradients must be rounded again before it is sent. So there are two stages, and each stage
has its own residual (Tang et al. 2021, "1-bit Adam"):

    1. each rank encodes the chunks of its gradient, and sends chunk r to rank r (all-to-all)
    2. rank r decodes and adds the p chunks, encodes the sum, and sends it to all ranks (all-gather)

All ranks decode the same bytes, so replicas are bitwise equal. A rank sends 2 (p - 1)/p of the coded bytes.
"""

# n: number of elements of the flat gradient, k: number of elements of one section of it
# dp: the axis of data parallelism

from __future__ import annotations

import numpy as np

from minipar.comm.collectives import all_gather, all_to_all, even_counts
from minipar.comm.collectives.chunks import pieces
from minipar.comm.protocol import Communicator
from minipar.optim import Flat
from minipar.parallel.codes import CODES
from minipar.parallel.data import Whole


class CompressedReducer(Whole):
    """Sums gradients in compressed form. code: a key of CODES. A section is a part of the flat gradient that
    is summed at once. residual [n]: the residual of stage 1. sum_residuals: for each section, the residual of
    stage 2 for this rank's chunk.

    Checkpoints do not contain the residuals, because a residual belongs to one rank, and a restart may have
    another number of ranks.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool, code: str):
        super().__init__(flat, dp, copies)
        self.code = CODES[code]
        self.residual = np.zeros_like(flat.data)
        self.counts = [even_counts(span.stop - span.start, dp.size) for span, *_ in self.sections]
        self.sum_residuals = [np.zeros(counts[dp.rank], flat.data.dtype) for counts in self.counts]

    @property
    def residual_bytes(self) -> int:
        return self.residual.nbytes + sum(one.nbytes for one in self.sum_residuals)

    def forget(self) -> None:
        """Set all residuals to zero, as at the start of a training."""
        for residual in (self.residual, *self.sum_residuals):
            residual[...] = 0

    def finish(self) -> None:
        gradient = self.flat.gradient()
        if self.dp.size == 1:
            return
        for number, (span, _, label, _) in enumerate(self.sections):
            self._sum(number, gradient[span], self.residual[span], label)

    def _sum(self, number: int, values: np.ndarray, residual: np.ndarray, label: str) -> None:
        """Replace the gradient of a section, values [k], by the decoded sum over dp."""
        code, dtype, counts, mine = self.code, values.dtype, self.counts[number], self.dp.rank
        sizes = [code.nbytes(count, dtype) for count in counts]
        values += residual
        coded = [code.encode(chunk) for chunk in pieces(values, counts)]
        self.keep(residual, values, self._decoded(coded, counts, dtype))

        received = all_to_all(self.dp, np.concatenate(coded), send_counts=sizes,
                              receive_counts=[sizes[mine]] * self.dp.size, label=label)
        own = self.sum_residuals[number]
        total = own + sum(code.decode(one, counts[mine], dtype) for one in np.split(received, self.dp.size))
        coded_sum = code.encode(total)
        self.keep(own, total, code.decode(coded_sum, counts[mine], dtype))

        everything = all_gather(self.dp, coded_sum, counts=sizes, label=label, algorithm="ring")
        values[...] = self._decoded(pieces(everything, sizes), counts, dtype)

    def keep(self, residual: np.ndarray, values: np.ndarray, sent: np.ndarray) -> None:
        """Set the residual to `values` - `sent`."""
        np.subtract(values, sent, out=residual)

    def _decoded(self, coded: list[np.ndarray], counts: list[int], dtype: np.dtype) -> np.ndarray:
        return np.concatenate([self.code.decode(one, n, dtype) for one, n in zip(coded, counts, strict=True)])
