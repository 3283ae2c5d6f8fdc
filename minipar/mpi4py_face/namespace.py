"""Makes the module that a program imports as `mpi4py.MPI`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from minipar.mpi4py_face import communicators, constants, environment, topologies
from minipar.mpi4py_face.current import current
from minipar.mpi4py_face.datatypes import DATATYPE_NULL, PREDEFINED, Datatype
from minipar.mpi4py_face.environment import Errhandler, Info
from minipar.mpi4py_face.exceptions import CLASSES, MPIError
from minipar.mpi4py_face.graphs import UNWEIGHTED, WEIGHTS_EMPTY, Weights
from minipar.mpi4py_face.groups import GROUP_EMPTY, GROUP_NULL, Group
from minipar.mpi4py_face.host_memory import BOTTOM, IN_PLACE, Bottom, InPlace
from minipar.mpi4py_face.memory import RawMemory
from minipar.mpi4py_face.ops import PREDEFINED as OPERATIONS
from minipar.mpi4py_face.ops import Op
from minipar.mpi4py_face.pickling import PICKLE, Pickle
from minipar.mpi4py_face.refused import refuse
from minipar.mpi4py_face.requests import PendingRequest, Prequest
from minipar.mpi4py_face.status import Status
from minipar.mpi4py_face.windows import Win


class MPIModule(ModuleType):
    """The module `MPI`. All ranks that are threads share this module, but each rank needs its own
    communicators. So `MPI.COMM_WORLD` is a property that looks up the calling rank.
    """

    @property
    def COMM_WORLD(self) -> Any:
        return current().world

    @property
    def COMM_SELF(self) -> Any:
        return current().own

    def __getattr__(self, name: str) -> Any:
        return refuse("MPI", name)


def made() -> MPIModule:
    """Returns the module with all names that minipar offers."""
    module = MPIModule("mpi4py.MPI", __doc__)
    names: dict[str, Any] = {name: value for name, value in vars(constants).items() if name.isupper()}
    names |= CLASSES
    names |= {name.removeprefix("MPI_"): datatype for name, datatype in PREDEFINED.items()}
    names |= OPERATIONS
    names |= {name: value for name, value in vars(environment).items()
              if callable(value) and getattr(value, "__module__", "") == environment.__name__}
    names |= {kind.__name__: kind for kind in (
        communicators.Comm, communicators.Intracomm, communicators.Intercomm, topologies.Topocomm,
        topologies.Cartcomm, topologies.Graphcomm, topologies.Distgraphcomm, Datatype, Group, Op, Prequest,
        PendingRequest, Status, Win, Info, Errhandler, Pickle)}
    names |= {"Exception": MPIError, "Compute_dims": communicators.Compute_dims, "IN_PLACE": IN_PLACE,
              "UNWEIGHTED": UNWEIGHTED, "WEIGHTS_EMPTY": WEIGHTS_EMPTY, "WeightsType": Weights,
              "BOTTOM": BOTTOM,
              "InPlaceType": InPlace, "BottomType": Bottom, "COMM_NULL": communicators.COMM_NULL,
              "REQUEST_NULL": PendingRequest(), "GROUP_NULL": GROUP_NULL, "GROUP_EMPTY": GROUP_EMPTY,
              "WIN_NULL": Win(),
              "DATATYPE_NULL": DATATYPE_NULL, "INFO_NULL": Info(), "INFO_ENV": Info(), "pickle": PICKLE,
              "memory": RawMemory, "buffer": RawMemory, "ERRHANDLER_NULL": Errhandler(),
              **{name: Errhandler(name) for name in ("ERRORS_RETURN", "ERRORS_ARE_FATAL", "ERRORS_ABORT")}}
    vars(module).update(names)
    communicators.Comm._errors = names["ERRORS_RETURN"]
    return module


MPI = made()
