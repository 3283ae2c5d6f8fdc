"""Which algorithm should "auto" stand for? A program that names none takes the one that is asked for here.

    comm = Preferring(comm, {"all_reduce": "halving_doubling"})
    all_reduce(comm, gradient, label="gradients")                   # by recursive halving and doubling
"""

from __future__ import annotations

from collections.abc import Mapping

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.base import Wrapper


class Preferring(Wrapper):
    """Hands everything on to `inner`. preferred: collective -> algorithm; the fastest for those that are not
    there.
    """

    def __init__(self, inner: Communicator, preferred: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._preferred = preferred

    @property
    def preferred(self) -> Mapping[str, str]:                       # type: ignore[override]
        return self._preferred

    def wrap(self, part: Communicator) -> Communicator:
        return Preferring(part, self._preferred)
