"""Counts events and times of the server, and writes them in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from threading import Lock

SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)                  # upper limits of the histogram's buckets
HELP = {"requests_total": "responses by status code", "disconnects_total": "clients that left early",
        "slow_readers_total": "clients that did not read their response", "tokens_total": "tokens generated",
        "prompt_tokens_total": "tokens of accepted prompts",
        "first_token_seconds": "seconds from an accepted request to its first token",
        "request_seconds": "seconds from an accepted request to its last token"}


class ServerMetrics:
    """Holds counters and histograms of times. Several threads may use it at the same time.

    >>> from minipar.serving.metrics import ServerMetrics
    >>> metrics = ServerMetrics()
    >>> metrics.count("tokens_total", 3)
    >>> "minipar_tokens_total 3" in metrics.page({}).splitlines()
    True
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: Counter[str] = Counter()
        self._times: dict[str, list[int]] = {}                      # name -> observations per bucket
        self._sums: dict[str, float] = {}

    def count(self, name: str, by: int = 1, label: str = "") -> None:
        """Add `by` to a counter. Example of a label: 'status="200"'."""
        with self._lock:
            self._counters[f"{name}{{{label}}}" if label else name] += by

    def observe(self, name: str, seconds: float) -> None:
        """Add a time to a histogram."""
        with self._lock:
            buckets = self._times.setdefault(name, [0] * (len(SECONDS) + 1))
            buckets[bisect_left(SECONDS, seconds)] += 1
            self._sums[name] = self._sums.get(name, 0.0) + seconds

    def page(self, gauges: Mapping[str, float]) -> str:
        """Return the page with all counters and histograms. gauges: name -> current value, for numbers that
        can also fall.
        """
        with self._lock:
            counters, sums = dict(self._counters), dict(self._sums)
            times = {name: list(accumulate(buckets)) for name, buckets in self._times.items()}
        lines: list[str] = []
        for family, text in HELP.items():
            kind = "counter" if family.endswith("_total") else "histogram"
            lines += [f"# HELP minipar_{family} {text}", f"# TYPE minipar_{family} {kind}"]
            lines += [f"minipar_{name} {value}" for name, value in sorted(counters.items())
                      if name.partition("{")[0] == family]
            if family in times:
                for limit, value in zip((*SECONDS, "+Inf"), times[family], strict=True):
                    lines.append(f'minipar_{family}_bucket{{le="{limit}"}} {value}')
                lines += [f"minipar_{family}_sum {sums[family]}",
                          f"minipar_{family}_count {times[family][-1]}"]
        for name, level in gauges.items():
            lines += [f"# TYPE minipar_{name} gauge", f"minipar_{name} {level}"]
        return "\n".join(lines) + "\n"
