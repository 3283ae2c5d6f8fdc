"""`minipar compare`: gradients in files, as another framework would write them, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.checkpoint.file_layout import FileLayout
from minipar.checkpoint.gpt2 import save_gpt2
from minipar.cli import main
from minipar.nn.gpt2_names import to_gpt2
from minipar.proof.equivalent.compare_gradients import shardings, single_process_gradients
from minipar.proof.equivalent.sharding import Replicated

CONFIG = mp.ModelConfig(vocabulary=13, context=6, layers=2, heads=3, width=12, hidden=10)
ONE_NAME_TWICE: dict[str, Any] = {"wpe.weight": np.ones(3), "transformer.wpe.weight": np.zeros(3)}
STAGES = {0: ("tokens", "positions", "blocks.0"), 1: ("tokens", "blocks.1", "norm")}
Spoil = Callable[[str, np.ndarray, dict[str, int]], np.ndarray | None]


def right(name: str, array: np.ndarray, at: dict[str, int]) -> np.ndarray | None:
    return array


def interleaved(name: str, array: np.ndarray, at: dict[str, int]) -> np.ndarray | None:
    """The columns of qkv as Megatron-LM orders them: q, k and v of the first head, then of the second, ..."""
    if ".attention.qkv." not in name:
        return array
    parts = np.split(array, 3, axis=-1)                             # [..., heads * K] each
    heads = parts[0].shape[-1] // 4
    return np.concatenate(
        [part[..., 4 * head : 4 * head + 4] for head in range(heads) for part in parts], axis=-1
    )


def write(folder: Path, layout: FileLayout, spoil: Spoil = right, dialect: str = "huggingface",
          dtype: type = np.float64, **more: object) -> Path:
    """A folder of gradients, from which the rank at given coordinates takes what `spoil` makes of its shard.
    """
    folder.mkdir(exist_ok=True)
    model = mp.GPT(CONFIG, seed=1, dtype=np.float64)
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.data += 0.3 * rng.standard_normal(p.shape)
    state = {p.name: p.data for p in model.parameters()}
    save_gpt2(folder / "weights.npz", CONFIG, state, dialect)
    inputs, targets = rng.integers(13, size=(2, 4, 6))
    targets[0, 3] = -100
    np.savez(folder / "batch.npz", inputs=inputs, targets=targets)
    whole = single_process_gradients(CONFIG, state, inputs, np.where(targets == -100, -1, targets))
    loss = float(whole.pop("loss"))
    (folder / "layout.json").write_text(json.dumps(
        {"dp": layout.dp, "tp": layout.tp, "pp": layout.pp, "heads": 3, "loss": loss, "dialect": dialect,
         "micro_batches": 2, **more}))
    lie = shardings(CONFIG, layout)
    for rank in range(layout.ranks):
        at, mine = layout.at(rank), {}
        for name, array in whole.items():
            if layout.pp == 1 or name.startswith(STAGES[at["pp"]]):
                part = lie.get(name, Replicated()).part(array, at["tp"], layout.tp)
                if (given := spoil(name, part.copy(), at)) is not None:
                    mine[name] = given
        np.savez(folder / f"rank{rank}.npz", **{theirs: mine[ours].astype(dtype) if dialect == "huggingface"  # type: ignore[arg-type]
                                                else _turned(ours, mine[ours]).astype(dtype)
                                                for ours, theirs in names().items() if ours in mine})
    return folder


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    return array.T if name.startswith("blocks") else array


def names() -> dict[str, str]:
    """Our names -> GPT-2's."""
    numbers = {
        p.name: np.full(p.shape, number) for number, p in enumerate(mp.GPT(CONFIG, seed=0).parameters())
    }
    theirs = {int(array.flat[0]): name for name, array in to_gpt2(CONFIG, numbers).items()
              if "lm_head" not in name}
    return {ours: theirs[int(array.flat[0])] for ours, array in numbers.items()}


@pytest.mark.parametrize("layout", [FileLayout(), FileLayout(tp=2), FileLayout(dp=2, tp=3), FileLayout(pp=2),
                                    FileLayout(pp=2, dp=2, tp=2)], ids=str)
def test_right_gradients_are_accepted(layout: FileLayout, tmp_path: Path) -> None:
    report = mp.compare_gradients(write(tmp_path / "a", layout))
    assert report.proven, str(report)
    assert mp.compare_gradients(write(tmp_path / "b", layout, dialect="nanogpt", dtype=np.float32)).proven


@pytest.mark.parametrize("tp", [1, 2, 3])
def test_megatron_s_order_of_qkv_is_an_option_of_the_layout(tp: int, tmp_path: Path) -> None:
    layout = FileLayout(tp=tp)
    for dialect in ("huggingface", "nanogpt"):
        folder = write(tmp_path / dialect, layout, interleaved, dialect, qkv="interleaved")
        assert mp.compare_gradients(folder).proven, dialect
    if tp < 3:  # with one head on each rank both orders are one
        wrong = mp.compare_gradients(write(tmp_path / "unsaid", layout, interleaved))
        assert not wrong.proven and all(
            "qkv" in finding.item for finding in wrong.findings if not finding.proven
        )
        assert any('"qkv": "interleaved"' in text for text in wrong.explanations)


