"""Defines the loss with which a student GPT learns from its teacher, and the student's initial weights.

    loss = (1 - alpha) cross-entropy + alpha T^2 KL + logits L_z + hidden mean L_h + attention mean L_a

`alpha`, `logits`, `hidden` and `attention` are fields of DistillationRecipe. losses.py defines the terms: T^2
KL (soft targets), L_z (logits), L_h (hidden states) and L_a (attention). The means are over the student's
layers. Each layer of the student is compared with one layer of the teacher (see matching_layers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minipar.autograd import IGNORE, Tensor, no_grad, transpose
from minipar.compress.distill.losses import attention_match, hidden_match, logit_match, soft_targets
from minipar.compress.distill.trace import trace
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError
from minipar.nn import GPT, Parameter, Start
from minipar.nn.recomputation import RECOMPUTATIONS


@dataclass(frozen=True)
class DistillationRecipe:
    """The weights of the terms in the loss. temperature: T in the formula above. alpha: the weight of soft
    targets. The labels have the weight 1 - alpha. logits, hidden, attention: the weights of the other terms.
    """

    temperature: float = 2.0
    alpha: float = 0.5
    logits: float = 0.0
    hidden: float = 0.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"the temperature is {self.temperature}; it must be a positive number",
                              item="temperature")
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}; it must be from 0 (labels only) to 1 (teacher "
                              "only)", item="alpha")
        for name in ("logits", "hidden", "attention"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"the weight of {name} is {getattr(self, name)}; it must be 0 or positive",
                                  item=name)


class Distillation:
    """Computes the loss of a student with its teacher.

    If the recipe compares hidden states and the widths differ, a projection maps the student's hidden states
    to the teacher's width. The projection is trained, too. Both models must have the same vocabulary, and
    must be distributed over the same ranks. reduce: reduces over these ranks (see losses.py).
    Raises ConfigError if the models do not fit together with this recipe.
    """

    def __init__(self, student: GPT, teacher: GPT, recipe: DistillationRecipe = DistillationRecipe(), *,
                 reduce: Reduce = single_process, seed: int = 0):
        _require_comparable(student, teacher, recipe)
        self.student, self.teacher, self.recipe, self.reduce = student, teacher, recipe, reduce
        self.pairs = dict(enumerate(matching_layers(student.config.layers, teacher.config.layers)))
        d, D = student.config.width, teacher.config.width
        self.projection = None
        if recipe.hidden and d != D:
            self.projection = Parameter("distill.projection", (d, D), Start(std=d**-0.5))
            self.projection.initialise(seed, student.token_table.weight.dtype)

    def parameters(self) -> list[Parameter]:
        return self.student.parameters() + ([self.projection] if self.projection else [])

    def loss(self, tokens: np.ndarray, targets: np.ndarray, *, count: int | None = None) -> Tensor:
        """Returns the loss of tokens [B, T] in nats per token, equal on every rank of tp. A token with the
        target IGNORE is not counted.

        count: the number of counted tokens in the global batch. None means the number in this batch.
        """
        counts = targets != IGNORE                                  # [B, T]
        recipe, count = self.recipe, int(counts.sum()) if count is None else count
        with no_grad():
            taught = trace(self.teacher, tokens, attention=recipe.attention > 0)
        learnt = trace(self.student, tokens, attention=recipe.attention > 0)
        region, head = self.student.region, self.student.head
        loss = region.cross_entropy(learnt.logits, targets, count, head.rows,
                                    head.vocabulary) * (1 - recipe.alpha)
        z, teacher = _rows(learnt.logits, taught.logits, counts)
        if recipe.alpha:
            loss = loss + recipe.alpha * soft_targets(z, teacher, recipe.temperature, count, self.reduce)
        if recipe.logits:
            loss = loss + recipe.logits * logit_match(z, teacher, count, self.reduce)
        for layer, other in self.pairs.items():
            if recipe.hidden:
                match = self._hidden(learnt.hidden[layer], taught.hidden[other], counts, count)
                loss = loss + recipe.hidden / len(self.pairs) * match
            if recipe.attention:
                rows = count * self.student.config.heads
                own, others = (transpose(scores, (0, 2, 1, 3))
                               for scores in (learnt.scores[layer], taught.scores[other]))
                match = attention_match(*_rows(own, others, counts), rows,
                                        self.reduce)     # [B, T, h, T] or [tokens, h, T]
                loss = loss + recipe.attention / len(self.pairs) * match
        return loss

    def _hidden(self, student: Tensor, teacher: Tensor, counts: np.ndarray, count: int) -> Tensor:
        T = counts.shape[1]
        whole = student.shape[1] == T  # False with sequence parallelism: this rank has only some tokens
        own = counts if whole else counts[:, self.student.region.positions(T)]
        projection = self.projection and self.student.region.replicated(self.projection, "projection")
        reduce = single_process if whole else self.reduce
        return hidden_match(*_rows(student, teacher, own), projection, count, reduce)


def _rows(student: Tensor, teacher: Tensor, counts: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Returns the rows [tokens, ...] of student and teacher [B, t, ...] where `counts` (bool [B, t]) is True.

    If all values are True, both arrays are returned unchanged.
    """
    return (student, teacher.data) if counts.all() else (student[np.nonzero(counts)], teacher.data[counts])


