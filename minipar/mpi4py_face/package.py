"""Makes the package that a program imports as `mpi4py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from minipar.comm.diagnostics.call_site import call_site
from minipar.mpi4py_face.exceptions import CLASSES, MPIError
from minipar.mpi4py_face.namespace import MPI
from minipar.mpi4py_face.refused import NotOffered
from minipar.mpi4py_face.settings import Settings

VERSION = "4.1.0"                                                   # version of mpi4py's interface
SUBPACKAGES = ("futures", "util", "run", "bench", "typing", "benchmarks", "__main__")
INSTEAD = {"futures": "use comm.scatter and comm.gather, or concurrent.futures within one rank",
           "util": "use the lower-case calls for objects, and Create_struct for records"}


class PartNotOffered(MPIError, ImportError):
    """The error for the import of a part of mpi4py that minipar does not offer. It is an ImportError, which
    programs often catch.
    """

    def __init__(self, name: str) -> None:
        part = name.split(".")[1]
        advice = INSTEAD.get(part, "start the program with mpirun and plain mpi4py")
        MPIError.__init__(self, CLASSES["ERR_UNSUPPORTED_OPERATION"],
                          f"import at {call_site()}: {name} is not offered; {advice}")


class PartFinder:
    """A finder for `sys.meta_path`. It raises an error for each part of mpi4py other than MPI."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("mpi4py.") and isinstance(sys.modules.get("mpi4py"), Package):
            raise PartNotOffered(name)


class Package(ModuleType):
    """The package `mpi4py`. It contains MPI and rc."""

    def __getattr__(self, name: str) -> Any:
        if name in SUBPACKAGES:
            raise NotOffered(f"mpi4py.{name} is not offered; use mpi4py.MPI, or start the program with "
                             "mpirun and plain mpi4py")
        raise AttributeError(f"module 'mpi4py' has no attribute {name!r}")


RC = Settings("mpi4py.rc")


def made() -> Package:
    package = Package("mpi4py", __doc__)
    vars(package).update(
        __version__=VERSION, __path__=[], MPI=MPI, __all__=["MPI"],
        rc=RC, get_config=dict, get_include=str, profile=lambda *names, **options: None)
    return package


MPI4PY, FINDER = made(), PartFinder()


def install() -> dict[str, ModuleType]:
    """Make `import mpi4py` import the package `MPI4PY`. Returns the modules of the real mpi4py, which are
    replaced.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "mpi4py"}
    for name in before:
        del sys.modules[name]
    sys.modules.update({"mpi4py": MPI4PY, "mpi4py.MPI": MPI, "mpi4py.rc": RC})
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
    return before


@contextmanager
def installed() -> Iterator[None]:
    """A context in which `import mpi4py` imports the package `MPI4PY`."""
    before = install()
    try:
        yield
    finally:
        sys.meta_path.remove(FINDER)
        for name in ("mpi4py", "mpi4py.MPI", "mpi4py.rc"):
            sys.modules.pop(name, None)
        sys.modules.update(before)
