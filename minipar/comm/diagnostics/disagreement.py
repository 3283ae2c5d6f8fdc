"""Compares the ranks' descriptions of a collective call. A description is called an account. It is a
dictionary with the keys of FIELDS, and with `shape`, `location` (the call site) and `after` (an exception
that may be the cause of a difference).
"""

from __future__ import annotations

import json
from typing import Any

from minipar.comm.diagnostics.call_site import group, quoted
from minipar.comm.protocol import Communicator
from minipar.errors import CommError

FIELDS = {"op": "operation", "count": "number of elements", "dtype": "dtype", "root": "root",
          "algorithm": "algorithm", "counts": "counts", "label": "order of calls (label)",
          "number": "number of collectives so far"}
# If a field differs, these other fields differ as a consequence. Different operations have different
# arguments, and "auto" selects the algorithm by the number of bytes.
FOLLOWS = {"op": {"count", "dtype", "root", "algorithm", "counts"}, "count": {"algorithm"},
           "dtype": {"algorithm"}}


def differing(accounts: list[dict[str, Any]]) -> list[str]:
    """Returns the fields in which the ranks' accounts differ. A field that differs only because of another
    field is left out (see FOLLOWS).

    Labels are compared only between the ranks that gave one.
    """
    named = [account for account in accounts if account["label"]]
    differs = [field for field in FIELDS
               if len({json.dumps(account[field])
                       for account in (named if field == "label" else accounts)}) > 1]
    return [field for field in differs if not any(cause in differs and field in FOLLOWS[cause]
                                                  for cause in FOLLOWS)]


def disagreement(comm: Communicator, accounts: list[dict[str, Any]]) -> CommError | None:
    """Returns the error for accounts that differ; None if they agree. The message names the fields that
    differ and the calls. Ranks with equal calls are named together. The error has the fields kind
    ("disagreement") and items (the names of the differing fields).
    """
    if not (differs := differing(accounts)):
        return None
    sides: dict[str, list[str]] = {}
    for rank, account in enumerate(accounts):
        sides.setdefault(describe(account, differs), []).append(str(comm.members[rank]))
    said = "; ".join(f"rank{'s' * (len(ranks) > 1)} {', '.join(ranks)}: {text}"
                     for text, ranks in sides.items())
    items = tuple(FIELDS[field] for field in differs)
    return CommError(f"the ranks of {group(comm.name)} do not agree on {' and '.join(items)}: {said}",
                     kind="disagreement", items=items)


def describe(account: dict[str, Any], differs: list[str]) -> str:
    """Returns the call in words: "all_reduce sum of (4, 3) float64 'gradients' at data.py:41". The text also
    has the other fields that differ.
    """
    array = ("" if account["shape"] is None
             else f" of {tuple(account['shape'])} {account['dtype'] or ''}".rstrip())
    root = "" if account["root"] is None else f" with root {account['root']}"
    algorithm = f" by {account['algorithm']}" if "algorithm" in differs else ""
    counts = f" with counts {account['counts']}" if "counts" in differs else ""
    number = f" (after {account['number']} others)" if "number" in differs else ""
    label = quoted(account["label"])
    cause = f" ({account['after']})" if account["after"] else ""
    return f"{account['op']}{array}{root}{algorithm}{counts}{label} at {account['location']}{number}{cause}"
