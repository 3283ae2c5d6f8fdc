"""Mixed precision in a whole training: master weights, skipped steps, resuming, and ranks that agree on what
to skip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipar.training.trainer
from minipar.checkpoint.archive import load, save
from minipar.cli import main
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.errors import ConfigError, DivergenceError
from minipar.nn import Parameter
from minipar.optim import squared_norm
from minipar.parallel.grid import Grid
from minipar.parallel.pipeline import Execution
from minipar.precision import FLOAT16, LossScale
from minipar.schedules.instruction import Instruction
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer
from tests.ranks import ranks
from tests.refusals import refused
from tests.tiny import TEXT, TRAIN, losses, options, same_bits, trainer

SHORT = pytest.mark.parametrize("precision", ["float16", "bfloat16"])


@SHORT
def test_a_training_comes_close_to_float32(precision: str) -> None:
    plain, mixed = trainer(), trainer(precision=precision)
    ratios = np.array([mixed.step().loss / plain.step().loss for _ in range(20)])
    assert 0 < abs(ratios - 1).max() < 1e-3
    assert abs(mixed.validate() / plain.validate() - 1) < 1e-3


@SHORT
def test_checkpoints_hold_master_weights(precision: str) -> None:
    """float32, with digits that 16 bits do not have, though every product used rounded copies."""
    mixed = trainer(precision=precision)
    for _ in range(3):
        mixed.step()
    arrays, meta = mixed.state()
    weights = [array for name, array in arrays.items() if name.startswith("weights/")]
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert any(not np.array_equal(FLOAT16.round(array), array) for array in weights)
    assert meta["loss_scale"] == mixed.scale.state()


def scaled(scale: float, **values: Any) -> Trainer:
    """A training in float16 whose scale starts too high, and grows back soon."""
    return trainer({"scale": LossScale(scale, growth_every=4)}, precision="float16", schedule="constant",
                   **values)


def test_steps_that_overflow_are_skipped_and_change_nothing() -> None:
    one = scaled(2.0**24)
    before = {name: array.copy() for name, array in one.state()[0].items()}
    first = one.step()
    assert (
        first.skipped
        and not math.isfinite(first.norm)
        and first.scale == 2.0**24
        and one.scale.scale == 2.0**23
    )
    assert same_bits(one.state()[0], before) and (one.steps_done, one.optimizer.steps) == (1, 0)
    steps = [one.step() for _ in range(19)]
    assert not steps[-1].skipped and any(b.scale == 2 * a.scale
                                         for a, b in zip(steps, steps[1:], strict=False))
    assert one.optimizer.steps == 20 - one.scale.skipped and one.autocast.total("gradients").overflows > 0
    assert steps[-1].loss < first.loss


@pytest.mark.parametrize("values", [{}, dict(micro_batches=3, dropout=0.2)])
def test_ten_and_ten_steps_are_twenty(tmp_path: Path, values: dict[str, Any]) -> None:
    whole, first = scaled(2.0**24, **values), scaled(2.0**24, **values)
    second = trainer(precision="float16", schedule="constant", **values)
    expected = [whole.step() for _ in range(20)]
    found = [first.step() for _ in range(10)]
    save(tmp_path / "half.npz", *first.state())
    second.restore(*load(tmp_path / "half.npz"), where="half.npz")
    found += [second.step() for _ in range(10)]
    assert any(step.skipped for step in expected[:10]) and len({step.scale for step in expected[10:]}) > 1
    # NaN too
    assert [repr(replace(step, seconds=0)) for step in found] == [repr(replace(step, seconds=0))
                                                                  for step in expected]
    assert same_bits(second.state()[0], whole.state()[0]) and second.state()[1] == whole.state()[1]


def test_another_precision_goes_on_from_the_same_weights() -> None:
    source, other = scaled(2.0**24), trainer(precision="bfloat16")
    source.step()
    other.restore(*source.state(), "here")
    assert other.scale.scale == 1 and not other.step().skipped


def test_a_scale_that_cannot_help_ends_the_training() -> None:
    one = trainer(precision="float16", loss_scale=2.0**40)
    for _ in range(one.scale.patience - 1):
        assert one.step().skipped
    with pytest.raises(DivergenceError, match="^step 23: .*(inf|nan).* gradient of"):
        one.step()
    assert one.optimizer.steps == 0


def test_an_overflow_in_the_forward_pass_is_no_matter_of_the_scale() -> None:
    one = trainer(precision="float16", bias=False)
    one.step()
    up_weight(one).data *= 1e6  # 16 bits end at 65504; float32 would bear it
    with refused(DivergenceError, item="the output of blocks.0.mlp.up"):
        one.step()


def test_bfloat16_has_no_scale_to_lower() -> None:
    one = training(solo(), "dp", Spoilt, precision="bfloat16")
    one.step()
    one.step()
    with pytest.raises(DivergenceError, match="gradient of blocks.0.mlp.up.weight"):
        one.step()


@pytest.mark.parametrize("values, said", [
    (dict(precision="fp16"), "precision is 'fp16'; choose float32, float16, bfloat16"),
    (dict(precision="float16", dtype="float64"),
     "precision float16 keeps its weights in float32, not float64"),
    (dict(precision="bfloat16", loss_scale=8.0), "a loss scale is for precision float16, not bfloat16"),
    (dict(precision="float16", loss_scale=-1.0), "loss_scale is -1.0"),
])
def test_impossible_options(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainConfig(**values)


def test_the_command_and_its_resumption(tmp_path: Path) -> None:
    words = options(tmp_path, precision="float16", steps=6)
    assert main(["train", *words, "--out", str(tmp_path / "run")]) == 0
    assert main(["train", "--resume", str(tmp_path / "run"), "--steps", "8"]) == 0
    lines = [line for line in losses(tmp_path / "run") if "loss" in line]
    assert [line["step"]
            for line in lines] == list(range(8)) and all(line["loss_scale"] == 2.0**16 for line in lines)


@SHORT
@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_what_backward_computes_again_has_the_same_bits(precision: str, recompute: str) -> None:
    kept, again = (trainer(precision=precision, layers=2, recompute=mode) for mode in ("none", recompute))
    assert [kept.step().loss for _ in range(4)] == [again.step().loss for _ in range(4)]
    assert np.array_equal(kept.flat.data, again.flat.data)


# Ranks

class Spoilt(Trainer):
    """In step 2, an infinity in the gradient of a cut weight, on the last rank alone, before ranks of dp add
    theirs.
    """

    def __init__(self, *args: Any):
        super().__init__(*args, watch=self.spoil)

    @contextmanager
    def spoil(self, instruction: Instruction, execution: Execution) -> Iterator[None]:
        yield
        if (instruction.kind == "B" and self.steps_done == 2
                and self.grid.world.rank == self.grid.world.size - 1):
            gradient = up_weight(self).grad
            assert gradient is not None
            gradient[0, 0] = np.inf


def up_weight(trainer: Trainer) -> Parameter:
    """The first such weight that this rank has: one that is cut over tp."""
    return next(p for p in trainer.flat.parameters if p.name.endswith("mlp.up.weight"))


def training(comm: Communicator, axis: str, kind: type[Trainer] = Trainer, **values: Any) -> Trainer:
    tokenizer = CharTokenizer.from_text(TEXT)
    model = ModelConfig(vocabulary=tokenizer.vocab_size, layers=3, heads=3, width=12, context=8)
    train = TrainConfig(**{**TRAIN, "precision": "float16", **values})
    sizes: dict[str, Any] = {axis: comm.size}
    layout = Layout(**sizes)
    return kind(model, train, tokenizer, tokenizer.encode(TEXT), Grid(comm, layout))


@ranks(2, 3, mpi=[3])
@pytest.mark.parametrize("axis", ["dp", "tp", "pp"])
def test_one_rank_overflows_and_all_skip(comm: Communicator, axis: str) -> None:
    one = training(comm, axis, Spoilt)
    assert [one.step().skipped for _ in range(5)] == [False, False, True, False, False]
    assert one.scale == LossScale(2.0**15, good=2, skipped=1) and one.optimizer.steps == 4
    assert np.isfinite(one.flat.data).all()


def test_ranks_that_ask_only_themselves_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sum over ranks is for: without it one rank of tp skips the step, and the others take it."""
    monkeypatch.setattr(minipar.training.trainer, "global_norm", lambda flat,
                        *axes: math.sqrt(squared_norm(flat.gradient())))
    assert run(2, lambda comm: [step.skipped for step in first_steps(training(comm, "tp", Spoilt))]) == [
        [False, False, False], [False, False, True]]


def first_steps(trainer: Trainer) -> list[StepResult]:
    return [trainer.step() for _ in range(3)]


@ranks(2, 3, mpi=[3])
@pytest.mark.parametrize("axis", ["dp", "tp", "pp"])
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_ranks_train_as_one_process_does(comm: Communicator, axis: str, precision: str) -> None:
    """To rounding: over tp each rank rounds its part of a sum to 16 bits; over dp the parts are added in
    float32.
    """
    one, alone = training(comm, axis, precision=precision), training(solo(), axis, precision=precision)
    for _ in range(6):
        found, expected = one.step(), alone.step()
        assert abs(found.loss / expected.loss - 1) < 1e-3 and not found.skipped