def _times(factor: float, *words: str) -> Spoil:
    return lambda name, array, at: (
        factor * array if not words or any(word in name for word in words) else array
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout, spoil, first, words", [
    (FileLayout(tp=3), _times(3, "out.bias", "down.bias"), "blocks.0.attention.out.bias",
     "3 times the right value, tp = 3"),
    (FileLayout(tp=3), _times(1 / 3, "out.bias", "down.bias"), "blocks.0.attention.out.bias", "only vectors"),
    (FileLayout(dp=4), _times(0.25), "positions.weight", "1/4 for dp = 4: averaged"),
    (FileLayout(dp=2, tp=2), _times(4), "positions.weight", "2 times 2: summed two more times"),
    (FileLayout(dp=3), lambda name, array, at: array * (0.5, 0.3, 0.2)[at["dp"]], "positions.weight",
     "reduce over dp is missing"),
    (FileLayout(tp=2), lambda name, array, at: array * (0.7, 0.3)[at["tp"]] if "norm" in name else array,
     "blocks.0.norm1.weight", "reduce over tp is missing"),
    (FileLayout(pp=2),
     lambda name, array, at: array * (0.4, 0.6)[at["pp"]] if name == "tokens.weight" else array,
     "tokens.weight", "reduce over pp is missing"),
    (FileLayout(tp=2), lambda name, array, at: None if "down.bias" in name and at["tp"] else array,
     "blocks.0.mlp.down.bias", "missing on rank 1"),
    (FileLayout(dp=2), _times(2), "positions.weight", "the number of micro-batches (2)"),
])
def test_wrong_gradients_are_explained(layout: FileLayout, spoil: Spoil, first: str, words: str, dtype: type,
                                       tmp_path: Path) -> None:
    report = mp.compare_gradients(write(tmp_path / "a", layout, spoil, dtype=dtype))
    assert report.failed_checks[0] == first, report.failed_checks
    assert any(words in text for text in report.explanations), report.explanations


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = write(tmp_path / "a", FileLayout(tp=2)), tmp_path / "report.json"
    assert main(["compare", "--gradients", str(folder), "--json", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PROVEN: 2 rank(s)")
    found = json.loads(file.read_text())
    assert found["proven"] and {"findings", "failed_checks", "explanations", "traffic"} <= found.keys()
    write(folder, FileLayout(tp=2), _times(2, "mlp.down.bias"))
    assert main(["compare", "--gradients", str(folder)]) == 1
    assert "why: 2 of " in capsys.readouterr().out


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize("change, word", [
    (lambda folder: (folder / "layout.json").unlink(), "layout.json"),
    (_text("layout.json", "[1]"), "no JSON object"), (_text("layout.json", "{"), "JSON"),
    (_text("layout.json", '{"tp": "2"}'), "tp is '2'"),
    (_text("layout.json", '{"tq": 2}'), "'tq' is unknown"),
    (_text("layout.json", '{"tp": 3, "heads": 3}'), "rank2.safetensors is missing"),
    (_text("layout.json", '{"tp": 2, "heads": 3, "dialect": "x"}'), "dialect"),
    *[(_text("layout.json", f'{{"tp": 2, "heads": 3, "loss": {loss}}}'), "loss is")
      for loss in ('"x"', "null", "true", "[]", "NaN", "-Infinity", "1e400", "1" + "0" * 350)],
    *[(_text("layout.json", f'{{"tp": 2, "heads": 3, "shards": {{"wte.weight": {axis}}}}}'), "shards must")
      for axis in ("true", "1.0", "[1]", "-1", '"0"')],
    (_text("layout.json", '{"tp": 2, "heads": 3, "shards": {"wte.weight": 7}}'), "shards"),
    (_text("layout.json", '{"tp": 2, "heads": 3, "shards": {"x": 0}}'), "no parameter 'x'"),
    (lambda folder: (folder / "weights.npz").unlink(), "weights.safetensors"),
    (lambda folder: (folder / "batch.npz").unlink(), "batch.npz"),
    (_text("rank1.npz", "no archive"), "rank1.npz is damaged"),
    (lambda folder: np.savez(folder / "rank1.npz", other=np.ones(3)), "rank1.npz: a GPT-2"),
    (lambda folder: np.savez(folder / "rank1.npz", **ONE_NAME_TWICE), "two arrays"),
    (lambda folder: np.savez(folder / "batch.npz", tokens=np.ones((2, 3), int)), "inputs and targets"),
    (lambda folder: np.savez(folder / "batch.npz", inputs=np.full((2, 3), 99), targets=np.zeros((2, 3), int)),
     "tokens are 0 to 12"),
    (lambda folder: np.savez(folder / "batch.npz", inputs=np.zeros((2, 7), int),
                             targets=np.zeros((2, 7), int)),
     "T from 1 to 6"),
])
def test_bad_folders_are_one_line(change: Callable[[Path], object], word: str, tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "a", FileLayout(tp=2))
    change(folder)
    assert main(["compare", "--gradients", str(folder)]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1


def test_no_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--gradients", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
