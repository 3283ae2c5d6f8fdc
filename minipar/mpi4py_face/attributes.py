"""The name, the hints, the attributes and the error handler of a communicator."""

from __future__ import annotations

from typing import Any

from minipar.mpi4py_face import constants as c
from minipar.mpi4py_face.context import CommHandle
from minipar.mpi4py_face.environment import Info


class Attributes(CommHandle):
    """The methods of a communicator for these settings. The settings do not change any other call."""

    def Get_name(self) -> str:
        return "MPI_COMM_NULL" if self._context is None else self._enter().name

    def Set_name(self, name: str) -> None:
        self._enter().name = name

    name = property(Get_name, Set_name)

    def Set_info(self, info: Any) -> None:
        """Store hints. Get_info returns them. They have no other effect in minipar."""
        self._enter().info = dict(info)

    def Get_info(self) -> Info:
        return Info(self._enter().info)

    info = property(Get_info, Set_info)

    def Get_attr(self, keyval: int) -> Any:
        context = self._enter()
        known = {c.TAG_UB: c.LARGEST_TAG, c.WTIME_IS_GLOBAL: True, c.IO: c.ANY_SOURCE,
                 c.UNIVERSE_SIZE: context.rank.comm.size}
        return known[keyval] if keyval in known else context.attributes.get(keyval)

    def Set_attr(self, keyval: int, attrval: Any) -> None:
        self._enter().attributes[keyval] = attrval

    def Delete_attr(self, keyval: int) -> None:
        self._enter().attributes.pop(keyval, None)

    def Set_errhandler(self, errhandler: Any) -> None:
        """Do nothing. In minipar, an error is always an exception. It ends the job unless the program catches
        it.
        """
        self._enter()

    def Get_errhandler(self) -> Any:
        self._enter()
        return self._errors

    _errors: Any = None

    def Is_inter(self) -> bool:
        self._enter()
        return False

    def Is_intra(self) -> bool:
        self._enter()
        return True

    is_inter, is_intra = property(Is_inter), property(Is_intra)

    def Get_topology(self) -> int:
        topology = self._enter().topology
        return c.UNDEFINED if topology is None else int(topology.kind)

    topology = property(Get_topology)

    @property
    def is_topo(self) -> bool:
        return self.Get_topology() != c.UNDEFINED
