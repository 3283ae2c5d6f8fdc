"""Texts of two authors, for lesson 01: which of two Markov chains wrote one? And a model that learns to
tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import minipar as mp
from minipar.autograd import cross_entropy, mean
from minipar.data.markov import MarkovSource
from minipar.nn import Block, Linear, Module, VocabParallelEmbedding

LabelledTexts = tuple[np.ndarray, np.ndarray]                            # tokens [n, LENGTH], authors [n]
LETTERS, LENGTH = 8, 12


def texts(count: int, seed: int) -> LabelledTexts:
    """Half of each author, in turns. count: even."""
    chains = [MarkovSource.random(LETTERS, seed=author, concentration=0.3) for author in (0, 1)]
    pages = [chain.sample(count // 2 * LENGTH, seed=seed).reshape(-1, LENGTH) for chain in chains]
    return np.stack(pages, axis=1).reshape(count, LENGTH), np.tile([0, 1], count // 2)


def batches(data: LabelledTexts, size: int = 16) -> list[LabelledTexts]:
    """In order; the last one may be short."""
    return [(data[0][i : i + size], data[1][i : i + size]) for i in range(0, len(data[0]), size)]


@dataclass
class Outputs:
    """Logits [B, 2]; the mean loss, None where the model was given no labels."""

    logits: mp.Tensor
    loss: mp.Tensor | None


class TextClassifier(Module):
    """Tokens [B, T] -> two logits per text; with labels the loss too, as in the library that document 003
    uses.
    """

    def __init__(self) -> None:
        super().__init__("classifier")
        self.tokens = VocabParallelEmbedding("tokens", LETTERS, 16)
        self.block = Block("block", mp.ModelConfig(vocabulary=LETTERS, context=LENGTH, layers=1, heads=2,
                                                   width=16))
        self.head = Linear("head", 16, 2)
        self.initialise(seed=0, dtype=np.float64)

    def forward(self, tokens: np.ndarray, labels: np.ndarray | None = None) -> Outputs:
        logits = self.head(mean(self.block(self.tokens.look_up(tokens)), 1))
        return Outputs(logits, None if labels is None else cross_entropy(logits, labels))
