"""Draws batches of tokens. The batch of a training step depends only on (seed, step).

Every layout draws the same global batch, and each rank takes its rows. So data parallelism trains on the same
data in the same order as one process, and a resumed run needs only the number of the next step.
"""

# N: tokens of the text, B: samples of the batch, b: samples of a smaller batch, T: tokens per sample

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from minipar.errors import ConfigError, DataError
from minipar.rng import stream

Tokens = NDArray[np.integer]
Batch = tuple[NDArray[np.int64], NDArray[np.int64]]


def split(tokens: Tokens, fraction: float = 0.9) -> tuple[Tokens, Tokens]:
    """Return training and validation tokens: the first 90 % of the text, and the rest (as in nanoGPT).

    >>> split(np.arange(10))
    (array([0, 1, 2, 3, 4, 5, 6, 7, 8]), array([9]))
    """
    boundary = int(len(tokens) * fraction)
    return tokens[:boundary], tokens[boundary:]


class Batches:
    """Draws training batches. Each row is a window of the text. Windows start at random positions, drawn with
    replacement as in nanoGPT.
    """

    def __init__(self, tokens: Tokens, context: int, batch: int, seed: int) -> None:
        """`tokens` are integers [N]; `context` is T, `batch` is B. Raises DataError unless N > T."""
        self._windows = _windows(tokens, context, batch, "training text")                 # [N - T, T + 1]
        self._batch = batch
        self._seed = seed

    def get(self, step: int) -> Batch:
        """Return the global batch of this step: inputs [B, T] and targets [B, T], int64.

        A target is the token after its input.
        """
        starts = stream(self._seed, "batch", step).integers(len(self._windows), size=self._batch)
        return _inputs_and_targets(self._windows[starts])


class EvaluationBatches:
    """Yields batches with the same windows in every evaluation, so that the losses of evaluations can be
    compared.

    `windows` is the number of windows. They are spread evenly over the text. With None, windows follow one
    another without overlap, so each target occurs once. An incomplete last window is left out. The last batch
    may have fewer rows, so average over tokens, not over batches.
    """

    def __init__(self, tokens: Tokens, context: int, batch: int, windows: int | None = None) -> None:
        """`tokens` are integers [N]; `context` is T; a batch has at most `batch` rows. Raises DataError
        unless N > T.
        """
        self._windows = _windows(tokens, context, batch, "validation text")               # [N - T, T + 1]
        last = len(self._windows) - 1
        if windows is None:
            self.starts = np.arange(0, last + 1, context)
        elif windows > 0:
            self.starts = np.linspace(0, last, windows).astype(np.int64)
        else:
            raise ConfigError(f"validation needs at least 1 window, not {windows}")
        self._batch = batch

    def __len__(self) -> int:
        """Returns the number of batches."""
        return -(-len(self.starts) // self._batch)

    def __iter__(self) -> Iterator[Batch]:
        """Yield inputs [b, T] and targets [b, T], int64, with b <= batch."""
        for first in range(0, len(self.starts), self._batch):
            yield _inputs_and_targets(self._windows[self.starts[first:first + self._batch]])


def _windows(tokens: Tokens, context: int, batch: int, what: str) -> Tokens:
    """Return a view [N - T, T + 1] of all windows of T inputs and the target after them."""
    if context < 1 or batch < 1:
        raise ConfigError(f"context and batch must be at least 1; got context {context} and batch {batch}")
    if len(tokens) <= context:
        raise DataError(f"the {what} has {len(tokens)} tokens, but a context of {context} needs "
                        f"{context + 1}; choose a shorter context or give more text")
    return sliding_window_view(tokens, context + 1)


def _inputs_and_targets(windows: Tokens) -> Batch:
    return windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
