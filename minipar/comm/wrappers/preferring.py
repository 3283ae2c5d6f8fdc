"""Sets the algorithm that "auto" selects. A collective uses this preferred algorithm if its call names none.

    comm = Preferring(comm, {"all_reduce": "halving_doubling"})
    all_reduce(comm, gradient, label="gradients")                   # uses recursive halving and doubling
"""

from __future__ import annotations

from collections.abc import Mapping

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.base import Wrapper


class Preferring(Wrapper):
    """Forwards every call to `inner`. preferred: maps a collective to an algorithm. All other collectives use
    the fastest algorithm.
    """

    def __init__(self, inner: Communicator, preferred: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._preferred = preferred

    @property
    def preferred(self) -> Mapping[str, str]:                       # type: ignore[override]
        return self._preferred

    def wrap(self, part: Communicator) -> Communicator:
        return Preferring(part, self._preferred)
