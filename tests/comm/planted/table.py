"""The list of planted faults."""

from collections.abc import Callable
from dataclasses import dataclass

from minipar.comm.protocol import Communicator

Program = Callable[[Communicator], object]


@dataclass(frozen=True)
class Planted:
    """A wrong program. Its message on threads must contain each of `says`, under mpirun each of `says_mpi`.
    """

    program: Program
    ranks: int
    says: tuple[str, ...]
    says_mpi: tuple[str, ...]
    synchronous: bool
    timeout: float

    @property
    def name(self) -> str:
        return self.program.__name__

    @property
    def mistake(self) -> str:
        return " ".join((self.program.__doc__ or "").split()).rstrip(".")


PLANTED: dict[str, Planted] = {}


def planted(ranks: int, *says: str, mpi: tuple[str, ...] | None = None, synchronous: bool = False,
            timeout: float = 20.0) -> Callable[[Program], Program]:
    """Adds a program to the list. mpi: the required texts under mpirun, if they differ from `says`."""
    def enter(program: Program) -> Program:
        assert program.__name__ not in PLANTED, f"two faults are called {program.__name__}"
        PLANTED[program.__name__] = Planted(program, ranks, says, says if mpi is None else mpi, synchronous,
                                            timeout)
        return program
    return enter
