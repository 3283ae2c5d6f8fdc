"""The report at the end of a training: the model, a sample of text, and the costs of each rank."""

from __future__ import annotations

import itertools
import resource
import sys

import numpy as np

from minipar.comm.collectives import all_gather
from minipar.comm.wrappers.counting import Counting, MessageTally
from minipar.inference.generate import generate
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.training.trainer import Trainer

MIB = 1 << 20
SAMPLE = 400                                                        # tokens of generated text
# axis -> its groups; tied: the first and the last stage of a pipeline
AXES = {"dp": ("dp",), "pp": ("pp", "tied"), "tp": ("tp",)}


def report_lines(trainer: Trainer, folder: RunFolder, extra: list[str]) -> list[str]:
    """One page about a finished training, from the files of its folder. extra: lines for the middle."""
    model, tokenizer = folder.model()
    parameters = sum(p.size for p in model.parameters())
    validation = [line["validation"] for line in read_metrics(folder.metrics) if "validation" in line]
    start = tokenizer.decode([int(trainer.batches.get(0)[0][0, 0])])
    tokens = generate(model, tokenizer.encode(start).tolist(), temperature=0.8, seed=trainer.config.seed)
    sample = start + tokenizer.decode(list(itertools.islice(tokens, SAMPLE)))
    return [f"{parameters:,} parameters, {trainer.steps_done} steps, validation loss {validation[-1]:.4f} "
            "nats per token", *extra,
            f"summary, pictures, metrics and checkpoints: {folder.folder}",
            f"a sample:\n{'-' * 72}\n{sample}\n{'-' * 72}"]


def costs_per_rank(trainer: Trainer, world: Counting) -> list[str]:
    """A table with a line per rank; every rank returns it, and all ranks call it. world: has counted from the
    start.

    The traffic is everything that a rank sent along an axis: in steps, validations and checkpoints.
    """
    flat = trainer.flat
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    state = sum(buffer.nbytes for buffer in trainer.optimizer.state.values())
    mine = {"weights MiB": flat.data.nbytes / MIB, "gradients MiB": flat.grad.nbytes / MIB,
            "optimiser MiB": state / MIB, "process peak MiB": peak / MIB}
    sent = world.traffic.by("group")
    for axis, groups in AXES.items():
        if getattr(trainer.grid.layout, axis) > 1:
            tallies = [sent.get((group,), MessageTally()) for group in groups]
            mine[f"{axis} sent MiB"] = sum(tally.bytes for tally in tallies) / MIB
            mine[f"{axis} messages"] = sum(tally.messages for tally in tallies)
    rows = all_gather(world, np.array([[*mine.values()]]), label="summary")     # [ranks, columns]
    lines = ["rank  " + "  ".join(mine)]
    for rank, row in enumerate(rows):
        cells = (f"{value:>{len(name)},.{2 * name.endswith('MiB')}f}" for name,
                 value in zip(mine, row, strict=True))
        lines.append(f"{rank:4}  " + "  ".join(cells))
    return lines
