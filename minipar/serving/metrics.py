"""Counters and times of the server, as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from threading import Lock

SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)                  # upper limits of the buckets
HELP = {"requests_total": "responses by status code", "disconnects_total": "clients that left early",
        "slow_readers_total": "clients that did not read their response", "tokens_total": "tokens generated",
        "prompt_tokens_total": "tokens of accepted prompts",
        "first_token_seconds": "seconds from an accepted request to its first token",
        "request_seconds": "seconds from an accepted request to its last token"}


class ServerMetrics:
    """The counters and times. Several threads may use them.

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
        """Add to a counter. Example of a label: 'status="200"'."""
        with self._lock:
            self._counters[f"{name}{{{label}}}" if label else name] += by

    def observe(self, name: str, seconds: float) -> None:
        with self._lock:
            buckets = self._times.setdefault(name, [0] * (len(SECONDS) + 1))
            buckets[bisect_left(SECONDS, seconds)] += 1
            self._sums[name] = self._sums.get(name, 0.0) + seconds

    def page(self, gauges: Mapping[str, float]) -> str:
        """Return the page with all counters, times, and these gauges."""
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
