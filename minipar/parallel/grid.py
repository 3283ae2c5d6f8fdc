"""Arranges the ranks of a job in a grid with four axes: pipeline (pp), data (dp), context (cp) and tensor
(tp) parallelism.

The ranks are numbered like the elements of an array of shape [pp, dp, cp, tp]; tp is the fastest axis. So the
ranks of a tensor-parallel group, which communicate most, are neighbours. The ranks of a pipeline, which
communicate least, are far apart. Along each axis, a rank has a communicator. Its group contains the ranks
whose other three coordinates are the same.

Example: pp=2, tp=2. The tp groups are {0, 1} and {2, 3}; the pp groups are {0, 2} and {1, 3}.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.config import Layout
from minipar.errors import LayoutError

AXES = ("pp", "dp", "cp", "tp")                                     # the slowest axis first


class Grid:
    """Holds the position of one rank in the grid. dp, pp, cp, tp: the rank's Communicator along each axis.
    at: the rank's coordinates.

    >>> import minipar as mp
    >>> layout = mp.Layout(dp=2, tp=2)
    >>> mp.run(4, lambda comm: mp.Grid(comm, layout).at)[3]
    {'pp': 0, 'dp': 1, 'cp': 0, 'tp': 1}
    >>> mp.run(4, lambda comm: mp.Grid(comm, layout).tp.size)
    [2, 2, 2, 2]
    """

    def __init__(self, world: Communicator, layout: Layout):
        """All ranks of `world` create a grid with the same layout.

        Raises LayoutError unless the product of the axes is the number of ranks.
        """
        if layout.ranks != world.size:
            raise LayoutError(_does_not_fit(world.size, layout))
        self.world, self.layout = world, layout
        shape = [getattr(layout, axis) for axis in AXES]
        self.at = dict(zip(AXES, map(int, np.unravel_index(world.rank, shape)), strict=True))
        ranks = np.arange(world.size).reshape(shape)               # rank at [pp, dp, cp, tp]
        self._axes: dict[str, Communicator] = {}
        for number, axis in enumerate(AXES):
            lines = np.moveaxis(ranks, number, -1).reshape(-1, shape[number])  # one group of ranks per line
            line = int(np.flatnonzero((lines == world.rank).any(axis=1))[0])
            group = world.split(line, label=axis)
            assert group is not None, "every rank has a color"
            self._axes[axis] = group

    @property
    def dp(self) -> Communicator:
        return self._axes["dp"]

    @property
    def pp(self) -> Communicator:
        return self._axes["pp"]

    @property
    def cp(self) -> Communicator:
        return self._axes["cp"]

    @property
    def tp(self) -> Communicator:
        return self._axes["tp"]


def _does_not_fit(ranks: int, layout: Layout) -> str:
    axes = " * ".join(f"{axis}={getattr(layout, axis)}" for axis in AXES
                      if getattr(layout, axis) > 1) or "dp=1"
    rest = layout.ranks // layout.dp
    other = f", or choose --dp {ranks // rest}" if ranks % rest == 0 else ""
    return (f"the world has {ranks} rank(s), but the layout {axes} needs {layout.ranks}: run mpirun -n "
            f"{layout.ranks}{other}")
