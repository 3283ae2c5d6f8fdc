"""Distillation: each loss against its plain form, finite differences and its limits; cut over ranks; and a
student that learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, gradcheck, softmax
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.compress.distill import (
    Distillation,
    DistillationRecipe,
    attention_match,
    attention_scores,
    hidden_match,
    logit_match,
    plain_soft_targets,
    soft_targets,
    take_layers,
    trace,
)
from minipar.compress.tune import fine_tune
from minipar.config import ModelConfig
from minipar.data.batches import Batches, EvaluationBatches
from minipar.data.markov import MarkovSource
from minipar.errors import ConfigError, ShapeError
from minipar.nn import GPT, SERIAL
from minipar.nn.gpt import Part
from minipar.optim import AdamW, Flat
from minipar.parallel.tensor import SequenceRegion, TensorRegion
from minipar.rng import stream
from tests.ranks import ranks
from tests.refusals import refused

TEMPERATURES = [0.5, 1.0, 2.0, 4.0, 20.0]
TEACHER = ModelConfig(vocabulary=11, context=7, layers=4, heads=3, width=12)
STUDENT = replace(TEACHER, layers=2)
EVERYTHING = DistillationRecipe(temperature=3.0, alpha=0.7, logits=0.2, hidden=0.5, attention=0.3)
TOKENS = stream(0, "tokens").integers(11, size=(3, 7))
TARGETS = stream(0, "targets").integers(11, size=(3, 7))


def draws(*shape: int, name: str = "draw", scale: float = 2.0) -> np.ndarray:
    return stream(0, name).normal(scale=scale, size=shape)


def leaf(*shape: int) -> Tensor:
    return Tensor(draws(*shape, name="student"), requires_grad=True)


def causal(scores: np.ndarray) -> np.ndarray:
    return np.where(np.tri(scores.shape[-1], dtype=bool), scores, -1e9)


# name, the loss of a leaf, the leaf's shape
LOSSES: list[tuple[str, Callable[[Tensor], Tensor], tuple[int, ...]]] = [
    *[(f"soft targets, T = {T:g}", lambda z, T=T: soft_targets(z, draws(2, 3, 5), T), (2, 3, 5))
      for T in TEMPERATURES],
    *[(f"plain, T = {T:g}", lambda z, T=T: plain_soft_targets(z, draws(2, 3, 5), T, 4), (2, 3, 5))
      for T in TEMPERATURES],
    ("soft targets of a part of a batch", lambda z: soft_targets(z, draws(4, 5), 2.0, 19), (4, 5)),
    ("logits", lambda z: logit_match(z, draws(2, 3, 5)), (2, 3, 5)),
    ("logits of a part of a batch", lambda z: logit_match(z, draws(4, 5), 19), (4, 5)),
    ("hidden states", lambda h: hidden_match(h, draws(2, 3, 5)), (2, 3, 5)),
    ("hidden states, projected", lambda h: hidden_match(h, draws(2, 3, 5), Tensor(draws(4, 5, name="W"))),
     (2, 3, 4)),
    ("projection", lambda w: hidden_match(Tensor(draws(2, 3, 4)), draws(2, 3, 5), w), (4, 5)),
    ("attention", lambda s: attention_match(s, causal(draws(2, 3, 4, 4)), 9), (2, 3, 4, 4)),
    ("attention from q and k", lambda qkv: attention_match(attention_scores(qkv, 2),
                                                           causal(draws(2, 2, 3, 3))), (2, 3, 12)),
]


@pytest.mark.parametrize("name, loss, shape", LOSSES, ids=[name for name, _, _ in LOSSES])
def test_gradients_are_those_of_differences(name: str, loss: Callable[[Tensor], Tensor],
                                            shape: tuple[int, ...]) -> None:
    x = leaf(*shape)
    for check in gradcheck(lambda: loss(x), {"x": x}):
        assert check.error <= 1e-7, str(check)


@pytest.mark.parametrize("T", TEMPERATURES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 5e-6)])
def test_fused_soft_targets_are_the_plain_ones(T: float, dtype: type, tolerance: float) -> None:
    teacher = draws(3, 50, 7).astype(dtype)
    one, other = (Tensor(leaf(3, 50, 7).data.astype(dtype), requires_grad=True) for _ in range(2))
    fused, plain = soft_targets(one, teacher, T), plain_soft_targets(other, teacher, T)
    assert fused.dtype == dtype and fused.item() == pytest.approx(plain.item(), rel=tolerance)
    backward(fused)
    backward(plain)
    assert one.grad is not None and other.grad is not None
    np.testing.assert_allclose(one.grad, other.grad, rtol=0, atol=tolerance * abs(other.grad).max())


@pytest.mark.parametrize("T", TEMPERATURES)
def test_the_gradient_is_the_difference_of_two_softmaxes(T: float) -> None:
    z, teacher = leaf(4, 9), draws(4, 9)
    backward(soft_targets(z, teacher, T))
    p, q = softmax(Tensor(z.data / T)).data, softmax(Tensor(teacher / T)).data
    assert z.grad is not None
    np.testing.assert_allclose(z.grad, T * (p - q) / 4, rtol=1e-12, atol=1e-16)


def test_a_student_that_agrees_has_nothing_to_learn() -> None:
    teacher = draws(4, 9)
    z = Tensor(teacher + draws(4, 1, name="shift"), requires_grad=True)  # a shift changes no probability
    for loss in (soft_targets(z, teacher, 2.0), logit_match(z, teacher)):
        z.zero_grad()
        backward(loss)
        assert z.grad is not None
        assert abs(loss.item()) < 1e-14 and abs(z.grad).max() < 1e-14


def test_logits_are_the_limit_of_a_high_temperature() -> None:
    z, teacher = leaf(6, 9), draws(6, 9)
    limit = logit_match(z, teacher).item()
    apart = [abs(soft_targets(z, teacher, T).item() / limit - 1) for T in (1e2, 1e3, 1e4)]
    assert apart[0] > 8 * apart[1] > 64 * apart[2] and apart[2] < 1e-4


def test_pieces_of_a_batch_add_up() -> None:
    z, teacher = leaf(5, 9), draws(5, 9)
    for loss in (lambda rows: soft_targets(Tensor(z.data[rows]), teacher[rows], 2.0, 5).item(),
                 lambda rows: logit_match(Tensor(z.data[rows]), teacher[rows], 5).item()):
        assert loss(slice(0, 2)) + loss(slice(2, 5)) == pytest.approx(loss(slice(0, 5)), rel=1e-14)


def test_soft_targets_of_huge_logits() -> None:
    """Probabilities underflow, nothing overflows: the student gives the teacher's choice e^-800."""
    z = Tensor(np.array([[800.0, 0.0, -800.0]], np.float32), requires_grad=True)
    loss = soft_targets(z, np.array([[-900.0, 900.0, 0.0]], np.float32))
    backward(loss)
    assert loss.item() == 800
    np.testing.assert_array_equal(z.grad, [[1, -1, 0]])


