from functools import lru_cache

import numpy as np

import minipar as mp
from minipar.autograd import no_grad
from minipar.compress.distill import Distillation, DistillationRecipe, take_layers
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches
from minipar.data.markov import MarkovSource
from minipar.exercises import Exercise
from minipar.optim import Adam, Flat

SIZES = {"vocabulary": 8, "context": 8, "heads": 2, "width": 16}
TEACHING, STEPS, RATE = 60, 3, 1e-2


def gpt(layers):
    return mp.GPT(mp.ModelConfig(layers=layers, **SIZES), seed=1, dtype=np.float64)


def tuned(model, loss, batches):
    fine_tune(loss, Adam(Flat(model.parameters())), lambda step: batches[step], len(batches), RATE)


@lru_cache
def taught(seed):
    """The weights of a teacher that has learnt a random text, and batches for its students."""
    text = Batches(MarkovSource.random(8, seed=seed, concentration=0.3).sample(2000, seed=0), 8, 8, seed=0)
    batches = [text.get(step) for step in range(TEACHING + STEPS + 1)]
    teacher = gpt(4)
    tuned(teacher, teacher.loss, batches[:TEACHING])
    return teacher.state_dict(), batches[TEACHING:]


def inputs(ranks, rng, size):
    """All arguments of driver.py, from sizes to temperature."""
    weights, (*batches, unseen) = taught(int(rng.integers(10**6)))
    return [(SIZES, weights, batches, unseen, float(rng.choice([0.7, 0.8, 0.9])), float(rng.integers(2, 5)))]


def effects(losses):
    return {"start": (losses["random labels"] - losses["copied labels"]
                      + losses["random soft"] - losses["copied soft"]) / 2,
            "soft": (losses["random labels"] - losses["random soft"]
                     + losses["copied labels"] - losses["copied soft"]) / 2}


def from_one_corner(losses):
    return {"start": losses["random labels"] - losses["copied labels"],
            "soft": losses["random labels"] - losses["random soft"]}


def both_at_once(losses):
    return {"start": losses["random labels"] - losses["copied labels"],
            "soft": losses["random labels"] - losses["copied soft"]}


def experiment(layers=(1, 3), anew=True, weight=lambda alpha: alpha, labels=0.0, effects=effects):
    """The reference. Each argument is a rule that a known mistake changes."""
    def reference(ranks, arguments):
        _, weights, batches, unseen, alpha, temperature = arguments[0]
        teacher, losses = gpt(4), {}
        teacher.load_state_dict(weights)
        for start, make in (("random", lambda: gpt(2)), ("copied", lambda: take_layers(teacher, layers))):
            student = make()
            for targets, a in (("labels", labels), ("soft", weight(alpha))):
                student = make() if anew else student
                tuned(student, Distillation(student, teacher, DistillationRecipe(temperature, a)).loss, batches)
                with no_grad():
                    losses[f"{start} {targets}"] = student.loss(*unseen).item()
        return [losses | effects(losses)]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="12", function="compare", comm="",
    goal="find out which of two changes helped, with an experiment that separates them",
    prerequisites=("distillation_t_squared",),
    cases={"four students": None},
    inputs=inputs, reference=experiment(), mistakes={
        "the student with soft targets was trained before\n`train` changes its student: make a new one for each run":
            experiment(anew=False),
        "the copied layers are 0 and 1\ntake layers 1 and 3, counted from 0":
            experiment(layers=(0, 1)),
        "'soft' compares students that differ in both\nonly the targets may differ; then take the mean of both starts":
            experiment(effects=both_at_once),
        "'start' and 'soft' compare one pair of students each\n'start' is a mean over both columns, and 'soft' over both rows":
            experiment(effects=from_one_corner),
        "labels have the weight alpha\nin DistillationRecipe, alpha is the weight of the soft targets":
            experiment(weight=lambda alpha: 1 - alpha),
        "labels have no weight beside the soft targets\nthe weight of the soft targets is alpha, not 1":
            experiment(weight=lambda alpha: 1.0)},
    library="minipar/compress/distill/student.py:take_layers")
