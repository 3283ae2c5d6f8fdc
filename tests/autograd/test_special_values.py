"""Functions with a softmax, on rows of special values: each returns the mathematical value, or raises an
error that names the row.

The reference computes in extended precision, straight from the definition.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minipar.autograd import (
    Tensor,
    backward,
    causal_attention,
    cross_entropy,
    gelu,
    log_softmax,
    mean,
    softmax,
)
from minipar.autograd import max as maximum_of
from minipar.autograd import sum as total
from minipar.autograd.fused.attention import plain_causal_attention
from minipar.autograd.fused.cross_entropy import plain_cross_entropy
from minipar.autograd.fused.layernorm import layernorm
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.compress.distill.losses import hidden_match, logit_match, plain_soft_targets, soft_targets
from minipar.errors import RangeError, ShapeError
from minipar.inference.requests import Sampling
from minipar.inference.sampling import choose
from minipar.optim.clipping import clip_by_global_norm
from minipar.parallel.codes import CODES
from minipar.parallel.vocabulary import vocab_parallel_cross_entropy
from tests.refusals import refused

WIDE = np.longdouble
SEED, ROWS = 20, 300
DTYPES = ["f2", "f4", "f8"]


def special_rows(dtype: str, count: int = ROWS) -> list[np.ndarray]:
    """Rows of 1 to 5 values: ordinary ones, the ends of the range, infinities, NaN."""
    random, end = np.random.default_rng(SEED), np.finfo(dtype)
    values = np.array(
        [0, 1, -1, 7.5, -60, end.max, -end.max, end.max / 2, end.tiny, -np.inf, np.inf, np.nan], dtype
    )
    weights = np.array([3, 3, 3, 3, 2, 1, 1, 1, 1, 4, 0.5, 0.5])
    return [random.choice(values, random.integers(1, 6), p=weights / weights.sum()) for _ in range(count)]


def log_probabilities(row: np.ndarray) -> np.ndarray | None:
    """In extended precision; None where there are none."""
    wide = row.astype(WIDE)
    largest = wide.max()
    if not np.isfinite(largest):
        return None
    shifted = wide - largest
    return shifted - np.log(np.exp(shifted).sum())


def close(got: np.ndarray, want: np.ndarray, dtype: str) -> bool:
    """To some roundings of the dtype, in which `want` may be infinite."""
    with np.errstate(over="ignore"):
        want = np.asarray(want).astype(dtype)
    return np.allclose(got, want, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps, equal_nan=True)


def check(
    row: np.ndarray, compute: Callable[[], np.ndarray], want: Callable[[np.ndarray], np.ndarray]
) -> None:
    """compute: with the row. want: of its log probabilities."""
    log_p = log_probabilities(row)
    with np.errstate(over="ignore", divide="ignore"):
        if log_p is not None:
            got = compute()
            assert close(got, want(log_p), row.dtype.str), (SEED, row, got, want(log_p))
        elif np.isnan(row).any():
            try:
                with np.errstate(invalid="warn"):
                    assert np.isnan(compute()).any(), (SEED, row)
            except RangeError:
                pass
        else:
            with pytest.raises(RangeError) as caught:
                compute()
            assert {"index", "row"} & caught.value.facts.keys()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_log_softmax(dtype: str) -> None:
    for row in special_rows(dtype):
        check(row, lambda row=row: softmax(Tensor(row[None])).data[0], np.exp)
        check(row, lambda row=row: log_softmax(Tensor(row[None])).data[0], lambda log_p: log_p)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [cross_entropy, plain_cross_entropy])
def test_cross_entropy(loss: Callable[..., Tensor], dtype: str) -> None:
    """The gradient, too: softmax minus one-hot."""
    def check_target(row: np.ndarray, target: int) -> None:
        logits, targets = Tensor(row[None].copy(), requires_grad=True), np.array([target])
        check(row, lambda: loss(logits, targets).data, lambda log_p: -log_p[target])
        if log_probabilities(row) is not None and loss is cross_entropy:
            backward(loss(logits, targets))
            one_hot = np.arange(len(row)) == target
            check(row, lambda: logits.grad[0], lambda log_p: np.exp(log_p) - one_hot)

    for row in special_rows(dtype):
        for target in range(len(row)):
            check_target(row, target)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_vocabulary_parallel_cross_entropy() -> None:
    """On two ranks, each of which may hold nothing but -inf of a row."""
    rows = [row for row in special_rows("f8", 150) if len(row) >= 2]

    def check_target(comm: Communicator, row: np.ndarray, target: int) -> None:
        half = len(row) // 2
        mine = slice(0, half) if comm.rank == 0 else slice(half, len(row))
        logits, targets = Tensor(row[None, mine]), np.array([target])
        check(row, lambda: vocab_parallel_cross_entropy(logits, targets, None, comm, mine, len(row)).data,
              lambda log_p: -log_p[target])

    def program(comm: Communicator) -> None:
        for row in rows:
            check_target(comm, row, 0)
            check_target(comm, row, len(row) - 1)

    run(2, program)


def test_a_row_that_does_not_count_may_hold_anything() -> None:
    for row in ([-np.inf] * 3, [np.nan, 1, 2], [np.inf, 1, 2]):
        z = Tensor(np.array([row, [1, 2, 3.0]]), requires_grad=True)
        loss = cross_entropy(z, np.array([-1, 2]))
        backward(loss)
        assert close(loss.data, -log_probabilities(np.array([1, 2, 3.0]))[2], "f8") and not z.grad[0].any()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("attention", [causal_attention, plain_causal_attention])
def test_attention_over_special_scores(attention: Callable[[Tensor, int], Tensor]) -> None:
    """One head of width 1: the last query is 1, so the keys are its scores; the values are 1, 2, 3, ..."""
    for row in special_rows("f8"):
        values = np.arange(1.0, len(row) + 1)
        queries = np.zeros(len(row))
        queries[-1] = 1
        qkv = np.stack([queries, row, values], axis=-1)[None]

        def last(qkv: np.ndarray = qkv) -> np.ndarray:
            return attention(Tensor(qkv), 1).data[0, -1, 0]

        if np.isfinite(row).all():  # 0 times infinity: no score of the other queries
            check(row, last, lambda log_p, values=values: (np.exp(log_p) * values).sum())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 2, 4], ids=["query", "key", "value"])
@pytest.mark.parametrize("T", [5, 100])
def test_what_a_later_token_holds_reaches_no_earlier_one(column: int, value: float, T: int) -> None:
    """T: within one block of queries, and beyond."""
    qkv = np.random.default_rng(SEED).normal(size=(2, T, 6))
    sound = causal_attention(Tensor(qkv), 1).data
    qkv[0, T // 2, column] = value
    with np.errstate(invalid="ignore"):                             # this program looks for NaN itself
        spoilt = causal_attention(Tensor(qkv), 1).data
    assert np.allclose(spoilt[0, :T // 2], sound[0, :T // 2], rtol=1e-12, atol=0)
    assert np.allclose(spoilt[1], sound[1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [np.inf, 1e300])
def test_scores_that_are_infinite_are_an_error(value: float) -> None:
    qkv = np.ones((1, 3, 6))
    qkv[0, 1, :4] = value
    with (
        np.errstate(over="ignore"),
        pytest.raises(RangeError, match=r"attention: the largest score .*\(0, 0, 1\)"),
    ):
        causal_attention(Tensor(qkv), 1)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("loss", [soft_targets, plain_soft_targets])
def test_divergence_of_special_logits(loss: Callable[..., Tensor]) -> None:
    """Teacher and student, each special: the value of the definition, 0 log 0 = 0."""
    rows = [
        row
        for row in special_rows("f8", 4 * ROWS)
        if len(row) == 3 and not (np.isfinite(row) & (abs(row) > 1e300)).any()
    ]  # their weighted sum may overflow on its way
    for teacher, student in zip(rows[::2], rows[1::2], strict=False):
        log_p, log_q = log_probabilities(teacher), log_probabilities(student)
        with np.errstate(over="ignore"):
            if log_p is not None and log_q is not None:
                with np.errstate(invalid="ignore"):
                    terms = np.where(np.exp(log_p) == 0, 0, np.exp(log_p) * (log_p - log_q))
                got = loss(Tensor(student[None]), teacher[None]).data
                assert np.allclose(got, terms.sum().astype("f8"), rtol=1e-12, atol=1e-12), (
                    SEED,
                    teacher,
                    student,
                )
            elif not np.isnan(teacher).any() and not np.isnan(student).any():
                with pytest.raises(RangeError):
                    loss(Tensor(student[None]), teacher[None])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_matching_what_is_not_finite(value: float) -> None:
    x = np.ones((2, 3))
    x[1, 0] = value
    for match in (logit_match, hidden_match):
        for student, teacher in ((x, np.ones((2, 3))), (np.ones((2, 3)), x), (x, x)):
            with pytest.raises(RangeError, match="of student and teacher differ by"):
                match(Tensor(student), teacher)


def test_the_choice_of_a_token() -> None:
    """Only tokens that are possible; an error where none is."""
    for row in special_rows("f8"):
        random = np.random.default_rng(0)
        log_p = log_probabilities(row)
        if log_p is None:
            with pytest.raises(RangeError, match="no token can be chosen"):
                choose(row, Sampling(), (), random)
        else:
            with np.errstate(over="ignore"):
                assert np.exp(log_p[choose(row, Sampling(), (), random)]) > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_and_layernorm_near_the_end_of_the_range(dtype: str) -> None:
    end = float(np.finfo(dtype).max)
    for row in ([end] * 4, [end, -end, end, end], [end, end, end, end * 0.9], [300, -300, 300, -300.0],
                [0.0] * 4):
        x = np.array([row], dtype)
        wide = x.astype(WIDE)
        centred = wide - wide.mean()
        normal = centred / np.sqrt((centred**2).mean() + WIDE(1e-5))
        assert close(mean(Tensor(x), -1).data, wide.mean(axis=-1), dtype)
        y = layernorm(Tensor(x, requires_grad=True), Tensor(np.ones(4, dtype)))
        assert y.dtype == np.dtype(dtype)
        assert np.allclose(y.data, normal.astype("f8"), rtol=4e-3 if dtype == "f2" else 1e-6, atol=1e-6)
        backward(y[0, 1])


def test_truths_are_no_numbers() -> None:
    with refused(ShapeError, item="dtype", dtype="bool"):
        Tensor(np.array([True, False]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_slope_of_gelu_is_finite_for_all_finite_values(dtype: str) -> None:
    end = float(np.finfo(dtype).max)
    x = Tensor(np.array([-end, -300, -20, 0, 20, 300, end], dtype), requires_grad=True)
    y = gelu(x)
    backward(y, np.ones_like(y.data))
    assert y.data.tolist() == [0, 0, 0, 0, 20, 300, end]
    assert x.grad is not None and x.grad.tolist() == [0, 0, 0, 0.5, 1, 1, 1]


@pytest.mark.parametrize("op", [mean, maximum_of, softmax, log_softmax, lambda x: layernorm(x, Tensor(np.ones(0))),
                                lambda x: cross_entropy(x, np.zeros(2, int)),
                                lambda x: soft_targets(x, np.ones((2, 0))),
                                lambda x: hidden_match(x, np.ones((2, 0)))])
def test_a_row_without_elements_is_refused(op: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ShapeError):
        op(Tensor(np.ones((2, 0)), requires_grad=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_and_means_that_overflow_only_on_the_way(dtype: str) -> None:
    end = np.finfo(dtype).max
    size = float(end) * 0.75
    if dtype != "f8":
        assert float(total(Tensor(np.array([size, size, -size, -size, 1], dtype))).data) == 1
    logits = np.zeros((9, 2), dtype)
    logits[:, 0] = size / 4                                         # each loss is the largest number / 5.3
    assert close(cross_entropy(Tensor(logits), np.ones(9, int)).data, logits[0, 0].astype(WIDE), dtype)
    students = Tensor(np.array([[0, -20_000], [0, -20_000], [0, 20_000], [0, 20_000]], dtype))
    assert np.isfinite(soft_targets(students, -students.data, 0.5).data)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clipping_by_a_factor_that_the_dtype_does_not_have(dtype: str) -> None:
    gradient = np.full(4, float(np.finfo(dtype).max) / 4, dtype)
    clip_by_global_norm(gradient, 1e-3)
    assert np.allclose(gradient, 5e-4, rtol=1e-2)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_codes_of_the_ends_of_the_range(code: str, dtype: str) -> None:
    end = np.finfo(dtype).max
    ends, infinite, mixed = (np.array(values, dtype) for values in
                             ([end, -end, end], [-np.inf] * 3, [1, np.inf]))
    with np.errstate(invalid="ignore"):
        decoded = [CODES[code].decode(CODES[code].encode(values), len(values), np.dtype(dtype))
                   for values in (ends, infinite, mixed)]
    assert np.allclose(decoded[0] / end, [1, -1, 1])
    assert np.isnan(decoded[1]).all() and np.isnan(decoded[2]).all()


def test_a_choice_among_no_logits_is_refused() -> None:
    with pytest.raises(RangeError):
        choose(np.ones(0), Sampling(), [], np.random.default_rng(0))
