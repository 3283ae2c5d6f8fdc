import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    widths, ratio = size
    layers = [(rng.standard_normal((before, behind)), rng.uniform(1, 2, behind))
              for before, behind in zip(widths, widths[1:], strict=False)]
    return [(layers, ratio, rng.standard_normal((4, widths[0])))]


def outgoing(layers, number, gone):
    return layers[number + 1][0]


def incoming(layers, number, gone):
    return layers[number][0].T


def narrowed_outgoing(layers, number, gone):
    """The outgoing weights without the columns that are gone already, if one begins with the last layer."""
    return np.delete(outgoing(layers, number, gone), gone.get(number + 1, []), axis=1)


def zeroed(weights=outgoing, strongest=False, full=False):
    """The old network with rows set to 0. weights, strongest, full: what known mistakes change."""
    def reference(ranks, arguments):
        layers, ratio, x = arguments[0]
        gone = {}
        for number in reversed(range(len(layers) - 1)):
            norms = [float(np.sqrt((row**2).sum())) for row in weights(layers, number, gone)]
            order = sorted(range(len(norms)), key=lambda k: (-norms[k] if strongest else norms[k], k))
            gone[number] = order[:int(ratio * len(norms))]
        widths = [layers[0][0].shape[0], *(len(bias) for _, bias in layers)]
        for number, (weight, bias) in enumerate(layers):
            if number:
                x = np.maximum(x, 0)
                x[:, gone[number - 1]] = 0
            x = x @ weight + bias
        left = [width - (0 if full else len(gone.get(number - 1, []))) for number, width in enumerate(widths)]
        return [{"shapes": [list(pair) for pair in zip(left, left[1:], strict=False)], "output": x}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="10", function="narrow", comm="",
    goal="remove whole neurons from a network, and prove that the rest computes the same",
    prerequisites=("masks_that_survive",),
    cases={"two hidden layers": ((3, 16, 12, 4), 0.5), "one hidden layer": ((2, 7, 3), 0.5),
           "four layers": ((4, 8, 12, 8, 3), 0.75), "nothing goes": ((2, 3, 2), 0.0)},
    inputs=inputs, reference=zeroed(), mistakes={
        "the layers still have all their neurons\nremove rows, columns and biases; do not set them to 0":
            zeroed(full=True),
        "the neurons are chosen by their incoming weights\nthe outgoing weights are the rows of the next W":
            zeroed(incoming),
        "the norms are those of a matrix that has lost columns already\nmeasure all norms in the network as it was given":
            zeroed(narrowed_outgoing),
        "the strongest neurons were removed\nsort by norm, and keep the end of the list": zeroed(strongest=True)},
    library="minipar/compress/prune/structured.py:shrink")
