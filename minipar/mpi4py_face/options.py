"""The options of `minipar run` and `mp.run_program`."""

from __future__ import annotations

from dataclasses import dataclass

from minipar.comm.wrappers.network import Network


@dataclass(frozen=True)
class RunOptions:
    """The options of a run. checked: compare the ranks' calls, and report incomplete messages and requests.
    synchronous: a send waits for its receive, as a large send does. timeout: the longest wait in seconds;
    None for MINIPAR_TIMEOUT, or 30 if this variable is not set. label: write "[rank] " before each line of
    output. count: count the messages and bytes of each line of the program. trace: record events. clock:
    measure virtual time on this network. any_source: the order in which receives from any source take
    messages, "first" or "seed=N"; None for the order of arrival. quiet: do not show the program's output.
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
        """Returns whether no option needs minipar. Then mpi4py itself can run the program under mpirun."""
        return not (self.checked or self.synchronous or self.count or self.trace or self.clock)
