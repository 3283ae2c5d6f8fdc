"""Write the report at the end of a training run: the model, a sample of text, and the costs of each rank."""

from __future__ import annotations

import itertools
import resource
import sys
import textwrap
from collections.abc import Mapping

import numpy as np

from minipar.comm.collectives import all_gather
from minipar.comm.wrappers.counting import Counting, MessageTally
from minipar.inference.generate import generate
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.training.trainer import Trainer

MIB = 1 << 20
SAMPLE = 400                                                        # tokens of generated text
# axis -> the communicators along it; "tied" connects the first and the last stage of a pipeline
AXES = {"dp": ("dp",), "pp": ("pp", "tied"), "tp": ("tp",)}


def report_lines(trainer: Trainer, folder: RunFolder, extra: list[str]) -> list[str]:
    """Returns one page about a finished training, from the files of its folder. `extra` holds lines after the
    first line.
    """
    model, tokenizer = folder.model()
    parameters = sum(p.size for p in model.parameters())
    validation = [line["validation"] for line in read_metrics(folder.metrics) if "validation" in line]
    start = tokenizer.decode([int(trainer.batches.get(0)[0][0, 0])])
    tokens = generate(model, tokenizer.encode(start).tolist(), temperature=0.5, seed=trainer.config.seed)
    sample = start + tokenizer.decode(list(itertools.islice(tokens, SAMPLE)))
    shown = "\n".join(textwrap.fill(line, 72, replace_whitespace=False) for line in sample.splitlines())
    return [f"{parameters:,} parameters, {trainer.steps_done} steps, validation loss {validation[-1]:.4f} "
            "nats per token", *extra,
            f"summary, pictures, metrics and checkpoints: {folder.folder}",
            f"a sample:\n{'-' * 72}\n{shown}\n{'-' * 72}"]


def costs_per_rank(trainer: Trainer, world: Counting) -> list[str]:
    """Returns two tables, memory and traffic, with one line per rank. All ranks call this function and get
    both tables. `world` is a communicator that has counted all traffic.

    The traffic includes all messages of a rank along an axis, in steps, validations and checkpoints.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    state = sum(buffer.nbytes for buffer in trainer.optimizer.state.values())
    memory = {**{name: size / MIB for name, size in trainer.store.held().items() if size},
              "optimiser": state / MIB, "process peak": peak / MIB}
    traffic: dict[str, float] = {}
    sent = world.traffic.by("group")
    for axis, groups in AXES.items():
        if getattr(trainer.grid.layout, axis) > 1:
            tallies = [sent.get((group,), MessageTally()) for group in groups]
            traffic[f"{axis} MiB"] = sum(tally.bytes for tally in tallies) / MIB
            traffic[f"{axis} sends"] = sum(tally.messages for tally in tallies)
    return [*_by_rank(world, "memory, MiB", memory), *_by_rank(world, "sent in all", traffic)]


def _by_rank(world: Counting, title: str, mine: Mapping[str, float]) -> list[str]:
    """Returns a table with the numbers of every rank, at most 80 columns wide. `mine` holds the numbers of
    this rank.
    """
    rows = all_gather(world, np.array([[*mine.values()]]), label="summary")     # [ranks, columns]
    lines = [f"{title:12}  rank  " + "  ".join(f"{name:>8}" for name in mine)]
    for rank, row in enumerate(rows):
        cells = (f"{value:>{max(8, len(name))},.{0 if name.endswith('sends') else 2}f}"
                 for name, value in zip(mine, row, strict=True))
        lines.append(f"{'':12}  {rank:4}  " + "  ".join(cells))
    return lines
