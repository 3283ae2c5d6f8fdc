"""Trains a small model (the student) with the outputs of a large model (the teacher): knowledge distillation.

Read losses.py (four ways to compare two models), then trace.py (the arrays that are compared), then
student.py.
"""

from minipar.compress.distill.losses import (
    attention_match,
    hidden_match,
    logit_match,
    plain_soft_targets,
    soft_targets,
)
from minipar.compress.distill.student import Distillation, DistillationRecipe, matching_layers, take_layers
from minipar.compress.distill.trace import ForwardTrace, attention_scores, trace

__all__ = [
    "Distillation", "DistillationRecipe", "ForwardTrace", "attention_match", "attention_scores",
    "hidden_match", "logit_match",
    "matching_layers", "plain_soft_targets", "soft_targets", "take_layers", "trace",
]
