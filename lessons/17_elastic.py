# %% [markdown]
# # 17 · Elastic training: ranks come and go
#
# A training on thousands of ranks loses one every few hours. Must it end? And if
# more machines become free tonight: can it use them?
#
#     step   0  1  2  3 | a rank dies
#            4 ranks    | 3 ranks  3  4  5 | two more come
#                                          | 5 ranks  6  7  8 ...
#
# It can, if nothing of the training depends on the number of ranks:
#
# * the *data*: the global batch of step k is the same, however it is shared;
# * the *state*: weights, optimiser and step can be put on any layout.
#
# You need lessons 13 and 16. The core path takes 25 minutes; sections marked
# "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 17` (step by step), `minipar lesson run 17` (at
# once, four threads), or `mpirun -n 4 python lessons/17_elastic.py`.

# %%
from dataclasses import replace
from math import ceil

import numpy as np
from minipar.lessons.plots.elastic import draw_losses, draw_step_time
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.comm.wrappers.faults import Fault
from minipar.data.tokenizer import CharTokenizer
from minipar.plan.checkpoint_interval import (
    expected_seconds,
    mean_simulated_seconds,
    young_interval,
)
from minipar.training.elastic import (
    ElasticTraining,
    change_layout,
    smaller_along_dp,
)

lesson = Lesson("17_elastic", ranks=4)
assert lesson.size >= 4, "the layouts below need 4 ranks: mpirun -n 4"
TEXT = "to be, or not to be, that is the question. " * 60
LETTERS = CharTokenizer.from_text(TEXT)
TOKENS = LETTERS.encode(TEXT)
STEPS = 6 if lesson.fast else 16
MODEL = mp.ModelConfig(vocabulary=LETTERS.vocab_size, context=8, layers=2,
                       heads=2, width=16)
TRAIN = mp.TrainConfig(batch=8, steps=STEPS, lr=0.01, warm_up=2,
                       optimizer="sgd", dtype="float64",
                       validation_windows=2)


def make(grid, train=TRAIN):
    return mp.Trainer(MODEL, train, LETTERS, TOKENS, grid)


# %% [markdown]
# ## 1 · The same training on 4, 2 and 3 ranks
#
# We train on 4 ranks, then on 2, then on 3. The state moves from one to the next;
# no file is needed, and the batch of 8 stays a batch of 8: shares of 2, of 4, and
# of 3, 3 and 2 samples.

# %%
def train_on(numbers, batch=lambda ranks: 8, steps=STEPS):
    """The losses, where step k runs on numbers[k] ranks."""
    state, losses = None, []
    for number, ranks in enumerate(numbers[:steps]):
        train = replace(TRAIN, batch=batch(ranks))

        def one_step(comm, state=state, train=train, ranks=ranks):
            trainer = make(mp.Grid(comm, mp.Layout(dp=ranks)), train)
            if state is not None:
                trainer.restore(*state, "memory")
            loss = trainer.step().loss
            return loss, trainer.state()
        loss, state = mp.run(ranks, one_step)[0]
        losses.append(loss)
        assert state[1]["done"] == number + 1, "one step, no more"
    return np.array(losses), state[0]


