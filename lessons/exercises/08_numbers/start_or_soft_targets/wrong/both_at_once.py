"""Compares the student without any help with the student that has both helps. Says that only the soft targets
helped.

fails: values
says: differ in both
"""
from minipar.compress.distill import Distillation, DistillationRecipe, take_layers


def compare(teacher, beginner, train, alpha, temperature):
    def trained(student, weight):
        return train(student, Distillation(student, teacher, DistillationRecipe(temperature, weight)).loss)

    losses = {
        "random labels": trained(beginner(), 0.0), "random soft": trained(beginner(), alpha),
        "copied labels": trained(take_layers(teacher, [1, 3]), 0.0),
        "copied soft": trained(take_layers(teacher, [1, 3]), alpha)}
    return losses | {"start": losses["random labels"] - losses["copied labels"],
                     "soft": losses["random labels"] - losses["copied soft"]}
