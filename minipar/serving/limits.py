"""Defines the limits of the server. Each resource that a client can use has a limit."""

from __future__ import annotations

from dataclasses import dataclass, fields

from minipar.errors import ConfigError
from minipar.records import require_types


@dataclass(frozen=True)
class ServerLimits:
    """The limits of a server.

    Each field is the largest allowed number.

    * connections: open connections.
    * queue: requests that wait or run.
    * body: bytes of a request's JSON.
    * tokens: new tokens in all texts of one request together.
    * read_seconds: seconds until a whole request has arrived.
    * write_seconds: seconds until a client has taken the next piece of its response.
    * drain_seconds: seconds for accepted requests to finish when the server stops.

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
            if not value > 0:                                       # NaN is refused, too
                raise ConfigError(f"{field.name} is {value}; it must be positive", item=field.name)
