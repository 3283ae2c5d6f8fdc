# Whole neurons go, and the network is really faster.

from minipar.lessons.support.classifier import CLASSES, WIDTH, points
from minipar.lessons.support.timing import fastest

import minipar as mp
from minipar.autograd import no_grad


def narrow(model: Classifier, ratio: float) -> Classifier:
    """The classifier without that ratio of the neurons of each hidden layer, the weakest by their outgoing weights."""
    small = Classifier(0)
    stays = [np.arange(WIDTH)]
    for after in model.layers[1:]:
        strength = np.linalg.norm(after.weight.data, axis=1)
        stays.append(np.flatnonzero(prune.drop_lowest({"neurons": strength}, ratio).keep["neurons"]))
    stays.append(np.arange(CLASSES))
    for layer, new, inputs, outputs in zip(model.layers, small.layers, stays, stays[1:]):
        new.weight.data = np.ascontiguousarray(layer.weight.data[np.ix_(inputs, outputs)])
        new.bias.data = layer.bias.data[outputs]
    return small


whole = Classifier(SEED := 0, hidden=512)
small = narrow(whole, 0.5)
zeroed = Classifier(SEED, hidden=512)
for layer in zeroed.layers[1:]:
    strength = np.linalg.norm(layer.weight.data, axis=1)
    layer.weight.data[~prune.drop_lowest({"neurons": strength}, 0.5).keep["neurons"]] = 0
x = mp.Tensor(points(SEED, "test", 1000)[0])
with no_grad():
    assert small.layers[1].weight.shape == (256, 256)
    assert np.allclose(small(x).data, zeroed(x).data, rtol=1e-3, atol=1e-4), "the same network"


def run(model: Classifier) -> None:
    with no_grad():
        model(x)


small_took, whole_took = fastest(lambda: run(small), lambda: run(whole))
assert small_took < 0.75 * whole_took, (small_took, whole_took)  # a fourth of the products, half of the rest
