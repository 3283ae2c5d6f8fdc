"""Streams of requests: arrivals, waiting times, and response times of an inference server.

Reading order:

    workload.py      requests that arrive at random, with random lengths
    latency.py       the times of each request, and their percentiles
    step_time.py     the seconds of a forward pass, predicted by a roofline or measured
    simulate.py      the engine with a clock instead of a model
    policies.py      static batches, continuous batching, chunked prefill and others, as options
    theory.py        mean waiting times that queueing theory predicts

The simulator and `minipar bench-serve` use the same requests and the same percentiles.
"""
