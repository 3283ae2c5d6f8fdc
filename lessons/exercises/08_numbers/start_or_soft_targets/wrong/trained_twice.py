"""Trains the same student with labels, and then with soft targets: it gets twice as many steps.

fails: values
says: trained before
"""
from minipar.compress.distill import Distillation, DistillationRecipe, take_layers


def compare(teacher, beginner, train, alpha, temperature):
    def trained(student, weight):
        return train(student, Distillation(student, teacher, DistillationRecipe(temperature, weight)).loss)

    beginning, copied = beginner(), take_layers(teacher, [1, 3])
    losses = {
        "random labels": trained(beginning, 0.0), "random soft": trained(beginning, alpha),
        "copied labels": trained(copied, 0.0), "copied soft": trained(copied, alpha)}
    rows = [losses[f"random {one}"] - losses[f"copied {one}"] for one in ("labels", "soft")]
    columns = [losses[f"{one} labels"] - losses[f"{one} soft"] for one in ("random", "copied")]
    return losses | {"start": sum(rows) / 2, "soft": sum(columns) / 2}
