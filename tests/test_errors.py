"""What a message quotes is short and printable, whatever it was."""

from __future__ import annotations

import time

import pytest

from minipar.errors import LONGEST_MESSAGE, CommError, ConfigError, MiniparError, brief, shown


@pytest.mark.parametrize("quoted", ["9" * 5000, "word " * 2000, "\x1b[31m" * 300, "a\nb\r\u2028\udc80", "\0",
                                    "世" * 3000])
def test_messages_are_short_and_printable(quoted: str) -> None:
    said = str(ConfigError(f"steps is {quoted}; it must be less"))
    assert len(said) < LONGEST_MESSAGE and said.isprintable()
    assert said.startswith("steps is ") and said.endswith("it must be less")


def test_a_short_message_stays_as_it_is() -> None:
    said = "/a/path with spaces/größe 世.npz has 3 heads; choose 2"
    assert str(MiniparError(said)) == brief(brief(said)) == said


def test_a_wait_graph_may_be_long() -> None:
    said = "; ".join(f"rank {rank} waits for rank {rank + 1}" for rank in range(100))
    assert (
        str(CommError(said)) == said
        and len(str(CommError("x" * 10**6))) < 300
        and "\x1b" not in str(CommError("\x1b"))
    )


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("value", [10**5000, Unprintable(), "x" * 10**6, [[[1]] * 9] * 999],
                         ids=["digits", "own", "text", "list"])
def test_any_value_can_be_shown(value: object) -> None:
    assert len(shown(value)) <= 200


def test_a_message_with_a_whole_file_does_not_loop_over_its_characters() -> None:
    """A file of one long line is quoted in an error. Such a loop took seconds."""
    text, times = "a" * 5_000_000, [time.process_time()]
    assert len(brief(text)) < LONGEST_MESSAGE
    times.append(time.process_time())
    assert "".join(c for c in text if c.isprintable()) == text
    times.append(time.process_time())
    assert times[1] - times[0] < times[2] - times[1]
