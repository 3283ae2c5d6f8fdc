def forward(layers, start_gather, compute):
    """Computes layer 0, 1, ...; while layer i is computed, the weight of layer i + 1 is on its way."""
    coming = start_gather(0)
    for layer in range(layers):
        w = coming.wait()
        if layer + 1 < layers:
            coming = start_gather(layer + 1)
        compute(layer, w)
