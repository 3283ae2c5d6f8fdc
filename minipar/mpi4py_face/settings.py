"""mpi4py.rc: settings that a program may change before it imports MPI. Each rank has its own settings.

Only `initialize = False` has an effect: then the program must call MPI.Init itself. minipar stores the other
settings, but does not use them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from minipar.mpi4py_face.current import current

DEFAULTS: dict[str, Any] = {
    "initialize": True, "threads": True, "thread_level": "multiple", "finalize": None, "fast_reduce": True,
    "recv_mprobe": True, "irecv_bufsz": 32768, "errors": "exception"}


class Settings(ModuleType):
    """The module `mpi4py.rc`. Its attributes are the settings of the calling rank."""

    def __getattr__(self, name: str) -> Any:
        if name in DEFAULTS:
            return current().settings.get(name, DEFAULTS[name])
        raise AttributeError(f"mpi4py.rc has no setting {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in DEFAULTS:
            raise TypeError(f"mpi4py.rc: unexpected attribute {name!r}")
        current().settings[name] = value

    def __call__(self, **settings: Any) -> None:
        for name, value in settings.items():
            setattr(self, name, value)

    def __dir__(self) -> list[str]:
        return sorted(DEFAULTS)