CHANGES = [4] * (STEPS // 3) + [2] * (STEPS // 3) + [3] * STEPS
lesson.predict("4, then 2, then 3 ranks, always a batch of 8. By how much "
               "do the losses differ from those of one rank?",
               choices=("nothing but rounding", "a few percent", "much"))
one_rank, whole = train_on([1] * STEPS)
elastic, moved = train_on(CHANGES)
lesson.reveal("nothing but rounding")
off = float(abs(elastic - one_rank).max())
lesson.say(f"  largest difference of a loss: {off:.1e}")
assert off < 1e-12 and all(abs(moved[name] - whole[name]).max() < 1e-12
                           for name in whole), \
    "the trajectory does not know how many ranks there are"

# %% [markdown]
# *The other way.* Keep 2 samples *per rank*: then the global batch changes with
# the ranks, and with it the training. Nothing crashes; the numbers are others.

# %%
per_rank, _ = train_on(CHANGES, batch=lambda ranks: 2 * ranks)
apart = float(abs(per_rank - one_rank).max())
lesson.say(f"  with 2 samples per rank the losses differ by {apart:.3f}")
assert apart > 1e-3, "another batch is another gradient"
lesson.picture(draw_losses(one_rank, elastic, per_rank))

# %% [markdown]
# ## 2 · A rank dies
#
# Rank 0 keeps a **replica** of the state after each step, in memory that survives
# the ranks. When a rank dies, the others cannot finish the step: the job ends. A
# new one begins on one rank fewer, from the replica.
#
# Below, rank 2 dies at its 20th message. With gradients added up in a fixed tree
# (`gradients="bitwise"`), the sum has the same bits on 4 and on 3 ranks.

# %%
BITWISE = smaller_along_dp(mp.Layout(dp=4, gradients="bitwise"))


def with_deaths(deaths, every=1):
    training = ElasticTraining(make, BITWISE, 4, replica_every=every)
    return training.run(deaths)[0], training.lives


lesson.predict("How many elements of the final weights differ from those "
               "of a training without a death?")
calm, _ = with_deaths([])
late = [[Fault("kill", rank=2, nth=20)], [Fault("kill", rank=0, nth=9)]]
survived, lives = with_deaths(late)
lesson.reveal(sum(int((calm[name] != survived[name]).sum())
                  for name in calm))
lesson.table(("life", "ranks", "first step", "killed"), *(
    (number, life.layout.ranks, life.first_step,
     ", ".join(map(str, life.killed)))
    for number, life in enumerate(lives)))
assert [life.layout.dp for life in lives] == [4, 3, 2], \
    "each death costs one rank"
assert all(calm[name].tobytes() == survived[name].tobytes()
           for name in calm), "no bit of the weights knows of the deaths"

# %% [markdown]
# **Break it.** In `smaller_along_dp(...)`, use `gradients="flat"`. The weights
# are then equal to 1e-15, and not in every bit: another number of ranks adds in
# another order.
#
# With real processes: `minipar train --elastic --dp 4`, and `kill -9` one.

# %% [markdown]
# ## 3 · Another layout in flight
#
# Four ranks can be dp 4, or tp 2 x dp 2, or pp 2 x dp 2. A state fits all of them,
# because whole arrays are gathered and sharded anew. One step on each:

# %%
LAYOUTS = (mp.Layout(dp=4), mp.Layout(dp=2, tp=2), mp.Layout(dp=2, pp=2))


def in_flight(comm):
    trainer = make(mp.Grid(comm, LAYOUTS[0]))
    losses = [trainer.step().loss]
    for layout in LAYOUTS[1:]:
        trainer = change_layout(trainer, layout, make)
        losses.append(trainer.step().loss)
    return losses


remeshed = np.array(lesson.run(in_flight, ranks=4)[0])
lesson.table(("layout", "loss", "one rank"), *(
    (f"dp {one.dp}, tp {one.tp}, pp {one.pp}", f"{loss:.12f}",
     f"{want:.12f}")
    for one, loss, want in zip(LAYOUTS, remeshed, one_rank, strict=False)))
assert abs(remeshed - one_rank[:3]).max() < 1e-12, \
    "the loss goes on, whatever the layout"

# %% [markdown]
# *In files.* A checkpoint holds whole arrays, so it fits every layout. Other
# programs need one file per rank. `minipar reshard RUN --out DIR --dp 2 --tp 2`
# writes them, with the optimiser's state. `minipar reshard DIR --out RUN2`
# joins them to a run that `minipar train --resume RUN2` continues.

# %% [markdown]
# ## 4 · How many ranks are worth it?
#
# A step computes for C milliseconds on one rank, and p ranks share that. Reading
# the data takes IO milliseconds, for however many ranks. Both at once:
#
#     T(p) = max(C/p, IO)
#
# By hand, C = 80, IO = 10: 80, 40, 27, 20, ..., and from 8 ranks on 10.

# %%
def step_time(C: float, IO: float, p: int) -> float:
    return max(C / p, IO)


def most_useful(C: float, IO: float) -> int:
    """The fewest ranks with the shortest step."""
    return max(1, ceil(C / IO))


lesson.predict("C = 10 ms, IO = 40 ms: how many ranks are useful?")
lesson.reveal(most_useful(10, 40))
RANKS = range(1, 13)
lesson.picture(draw_step_time(
    RANKS, {f"C = {C}, IO = {IO}": [step_time(C, IO, p) for p in RANKS]
            for C, IO in ((80, 10), (10, 40))}), "_ranks")

# %% [markdown]
# *Where* a job runs is a choice of the same kind. A small machine nearby (edge)
# computes slowly; a large one (cloud) must first receive the data. Try both
# servers and take the quicker one:

# %%
SERVERS = {"edge": (2e12, 0.0), "cloud": (1e14, 0.080)}  # FLOP/s, seconds


def server(flops: float) -> str:
    return min(SERVERS, key=lambda name: flops / SERVERS[name][0]
               + SERVERS[name][1])


crossing = 0.080 / (1 / 2e12 - 1 / 1e14)
lesson.say(f"  from {crossing:.2e} FLOPs on, the cloud is quicker")
assert [server(1e9), server(1e12)] == ["edge", "cloud"], \
    "small work stays where it is"

# %% [markdown]
# ## 5 · How often to save? (optional)
#
# A checkpoint takes 5 s; a rank dies every 1000 s on average; then 20 s pass until
# the training runs again. Saving often wastes time on saves, seldom on lost
# work. Young (1974): the best interval is about √(2 · 5 · 1000) = 100 s.

# %%
CASE = {"work": 20_000.0, "save": 5.0, "restart": 20.0,
        "between_failures": 1000.0}
best = young_interval(5.0, 1000.0)
rows = [(every, expected_seconds(interval=every, **CASE),
         mean_simulated_seconds(interval=every, runs=60, **CASE))
        for every in (10.0, best, 1000.0)]
lesson.table(("save every", "formula", "simulated"), *(
    (f"{every:.0f} s", f"{formula:,.0f} s", f"{run:,.0f} s")
    for every, formula, run in rows))
assert rows[1][1] < min(rows[0][1], rows[2][1]), \
    "Young's interval beats a tenth and ten times of it"
assert all(abs(run / formula - 1) < 0.06 for _, formula, run in rows), \
    "the formula is what random failures give"

# %% [markdown]
# ## 6 · Exercises
#
# `minipar exercise list`, chapter 11: `two_jobs` shares 8 ranks between two
# jobs. Kill a rank yourself: `minipar train --elastic --dp 3 --out runs/mine`,
# then `kill -9` one of its processes, then `minipar elastic add runs/mine 1`.

# %% [markdown]
# ## 7 · What the documents say (optional)
#
# Covers: A4 A33 N11 E39 E42
#
# 000 (3.2.4) asks for "dynamic axis configuration" (动态轴配置): allocate by task
# and device, schedule elastically (弹性调度), use resources again (资源复用). It
# is no established term.
#
# * A4 E39: here it is a change of the axes dp, tp and pp of a running training.
# * N11 (000, 4.3): more GPUs if computing is the limit, fewer if reading is.
#   Right: max(C/p, IO) gives 8 ranks for C = 80, IO = 10, and 1 for 10 and 40.
# * A33 E42 (003, 6.4): hardware of cloud and edge (云计算和边缘计算), and better
#   mixed precision. A choice by cost; loss scales are in lesson 6.

# %%
assert off < 1e-12 and abs(remeshed - one_rank[:3]).max() < 1e-12, \
    "A4 E39: with a fixed global batch the axes change, not the training"
assert apart > 1e-3, "A4: with a fixed batch per rank, it does change"
assert (most_useful(80, 10), most_useful(10, 40)) == (8, 1), \
    "N11: the fewest ranks with the shortest step"
assert {step_time(10, 40, p) for p in RANKS} == {40}, \
    "N11: where reading is the limit, no rank helps"
assert all(server(flops) == ("edge" if flops < crossing else "cloud")
           for flops in np.geomspace(1e8, 1e14, 61)), \
    "A33 E42: the server with the smaller cost, for six orders of magnitude"
