"""Takes the teacher's first two layers, and loses what its last layer does.

fails: values
says: layers are 0 and 1
"""
from minipar.compress.distill import Distillation, DistillationRecipe, take_layers


def compare(teacher, beginner, train, alpha, temperature):
    def trained(student, weight):
        return train(student, Distillation(student, teacher, DistillationRecipe(temperature, weight)).loss)

    losses = {
        "random labels": trained(beginner(), 0.0), "random soft": trained(beginner(), alpha),
        "copied labels": trained(take_layers(teacher, [0, 1]), 0.0),
        "copied soft": trained(take_layers(teacher, [0, 1]), alpha)}
    rows = [losses[f"random {one}"] - losses[f"copied {one}"] for one in ("labels", "soft")]
    columns = [losses[f"{one} labels"] - losses[f"{one} soft"] for one in ("random", "copied")]
    return losses | {"start": sum(rows) / 2, "soft": sum(columns) / 2}
