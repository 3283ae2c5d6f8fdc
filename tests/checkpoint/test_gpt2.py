"""Files of GPT-2 weights: both formats go round, and a file that will not do is named in one line."""

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from minipar.checkpoint import archive
from minipar.checkpoint.gpt2 import load_gpt2, save_gpt2, write_arrays
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import ModelConfig
from minipar.errors import CheckpointError
from minipar.nn import GPT
from minipar.nn.gpt2_names import DIALECTS, to_gpt2
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=13, context=9, layers=2, heads=2, width=8)
STATE = GPT(CONFIG).state_dict()
SUFFIXES = [".npz", ".safetensors"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_files_go_round(suffix: str, dialect: str, dtype: type, tmp_path: Path) -> None:
    path, state = tmp_path / f"model{suffix}", {name: array.astype(dtype) for name, array in STATE.items()}
    save_gpt2(path, CONFIG, state, dialect)
    config, found = load_gpt2(path, heads=2)
    assert config == CONFIG and found.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_programs_can_read_the_files(tmp_path: Path) -> None:
    """Plain NumPy, and the safetensors package, which hands Hugging Face's loader the mark that it asks
    for.
    """
    expected = to_gpt2(CONFIG, STATE, "huggingface")
    save_gpt2(tmp_path / "a.npz", CONFIG, STATE)
    save_gpt2(tmp_path / "a.safetensors", CONFIG, STATE)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        by_numpy = dict(plain)
    with safetensors.safe_open(tmp_path / "a.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        by_package = {name: file.get_tensor(name) for name in file.keys()}                      # noqa: SIM118
    for found in (by_numpy, by_package):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


def damaged(suffix: str, folder: Path, bytes_kept: float) -> Path:
    path = folder / f"damaged{suffix}"
    save_gpt2(path, CONFIG, STATE)
    contents = path.read_bytes()
    path.write_bytes(contents[: int(len(contents) * bytes_kept)])
    return path


def objects(folder: Path) -> Path:
    np.savez(folder / "objects.npz", **{"wte.weight": np.array([{}], object)})  # type: ignore[arg-type]
    return folder / "objects.npz"


def single_array(folder: Path) -> Path:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (folder / "single.npz").write_bytes(buffer.getvalue())
    return folder / "single.npz"


def two_names(suffix: str) -> Callable[[Path], Path]:
    """A GPT-2 with an array that occurs with and without a prefix."""
    def make(folder: Path) -> Path:
        arrays = {name: np.ascontiguousarray(array) for name, array in to_gpt2(CONFIG, STATE).items()}
        arrays["wpe.weight"] = arrays["transformer.wpe.weight"] + 1
        write_arrays(folder / f"two{suffix}", arrays)
        return folder / f"two{suffix}"
    return make


def half_precision(folder: Path) -> Path:
    """bfloat16, which NumPy lacks: by hand, as the format is a length, a JSON header and the bytes."""
    header = b'{"wte.weight":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]}}'
    (folder / "bf16.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    return folder / "bf16.safetensors"


def own_checkpoint(folder: Path) -> Path:
    archive.save(folder / "step.npz", STATE, {"step": 1})
    return folder / "step.npz"


def another_shape(folder: Path) -> Path:
    arrays = to_gpt2(CONFIG, STATE)
    arrays["transformer.h.1.ln_1.bias"] = np.zeros(9, np.float32)
    np.savez(folder / "shape.npz", **arrays)  # type: ignore[arg-type]
    return folder / "shape.npz"


def a_folder(folder: Path) -> Path:
    (folder / "model.npz").mkdir()
    return folder / "model.npz"


def many_names(folder: Path) -> Path:
    """A list of 300,000 arrays without a number in them."""
    header = json.dumps({f"h.{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                         for n in range(300_000)}).encode()
    (folder / "many.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder / "many.safetensors"


def by_hand(shape: object, dtype: object = "F32", data: bytes = b"") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        header = json.dumps({"wte.weight": {"dtype": dtype, "shape": shape,
                                            "data_offsets": [0, len(data)]}}).encode()
        (folder / "own.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
        return folder / "own.safetensors"
    return make


def changed(suffix: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Path]:
    """A GPT-2 of which one array is another one."""
    def make(folder: Path) -> Path:
        arrays = dict(to_gpt2(CONFIG, STATE))
        arrays["transformer.h.0.mlp.c_fc.weight"] = change(arrays["transformer.h.0.mlp.c_fc.weight"])
        if suffix == ".npz":
            np.savez_compressed(folder / "own.npz", **arrays)  # type: ignore[arg-type]
        else:
            whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            safetensors.numpy.save_file(whole, folder / "own.safetensors")
        return folder / f"own{suffix}"
    return make


def a_bomb(folder: Path) -> Path:
    np.savez_compressed(folder / "bomb.npz", **{"wte.weight": np.zeros(2 * 10**7, np.float32)})  # type: ignore[arg-type]
    return folder / "bomb.npz"


def text_of_gigabytes(folder: Path) -> Path:
    """A tiny file that declares one text of 2 GB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U500000000", "fortran_order": False,
                                                  "shape": ()})
    with zipfile.ZipFile(folder / "text.npz", "w") as file:
        file.writestr("wte.weight.npy", header.getvalue())
    return folder / "text.npz"


def an_endless_one(folder: Path) -> Path:
    (folder / "zero.safetensors").symlink_to("/dev/zero")
    return folder / "zero.safetensors"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.npz")
    return folder / "pipe.npz"


@pytest.mark.parametrize("make, message", [
    (many_names,                                            "begins with a list of 2"),
    (by_hand([10**9, 10**9]),                               "its list of arrays is wrong"),
    (by_hand([-1, 2]),                                      "its list of arrays is wrong"),
    (by_hand([2.5]),                                        "its list of arrays is wrong"),
    (by_hand("22"),                                         "its list of arrays is wrong"),
    (by_hand([1], ["F32"]),                                 "its list of arrays is wrong"),
    (changed(".npz", lambda a: a.astype(np.int64)),         "is of int64; weights are floats"),
    (changed(".safetensors", lambda a: a.astype(np.int64)), "is of int64; weights are floats"),
    (changed(".npz", lambda a: a * np.nan),                 "holds NaN or infinity"),
    (changed(".safetensors", lambda a: a * np.inf),         "holds NaN or infinity"),
    (text_of_gigabytes,                                     "is of <U500000000; weights are floats"),
    (a_bomb,                                                "unpacks to 80,000"),
    (lambda folder: folder / "none.npz",                    "there is no file"),
    (lambda folder: folder / "none.safetensors",            "there is no file"),
    (lambda folder: folder / "pytorch_model.bin",           "must be in a .safetensors or .npz file"),
    (lambda folder: damaged(".npz", folder, 0.0),           "damaged"),
    (lambda folder: damaged(".npz", folder, 0.9),           "damaged"),
    (lambda folder: damaged(".safetensors", folder, 0.0),   "damaged"),
    (lambda folder: damaged(".safetensors", folder, 0.9),   "damaged"),
    (objects,                                               "damaged, or not an array of numbers"),
    (single_array,                                          "damaged, or not an .npz file of numbers"),
    (half_precision,                                        "holds .BF16. numbers"),
    (two_names(".npz"),                                     "two arrays are called 'wpe.weight'"),
    (two_names(".safetensors"),                             "two arrays are called 'wpe.weight'"),
    (own_checkpoint,                                        "no matrix wte.weight among the"),
    (another_shape,                                         r"h.1.ln_1.bias is \(9,\), not \(8,\)"),
])
def test_a_file_that_will_not_do_is_named(make, message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_gpt2(path, heads=2)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make, kind", [(an_endless_one, "not a file"), (a_pipe, "not a file"), (a_folder, "folder")]
)
def test_a_path_of_no_file_is_refused(make: Callable[[Path], Path], kind: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with refused(CheckpointError, kind=kind, item=str(path)):
        load_gpt2(path, heads=2)


def test_saving_where_it_cannot_be_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "a.npz", tmp_path / "none" / "a.safetensors", tmp_path / "a.pt"):
        with refused(CheckpointError, item=str(path)):
            save_gpt2(path, CONFIG, STATE)
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_gpt2(tmp_path / "a.safetensors", CONFIG, STATE)
    monkeypatch.setitem(sys.modules, "safetensors", None)  # what Python takes for a package that is not there
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with refused(CheckpointError, "pip install safetensors", ".npz"):
        save_gpt2(tmp_path / "b.safetensors", CONFIG, STATE)
    assert load_gpt2(tmp_path / "a.safetensors", 2)[0] == CONFIG    # reading needs no package
    save_gpt2(tmp_path / "a.npz", CONFIG, STATE)                    # the other format needs nothing
    assert load_gpt2(tmp_path / "a.npz", 2)[0] == CONFIG


def test_ranks_that_read_different_weights(tmp_path: Path) -> None:
    """As where the file is replaced between two ranks' looks at it: all ranks say so."""
    paths = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for path, state in zip(paths, (STATE, {name: 2 * array for name, array in STATE.items()}), strict=True):
        save_gpt2(path, CONFIG, state)

    def both(comm: Communicator, path: Path) -> str:
        try:
            load_gpt2(path, heads=2, world=comm)
        except CheckpointError as error:
            return str(error)
        return ""

    assert run(2, lambda comm: both(comm, paths[0])) == ["", ""]
    assert all(
        "was replaced while the ranks read it" in text
        for text in run(2, lambda comm: both(comm, paths[comm.rank]))
    )
