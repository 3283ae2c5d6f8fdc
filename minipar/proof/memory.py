"""Compares the memory of a rank with the memory ledger, the prediction of `minipar plan`.

The comparison covers the bytes of weights, gradients, optimiser state and gathered weights. It detects a ZeRO
stage that trains correctly but does not shard all arrays that it must shard.
"""

from __future__ import annotations

from minipar.nn.counts import computed_pairs
from minipar.plan.memory import training_memory
from minipar.proof.record import RankRun


def wrong_memory(run: RankRun) -> str:
    """Describes the first kind of buffer whose bytes differ from the ledger. Returns "" if there is none."""
    trainer, grid = run.trainer, run.grid
    ledger = training_memory(trainer.model, trainer.config, grid.layout, grid.world.rank, computed_pairs)
    state = sum(array.nbytes for array in trainer.optimizer.state.values())
    residuals = trainer.reducer.residual_bytes if trainer.reducer is not None else 0
    for line, held in {**trainer.store.held(), "optimizer": state, "residuals": residuals}.items():
        if held != (predicted := getattr(ledger, line)):
            return f"{line}: {held:,} bytes on rank {grid.world.rank}, the ledger has {predicted:,}"
    return ""
