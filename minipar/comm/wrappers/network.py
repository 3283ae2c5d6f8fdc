"""A model of a network. It has the cost of a message, and the ports of a rank, which carry one message at a
time.

A message of n bytes takes alpha + n beta seconds. alpha is the latency, beta is the time per byte (Hockney
1994, "The communication challenge for MPP"). Ranks are single-ported and full-duplex, as in Thakur,
Rabenseifner and Gropp 2005, section 3. So a rank sends one message at a time and receives one at a time, but
it can send and receive at once. A root receives p - 1 messages in p - 1 times the time of one message, even
if all messages are sent at once. The formulas for the costs of collectives assume this.

Times are exact fractions. Their sums do not depend on the order of addition, so `==` can compare them with a
formula.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from minipar.errors import ConfigError

WORDS = 5, 3  # numbers of 64-bit words for the numerator and the denominator of a time


def exact(number: float | Fraction) -> Fraction:
    """Returns the number as an exact fraction of its decimal form: 1e-6 becomes 1/1000000, not the nearest
    binary number.
    """
    return number if isinstance(number, Fraction) else Fraction(str(number))


@dataclass(frozen=True)
class Network:
    """The cost of messages. alpha: seconds per message. beta: seconds per byte. The values for messages
    between nodes may be given separately.

    Numbers are stored as exact fractions. Raises ConfigError for negative numbers, infinity and NaN.
    """

    alpha: float | Fraction
    beta: float | Fraction
    alpha_between: float | Fraction | None = None
    beta_between: float | Fraction | None = None

    def __post_init__(self) -> None:
        for name, default in (("alpha", 0), ("beta", 0), ("alpha_between", self.alpha),
                              ("beta_between", self.beta)):
            given = getattr(self, name)
            value = default if given is None else given
            if not 0 <= value < math.inf:
                raise ConfigError(f"a network's {name} is a time, not {given}; give 0 or more seconds")
            object.__setattr__(self, name, exact(value))

    def seconds(self, nbytes: int, between: bool) -> Fraction:
        """Returns the time of one message in seconds. between: whether the message goes to another node."""
        alpha, beta = (self.alpha_between, self.beta_between) if between else (self.alpha, self.beta)
        assert isinstance(alpha, Fraction) and isinstance(beta, Fraction), (
            "made exact when the network was made"
        )
        return alpha + nbytes * beta


class Port:
    """One direction of a rank's link. It holds a sorted list of the intervals in which the link is busy.
    These intervals neither touch nor overlap.
    """

    def __init__(self) -> None:
        self._begins: list[Fraction] = []
        self._ends: list[Fraction] = []

    def carry(self, earliest: Fraction, duration: Fraction) -> Fraction:
        """Book the first free interval of this duration that begins at `earliest` or later. Returns its end.

        Example: the port is busy from 0 to 1 and from 3 to 4. carry(0, 2) books 1 to 3 and returns 3. Then
        the port is busy from 0 to 4, and carry(0, 1) returns 5.
        """
        begin, begins, ends = earliest, self._begins, self._ends
        if duration and (not ends or begin > ends[-1]):               # the common case: after all others
            begins.append(begin)
            ends.append(begin + duration)
            return ends[-1]
        index = bisect_right(ends, begin)  # the first busy interval that ends after `begin`
        while index < len(begins) and begins[index] < begin + duration:
            begin = ends[index]
            index += 1
        end = begin + duration
        if duration:
            first, last = index, index
            # merge the new interval with the neighbours that it touches
            if index and ends[index - 1] == begin:
                first = index - 1
            if index < len(begins) and begins[index] == end:
                last = index + 1
            begins[first:last] = [begins[first] if first < index else begin]
            ends[first:last] = [ends[last - 1] if last > index else end]
        return end


def pack_time(time: Fraction) -> np.ndarray:
    """Returns a time as a stamp, uint64 [8]. Raises ConfigError for a time that does not fit."""
    try:
        raw = time.numerator.to_bytes(8 * WORDS[0],
                                      "little") + time.denominator.to_bytes(8 * WORDS[1], "little")
    except OverflowError:
        raise ConfigError("an exact time does not fit 64 bytes; give alpha, beta and FLOPs per second with "
                          "fewer digits, or closer to 1") from None
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def unpack_time(words: np.ndarray) -> Fraction:
    raw, middle = words.astype("<u8").tobytes(), 8 * WORDS[0]
    return Fraction(int.from_bytes(raw[:middle], "little"), int.from_bytes(raw[middle:], "little"))