# Cut over ranks.

def pair(region: Any = SERIAL, width: int = 12) -> tuple[GPT, GPT]:
    return (GPT(replace(STUDENT, width=width), seed=1, dtype=np.float64, region=region),
            GPT(TEACHER, seed=2, dtype=np.float64, region=region))


@ranks(2, 3, mpi=[2])
@pytest.mark.parametrize("T", [1.0, 4.0])
def test_logits_cut_over_the_vocabulary(comm: Communicator, T: float) -> None:
    """Eleven columns over two and three ranks: the loss of the whole, and this rank's columns of its
    gradient.
    """
    columns = TensorRegion(comm).shard(11, "columns")
    whole, teacher = leaf(2, 3, 11), draws(2, 3, 11)
    reduce = lambda array, op: all_reduce(comm, array, op, label="distillation")    # noqa: E731
    for loss in (lambda z, t, r: soft_targets(z, t, T, 7, r), lambda z, t, r: logit_match(z, t, 7, r)):
        mine = Tensor(whole.data[..., columns], requires_grad=True)
        cut = loss(mine, teacher[..., columns], reduce)
        whole.zero_grad()
        reference = loss(whole, teacher, lambda array, op: array)
        backward(cut)
        backward(reference)
        assert whole.grad is not None and mine.grad is not None
        assert cut.item() == pytest.approx(reference.item(), rel=1e-13)
        np.testing.assert_allclose(mine.grad, whole.grad[..., columns], rtol=1e-12, atol=1e-15)


