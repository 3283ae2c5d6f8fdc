"""Defines the pipeline stages of one rank. A stage is a part of the model. The first and the last stage may
use the same token table (tied table).
"""

# dp, pp: the axes of data and pipeline parallelism

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import DTypeLike

from minipar.comm.collectives import all_reduce, even_counts
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.config import Layout, ModelConfig
from minipar.errors import LayoutError, ScheduleError
from minipar.nn import GPT, Module, Parameter, Part, Region
from minipar.nn.nonfinite import first_nonfinite
from minipar.optim import ParameterStore
from minipar.parallel.grid import Grid
from minipar.schedules.find import find_schedule
from minipar.schedules.generators import SCHEDULES
from minipar.schedules.instruction import Schedule
from minipar.schedules.lint import lint


def schedule_of(layout: Layout, micro_batches: int | None = None) -> Schedule:
    """Returns the layout's schedule. `lint` checks a schedule from a file. Raises ScheduleError or
    LayoutError for an invalid schedule.

    micro_batches: None if the caller only needs `stage_to_rank`.
    """
    schedule = find_schedule(layout.pipeline, layout.pp, micro_batches, layout.virtual or None)
    if layout.pipeline not in SCHEDULES:
        try:
            lint(schedule)
        except ScheduleError as error:
            raise ScheduleError(f"{layout.pipeline}: {error}") from error
    if idle := sorted(set(range(layout.pp)) - set(schedule.stage_to_rank)):
        raise ScheduleError(f"{layout.pipeline} gives rank {idle[0]} of the pipeline no stage; use all "
                            f"{layout.pp} ranks, or fewer")
    return schedule


def require_same(schedule: Schedule, layout: Layout, world: Communicator) -> None:
    """Raises ScheduleError if ranks with the same number of micro-batches read different schedules from a
    file.

    This happens if the file changes during the start, differs between hosts, or draws random numbers. Without
    this check, ranks would receive wrong messages, and no error would be raised. All ranks of the layout call
    this function.
    """
    if layout.pipeline in SCHEDULES:
        return
    digest = hashlib.blake2b(repr(schedule).encode(), digest_size=7).digest()
    replicas = world.split(schedule.micro_batches, label="schedule")
    alike = replicas and replicas.split(int.from_bytes(digest, "big"), label="schedule")
    if replicas is None or alike is None or alike.size < replicas.size:
        raise ScheduleError(f"{layout.pipeline} does not give all ranks the same schedule; let it return the "
                            "same every time, with a fixed seed if it draws random numbers, and do not "
                            "change it meanwhile")


def parts_of(layers: int, stages: int, counts: Sequence[int] = ()) -> list[Part]:
    """Returns the part of the model in each stage. counts: layers per stage, by default as even as possible.

    Raises LayoutError if a stage has no work, or if the counts do not fit the stages and layers.
    """
    if not counts:
        if layers < stages:
            raise LayoutError(f"{layers} layer(s) over {stages} pipeline stages leave stages without any; "
                              f"choose --layers {stages} or more, or fewer stages")
        counts = even_counts(layers, stages)
    if len(counts) != stages or sum(counts) != layers or min(counts) < 0 or 0 in counts[1:-1]:
        raise LayoutError(f"--stage-layers {','.join(map(str, counts))} should be {stages} numbers, one per "
                          f"stage, that add up to {layers} layers; only the first and last may be 0")
    bounds = pairwise(accumulate(counts, initial=0))
    return [Part(stage == 0, range(*bound), stage == stages - 1) for stage, bound in enumerate(bounds)]


def models_of_rank(config: ModelConfig, parts: Sequence[Part], stage_to_rank: Sequence[int], rank: int,
                   region: Region, *, seed: int | None, dtype: DTypeLike = np.float32,
                   recompute: str = "none") -> dict[int, GPT]:
    """Returns a dict: stage -> part of the model, for the stages of rank `rank` of pp. Two parts on one rank
    share a tied token table.
    """
    models: dict[int, GPT] = {}
    token_table = None
    for stage, (part, owner) in enumerate(zip(parts, stage_to_rank, strict=True)):
        if owner == rank:
            models[stage] = GPT(config, seed=seed, dtype=dtype, region=region, part=part,
                                token_table=token_table, recompute=recompute)
            token_table = models[stage].token_table if part.first else token_table
    return models


class Stages(Module):
    """Holds this rank's stages of a model. `stage_to_rank`: the rank of pp that owns each stage. All ranks of
    pp create a Stages object together.

    The first and the last stage use a tied token table. If these two stages are on two ranks, both ranks have
    a replica of the table, and `add_tied` sums the gradients of both replicas. Without this sum, the replicas
    would become different.
    """

    def __init__(self, config: ModelConfig, parts: Sequence[Part], stage_to_rank: Sequence[int], grid: Grid,
                 region: Region, *, seed: int, dtype: DTypeLike, recompute: str = "none"):
        super().__init__("stages")
        self.config, self.region, self.dtype = config, region, np.dtype(dtype)
        self.stage_to_rank, self.world, self.pp, self.tp = tuple(stage_to_rank), grid.world, grid.pp, grid.tp
        self.parts = models_of_rank(config, parts, stage_to_rank, self.pp.rank, region, seed=seed,
                                    dtype=dtype, recompute=recompute)
        self.models = list(self.parts.values())
        ends = [stage_to_rank[0], stage_to_rank[-1]]
        self._tied: Communicator | None = None
        if config.tied and ends[0] != ends[1]:
            self._tied = self.pp.split(0 if self.pp.rank in ends else None, label="tied")
        # names of parameters whose replica on another rank counts instead
        self.copies = {"tokens.weight"} if self._tied is not None and self.pp.rank == ends[1] else set()

    def add_tied(self, store: ParameterStore) -> None:
        """Add the gradients of the tied table from both ends of the model.

        All ranks of pp call this method after the sum over dp.
        """
        if self._tied is not None:
            for p, gradient in store.own_gradients():
                if p.name == "tokens.weight":
                    all_reduce(self._tied, gradient, label="tied table", out=gradient)

    def first_nonfinite(self, run: Callable[[], object], store: ParameterStore) -> str:
        """Returns the name of the first operation or weight in the whole model whose values are not finite
        during `run()`.

        All ranks of the grid call this method and return the same name. This holds even if such values occur
        only in one shard, or only for the samples of one rank.
        """
        bad_weights, bad_gradients = ({p for p, values in own if not np.isfinite(values).all()}
                                      for own in (store.own_weights(), store.own_gradients()))
        order: dict[Parameter, tuple[int, int, str]] = {}  # a tied table has the position of its first use
        for stage, model in self.parts.items():
            for number, p in enumerate(model.parameters()):
                order.setdefault(p, (stage, number, p.name))
        gradients = [position for p, position in order.items() if p.name not in self.copies
                     and p in bad_gradients]
        mine = {"site": first_nonfinite(self.parts, run, lambda p: p not in bad_weights),
                "gradient": max(gradients, default=None)}
        found = gathered(self.world, mine, "where it diverged")
        sites = [rank["site"] for rank in found if rank["site"]]
        if sites:
            return str(min(sites)[-1])
        last = [rank["gradient"] for rank in found if rank["gradient"]]
        if last:
            return f"the gradient of {max(last)[-1]}"              # backward reaches the last parameter first
        return "a sum, of losses or of the gradient's squares"
