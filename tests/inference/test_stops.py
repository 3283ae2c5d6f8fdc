"""Text of a growing list of tokens: what is shown adds up to the text, and ends before a stop text."""

from __future__ import annotations

import pytest

from minipar.data.tokenizer import ByteTokenizer
from minipar.inference.stops import TextStream
from minipar.rng import stream

BYTES = ByteTokenizer()


def shown(data: bytes, stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    text, pieces = TextStream(BYTES, stop), []
    for byte in data:
        piece, stopped = text.push(byte)
        pieces.append(piece)
        if stopped:
            return pieces, True
    return [*pieces, text.flush()], False


def test_a_character_of_several_bytes_is_shown_when_it_is_complete() -> None:
    assert shown("a€b".encode())[0] == ["a", "", "", "€", "b", ""]
    assert shown("a€".encode()[:-1])[0] == ["a", "", "", "\ufffd"]   # and what is broken is shown in the end


def test_a_stop_text_is_never_shown_not_even_its_beginning() -> None:
    assert shown(b"an END!", ("END",)) == (["a", "n", " ", "", "", ""], True)
    assert shown(b"an EN", ("END",))[0] == ["a", "n", " ", "", "", "EN"]
    assert shown(b"EEND", ("END",)) == (["", "E", "", ""], True)
    assert shown(b"ababac", ("abac",)) == (["", "", "", "ab", "", ""], True)


@pytest.mark.parametrize("seed", range(40))
def test_pieces_add_up_for_any_bytes_and_stops(seed: int) -> None:
    rng = stream(seed, "stops")
    alphabet = ["a", "b", "é", "€", "😀"]
    text = "".join(rng.choice(alphabet, 30))
    stop = tuple("".join(rng.choice(alphabet, rng.integers(1, 5))) for _ in range(rng.integers(0, 3)))
    pieces, stopped = shown(text.encode(), stop)
    assert stopped == any(one in text for one in stop)
    ends = {text.find(one) + len(one): text.find(one) for one in stop if one in text}
    first = min(ends) if ends else None                              # the stop text that is complete first
    starts = [text.find(one) for one in stop if one in text and text.find(one) + len(one) == first]
    assert "".join(pieces) == (text[: min(starts)] if starts else text)
    for seen in range(len(pieces)):                                  # nothing that was shown is taken back
        assert text.startswith("".join(pieces[:seen]))