@ranks(2, 3, mpi=[2])
@pytest.mark.parametrize("width", [12, 6])
@pytest.mark.parametrize("sequence", [False, True])
def test_a_student_cut_over_ranks_learns_the_same(comm: Communicator, width: int, sequence: bool) -> None:
    """Every part of the loss at once, on two GPTs: the loss, and every gradient; width 6 needs a
    projection.
    """
    serial = Distillation(*pair(width=width), EVERYTHING)
    region = SequenceRegion(comm, TEACHER.context) if sequence else TensorRegion(comm)
    cut = Distillation(*pair(region, width), EVERYTHING, reduce=lambda a,
                       op: all_reduce(comm, a, op, label="distillation"))
    losses = []
    for distillation in (serial, cut):
        loss = distillation.loss(TOKENS, TARGETS, count=40)
        backward(loss)
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    assert len(cut.parameters()) == len(serial.parameters())
    for mine, whole in zip(cut.parameters(), serial.parameters(), strict=True):
        assert mine.grad is not None and whole.grad is not None, mine.name
        np.testing.assert_allclose(mine.grad, mine.own(whole.grad), rtol=0, atol=1e-12
                                   * abs(whole.grad).max(), err_msg=mine.name)


# Models.

def test_every_gradient_of_a_distilled_model() -> None:
    """The whole loss of a small student, all its parts at once, against differences, for every parameter and
    the projection.
    """
    student = GPT(ModelConfig(vocabulary=5, context=3, layers=1, heads=2, width=4), seed=1, dtype=np.float64)
    teacher = GPT(ModelConfig(vocabulary=5, context=3, layers=3, heads=2, width=6), seed=2, dtype=np.float64)
    for p in (*student.parameters(), *teacher.parameters()):
        # LayerNorm of narrow rows bends too sharply for differences
        wide = p.name in ("tokens.weight", "positions.weight")
        p.data = p.data + stream(3, p.name).normal(scale=3.0 if wide else 0.4, size=p.shape)
    distillation = Distillation(student, teacher, EVERYTHING)
    tokens, targets = TOKENS[:2, :3] % 5, TARGETS[:2, :3] % 5
    parameters = {p.name: p for p in distillation.parameters()}
    assert "distill.projection" in parameters
    for check in gradcheck(lambda: distillation.loss(tokens, targets), parameters):
        assert check.error <= 1e-7, str(check)


def test_alpha_0_is_training_on_labels() -> None:
    student, teacher = pair()
    distillation = Distillation(student, teacher, DistillationRecipe(alpha=0.0))
    assert distillation.loss(TOKENS, TARGETS).item() == student.loss(TOKENS, TARGETS).item()
    assert distillation.parameters() == student.parameters(), (
        "no projection where hidden states are not compared"
    )


def test_a_trace_is_what_the_model_computes_and_leaves_it_as_it_is() -> None:
    _, model = pair()
    before = {id(m): dict(vars(m)) for m in model.modules()}
    found = trace(model, TOKENS, attention=True)
    assert {id(m): dict(vars(m)) for m in model.modules()} == before
    np.testing.assert_array_equal(found.logits.data, model(TOKENS).data)
    np.testing.assert_array_equal(model.head.logits(model.norm(found.hidden[-1])).data, found.logits.data)
    assert [h.shape for h in found.hidden] == [(3, 7, 12)] * 4 and [s.shape for s in found.scores] == [
        (3, 3, 7, 7)
    ] * 4
    weights = softmax(found.scores[0]).data
    np.testing.assert_array_equal(weights, np.tril(weights))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-14)


@pytest.mark.parametrize("layers, teachers", [(1, [3]), (2, [1, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3])])
def test_layers_are_paired_evenly_and_the_last_with_the_last(layers: int, teachers: list[int]) -> None:
    student = GPT(replace(TEACHER, layers=layers))
    assert Distillation(student, GPT(TEACHER)).pairs == dict(enumerate(teachers))


@ranks(1, 2, mpi=[])
def test_a_student_starts_with_some_layers_of_its_teacher(comm: Communicator) -> None:
    teacher = GPT(replace(TEACHER, tied=False), seed=2, region=TensorRegion(comm) if comm.size > 1
                  else SERIAL)
    student = take_layers(teacher, [1, 3])
    theirs = teacher.state_dict()
    for p in student.parameters():
        name = p.name.replace("blocks.1.", "blocks.3.").replace("blocks.0.", "blocks.1.")
        np.testing.assert_array_equal(p.data, theirs[name])
    np.testing.assert_array_equal(take_layers(teacher, range(4))(TOKENS).data, teacher(TOKENS).data)


