"""Takes ZeRO-1 for ZeRO-3, and splits all lines.

fails: values
says: split everything
"""
VOCABULARY, TOKENS, HEAD = 50257, 2048, 128


def ledger(layers, samples, mixed, zero, devices):
    width = HEAD * layers
    whole = (VOCABULARY + TOKENS) * width + 2 * width + layers * (12 * width**2 + 13 * width)
    share = -(-whole // devices)                                    # rounded up
    weight, gradient, optimizer = (2, 2, 12) if mixed else (4, 4, 8)
    kept = layers * TOKENS * samples * (34 * width + 5 * layers * TOKENS)
    return {"weights": weight * (share if zero else whole),
            "gradients": gradient * (share if zero else whole),
            "optimizer": optimizer * (share if zero else whole),
            "activations": kept if mixed else 2 * kept}


def largest(memory, samples, mixed, zero, devices):
    layers = 1
    while sum(ledger(layers + 1, samples, mixed, zero, devices).values()) <= memory:
        layers += 1
    lines = ledger(layers, samples, mixed, zero, devices)
    return layers, max(lines, key=lines.get)
