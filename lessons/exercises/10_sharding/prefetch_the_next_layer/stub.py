def forward(layers, start_gather, compute):
    """Computes layer 0, 1, ...; while layer i is computed, the weight of layer i + 1 is on its way."""
    raise NotImplementedError("write forward: what must be started before layer 0 is computed?")