def matching_layers(layers: int, of: int) -> list[int]:
    """Assigns a teacher layer to each layer of a student. layers: the student's number of layers. of: the
    teacher's number of layers. Returns one index of a teacher layer per student layer.

    The indices are evenly spread. The last student layer gets the last teacher layer.

    >>> matching_layers(2, of=6)
    [2, 5]
    """
    return [(layer + 1) * of // layers - 1 for layer in range(layers)]


def take_layers(teacher: GPT, layers: Sequence[int]) -> GPT:
    """Returns a student with some of the teacher's layers, for example [1, 3] of 4 (Sanh et al. 2019,
    DistilBERT).

    The student is distributed over the same ranks as the teacher. Raises ConfigError for a layer that the
    teacher does not have, or for an empty list.
    """
    if not layers or not all(0 <= layer < teacher.config.layers for layer in layers):
        raise ConfigError(f"layers {list(layers)} of a teacher with {teacher.config.layers}; choose some "
                          f"from 0 to {teacher.config.layers - 1}")
    student = GPT(replace(teacher.config, layers=len(layers)), dtype=teacher.token_table.weight.dtype,
                  region=teacher.region)
    state = teacher.state_dict()
    source = {f"blocks.{own}.": f"blocks.{layer}." for own, layer in enumerate(layers)}

    def teachers(name: str) -> str:
        return next((name.replace(own, other, 1) for own, other in source.items() if name.startswith(own)),
                    name)

    student.load_state_dict({p.name: state[teachers(p.name)] for p in student.parameters()})
    return student


def _require_comparable(student: GPT, teacher: GPT, recipe: DistillationRecipe) -> None:
    one, other = student.config, teacher.config
    for name, model in (("student", student), ("teacher", teacher)):
        if len(model.blocks) != model.config.layers:
            raise ConfigError(f"the {name} is a part of a model, with {len(model.blocks)} of "
                              f"{model.config.layers} layers; "
                              f"distillation needs all layers: choose pp = 1")
    if (recipe.hidden or recipe.attention) and student.recomputing is not RECOMPUTATIONS["none"]:
        raise ConfigError("a student that recomputes its blocks keeps no hidden states or scores to learn "
                          "from; build it with recompute='none', or give hidden and attention the weight 0")
    if one.vocabulary != other.vocabulary:
        raise ConfigError(f"the student's vocabulary is {one.vocabulary}, the teacher's {other.vocabulary}; "
                          "they must be equal")
    if one.context > other.context:
        raise ConfigError(f"the student's context is {one.context}, the teacher's only {other.context}")
    if one.layers > other.layers:
        raise ConfigError(f"the student has {one.layers} layers, the teacher only {other.layers}")
    if recipe.attention and one.heads != other.heads:
        raise ConfigError(f"attention is compared head by head: the student has {one.heads} heads, the "
                          f"teacher {other.heads}")
