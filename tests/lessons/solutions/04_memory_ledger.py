# The largest GPT that trains on one device, by technique.

def fits(layers, recipe, samples, zero=0):
    config = mp.ModelConfig(vocabulary=50257, context=2048, layers=layers, heads=layers, width=128 * layers)
    kept = published(layers, 128 * layers, layers, 2048, samples, itemsize=recipe.weights)
    return state(parameter_count(config), recipe, zero=zero, dp=8).total + kept <= GPU


def largest(*technique):
    layers = 1
    while fits(layers + 1, *technique):
        layers += 1
    return layers


found = [largest(FLOAT32_ADAM, 8), largest(MIXED_ADAM, 8), largest(MIXED_ADAM, 1), largest(MIXED_ADAM, 1, 1),
         largest(MIXED_ADAM, 1, 3)]
assert found == [12, 16, 26, 34, 41], found
