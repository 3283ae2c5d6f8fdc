"""The two files by which `minipar elastic` and the supervisor of a run communicate.

    RUN/supervisor.json     the supervisor's folder MEMORY; the present and allowed numbers of ranks
    MEMORY/request.json     {"change": 2}: the number of ranks to add; a negative number removes ranks

The supervisor starts and restarts the ranks of an elastic training (supervisor.py).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.config import MOST_RANKS
from minipar.errors import CheckpointError, ConfigError, LayoutError
from minipar.records import is_whole, record_from
from minipar.training.supervised import REQUEST, is_supervised
from minipar.untrusted.files import KIB, read_bytes
from minipar.untrusted.plain import parse_json

STATE = "supervisor.json"                                           # file in the folder of a running training


@dataclass(frozen=True)
class SupervisorState:
    """The content of supervisor.json.

    `memory` is the supervisor's folder. `ranks` is the present number of ranks, and `used` is how many of
    them the layout uses. `fewest` and `most` are the numbers of ranks of the smallest and the largest allowed
    layout.
    """

    memory: str = ""
    ranks: int = 0
    used: int = 0
    fewest: int = 0
    most: int = 0


def supervisor_of(run: Path) -> SupervisorState | None:
    """Return the state of the supervisor of this run, or None if no supervisor runs."""
    path = run / STATE
    try:
        state = record_from(SupervisorState, parse_json(read_bytes(path, 4 * KIB, CheckpointError), path,
                                                        CheckpointError), STATE)
    except (OSError, CheckpointError, ConfigError):
        return None
    return state if state.memory and is_supervised(Path(state.memory)) else None


def require_unsupervised(run: Path) -> None:
    """Raises CheckpointError if a supervisor already runs this training."""
    if supervisor_of(run) is not None:
        raise CheckpointError(f"an elastic training runs in {run} already; wait for its end, or choose "
                              "another folder")


def request(run: Path, change: int) -> SupervisorState:
    """Ask the supervisor of this run for `change` more ranks. A negative number asks for fewer ranks. Returns
    the supervisor's state.

    Raises CheckpointError if there is no supervisor, or if it has not yet taken the last request. Raises
    LayoutError if too few ranks would be left for the smallest layout.
    """
    state = supervisor_of(run)
    if state is None:
        raise CheckpointError(f"no elastic training runs in {run}; start one with: minipar train --elastic "
                              f"--out {run}")
    if change < 0 and state.ranks + change < state.fewest:
        raise LayoutError(f"the training has {state.ranks} ranks, and its smallest layout needs "
                          f"{state.fewest}: remove at most {max(state.ranks - state.fewest, 0)}",
                          item="ranks")
    if state.ranks + change > MOST_RANKS:
        raise ConfigError(f"{state.ranks} ranks and {change} more are too many; at most {MOST_RANKS:,}")
    path = Path(state.memory) / REQUEST
    temporary = path.with_name(f"{REQUEST}.{os.getpid()}")
    with refusals_named(path):
        temporary.write_text(json.dumps({"change": change}), encoding="ascii")
        try:
            os.link(temporary, path)  # the file appears complete; fails if a request exists
        except FileExistsError:
            raise CheckpointError(f"another change of the ranks of {run} is under way; try again after the "
                                  "current step") from None
        finally:
            temporary.unlink()
    return state


def take_request(memory: Path) -> int | None:
    """Remove the request of `minipar elastic`. Return its change of the number of ranks; None without a
    request.
    """
    path = memory / REQUEST
    try:
        said = parse_json(read_bytes(path, KIB, ConfigError), path, ConfigError)
    except ConfigError:                                             # `minipar elastic` did not write it
        said = None
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    change = said.get("change") if isinstance(said, dict) else None
    return change if isinstance(change, int) and is_whole(change) else 0
