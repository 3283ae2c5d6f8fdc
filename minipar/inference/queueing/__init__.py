"""Studies streams of requests: random arrivals, and the waiting and response times of an inference server.

Read the files in this order:

    workload.py      requests that arrive at random, with random lengths
    latency.py       the times of each request, and percentiles over all requests
    step_time.py     the seconds of a forward pass, predicted by a roofline or measured
    simulate.py      runs the engine with a simulated clock instead of a model
    policies.py      serving policies: static batches, continuous batching, chunked prefill and others
    theory.py        mean waiting times that queueing theory predicts

The simulator and `minipar bench-serve` use the same requests and the same percentiles.
"""
