"""Texts of two authors, for lesson 01: which of two Markov chains wrote one?"""

from __future__ import annotations

import numpy as np

from minipar.data.markov import MarkovSource

Labelled = tuple[np.ndarray, np.ndarray]                            # tokens [n, LENGTH], authors [n]
LETTERS, LENGTH = 8, 12


def texts(count: int, seed: int) -> Labelled:
    """Half of each author, in turns. count: even."""
    chains = [MarkovSource.random(LETTERS, seed=author, concentration=0.3) for author in (0, 1)]
    pages = [chain.sample(count // 2 * LENGTH, seed=seed).reshape(-1, LENGTH) for chain in chains]
    return np.stack(pages, axis=1).reshape(count, LENGTH), np.tile([0, 1], count // 2)


def batches(data: Labelled, size: int = 16) -> list[Labelled]:
    """In order; the last one may be short."""
    return [(data[0][i : i + size], data[1][i : i + size]) for i in range(0, len(data[0]), size)]
