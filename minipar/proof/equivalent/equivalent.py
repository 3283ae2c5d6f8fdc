"""Runs a parallel function on the ranks of a job, and compares the results with a serial function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minipar.arrays import refusal
from minipar.comm.collectives import even_counts
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.errors import ConfigError, shown
from minipar.proof.equivalent.compare import compare
from minipar.proof.equivalent.sharding import OnRank, Replicated, Sharded, Sharding, input_part
from minipar.proof.equivalent.wrong_array import Facts
from minipar.proof.findings import Finding
from minipar.proof.replicas import fingerprint
from minipar.proof.sending import sent_to_all
from minipar.proof.table import finding_rows, verdict

ArrayFunction = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class MessageCount:
    """The number of messages that all ranks sent along an axis, and their total size in bytes."""

    axis: str
    messages: int
    bytes: int


@dataclass(frozen=True)
class EquivalenceReport:
    """The result of `equivalent`, the same on every rank.

    findings      one per array that the functions return, and one for the replicas (copies of an array)
    traffic       the messages that the parallel function sent; empty if they were not counted
    explanations  the kinds of mistakes that explain the differences
    """

    ranks: int
    tolerance: float
    findings: list[Finding]
    traffic: list[MessageCount] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)

    @property
    def failed_checks(self) -> list[str]:
        """The arrays that are wrong, in the order of the serial function."""
        return [one.item for one in self.findings if not one.proven]

    @property
    def proven(self) -> bool:
        return not self.failed_checks

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for a JSON file. `minipar verify` uses the same names."""
        return {"proven": self.proven, **asdict(self), "failed_checks": self.failed_checks}

    def table(self) -> list[str]:
        """Returns the report as lines of text, in the form of `minipar verify`."""
        said = finding_rows(self.findings, {"replicas": "copies of an array, bit by bit"})
        said += ["", *(f"traffic: {one.messages:,} messages, {one.bytes:,} bytes" for one in self.traffic)]
        said += [f"why: {text}" for text in self.explanations]
        return [
            *said,
            verdict(
                self.failed_checks,
                f"{self.ranks} rank(s) compute what one process does: errors "
                f"up to {self.tolerance:.2g} of an array's largest element",
            ),
        ]

    def __str__(self) -> str:
        return "\n".join(self.table())


def equivalent(
    comm: Communicator,
    *,
    serial: ArrayFunction,
    parallel: ArrayFunction,
    inputs: Mapping[str, Any],
    shards: Mapping[str, Sharding] | None = None,
    tolerance: float = 1e-12,
    micro_batches: int = 1,
) -> EquivalenceReport:
    """Compare a parallel function with a serial one. All ranks of `comm` call this function.

        report = mp.equivalent(comm, serial=layer, parallel=partial(my_layer, comm), inputs={"x": x, "w": w},
                               shards={"w": mp.Shard(axis=1), "y": mp.Shard(axis=1)})
        assert report.proven, report

    serial: a function that runs on rank 0 as serial(**inputs).
    parallel: a function that runs on every rank with this rank's parts of the inputs. If the function has a
        parameter `comm`, it receives a communicator that counts messages.

    Both functions return {name: array}. An array is a NumPy array, a tensor of minipar, a PyTorch tensor on a
    CPU, or a number. It can have any shape. A function can also return gradients.

    inputs: the whole inputs, the same on all ranks.
    shards: name -> distribution of an input or output over the ranks: Shard, Replicated (the default),
        Partial or OnRank.
    tolerance: the largest allowed error of a float64 element, relative to the largest element of its array.
        For another dtype the tolerance is scaled by the ratio of the machine epsilons. For example, 1e-12
        gives 5e-4 in float32.
    micro_batches: the number of micro-batches in the parallel function. It is used only to explain mistakes,
        such as a result that is 1/4 of the right value with 4 micro-batches.

    Raises ConfigError if inputs differ between ranks, if a name in `shards` is neither an input nor an
    output, or if a function returns other values than arrays. Raises ShapeError if `shards` does not fit the
    shape of an array.

    >>> import numpy as np, minipar as mp
    >>> def mean(x):
    ...     return {"mean": x.mean(keepdims=True)}
    >>> def mean_of_means(comm, x):
    ...     return {"mean": mp.all_reduce(comm, x.mean(keepdims=True)) / comm.size}
    >>> def right(n):
    ...     return mp.run(2, lambda comm: mp.equivalent(comm, serial=mean, parallel=mean_of_means,
    ...                   inputs={"x": np.arange(n)}, shards={"x": mp.Shard(0)}).proven)[0]
    >>> right(8.0), right(7.0)                              # 7 numbers: shards of 4 and 3
    (True, False)
    """
    shards = dict(shards or {})
    _require_arguments(comm, inputs, shards, tolerance)
    if differing := [
        name
        for name, value in inputs.items()
        if isinstance(value, np.ndarray) or hasattr(value, "detach")
        if not same_on_all_ranks(comm, value)
    ]:
        raise ConfigError(
            f"the input {shown(differing[0])} is not the same on all ranks; draw it from one seed, or "
            "broadcast it"
        )
    whole = _serial_result(comm, serial, inputs)
    counting = Counting(comm)
    extra = (
        {"comm": counting}
        if "comm" in inspect.signature(parallel).parameters and "comm" not in inputs
        else {}
    )
    own = {
        name: input_part(value, shards.get(name, Replicated()), comm.rank, comm.size)
        for name, value in inputs.items()
    }
    mine = _arrays("parallel", parallel(**own, **extra))
    sent = counting.traffic.total()
    ranks = [sent_to_all(comm, mine, root, "equivalent outputs") for root in range(comm.size)]
    if unknown := sorted(set(shards) - set(inputs) - set(whole) - {name for rank in ranks for name in rank}):
        raise ConfigError(
            f"shards has the name {shown(unknown[0])}, which is neither an input nor an output; known are "
            f"{', '.join([*inputs, *whole])}"
        )
    found = compare(whole, ranks, shards, tolerance, _facts(comm, inputs, shards, micro_batches))
    totals = gathered(comm, [sent.messages, sent.bytes], "equivalent traffic")
    traffic = (
        [MessageCount("all ranks", sum(one[0] for one in totals), sum(one[1] for one in totals))]
        if extra
        else []
    )
    return EquivalenceReport(comm.size, tolerance, found.findings, traffic, found.explanations)


