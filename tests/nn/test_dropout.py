"""Dropout masks depend on seed, layer, step and sample: not on micro-batches, nor on which ranks hold the
tokens.
"""

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.config import ModelConfig
from minipar.nn import GPT, NO_DROPOUT, Dropout

X = Tensor(np.ones((4, 6, 50)))


def mask(dropout: Dropout, name: str = "mlp", tokens: slice = slice(0, 6)) -> np.ndarray:
    x = Tensor(np.ones((len(dropout.rows), tokens.stop - tokens.start, 50)))
    return dropout.on(tokens, 6).drop(x, name).data


def test_masks_depend_on_what_they_are_keyed_by() -> None:
    dropout = Dropout(0.3, 0, 5, np.arange(4))
    whole = mask(dropout)
    np.testing.assert_array_equal(whole, mask(dropout))
    others = [mask(Dropout(0.3, 1, 5, np.arange(4))), mask(Dropout(0.3, 0, 6, np.arange(4))),
              mask(dropout, "attention")]
    assert all((other != whole).any() for other in others)
    assert len({sample.tobytes() for sample in whole}) == 4
    assert set(np.unique(whole)) == {0, 1 / 0.7}
    assert abs((whole == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / whole.size)


def test_shares_of_samples_and_of_tokens_are_parts_of_the_whole() -> None:
    whole = mask(Dropout(0.3, 0, 5, np.arange(4)))
    for rows in ([2], [3, 0], [1, 2, 3]):
        np.testing.assert_array_equal(mask(Dropout(0.3, 0, 5, np.array(rows))), whole[rows])
        np.testing.assert_array_equal(mask(Dropout(0.3, 0, 5, np.array(rows)), tokens=slice(2, 5)),
                                      whole[rows, 2:5])


def test_without_a_rate_nothing_happens() -> None:
    assert NO_DROPOUT.drop(X, "mlp") is X


def test_a_model_with_dropout_trains_with_it_and_evaluates_without() -> None:
    model = GPT(ModelConfig(13, 8, 2, 2, 8))
    tokens = np.random.default_rng(0).integers(0, 13, (2, 8))
    dropout = Dropout(0.5, 0, 0, np.arange(2))
    still, noisy = model(tokens).data, model(tokens, dropout=dropout).data
    assert (still != noisy).any()
    np.testing.assert_array_equal(noisy, model(tokens, dropout=dropout).data)
    np.testing.assert_array_equal(still, model(tokens, dropout=Dropout(0.0, 0, 0, np.arange(2))).data)


def test_every_place_draws_masks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers with one mask would drop the same units of the residual stream."""
    names, drop = [], Dropout.drop
    monkeypatch.setattr(Dropout, "drop", lambda self, x, name: names.append(name) or drop(self, x, name))
    GPT(ModelConfig(13, 8, 2, 2, 8))(np.zeros((1, 8), int), dropout=Dropout(0.5, 0, 0, np.arange(1)))
    assert names == ["embedding", "blocks.0.attention", "blocks.0.mlp", "blocks.1.attention", "blocks.1.mlp"]
