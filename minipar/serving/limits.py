"""The limits of the server: each resource that a client can use has one."""

from __future__ import annotations

from dataclasses import dataclass, fields

from minipar.errors import ConfigError
from minipar.records import require_types


@dataclass(frozen=True)
class ServerLimits:
    """connections: open at once. queue: requests that wait or run. body: bytes of a request's JSON. tokens:
    the most that one request may ask for, in all its texts together. read_seconds: for the whole of a request
    to arrive. write_seconds: for a client to make room for the next piece of its response. drain_seconds: for
    accepted requests to finish, when the server stops.

    >>> from minipar.serving.limits import ServerLimits
    >>> ServerLimits(queue=8).connections
    256
    """

    connections: int = 256
    queue: int = 256
    body: int = 1 << 18
    tokens: int = 4096
    read_seconds: float = 10.0
    write_seconds: float = 10.0
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        require_types(self)
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:                                       # nor is NaN
                raise ConfigError(f"{field.name} is {value}; it must be positive", item=field.name)
