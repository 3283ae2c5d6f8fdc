"""How a program is run: what `minipar run` and `mp.run_program` take."""

from __future__ import annotations

from dataclasses import dataclass

from minipar.comm.wrappers.network import Network


@dataclass(frozen=True)
class RunOptions:
    """checked: compare the ranks' calls and keep the books. synchronous: a send waits for its receive, as
    a large one does. timeout: the longest wait in seconds, None: MINIPAR_TIMEOUT or 30. label: "[rank] "
    before each line of output. count: bytes and messages per call site. trace: events. clock: virtual
    time on this network. any_source: "first" or "seed=N": in which order receives from any source take
    what has come; None: as it comes. quiet: what the program prints is kept, not shown.
    """

    checked: bool = True
    synchronous: bool = False
    timeout: float | None = None
    label: bool = False
    count: bool = False
    trace: bool = False
    clock: Network | None = None
    any_source: str | None = None
    quiet: bool = False

    @property
    def plain(self) -> bool:
        """Whether the program asks for nothing of minipar, so that mpi4py itself may run it under mpirun."""
        return not (self.checked or self.synchronous or self.count or self.trace or self.clock)
