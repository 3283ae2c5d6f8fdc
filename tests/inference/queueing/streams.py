"""Streams of requests whose service times are known, for one server."""

from __future__ import annotations

import numpy as np

from minipar.config import ModelConfig
from minipar.inference.options import EngineOptions
from minipar.inference.queueing.policies import ServingPolicy
from minipar.inference.queueing.simulate import SimulatedStream, simulate_stream
from minipar.inference.queueing.step_time import LinearTime
from minipar.inference.queueing.workload import TimedRequest, TokenLengths, request_stream

MEAN = 40                                                           # tokens of a prompt
LONGEST = 20 * MEAN                                                 # of draws, one in e^20 is longer
MODEL = ModelConfig(context=LONGEST)
ONE_SERVER = ServingPolicy(EngineOptions(batch=1, rows=LONGEST, block_size=LONGEST, share_prefixes=False))
ONE_TOKEN = TokenLengths("fixed", 1)


def one_server(distribution: str, utilisation: float, count: int, seed: int = 0) -> tuple[
        list[TimedRequest], SimulatedStream]:
    """Service takes one second on average, one step each, in proportion to the length of the prompt."""
    lengths = TokenLengths(distribution, MEAN, LONGEST)
    requests = request_stream(utilisation, count, lengths, ONE_TOKEN, vocabulary=11, seed=seed)
    return requests, simulate_stream(MODEL, requests, ONE_SERVER, LinearTime(per_row=1 / MEAN))


def waits(found: SimulatedStream) -> list[float]:
    """Seconds from the arrival of each request to the beginning of its service."""
    return [one.started - one.arrived for one in found.times if one.started is not None]


def services(requests: list[TimedRequest]) -> np.ndarray:
    """The service time of each request in seconds."""
    return np.array([len(one.request.prompt) / MEAN for one in requests])
