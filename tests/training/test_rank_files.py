"""Rank files hold exactly what the ranks of a training hold, come back in all bits, and are not believed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.checkpoint.file_layout import read_layout
from minipar.checkpoint.gpt2 import save_gpt2
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.errors import CheckpointError, LayoutError
from minipar.nn.gpt2_names import gpt2_names
from minipar.parallel.grid import Grid
from minipar.parallel.rank_elements import rank_elements, rank_layout
from minipar.parallel.sharded import ShardedStore
from minipar.proof.equivalent.compare_gradients import compare_gradients, single_process_gradients
from minipar.training import rank_files
from minipar.training.rank_files import read_rank_files, write_rank_files
from minipar.training.trainer import Trainer
from tests.tiny import TEXT
from tests.training.rank_layouts import LETTERS, one_case, random_layout, random_model, random_state

TOKENIZER = CharTokenizer.from_text(TEXT)
MODEL = ModelConfig(vocabulary=TOKENIZER.vocab_size, context=8, layers=3, heads=3, width=6)
TRAIN = TrainConfig(batch=4, steps=2, lr=0.01, optimizer="adam", validation_windows=1)


@pytest.mark.parametrize("seed", range(8))
def test_any_layout_to_any_layout_and_back(seed: int, tmp_path: Path) -> None:
    assert one_case(seed, tmp_path) == ""


def test_the_comparison_sees_a_rank_that_holds_other_elements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rank holds the elements of the next one: then the files of one layout do not fit another."""
    state = random_state(random_model(random.Random(1)), 1)
    model = ModelConfig(**state[1]["model"])
    real = rank_elements
    layout = rank_layout(model, Layout(dp=2, zero=3))
    monkeypatch.setattr(
        rank_files, "rank_elements", lambda model, layout, rank: real(model, layout, 1 - rank)
    )
    write_rank_files(tmp_path, *state, layout)
    monkeypatch.undo()
    try:
        found = read_rank_files(tmp_path)[0][0]
    except CheckpointError:
        return
    assert any((found[name] != array).any() for name, array in state[0].items())


@pytest.mark.parametrize("layout", [
    Layout(dp=2, tp=2, gradients="flat"), Layout(dp=3, zero=1), Layout(dp=2, tp=3, zero=2),
    Layout(pp=2, dp=2, zero=3),
    Layout(pp=2, tp=2, dp=2, zero=1, stage_layers=(3, 0)),
    Layout(pp=1, pipeline="interleaved", virtual=3, tp=2)])
def test_the_files_hold_what_the_ranks_of_a_training_hold(layout: Layout, tmp_path: Path) -> None:
    def train(comm: Communicator) -> dict[str, Any]:
        trainer = Trainer(MODEL, TRAIN, TOKENIZER, TOKENIZER.encode(TEXT), Grid(comm, layout))
        trainer.step()
        pieces = {}
        if isinstance(trainer.store, ShardedStore):
            pieces = {p.name: values.copy() for p, values in trainer.store.own_weights()}
        whole = {} if layout.zero == 3 else trainer.store.weights_by_name()
        return {"pieces": pieces, "whole": {name: array.copy() for name, array in whole.items()},
                "state": trainer.state()}
    found = run(layout.ranks, train)
    arrays, meta = found[0]["state"]
    write_rank_files(tmp_path, arrays, meta, rank_layout(MODEL, layout))
    names = gpt2_names(MODEL)
    for rank, held in enumerate(found):
        with np.load(tmp_path / f"rank{rank}.npz") as file:
            weights = held["pieces"] if layout.zero == 3 else held["whole"]
            assert {name for name in file if not name.startswith("optimizer/")} == {
                names[name] for name in weights
            }
            for name, array in weights.items():
                assert (
                    file[names[name]].tobytes() == array.tobytes() and file[names[name]].shape == array.shape
                )
            shapes = held["pieces"] or held["whole"]                # of the optimiser's state
            for slot in ("gradients", "squares"):
                for name, array in shapes.items():
                    assert file[f"optimizer/{slot}/{names[name]}"].shape == array.shape
    back, read = read_rank_files(tmp_path)
    assert all(back[0][name].tobytes() == array.tobytes() for name, array in arrays.items())
    assert read_layout(tmp_path / "layout.json").heads == 3 and read.zero == layout.zero


def test_every_element_has_an_owner_and_with_zero_3_exactly_one() -> None:
    chance = random.Random(5)
    for _ in range(10):
        model = random_model(chance)
        layout = rank_layout(model, random_layout(chance, model))
        held: dict[str, list[np.ndarray]] = {}
        for rank in range(layout.ranks):
            for name, part in rank_elements(model, layout, rank).state.items():
                held.setdefault(name, []).append(part.positions().reshape(-1))
                size = part.parameter.size
                assert part.positions().shape == part.shape and part.positions().max() < size
        for name, positions in held.items():
            counts = np.bincount(np.concatenate(positions))
            assert counts.min() >= 1, name
            if layout.zero and layout.tp == 1 and not (model.tied and name == "tokens.weight"):
                assert counts.max() == 1, name


