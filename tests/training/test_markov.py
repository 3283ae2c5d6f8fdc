"""On a source whose entropy rate is known, training comes near that floor on text that it has not seen, and
not below it.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.solo import solo
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.batches import EvaluationBatches, split
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import ByteTokenizer
from minipar.parallel.grid import Grid
from minipar.training.build import training_data
from minipar.training.trainer import Trainer

SYMBOLS, CONTEXT = 8, 16


def test_the_loss_comes_near_the_entropy_rate_and_not_below() -> None:
    source = MarkovSource.random(SYMBOLS, seed=0, concentration=0.3)
    tokens = source.sample(60_000, seed=1)
    held_out = split(tokens)[1]
    assert abs(source.cross_entropy(held_out) - source.entropy_rate) < 0.05           # 4 standard errors
    model = ModelConfig(vocabulary=SYMBOLS, context=CONTEXT, layers=1, heads=2, width=16)
    train = TrainConfig(batch=32, steps=300, lr=0.02, warm_up=10, weight_decay=0)
    data = training_data(tokens, model, train)._replace(
        validation=EvaluationBatches(held_out, CONTEXT, 200))       # every target once
    trainer = Trainer(model, train, ByteTokenizer(), tokens, Grid(solo(), Layout()), data=data)
    uniform, first = np.log(SYMBOLS), trainer.validate()
    assert abs(first - uniform) < 0.1
    for _ in range(train.steps):
        trainer.step()
    above = trainer.validate() - source.cross_entropy(held_out)
    assert 0 < above < 0.02
