"""What lesson 15 runs on its ranks: modules side by side, and a schedule on the executor, with what it sends
and keeps.
"""

# N samples, T tokens, D model width

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import minipar as mp
from minipar.autograd import tokens_that_count
from minipar.comm.wrappers.counting import Counting
from minipar.nn import MLP, NO_DROPOUT, SERIAL, Start
from minipar.optim import Flat
from minipar.parallel.operators import copy_to_region, reduce_from_region
from minipar.parallel.pipeline import Execution, MicroBatch, Pipeline
from minipar.parallel.stages import Stages, parts_of
from minipar.schedules.instruction import Instruction, Schedule

Gradients = dict[str, np.ndarray]                                   # by the parameter's name


def branches(comm: mp.Communicator, model: mp.ModelConfig, number: int, x: np.ndarray,
             g: np.ndarray) -> tuple[np.ndarray, np.ndarray, Gradients]:
    """y and dx [N, T, D] of so many MLPs, dealt out to the ranks, whose outputs are added; and the gradients
    of this rank's.

    x [N, T, D]: their input; g [N, T, D]: dL/dy.
    """
    leaf = mp.Tensor(x.copy(), requires_grad=True)
    mine = [MLP(f"branch{one}", model, Start(std=0.3)) for one in range(comm.rank, number, comm.size)]
    for mlp in mine:
        mlp.initialise(0, np.float64)
    inner = copy_to_region(leaf, comm, "dx")
    part = mine[0](inner)
    for mlp in mine[1:]:
        part = part + mlp(inner)
    y = reduce_from_region(part, comm, "y")
    mp.backward(y, g)
    assert leaf.grad is not None
    return y.data, leaf.grad, {p.name: p.grad for mlp in mine for p in mlp.parameters() if p.grad is not None}


def pipelined(comm: mp.Communicator, model: mp.ModelConfig, inputs: np.ndarray, targets: np.ndarray,
              schedule: Schedule) -> tuple[Gradients, int, int]:
    """The gradients of this rank's stages, the bytes that it sends to neighbours, and the most tapes that it
    has at once.

    inputs, targets: int [N, T]; they go through the pipeline in as many micro-batches as the schedule has.
    """
    counting, tapes = Counting(comm), [0]

    @contextmanager
    def watch(instruction: Instruction, execution: Execution) -> Iterator[None]:
        yield
        tapes.append(len(execution.tapes) + len(execution.deferred))

    grid = mp.Grid(counting, mp.Layout(pp=comm.size))
    stages = Stages(model, parts_of(model.layers, schedule.stages), schedule.stage_to_rank, grid, SERIAL,
                    seed=0, dtype=np.float64)
    flat = Flat(stages.parameters())
    pieces = np.array_split(np.arange(len(inputs)), schedule.micro_batches)
    counting.traffic.tallies.clear()
    Pipeline(stages, schedule, grid.pp, watch).run([MicroBatch(inputs[rows], targets[rows], NO_DROPOUT)
                                                    for rows in pieces],
                                                   count=tokens_that_count(targets))
    sent = counting.traffic.total().bytes
    stages.add_tied(flat)
    return {name: gradient.copy()
            for name, gradient in flat.by_name(flat.gradient()).items()}, sent, max(tapes)