def test_four_layers_distilled_into_two() -> None:
    """With few labels, the student that hears the teacher ends nearer to the source than the one that reads
    the labels: both have the same start, the same batches and the same steps."""
    source = MarkovSource.random(11, seed=0, concentration=0.3)
    text, held_out = source.sample(20_000, seed=1), source.sample(2_000, seed=2)
    teacher = GPT(TEACHER, seed=2)
    batches = Batches(text, TEACHER.context, 16, seed=0)
    fine_tune(teacher.loss, AdamW(Flat(teacher.parameters())), batches.get, 200, 1e-2)

    def excess(model: GPT) -> float:
        """Nats per token above what nobody can do better."""
        inputs, targets = next(iter(EvaluationBatches(held_out, TEACHER.context, 300)))
        return model.loss(inputs, targets).item() - source.entropy_rate

    few = Batches(text[:300], TEACHER.context, 16, seed=0)           # the labels that the students see
    ends = {}
    for alpha in (0.0, 1.0):
        student = GPT(STUDENT, seed=1)
        loss = Distillation(student, teacher, DistillationRecipe(alpha=alpha)).loss
        fine_tune(loss, AdamW(Flat(student.parameters())), few.get, 100, 1e-2)
        ends[alpha] = excess(student)
    assert excess(teacher) < 0.1, "the teacher knows the source"
    assert ends[1.0] < 0.5 * ends[0.0]


# What cannot be.

@pytest.mark.parametrize("changes, recipe, message", [
    (dict(vocabulary=12), DistillationRecipe(), "vocabulary is 12, the teacher's 11"),
    (dict(context=8), DistillationRecipe(), "context is 8, the teacher's only 7"),
    (dict(layers=5), DistillationRecipe(), "has 5 layers, the teacher only 4"),
    (dict(heads=2), DistillationRecipe(attention=1.0), "2 heads, the teacher 3"),
])
def test_models_that_cannot_be_compared(changes: dict[str, Any], recipe: DistillationRecipe,
                                        message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Distillation(GPT(replace(STUDENT, **changes)), GPT(TEACHER), recipe)


def test_models_that_do_not_hold_what_is_compared() -> None:
    """A pipeline stage has no logits of the whole; blocks that are computed again in backward keep no hidden
    states.
    """
    stage = GPT(TEACHER, part=Part(True, range(2), False))
    with refused(ConfigError, "teacher", "2 of 4 layers"):
        Distillation(GPT(STUDENT), stage)
    forgetful = GPT(STUDENT, recompute="full")
    for recipe in (DistillationRecipe(hidden=1.0), DistillationRecipe(attention=1.0)):
        with pytest.raises(ConfigError, match="hidden states"):
            Distillation(forgetful, GPT(TEACHER), recipe)


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_a_student_that_recomputes_learns_the_same_from_soft_targets(recompute: str) -> None:
    gradients = []
    for how in ("none", recompute):
        student = GPT(STUDENT, seed=1, dtype=np.float64, recompute=how)
        teacher = GPT(TEACHER, seed=2, dtype=np.float64, recompute=how)
        backward(Distillation(student, teacher, DistillationRecipe(alpha=0.7)).loss(TOKENS, TARGETS))
        gradients.append({p.name: p.grad for p in student.parameters()})
    for name, grad in gradients[0].items():
        np.testing.assert_array_equal(gradients[1][name], grad, err_msg=name)


@pytest.mark.parametrize("values, message", [
    (dict(temperature=0.0), "temperature is 0"), (dict(temperature=float("nan")), "temperature is nan"),
    (dict(alpha=1.5), "alpha is 1.5"), (dict(hidden=-1.0), "weight of hidden is -1"),
    (dict(attention=float("inf")), "weight of attention is inf"),
])
def test_recipes_that_cannot_be(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DistillationRecipe(**values)


def test_shapes_and_temperatures_that_do_not_fit() -> None:
    with refused(ShapeError, "(2, 3)", "(2, 4)", item="logits"):
        logit_match(leaf(2, 3), draws(2, 4))
    with refused(ShapeError, item="soft targets"):
        soft_targets(leaf(2, 3), draws(3, 2))
    with refused(ShapeError, item="hidden states"):
        hidden_match(leaf(2, 3, 4), draws(2, 3, 5))
    with refused(ConfigError, "-1", item="temperature"):
        soft_targets(leaf(2, 3), draws(2, 3), -1.0)
    for layers in ([], [4], [-1]):
        with pytest.raises(ConfigError, match="layers .* of a teacher with 4"):
            take_layers(GPT(TEACHER), layers)
