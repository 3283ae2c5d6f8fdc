import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, d, k, scale = size
    return [(rng.standard_normal((d, k)), scale * rng.standard_normal((n, d)), rng.integers(0, k, n))]


def probabilities(z):
    return np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True))


def of_words(slope, divisor=len):
    """Return the reference if slope(z, tag) is the derivative [k] of a word's loss with respect to its logits.
    Another slope or divisor gives a mistake.
    """
    def reference(ranks, arguments):
        W, x, tags = arguments[0]
        losses = [np.logaddexp.reduce(word @ W) - word @ W[:, tag] for word, tag in zip(x, tags, strict=True)]
        grads = [np.outer(word, slope(word @ W, tag)) for word, tag in zip(x, tags, strict=True)]
        return [{"loss": np.mean(losses), "grad W": np.sum(grads, axis=0) / divisor(tags)}]
    return reference


def one_hot(z, tag):
    return np.eye(len(z))[tag]


def right(z, tag):
    return probabilities(z) - one_hot(z, tag)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="1", function="loss gradient", comm="",
    goal="derive the gradient of a classifier's loss, and check it with differences",
    prerequisites=("softmax_backward",), forbids=("minipar",),
    cases={"nine classes": (5, 4, 9, 1), "two classes": (7, 3, 2, 1), "one word": (1, 2, 9, 1),
           "large logits": (6, 3, 9, 400)},
    inputs=inputs, reference=of_words(right), mistakes={
        "the gradient is that of the sum of the losses\nthe loss is a mean: by what must you divide?":
            of_words(right, lambda tags: 1),
        "only the column of the right class has a gradient\nthe sum of exponentials depends on all logits":
            of_words(lambda z, tag: one_hot(z, tag) * right(z, tag)),
        "the gradient is p alone\nthe loss has the term -z_tag, too: what is its derivative?":
            of_words(lambda z, tag: probabilities(z)),
        "the sign is wrong\nthe loss falls if the logit of the right class grows":
            of_words(lambda z, tag: -right(z, tag))},
    library="minipar/autograd/fused/cross_entropy.py:cross_entropy")
