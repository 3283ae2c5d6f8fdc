"""Tokens that are ignored count in no part of a distillation's loss; logits of -inf give the value of the
mathematics.
"""

import numpy as np
import pytest

from minipar.autograd import IGNORE, Tensor, backward
from minipar.compress.distill import Distillation, DistillationRecipe, soft_targets
from minipar.config import ModelConfig
from minipar.errors import RangeError
from minipar.nn import GPT

SIZES = ModelConfig(vocabulary=11, context=8, width=8, heads=2, layers=2)


def models() -> tuple[GPT, GPT]:
    return GPT(SIZES, seed=1, dtype=np.float64), GPT(SIZES, seed=2, dtype=np.float64)


def batch() -> tuple[np.ndarray, np.ndarray]:
    """The second half of each text is padding."""
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(11, size=(2, 2, 8))
    targets[:, 4:] = IGNORE
    return tokens, targets


def test_alpha_0_is_the_loss_of_the_student() -> None:
    student, teacher = models()
    tokens, targets = batch()
    assert (
        Distillation(student, teacher, DistillationRecipe(alpha=0.0)).loss(tokens, targets).item()
        == student.loss(tokens, targets).item()
    )


@pytest.mark.parametrize("part", [{"alpha": 1.0}, {"logits": 1.0, "alpha": 0.0}, {"hidden": 1.0},
                                  {"attention": 1.0}], ids=str)
def test_no_part_sees_what_is_under_the_padding(part: dict[str, float]) -> None:
    """Nor a change of what stands there, nor how much of it there is."""
    student, teacher = models()
    distillation = Distillation(student, teacher, DistillationRecipe(**part))
    tokens, targets = batch()
    other = tokens.copy()
    other[:, 4:] = (other[:, 4:] + 1) % 11
    found, changed = (distillation.loss(t, targets) for t in (tokens, other))
    assert np.isclose(found.item(), changed.item(), rtol=1e-12, atol=0)
    if "attention" not in part:  # whose keys are as many as the text is long
        assert np.isclose(found.item(), distillation.loss(tokens[:, :4], targets[:, :4]).item(), rtol=1e-12,
                          atol=0)
    gradients = []
    for loss in (found, changed):
        student.zero_grad()
        backward(loss)
        gradients.append(student.blocks[0].mlp.up.weight.grad.copy())
    assert np.allclose(*gradients, rtol=1e-9, atol=1e-14) and gradients[0].any()


def test_divergence_of_logits_that_are_minus_infinity() -> None:
    inf, z = np.inf, np.log([0.5, 0.25, 0.25])
    both = soft_targets(Tensor(np.array([[z[0], z[1], -inf]]), requires_grad=True),
                        np.array([[z[1], z[0], -inf]]))
    wanted = np.log(2) * (2 / 3 - 1 / 3)                            # KL((1/3, 2/3) || (2/3, 1/3))
    assert np.isclose(both.item(), wanted, rtol=1e-12)
    backward(both)
    only_teacher = soft_targets(Tensor(z[None], requires_grad=True), np.array([[0.0, -inf, -inf]]))
    assert np.isclose(only_teacher.item(), np.log(2), rtol=1e-12)
    only_student = soft_targets(Tensor(np.array([[0.0, 0.0, -inf]]), requires_grad=True), z[None])
    assert only_student.item() == inf


@pytest.mark.parametrize("bad", [[-np.inf] * 3, [np.nan, 0, 0], [np.inf, 0, 0]], ids=str)
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_row_without_probabilities_is_named(bad: list[float], who: str) -> None:
    rows = np.array([[0.0, 1, 2], bad])
    fine = np.zeros((2, 3))
    s, t = (rows, fine) if who == "student" else (fine, rows)
    with pytest.raises(RangeError, match=f"row 1 of the {who}"):
        soft_targets(Tensor(s, requires_grad=True), t)
