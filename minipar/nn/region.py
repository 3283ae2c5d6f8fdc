"""A region says how a layer's work is spread over ranks. The layers know nothing else of ranks.

A tensor-parallel layer pair cuts its weights and needs help at four places: `enter`, before the columns are cut; `leave`,
after the rows were, where each rank has a part of the sum; `shared`, for a parameter that every rank holds whole but uses
on a share of the tokens; and `cut`, this rank's share of n heads, columns or rows. Here is the region of one process, where
nothing is to be done; `minipar.parallel` has the others.
"""

from __future__ import annotations

from minipar.autograd import Tensor


class Serial:
    def enter(self, x: Tensor) -> Tensor:
        """x as the column-parallel layer needs it: all tokens, on every rank."""
        return x

    def leave(self, x: Tensor) -> Tensor:
        """The whole sum, of which x is this rank's part."""
        return x

    def shared(self, w: Tensor) -> Tensor:
        """A replicated parameter, about to be used on this rank's share of the tokens."""
        return w

    def cut(self, n: int) -> slice:
        """Which of n units (heads, columns, rows of the vocabulary) this rank holds."""
        return slice(0, n)


SERIAL = Serial()
