"""Tokenizers lose nothing, count right, and name what they do not know."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipar.data.tokenizer import ByteTokenizer, CharTokenizer, make_tokenizer, tokenizer_from_dict
from minipar.errors import DataError
from tests.refusals import refused

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_TEXT)
def test_bytes_come_back(text: str) -> None:
    tokens = ByteTokenizer().encode(text)
    assert tokens.tolist() == list(text.encode()) and tokens.dtype == np.int32
    assert ByteTokenizer().decode(tokens) == text


@given(st.text(st.characters(), min_size=1))  # with the surrogates that UTF-8 cannot hold
def test_characters_come_back_and_are_numbered_in_order(text: str) -> None:
    tokenizer = CharTokenizer.from_text(text)
    number = {character: token for token, character in enumerate(sorted(set(text)))}
    tokens = tokenizer.encode(text)
    assert tokens.tolist() == [number[character] for character in text] and tokens.dtype == np.int32
    assert tokenizer.vocab_size == len(number) and tokenizer.decode(tokens) == text


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer("ba\U0001f600")])
def test_a_checkpoint_holds_it(tokenizer: ByteTokenizer | CharTokenizer) -> None:
    again = tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert type(again) is type(tokenizer) and again.vocab_size == tokenizer.vocab_size
    np.testing.assert_array_equal(again.encode("ab\U0001f600"), tokenizer.encode("ab\U0001f600"))


@pytest.mark.parametrize("kind, size", [("byte", 256), ("char", 3)])
def test_made_by_name(kind: str, size: int) -> None:
    tokenizer = make_tokenizer(kind, "cabcab")
    assert tokenizer.vocab_size == size and tokenizer.to_dict()["kind"] == kind
    assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""


def test_a_model_may_write_bytes_that_are_no_text() -> None:
    assert ByteTokenizer().decode([0xC3, 0x41]) == "\ufffdA"


@pytest.mark.parametrize("prompt, named", [("ab\u2603a", r"'\u2603' \(U\+2603, at position 2\)"),
                                           ("d", "'d'"),
                                           ("\U0001f600", r"U\+1F600"), ("a\udc80", r"U\+DC80")])
def test_unknown_character_is_named(prompt: str, named: str) -> None:
    with pytest.raises(DataError, match=named):
        CharTokenizer("abc").encode(prompt)


def test_a_prompt_that_is_no_unicode() -> None:
    with pytest.raises(DataError, match=r"U\+DC80, at position 1"):
        ByteTokenizer().encode("a\udc80")


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer("abc")])
@pytest.mark.parametrize("token", [-1, 256, 10**9])
def test_token_outside_the_vocabulary(tokenizer: ByteTokenizer | CharTokenizer, token: int) -> None:
    with pytest.raises(DataError, match=f"token {token} is outside"):
        tokenizer.decode([0, token])


@pytest.mark.parametrize("characters", ["", "aba"])
def test_characters_must_be_distinct(characters: str) -> None:
    with pytest.raises(DataError, match="exactly once"):
        CharTokenizer(characters)


@pytest.mark.parametrize("values", [{}, {"kind": "bpe"}, {"kind": "char"}, {"kind": "char", "characters": 3}])
def test_dictionaries_that_describe_no_tokenizer(values: dict) -> None:
    with pytest.raises(DataError, match="no tokenizer"):
        tokenizer_from_dict(values)


def test_unknown_kind() -> None:
    with refused(DataError, item="tokenizer"):
        make_tokenizer("bpe", "text")
