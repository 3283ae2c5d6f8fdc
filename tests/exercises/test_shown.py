"""Texts of a submission that are shown are printable, and of one line."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from minipar.exercises.shown import LONGEST, shown


@given(st.text(st.characters(exclude_categories=())))
@settings(max_examples=100)
def test_every_text_becomes_printable(text: str) -> None:
    found = shown(text)
    assert (
        found.isprintable()
        and found.encode() is not None
        and (found == text or not text.isprintable() or len(text) > LONGEST)
    )


def test_what_is_printable_stays() -> None:
    assert shown("xᵀ · 2², grüße 张量") == "xᵀ · 2², grüße 张量"
    assert shown("a\x1b[2J\n\u202e\ud800") == r"a\x1b[2J\n\u202e\ud800"
    assert len(shown("x" * 10**6)) == LONGEST
