"""Describes a machine for the planner: the rates of computation, the speed of messages, and the memory.

A machine file is JSON with the fields of `Machine`. The folder `MACHINES` has the files of some machines, and
`machine` finds them by name. The peaks, bandwidths and memory sizes come from data sheets. The field "source"
names these data sheets. Two numbers are not in data sheets, and also depend on the software: the sustained
rate of matrix products, and the launch overhead of a layer. `plan.calibrate` fits both numbers to measured
steps. The field "calibration" names these measurements.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from minipar.errors import ConfigError, shown
from minipar.plan.collective_times import Links
from minipar.records import is_number, is_whole
from minipar.untrusted.files import read_bytes
from minipar.untrusted.plain import parse_json

MACHINES = Path(__file__).parent / "machines"
LARGEST_FILE = 1 << 16  # bytes
# The number of kernels that a layer launches in forward and backward together. Forward launches about 15: 2
# norms, 4 products, 2 products of the scores, softmax, dropout, GELU, 2 sums of dropout and residual, 2
# changes of layout.
KERNELS = 45
# The valid range of each number. A value outside the range most likely has a wrong unit.
RANGES = {
    "peak": (1e6, 1e18),
    "rate": (1e6, 1e18),
    "launch": (0, 1),
    "call": (0, 1),
    "memory_rate": (1e6, 1e15),
    "host_rate": (1e5, 1e14),
    "memory": (1 << 20, 1 << 50),
    "reserve": (0, 1 << 50),
    "latency": (0, 1),
    "bandwidth": (1e3, 1e14),
}


@dataclass(frozen=True)
class Link:
    """Describes the link of one rank to other ranks. latency: seconds per message. bandwidth: bytes per
    second, in one direction.

    >>> Link(latency=5e-6, bandwidth=25e9).times
    Links(alpha=5e-06, beta=4e-11, gamma=0)
    """

    latency: float
    bandwidth: float

    def __post_init__(self) -> None:
        for name in ("latency", "bandwidth"):
            _require_in_range(name, getattr(self, name), "a link's ")

    @property
    def times(self) -> Links:
        return Links(self.latency, 1 / self.bandwidth)


@dataclass(frozen=True)
class Machine:
    """Describes one rank (a GPU, a TPU chip, a core), and its links to the other ranks.

    peak: FLOPs per second of the data sheet. Model FLOPs utilisation (MFU) is relative to the peak. rate:
    FLOPs per second that large matrix products sustain. launch: seconds of overhead for one layer and one
    micro-batch, forward and backward together. call: seconds of overhead for one collective call; 0 means the
    overhead of one kernel, launch / KERNELS. memory_rate: bytes per second of the rank's memory. memory: the
    size of the memory in bytes. reserve: the bytes of memory that the driver, the communication library and
    fragments use. within: the links inside a node. between: the links between nodes. per_node: number of
    ranks per node. host_rate: bytes per second to the host's memory, for offloading. Raises ConfigError for a
    value that is missing, not a number or outside its range.

    >>> a100 = machine("a100-80g")
    >>> a100.peak, a100.per_node
    (312000000000000.0, 8)
    """

    rate: float
    launch: float
    memory_rate: float
    within: Link
    between: Link
    per_node: int
    memory: float
    reserve: float = 0.0
    peak: float = 0.0
    host_rate: float = 12e9
    call: float = 0.0
    name: str = ""
    source: str = field(default="", repr=False)
    calibration: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if is_number(self.peak) and self.peak == 0:
            object.__setattr__(self, "peak", self.rate)
        for name in ("peak", "rate", "launch", "call", "memory_rate", "memory", "reserve", "host_rate"):
            _require_in_range(name, getattr(self, name), "a machine's ")
        if not is_whole(self.per_node) or not 1 <= self.per_node <= 1 << 20:
            raise ConfigError(
                f"per_node is {shown(self.per_node)}; it must be a whole number of ranks from 1 on",
                item="per_node",
            )
        if self.rate > self.peak:
            raise ConfigError(
                f"rate is {self.rate:g}, more than the peak {self.peak:g} FLOPs per second; "
                "a sustained rate is lower",
                item="rate",
            )
        if self.reserve >= self.memory:
            raise ConfigError(
                f"reserve is {self.reserve:g} of {self.memory:g} bytes of memory; nothing is left "
                "for the training",
                item="reserve",
            )

    @property
    def usable(self) -> float:
        """The bytes that a training run can use: `memory` minus `reserve`."""
        return self.memory - self.reserve

    @property
    def call_overhead(self) -> float:
        """The seconds of overhead for one collective call."""
        return self.call or self.launch / KERNELS

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of the machine's file."""
        return asdict(self)


