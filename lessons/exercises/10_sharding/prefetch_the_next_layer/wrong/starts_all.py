"""Starts all gathers at once: fast, and all weights are there at the same time.

fails: values
says: beyond 2
"""


def forward(layers, start_gather, compute):
    handles = [start_gather(layer) for layer in range(layers)]
    for layer in range(layers):
        compute(layer, handles[layer].wait())