def written(folder: Path, layout: Layout) -> Path:
    chance = random.Random(3)
    model = random_model(chance)
    while model.layers < 2 or model.heads < 2:
        model = random_model(chance)
    folder.mkdir()
    write_rank_files(folder, *random_state(model, 3), rank_layout(model, layout))
    return folder


def change(name: str, **values: Any) -> Callable[[Path], None]:
    """Replaces values of a JSON file; None removes one."""
    def apply(folder: Path) -> None:
        known = json.loads((folder / name).read_text())
        known |= values
        (folder / name).write_text(
            json.dumps({key: value for key, value in known.items() if value != "REMOVE"})
        )

    return apply


def meta(**values: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        known = json.loads((folder / "training.json").read_text())
        for path, value in values.items():
            first, _, second = path.partition("__")
            if second:
                known["meta"][first][second] = value
            else:
                known["meta"][first] = value
        (folder / "training.json").write_text(json.dumps(known))
    return apply


def arrays_of(rank: int, edit: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / f"rank{rank}.npz"
        with np.load(path) as file:
            known = dict(file)
        edit(known)
        np.savez(path, **known)
    return apply


def fill(name: str, value: float) -> Callable[[dict[str, np.ndarray]], Any]:
    return lambda arrays: arrays[name].reshape(-1).__setitem__(0, value)


def copy(one: str, other: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / other).write_bytes((folder / one).read_bytes())


NORM, SQUARES = "ln_f.weight", "optimizer/squares/ln_f.weight"
ATTACKS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda folder: (folder / "rank1.npz").unlink(), "rank1.safetensors is missing"),
    (lambda folder: (folder / "rank0.npz").unlink(), "rank0.safetensors is missing"),
    (copy("rank0.npz", "rank0.safetensors"), "rank 0 has"), (copy("rank0.npz", "rank00.npz"), "rank 0 has"),
    (copy("rank0.npz", "rank4.npz"), "rank4.npz"),
    (copy("rank0.npz", "rank1.npz"), "rank1.npz is of another rank"),
    (lambda folder: (folder / "rank2.npz").write_bytes(b"PK"), "rank2.npz"),
    (lambda folder: (folder / "rank2.npz").write_bytes((folder / "rank2.npz").read_bytes()[:-70]),
     "rank2.npz"),
    (lambda folder: [(folder / "rank2.npz").unlink(), (folder / "rank2.npz").mkdir()], "is a folder"),
    (arrays_of(2, lambda arrays: arrays.pop(NORM)), "ln_f.weight is missing"),
    (arrays_of(2, lambda arrays: arrays.update(more=np.ones(2, np.float32))), "more is not in the model"),
    (arrays_of(2, lambda arrays: arrays.update({NORM: arrays[NORM].astype(np.float64)})), "float64"),
    (arrays_of(2, lambda arrays: arrays.update({NORM: arrays[NORM].astype(np.int32)})), "int32"),
    (arrays_of(2, lambda arrays: arrays.update({NORM: arrays[NORM][None]})), "has shape"),
    (arrays_of(2, lambda arrays: arrays.update({NORM: arrays[NORM][:0]})), "has shape"),
    (arrays_of(2, fill(NORM, np.nan)), "NaN"), (arrays_of(2, fill(NORM, np.inf)), "infinity"),
    (arrays_of(2, fill(SQUARES, -1)), "negative"),
    (arrays_of(3, fill(NORM, 0.125)), "differs from that of rank"),
    (change("layout.json", dp=1), "rank"), (change("layout.json", tp=1, dp=4), "layout"),
    (change("layout.json", tp=4, dp=1), "2 heads over tp=4"), (change("layout.json", dp=3), "rank4"),
    (change("layout.json", dp=10 ** 9), "dp is"), (change("layout.json", dp=4096, tp=4096), "ranks"),
    (change("layout.json", heads=1), "heads"), (change("layout.json", dialect="nanogpt"), "dialect"),
    (change("layout.json", shards={"wte.weight": None}), "shards"),
    (change("layout.json", qkv="interleaved"), "qkv"),
    (lambda folder: (folder / "training.json").unlink(), "training.json"),
    (lambda folder: (folder / "training.json").write_text("{"), "JSON"),
    (lambda folder: (folder / "training.json").write_text("[1]"), "format"),
    (change("training.json", format="minipar rank files 2"), "format"),
    (change("training.json", zero=2), "another rank"),
    (change("training.json", zero=4), "zero"), (change("training.json", zero=True), "zero"),
    (change("training.json", zero="REMOVE"), "'zero' is missing"),
    (change("training.json", more=1), "'more' is unknown"),
    (change("training.json", stage_to_rank=[0, 0]), "stage_to_rank"),
    (change("training.json", stage_to_rank=[]), "stage"),
    (change("training.json", stage_to_rank=["0"]), "stage_to_rank"),
    (change("training.json", stage_layers=[-1]), "stage"),
    (change("training.json", stage_layers=[10 ** 9]), "stage_layers"),
    (change("training.json", meta=[]), "meta"),
    (change("training.json", meta={}), "has no"), (meta(model__layers=10 ** 8), "layers"),
    (meta(model__width=10 ** 9), "width"), (meta(model__hidden=1 << 28), "larger model"),
    (meta(model__context=1 << 28), "larger model"), (meta(model__heads=1), "heads"),
    (meta(model__tied="x"), "tied"),
    (meta(train__optimizer="sgd"), "is not in the model"), (meta(train__optimizer="x"), "optimizer"),
    (meta(train__dtype="float64"), "float32"), (meta(done=-1), "done"), (meta(done="x"), "done"),
    (meta(loss="x"), "loss"), (meta(loss=10 ** 399), "loss"), (meta(text="../../x"), "text"),
    (meta(tokenizer={}), "tokenizer"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("good") / "ranks", Layout(dp=2, tp=2))


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_files_of_strangers(number: int, good: Path, tmp_path: Path) -> None:
    attack, word = ATTACKS[number]
    for path in good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    attack(tmp_path)
    with pytest.raises(CheckpointError, match=word) as caught:
        read_rank_files(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_of_another_stage_of_zero(tmp_path: Path) -> None:
    """The first ranges of stage 3 and 1 have equal lengths, but stage 1 has whole weights."""
    for zero, said in ((3, 1), (1, 3), (1, 0), (2, 1)):
        folder = written(tmp_path / f"{zero}-{said}", Layout(dp=2, pp=2, zero=zero))
        change("training.json", zero=said)(folder)
        if {zero, said} == {1, 2}:                                  # both shard the optimiser's state only
            assert read_rank_files(folder)[1].zero == said
            continue
        with pytest.raises(CheckpointError, match="another rank or layout"):
            read_rank_files(folder)


def test_more_ranks_than_the_model_can_have(tmp_path: Path) -> None:
    model = replace(MODEL, vocabulary=len(LETTERS))
    state = random_state(model, 0)
    with pytest.raises(LayoutError, match="heads"):
        write_rank_files(tmp_path, *state, rank_layout(model, Layout(tp=4)))
    with pytest.raises(LayoutError, match="files"):
        write_rank_files(tmp_path, *state, rank_layout(model, Layout(dp=5000)))
    with pytest.raises(LayoutError, match="layer"):
        rank_layout(MODEL, Layout(pp=4))


def test_damaged_bytes(good: Path, tmp_path: Path) -> None:
    """Bytes that are changed, removed or doubled, in any file: an error of minipar, or a state that is sound.
    The archives have checksums, so a damaged rank file never gives other values.
    """
    chance, seed = random.Random(), random.randrange(10 ** 9)
    chance.seed(seed)
    original, _ = read_rank_files(good)
    for path in good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    refused = 0
    for number in range(60):
        path = tmp_path / chance.choice(["layout.json", "training.json", "rank0.npz", "rank3.npz"])
        data = bytearray((good / path.name).read_bytes())
        for _ in range(chance.choice([1, 1, 3])):
            at, length = chance.randrange(len(data)), chance.choice([1, 1, 20])
            data[at:at + length] = chance.choice([bytes(chance.randrange(256) for _ in range(length)), b"",
                                                  data[at:at + length] * 2])
        path.write_bytes(data)
        try:
            (arrays, _), _ = read_rank_files(tmp_path)
            if path.suffix == ".npz":
                assert all(
                    arrays[name].tobytes() == array.tobytes() for name, array in original[0].items()
                ), f"seed {seed}, case {number}: {path.name} was damaged and read"
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {number}: {path.name}") from error
        path.write_bytes((good / path.name).read_bytes())
    assert refused > 20, f"seed {seed}"


@pytest.mark.parametrize("layout", [Layout(tp=2), Layout(tp=3, pp=2)])
def test_minipar_compare_expects_the_same_shards(layout: Layout, tmp_path: Path) -> None:
    """Another framework loads the rank files, and writes its gradients beside the same layout.json."""
    model = replace(MODEL, vocabulary=len(LETTERS))
    arrays, state_meta = random_state(model, 4, dtype="float64")
    weights = {
        name.removeprefix("weights/"): 0.1 * array
        for name, array in arrays.items()
        if name.startswith("weights/")
    }
    write_rank_files(tmp_path, arrays, state_meta, rank_layout(model, layout))
    save_gpt2(tmp_path / "weights.npz", model, weights)
    inputs = np.random.default_rng(0).integers(0, model.vocabulary, (2, 5))
    np.savez(tmp_path / "batch.npz", inputs=inputs, targets=inputs)
    gradients = single_process_gradients(model, weights, inputs, inputs)
    for rank in range(layout.ranks):
        with np.load(tmp_path / f"rank{rank}.npz") as file:
            held = {name: array.shape for name, array in file.items() if not name.startswith("optimizer/")}
        parts = rank_elements(model, rank_layout(model, layout), rank).weights
        own = {gpt2_names(model)[name]: part.take(gradients[name]) for name, part in parts.items()}
        assert {name: array.shape for name, array in own.items()} == held
        np.savez(tmp_path / f"rank{rank}.npz", **own)                # type: ignore[arg-type]
    report = compare_gradients(tmp_path)
    assert report.proven, report
