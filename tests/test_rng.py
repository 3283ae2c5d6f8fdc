"""Streams by name: the same everywhere, and unlike one another."""

import hashlib
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np

from minipar.rng import PhiloxKey, stream


def test_a_stream_depends_on_seed_and_key_alone() -> None:
    first = stream(3, "init", "a").random(5)
    stream(3, "init", "b").random(100)  # other streams, and NumPy's own, change nothing
    np.random.default_rng(0).random(5)
    np.testing.assert_array_equal(stream(3, "init", "a").random(5), first)


def test_the_numbers_are_the_same_in_another_process() -> None:
    """Also where strings hash differently, as they do in every new process."""
    code = (
        "from minipar.rng import stream; print(stream(3, 'dropout', 'mlp', 7, 2).random(4).tobytes().hex())"
    )
    here = stream(3, "dropout", "mlp", 7, 2).random(4).tobytes().hex()
    found = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": hash_seed},
                            check=True,
                            capture_output=True, text=True).stdout.strip() for hash_seed in ("1", "2")}
    assert found == {here}


def test_the_numbers_never_change() -> None:
    """Checkpoints and published results depend on them: a change here is a change of every run."""
    assert stream(0, "init", "tokens.weight").integers(0, 2**32,
                                                       3).tolist() == [421995060, 2277953823, 987947425]


def test_the_short_way_to_a_key_gives_the_numbers_of_numpy_s_own() -> None:
    for text in (b"a", b"b"):
        digest = hashlib.blake2b(text, digest_size=16).digest()
        key: Any = PhiloxKey(digest)
        short = np.random.Generator(np.random.Philox(key))
        own = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
        assert short.bytes(100) == own.bytes(100)
        assert pickle.loads(pickle.dumps(short)).bytes(100) == own.bytes(100)


def test_different_keys_give_different_streams() -> None:
    keys: list[Any] = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "ab"), (0, "a", 1), (0, "a", 11),
            (0, "a", 1, 1), (0, 1), (1, 0), (10,), (0, "")]
    draws = [stream(*key).integers(0, 2**63, 4).tobytes() for key in keys]
    assert len(set(draws)) == len(keys)


def test_neighbouring_streams_are_not_correlated() -> None:
    draws = np.array([stream(0, "init", f"blocks.{i}.mlp.up.weight").standard_normal(10_000)
                      for i in range(20)])
    correlation = draws @ draws.T / draws.shape[1] - np.eye(20)
    assert abs(correlation).max() < 5.5 / np.sqrt(draws.shape[1])
