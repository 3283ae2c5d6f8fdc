"""The byte-pair tokenizer: lossless on any text, equal to the plain definition, and to Hugging Face's
package.
"""

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipar.data.bytepair.learn import learn_merges
from minipar.data.bytepair.merge import Pair, merge_word
from minipar.data.bytepair.tokenizer import BytePairTokenizer
from minipar.data.bytepair.words import split_words
from minipar.data.text import python_documentation
from minipar.data.tokenizer import make_tokenizer, tokenizer_from_dict
from minipar.errors import DataError

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# Many repetitions, so that merges overlap: "aaaa" has three pairs, but two merges at most.
REPETITIVE = st.text(st.sampled_from("ab c"), max_size=60)
LEARNED = BytePairTokenizer.learn(python_documentation()[:50_000], 400)
REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text(encoding="utf-8"))


@given(ANY_TEXT)
def test_every_text_comes_back(text: str) -> None:
    assert "".join(split_words(text)) == text
    tokens = LEARNED.encode(text)
    assert LEARNED.decode(tokens) == text and LEARNED.decode_bytes(tokens) == text.encode()


@given(st.lists(st.integers(0, 399)))
def test_every_sequence_of_tokens_has_a_text(tokens: list[int]) -> None:
    assert LEARNED.decode(tokens) == LEARNED.decode_bytes(tokens).decode(errors="replace")


def naive_merges(text: str, count: int) -> list[Pair]:
    """The definition: count all pairs of all words again for each merge."""
    words, merges = [list(word.encode()) for word in split_words(text)], []
    while len(merges) < count:
        frequency = Counter(pair for word in words for pair in pairwise(word))
        best = min(frequency, key=lambda pair: (-frequency[pair], pair))
        words = [naive_merge(word, {best: (0, 256 + len(merges))}) for word in words]
        merges.append(best)
    return merges


def naive_merge(word: list[int], merges: dict[Pair, Pair]) -> list[int]:
    """The definition: search the best pair, merge all of it from the left, and repeat."""
    while found := [merges[pair] for pair in pairwise(word) if pair in merges]:
        rank, token = min(found)
        pair, result = next(pair for pair in merges if merges[pair] == (rank, token)), []
        while word:
            taken = 2 if tuple(word[:2]) == pair else 1
            result.append(token if taken == 2 else word[0])
            word = word[taken:]
        word = result
    return word


@given(REPETITIVE, st.integers(0, 6))
def test_learned_as_defined(text: str, count: int) -> None:
    try:
        merges = learn_merges(text, count)
    except DataError:
        return                                                      # too short a text; tested below
    assert merges == naive_merges(text, count)
    table = {pair: (rank, 256 + rank) for rank, pair in enumerate(merges)}
    for word in split_words(text):
        assert merge_word(list(word.encode()), table) == naive_merge(list(word.encode()), table)


def test_one_line_of_a_million_characters_takes_no_square_of_it() -> None:
    word = "ab" * 50_000
    assert len(merge_word(list(word.encode()), {(97, 98): (0, 256), (256, 256): (1, 257)})) == 25_000


def test_as_hugging_face_has_it() -> None:
    """The file holds what the package `tokenizers` said (tests/data/bytepair/make_reference.py)."""
    tokenizer = tokenizer_from_dict(REFERENCE["tokenizer"])
    assert len(REFERENCE["texts"]) == 200
    for text, tokens in REFERENCE["texts"]:
        assert tokenizer.encode(text).tolist() == tokens, text


def test_words_of_gpt2s_rule() -> None:
    assert split_words("I'll pay  20\u00b2 ducats_!\n\n ok \t") == [
        "I", "'ll", " pay", " ", " 20\u00b2", " ducats", "_!", "\n\n", " ok", " \t"]
    assert split_words("\x1c\u2163x\u3000") == ["\x1c", "\u2163", "x", "\u3000"]


def test_chosen_by_name_and_held_by_a_checkpoint() -> None:
    tokenizer = make_tokenizer("bpe:266", "the cat, the hat, the mat, the bat " * 3)
    again = tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert tokenizer.vocab_size == again.vocab_size == 266
    assert (
        again.to_dict() == tokenizer.to_dict()
        and again.encode("a mat").tolist() == tokenizer.encode("a mat").tolist()
    )


@pytest.mark.parametrize("choice, text, words", [
    ("bpe:255", "the the", "255"), ("bpe:9999999", "the the", "9,999,999"), ("bpe:300", "the the", "bpe:258"),
    ("bpe:0", "the", "bpe"), ("bpe:", "the", "bpe"), ("bpe", "the", "bpe"), ("word", "the", "word"),
    ("byte:9", "a", "byte:9")])
def test_vocabularies_that_cannot_be(choice: str, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_tokenizer(choice, text)


@pytest.mark.parametrize("change", [
    {"vocabulary": ["a"]}, {"vocabulary": 3}, {"merges": [[0, 1, 2]]}, {"merges": [[0, 10**6]]},
    {"merges": [[0.0, 1]]}, {"merges": [["a", "b"]]}, {"specials": {"<e>": 10**6}},
    {"specials": {"<e>": "x"}}, {"specials": 3}, {"merges": [[0, 0]]}, {"vocabulary": ["\u4e2d"]}])
def test_dictionaries_that_describe_no_tokenizer(change: dict) -> None:
    with pytest.raises(DataError):
        tokenizer_from_dict({**LEARNED.to_dict(), **change})


def test_a_surrogate_is_named() -> None:
    with pytest.raises(DataError, match=r"U\+DC80"):
        LEARNED.encode("a\udc80")


def test_no_text_becomes_a_special_token() -> None:
    tokenizer = BytePairTokenizer([*LEARNED.vocabulary, b"<|end|>"], LEARNED.merges, {"<|end|>": 400})  # type: ignore[arg-type]
    assert 400 not in tokenizer.encode("a<|end|>b") and tokenizer.decode([400]) == "<|end|>"


def test_fewer_tokens_for_more_merges() -> None:
    text = python_documentation()[:20_000]
    sizes = [len(BytePairTokenizer.learn(text, size).encode(text)) for size in (256, 300, 600)]
    assert sizes[0] == len(text.encode()) and sizes[0] > sizes[1] > sizes[2]


def test_long_words_are_not_kept() -> None:
    """A server's users send them: each could be a word of hundreds of kilobytes."""
    small = BytePairTokenizer.learn("the cat, the hat, the mat", 259)
    for number in range(50):
        small.encode("a" * (1000 + number) + " the cat")
    assert sum(map(len, small._cache)) < 100 and "cat" in "".join(small._cache)


def test_a_full_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipar.data.bytepair.tokenizer._CACHED", 3)
    words = random.Random(0).choices(["the ", "of ", "and ", "to ", "in "], k=50)
    tokenizer = BytePairTokenizer(LEARNED.vocabulary, LEARNED.merges)  # type: ignore[arg-type]
    assert tokenizer.decode(tokenizer.encode("".join(words))) == "".join(words)
