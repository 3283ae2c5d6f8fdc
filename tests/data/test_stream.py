"""Text arrives as soon as its characters are complete."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipar.data.stream import stream_text
from minipar.data.tokenizer import Tokenizer, make_tokenizer

TEXT = "na\u00efve \u20ac20 \U0001f600 " * 3
TOKENIZERS = [make_tokenizer(choice, TEXT) for choice in ("byte", "char", "bpe:260")]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_pieces_are_the_text(tokenizer: Tokenizer) -> None:
    pieces = list(stream_text(tokenizer, tokenizer.encode(TEXT).tolist()))
    assert "".join(pieces) == TEXT and all(pieces) and len(pieces) > 10


@given(st.lists(st.integers(0, 255)))
def test_bytes_that_are_no_text_are_replaced_as_decode_does(tokens: list[int]) -> None:
    tokenizer = TOKENIZERS[0]
    assert "".join(stream_text(tokenizer, tokens)) == tokenizer.decode(np.array(tokens, np.int64))
