"""Selects the rows (tokens) of the next forward pass: continuous batching (Yu et al. 2022, "Orca").

The batch can change in every step: a finished sequence leaves at once, and a waiting sequence takes its row.
A long prompt is computed in chunks (Agrawal et al. 2023, "Sarathi"). So sequences that generate tokens
(decoding sequences) never wait for a whole prompt. Example with 6 rows per step, two decoding sequences a and
b, and a prompt c of 9 tokens:

    step 1    a b c0 c1 c2 c3        step 2    a b c4 c5 c6 c7        step 3    a b c8
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from operator import attrgetter

from minipar.inference.memory import SequenceMemory
from minipar.inference.sequence import TextSequence

arrival = attrgetter("arrival")


class Scheduler:
    """The queue of waiting sequences and the list of running ones, both in the order of arrival."""

    def __init__(self, memory: SequenceMemory, context: int, sequences: int, rows: int):
        """sequences: the largest number of running sequences. rows: the largest number of rows in one forward
        pass.
        """
        self.memory, self._context, self._sequences, self._rows = memory, context, sequences, rows
        self.waiting: list[TextSequence] = []
        self.running: list[TextSequence] = []

    def add(self, sequence: TextSequence) -> None:
        insort(self.waiting, sequence, key=arrival)

    def start(self, sequence: TextSequence) -> None:
        """Run a sequence at once. For another sample of a running request, a row is already reserved."""
        insort(self.running, sequence, key=arrival)

    def remove(self, sequence: TextSequence) -> None:
        """Remove a sequence that has finished or was cancelled."""
        self.memory.forget(sequence)
        (self.running if sequence in self.running else self.waiting).remove(sequence)

    def plan(self, extra: int = 0) -> dict[TextSequence, int]:
        """Return the number of rows of each sequence in the next forward pass, and allocate blocks for these
        rows. Decoding sequences come first.

        extra: the number of draft tokens that each decoding sequence may add if there is room.
        """
        planned: dict[TextSequence, int] = {}
        preempted = False
        for sequence in sorted(self.running, key=lambda one: (one.pending > 1, one.arrival)):
            if sequence in self.running:  # this loop may have preempted the sequence
                rows = self._wanted(sequence, planned, extra)
                while rows and not self.memory.grow(sequence, sequence.computed + rows):
                    if rows > sequence.pending:                     # drafts never cause a preemption
                        rows = sequence.pending
                        continue
                    last = self.running[-1]
                    self._preempt(last)
                    planned.pop(last, None)
                    preempted = True
                    rows = 0 if last is sequence else rows
                if rows:
                    planned[sequence] = rows
        if not preempted:
            planned.update(self._admitted(planned))
        return planned

    def _wanted(self, sequence: TextSequence, planned: dict[TextSequence, int], extra: int) -> int:
        left = self._rows - sum(planned.values())
        if sequence.pending > 1 or sequence.forks:  # a new sample would share the draft's blocks
            return min(sequence.pending, left)
        context_left = self._context - len(sequence.text)
        tokens_left = sequence.request.max_tokens - sequence.written - 1
        return min(1 + max(0, min(extra, context_left, tokens_left)), left)

    def _admitted(self, planned: dict[TextSequence, int]) -> Iterator[tuple[TextSequence, int]]:
        """Start waiting sequences in order, until one has no room. Yield each one with its number of rows."""
        left = self._rows - sum(planned.values())
        while self.waiting and left:
            sequence = self.waiting[0]
            if sum(1 + one.forks for one in [*self.running, sequence]) > self._sequences:
                return
            rows = self.memory.start(sequence, left)
            if not rows:
                return
            self.start(self.waiting.pop(0))
            left -= rows
            yield sequence, rows

    def _preempt(self, sequence: TextSequence) -> None:
        self.memory.preempt(sequence)
        self.running.remove(sequence)
        self.add(sequence)
