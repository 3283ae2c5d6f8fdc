"""What pruning saves: bytes of sparse arrays, counted and in the file; and matrices that became smaller,
which run faster.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minipar.autograd import no_grad
from minipar.checkpoint.archive import load, save
from minipar.compress.prune import (
    CSR,
    Bitmap,
    bitmap_bytes,
    csr_bytes,
    head_scores,
    linear_weights,
    magnitude_mask,
    pack,
    shrink,
    shrink_attention,
    shrink_mlp,
    shrink_to,
    strongest,
    unit_scores,
    unpack,
)
from minipar.compress.quantize import quantize_dynamic, quantize_in_training, quantize_weights
from minipar.config import ModelConfig
from minipar.errors import ConfigError, RangeError, ShapeError
from minipar.nn import GPT
from minipar.rng import stream
from tests.refusals import refused
from tests.tiny import same_bits

CONFIG = ModelConfig(vocabulary=13, context=8, layers=2, heads=4, width=16)
TOKENS = stream(0, "tokens").integers(0, 13, (3, 8))
ELEMENTS = st.sampled_from([0.0, -0.0, 0.0, 0.0, 1.5, -2.0, np.nan, np.inf])


@given(arrays(np.float32, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=ELEMENTS))
def test_a_matrix_comes_back_bit_for_bit_and_takes_the_bytes_of_the_formula(matrix: np.ndarray) -> None:
    stays = int(np.count_nonzero(matrix.view(np.uint32)))
    for stored, formula in ((CSR.of(matrix), csr_bytes(matrix.shape, stays)),
                            (Bitmap.of(matrix), bitmap_bytes(matrix.size, stays))):
        assert stored.dense().tobytes() == matrix.tobytes() and stored.dense().shape == matrix.shape
        assert stored.nbytes == formula and len(stored.values) == stays


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_other_dtypes_too(dtype: type) -> None:
    array = np.where(stream(0, "there").random((7, 5)) < 0.3, stream(0, "value").integers(-9, 9, (7, 5)),
                     0).astype(dtype)
    stays, size = int(np.count_nonzero(array)), np.dtype(dtype).itemsize
    for stored, formula in ((CSR.of(array), csr_bytes((7, 5), stays, size)),
                            (Bitmap.of(array), bitmap_bytes(35, stays, size))):
        assert stored.dense().dtype == dtype and np.array_equal(stored.dense(),
                                                                array) and stored.nbytes == formula
    cube = array.reshape(5, 7, 1)
    assert np.array_equal(Bitmap.of(cube).dense(), cube)


def test_where_sparse_storage_begins_to_pay() -> None:
    """CSR from 50 % on, but for the row starts; a bitmap from 1/32 on."""
    n = 1024
    dense = 4 * n * n
    assert csr_bytes((n, n), n
                     * n // 2) == dense + 4 * (n + 1) and bitmap_bytes(n * n, n * n * 31 // 32) == dense


def test_csr_is_for_matrices() -> None:
    with pytest.raises(ShapeError, match=r"got shape \(3,\)"):
        CSR.of(np.zeros(3))


def pruned_state() -> dict[str, np.ndarray]:
    model = GPT(CONFIG)
    magnitude_mask(linear_weights(model), 0.9).apply(linear_weights(model))
    return model.state_dict()


def test_a_pruned_gpt_on_disk(tmp_path: Path) -> None:
    """Through a checkpoint and back, bit for bit, in the bytes that were predicted, but for the archive's own
    headers.
    """
    state = pruned_state()
    save(tmp_path / "dense", state, {})
    save(tmp_path / "packed", pack(state), {})
    loaded = unpack(load(tmp_path / "packed")[0])
    assert same_bits(state, loaded) and list(loaded) == list(state)
    GPT(CONFIG, seed=1).load_state_dict(loaded)
    expected = 0
    for array in state.values():
        sparse = bitmap_bytes(array.size, int(np.count_nonzero(array))) + 8 * array.ndim
        expected += min(sparse, array.nbytes)
    assert sum(array.nbytes
               for array in pack(state).values()) == expected < 0.4 * sum(a.nbytes for a in state.values())
    sizes = {name: (tmp_path / name).stat().st_size for name in ("dense", "packed")}
    overhead = {name: sizes[name] - sum(a.nbytes for a in load(tmp_path / name)[0].values())
                for name in sizes}
    assert all(0 < overhead[name] < 700 * len(load(tmp_path / name)[0]) + 500
               for name in sizes), "headers, checksums, names"


SHAPES: Any = st.just(()) | st.integers(0, 40)


@given(st.dictionaries(st.sampled_from(["a", "b.weight", "c"]),
                       arrays(np.float32, SHAPES, elements=ELEMENTS)))
def test_what_is_packed_is_unpacked(state: dict[str, np.ndarray]) -> None:
    assert same_bits(unpack(pack(state)), state)


def test_a_part_that_is_missing_is_named_and_a_name_that_would_be_one_is_refused() -> None:
    for part, other in (("bits", "values"), ("values", "bits")):
        packed = pack({"w": np.zeros(100)})
        del packed[f"w.{part}"]
        with pytest.raises(ShapeError, match=f"w.{other} .*w.{part}"):
            unpack(packed)
    with refused(ConfigError, item="w.bits"):
        pack({"w": np.zeros(100), "w.bits": np.ones(3)})


@pytest.mark.parametrize("lay_out", [np.asfortranarray, np.transpose, lambda x: x[::2, ::-1]])
def test_the_order_in_memory_changes_nothing(lay_out) -> None:
    array = lay_out(np.where(stream(0, "there").random((6, 5)) < 0.3, stream(0, "value").normal(size=(6, 5)),
                             0))
    assert np.array_equal(CSR.of(array).dense(), array) and np.array_equal(Bitmap.of(array).dense(), array)


# Matrices that become smaller

def test_dropping_units_and_heads_is_setting_their_rows_to_zero() -> None:
    small, zeroed = GPT(CONFIG, dtype=np.float64), GPT(CONFIG, dtype=np.float64)
    K = CONFIG.head_width
    for block in zeroed.blocks:
        units, heads = strongest(unit_scores(block.mlp), 0.5), strongest(head_scores(block.attention), 0.25)
        block.mlp.down.weight.data[np.setdiff1d(np.arange(CONFIG.mlp_width), units)] = 0
        for head in np.setdiff1d(np.arange(CONFIG.heads), heads):
            block.attention.out.weight.data[head * K : (head + 1) * K] = 0
    shrink(small, units=0.5, heads=0.25)
    with no_grad():
        np.testing.assert_allclose(small(TOKENS).data, zeroed(TOKENS).data, rtol=1e-10, atol=1e-13)
    assert small.blocks[0].mlp.up.weight.shape == (16, 32) and small.blocks[0].attention.qkv.weight.shape == (
        16,
        3 * 12,
    )
    assert small.blocks[0].mlp.up.bias.shape == (32,) and small.blocks[0].attention.out.bias.shape == (16,)


def test_the_weakest_go() -> None:
    model = GPT(CONFIG)
    model.blocks[0].mlp.up.weight.data[:, [3, 60]] *= 0.01
    model.blocks[1].attention.out.weight.data[8:12] = 0
    assert np.setdiff1d(np.arange(64), strongest(unit_scores(model.blocks[0].mlp), 2
                                                 / 64)).tolist() == [3, 60]
    assert strongest(head_scores(model.blocks[1].attention), 0.25).tolist() == [0, 1, 3]
    assert strongest(np.array([1.0, 3.0, 2.0]), 1.0).tolist() == [1], "one stays"


def test_a_shrunken_model_can_shrink_again_and_be_loaded(tmp_path: Path) -> None:
    model = GPT(CONFIG)
    shrink(model, units=0.5)
    shrink(model, units=0.25, heads=0.5)
    save(tmp_path / "small", model.state_dict(), {})
    again = GPT(CONFIG, seed=1)
    shrink_to(again, load(tmp_path / "small")[0])
    with no_grad():
        assert again(TOKENS).data.tobytes() == model(TOKENS).data.tobytes()
    assert model.blocks[0].mlp.down.weight.shape == (24, 16) and model.blocks[0].attention.heads == 2


def test_a_state_of_another_model_is_refused() -> None:
    wider = GPT(ModelConfig(vocabulary=13, context=8, layers=2, heads=4, width=32)).state_dict()
    with refused(ConfigError, item="hidden units of blocks.0.mlp"):
        shrink_to(GPT(CONFIG), wider)
    with refused(ShapeError, item="blocks.0.attention.out.bias"):
        shrink_to(GPT(CONFIG), {"tokens.weight": np.zeros((13, 16))})


@pytest.mark.parametrize("units", [[], [2, 1], [1, 1], [-1, 3], [0, 64]])
def test_numbers_that_are_no_units_are_refused(units: list[int]) -> None:
    model = GPT(CONFIG)
    with pytest.raises(ConfigError, match="blocks.0.mlp.*64"):
        shrink_mlp(model.blocks[0].mlp, np.array(units, int))
    with refused(ConfigError, "below 4", item="heads of blocks.0.attention"):
        shrink_attention(model.blocks[0].attention, np.array([0, 4]))


@pytest.mark.parametrize("way", [quantize_weights, quantize_dynamic, quantize_in_training])
def test_what_computes_with_rounded_weights_cannot_shrink_and_stays_as_it_is(way) -> None:
    model = GPT(CONFIG)
    way(model)
    with no_grad():
        before = model(TOKENS).data
    attention = model.blocks[0].attention
    for part in (lambda: shrink(model, units=0.5), lambda: head_scores(attention),
                 lambda: shrink_attention(attention, np.arange(2))):
        with refused(ConfigError, "is quantised", "shrink"):
            part()
    with no_grad():
        assert np.array_equal(model(TOKENS).data, before)


def test_a_nan_is_refused_by_name() -> None:
    model = GPT(CONFIG)
    model.blocks[1].mlp.up.weight.data[0, 0] = np.nan
    with refused(RangeError, "NaN", item="blocks.1.mlp"):
        shrink(model, units=0.5)


TIMING = """
import time
import numpy as np
from minipar.autograd import Tensor, no_grad
from minipar.compress.prune import shrink_mlp, strongest, unit_scores
from minipar.config import ModelConfig
from minipar.nn import GPT

models = [GPT(ModelConfig(vocabulary=13, context=512, layers=1, heads=4, width=256)) for _ in range(2)]
whole, half = (model.blocks[0].mlp for model in models)
shrink_mlp(half, strongest(unit_scores(half), 0.5))
x = Tensor(np.ones((1, 512, 256), np.float32))

def seconds(mlp):
    began = time.thread_time()
    with no_grad():
        mlp(x)
    return time.thread_time() - began

print(min(seconds(half) for _ in range(15)) / min(seconds(whole) for _ in range(15)))
"""


def test_half_the_units_take_clearly_less_time() -> None:
    """The processor's time, on one thread of BLAS, for two on a busy core wait for each other. It is about
    0.5.
    """
    job = subprocess.run([sys.executable, "-c", TIMING], capture_output=True, text=True, check=True,
                         timeout=60, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert float(job.stdout) < 0.8