def same_on_all_ranks(comm: Communicator, array: Any) -> bool:
    """Returns True if the array has the same shape, dtype and bits on all ranks. All ranks call this
    function, and all get the same result.

    >>> import numpy as np, minipar as mp
    >>> mp.run(2, lambda comm: mp.same_on_all_ranks(comm, np.arange(3) + comm.rank))
    [False, False]
    """
    own = _array("same_on_all_ranks: the array", array)
    found = gathered(comm, [str(own.dtype), own.shape, fingerprint(own)], "same on all ranks")
    return all(other == found[0] for other in found)


def _require_arguments(
    comm: Communicator, inputs: Mapping[str, Any], shards: Mapping[str, Sharding], tolerance: float
) -> None:
    if not isinstance(comm, Communicator):
        raise ConfigError(
            f"equivalent needs minipar's communicator, not {type(comm).__name__}; use the one of "
            "mp.run(4, ...) or of `with mp.job() as comm`"
        )
    if not isinstance(inputs, Mapping):
        raise ConfigError(f"inputs is {type(inputs).__name__}; give a dictionary of names and arrays")
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {shown(tolerance)}; choose 0 or more")
    for name, sharding in shards.items():
        if not isinstance(sharding, Sharding):
            raise ConfigError(
                f"shards gives {shown(sharding)} for {shown(name)}; choose Shard(axis), Replicated(), "
                "Partial() or OnRank(rank)"
            )
        if isinstance(sharding, OnRank) and not 0 <= sharding.rank < comm.size:
            raise ConfigError(
                f"shards gives OnRank({sharding.rank}) for {shown(name)}; choose a rank from 0 to "
                f"{comm.size - 1}"
            )


def _serial_result(
    comm: Communicator, serial: ArrayFunction, inputs: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Runs the serial function on rank 0 and sends the result to all ranks. If the serial function raises an
    error, all ranks raise ConfigError.
    """
    result: dict[str, np.ndarray] = {}
    cause: Exception | None = None
    if comm.rank == 0:
        try:
            result = _arrays(
                "serial",
                serial(**{name: input_part(value, Replicated(), 0, 1) for name, value in inputs.items()}),
            )
        except Exception as error:  # the user's function may raise anything
            cause = error
    failure = gathered(comm, f"{type(cause).__name__}: {cause}" if cause else "", "equivalent serial")[0]
    if failure:
        raise ConfigError(f"the serial function failed, {failure}") from cause
    return sent_to_all(comm, result, 0, "equivalent serial outputs")


def _arrays(who: str, result: Any) -> dict[str, np.ndarray]:
    if not isinstance(result, Mapping):
        raise ConfigError(
            f"{who} returns {type(result).__name__}; return a dictionary of names and arrays"
        )
    return {
        str(name): _array(f"{who} returns under {shown(name)}", value)
        for name, value in result.items()
        if value is not None
    }


def _array(what: str, value: Any) -> np.ndarray:
    """Converts an array, a tensor or a number to a new NumPy array."""
    if hasattr(value, "detach"):  # a PyTorch tensor
        value = value.detach().cpu().numpy()
    elif hasattr(value, "requires_grad") and isinstance(getattr(value, "data", None), np.ndarray):
        value = value.data  # a tensor of minipar
    elif isinstance(value, (bool, int, float, np.generic)):
        value = np.asarray(value)
    if text := refusal(value, "fiub"):
        raise ConfigError(f"{what} {text}")
    array: np.ndarray = np.array(value, order="C")  # a copy, because the program may change its array
    return array


def _facts(
    comm: Communicator, inputs: Mapping[str, Any], shards: Mapping[str, Sharding], pieces: int
) -> Facts:
    arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    counts = []
    for name, sharding in shards.items():
        if isinstance(sharding, Sharded) and name in arrays:
            counts.append(list(sharding.counts or even_counts(arrays[name].shape[sharding.axis], comm.size)))
    whole = {
        name: array
        for name, array in arrays.items()
        if isinstance(shards.get(name, Replicated()), Replicated) and array.dtype.kind == "f"
    }
    return Facts(range(comm.size), comm.size, {"the ranks": [list(range(comm.size))]}, whole, counts, pieces)