def _require_in_range(name: str, value: object, whose: str) -> None:
    least, most = RANGES[name]
    if not is_number(value) or not math.isfinite(value) or not least <= value <= most:  # type: ignore[arg-type, operator]
        raise ConfigError(
            f"{whose}{name} is {shown(value)}; it must be a number from {least:g} to {most:g} "
            f"({UNITS[name]})",
            item=name,
        )


UNITS = {
    "peak": "FLOPs per second",
    "rate": "FLOPs per second",
    "launch": "seconds",
    "call": "seconds",
    "latency": "seconds",
    "memory_rate": "bytes per second",
    "host_rate": "bytes per second",
    "bandwidth": "bytes per second",
    "memory": "bytes",
    "reserve": "bytes",
}


def machine_from(values: Any, where: object) -> Machine:
    """Makes a machine from the content of a file. Raises a ConfigError that names the file and the wrong
    field.
    """
    known = {each.name: each for each in fields(Machine)}
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: not a machine; it must be a JSON object with {', '.join(known)}")
    if unknown := [name for name in values if name not in known]:
        raise ConfigError(
            f"{where}: unknown field {shown(unknown[0])}; the fields are {', '.join(known)}",
            item=str(unknown[0]),
        )
    needed = ("rate", "launch", "memory_rate", "within", "between", "per_node", "memory")
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(
            f"{where}: {', '.join(missing)} missing; give each of {', '.join(needed)}", item=missing[0]
        )
    for name in ("name", "source", "calibration"):
        if not isinstance(values.get(name, ""), str):
            raise ConfigError(f"{where}: {name} is {shown(values[name])}; it must be a string", item=name)
    links: dict[str, Link] = {}
    try:
        for name in ("within", "between"):
            link = values[name]
            if not isinstance(link, dict) or set(link) != {"latency", "bandwidth"}:
                raise ConfigError(f"{name} is {shown(link)}; it must have latency and bandwidth", item=name)
            links[name] = Link(**link)
        return Machine(**{**values, **links})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}", **error.facts) from None


def machine(source: str) -> Machine:
    """Returns the machine with this name in `MACHINES`, or the machine in this JSON file. Raises ConfigError
    for an unknown name, a file that cannot be read, or invalid values.
    """
    if source in machine_names():
        return _stored(source)
    if not source.endswith(".json"):
        raise ConfigError(
            f"no machine is called {shown(source)}; choose {', '.join(machine_names())}, or a "
            "file that ends in .json (minipar plan --calibrate writes one)",
            item="machine",
        )
    try:
        content = read_bytes(source, LARGEST_FILE, ConfigError)
    except OSError as error:
        raise ConfigError(
            f"{source} cannot be read: {error.strerror or error}; give a machine file, or one of "
            f"{', '.join(machine_names())}",
            item="machine",
        ) from error
    values = parse_json(content, source, ConfigError, values=200)
    found = machine_from(values, source)
    return found if found.name else replace(found, name=Path(source).stem)


@cache
def _stored(name: str) -> Machine:
    path = MACHINES / f"{name}.json"
    values = parse_json(path.read_bytes(), path.name, ConfigError)
    return replace(machine_from(values, path.name), name=name)


@cache
def machine_names() -> tuple[str, ...]:
    """Returns the sorted names of the stored machines."""
    return tuple(sorted(path.stem for path in MACHINES.glob("*.json")))
