import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    n, widths, scale = size
    counts = [widths(rank) for rank in range(ranks)]
    targets = rng.integers(0, sum(counts), n)
    return [
        (scale * rng.standard_normal((n, counts[rank])), targets, sum(counts[:rank])) for rank in range(ranks)
    ]


def reference(ranks, arguments):
    """One process, with all logits."""
    z = np.concatenate([logits for logits, _, _ in arguments], axis=1)
    targets, n = arguments[0][1], len(z)
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = -(z[np.arange(n), targets] - np.log(np.exp(z).sum(axis=1))).mean()
    p[np.arange(n), targets] -= 1
    ends = np.cumsum([logits.shape[1] for logits, _, _ in arguments])[:-1]
    return [{"loss": loss, "grad": grad} for grad in np.split(p / n, ends, axis=1)]


def own_maximum(ranks, arguments):
    """The mistake that each rank subtracts its own largest logit."""
    tokens = np.arange(len(arguments[0][1]))
    shifted = [logits - logits.max(axis=1, keepdims=True) for logits, _, _ in arguments]
    total = sum(np.exp(z).sum(axis=1) for z in shifted)
    z_all, targets = np.concatenate(shifted, axis=1), arguments[0][1]
    loss = (np.log(total) - z_all[tokens, targets]).mean()
    grad = np.exp(z_all) / total[:, None]
    grad[tokens, targets] -= 1
    ends = np.cumsum([z.shape[1] for z in shifted])[:-1]
    return [{"loss": loss, "grad": part} for part in np.split(grad / len(tokens), ends, axis=1)]


def unshifted_target(ranks, arguments):
    """The mistake that the largest logit is subtracted in the sum, but not from the target's logit."""
    z = np.concatenate([logits for logits, _, _ in arguments], axis=1)
    return [{**one, "loss": one["loss"] - z.max(axis=1).mean()} for one in reference(ranks, arguments)]


def without_one_hot(ranks, arguments):
    """The mistake that the gradient is the softmax alone."""
    right = reference(ranks, arguments)
    for one, (logits, targets, first) in zip(right, arguments, strict=True):
        for token, column in enumerate(targets - first):
            if 0 <= column < logits.shape[1]:
                one["grad"][token, column] += 1 / len(targets)
    return right


def par(ranks, arguments):
    """An all-reduce of n numbers, and one of 2 n."""
    return Par(messages=4 * (ranks - 1), bytes=2 * (ranks - 1) * 3 * 8 * len(arguments[0][1]))


EXERCISE = Exercise(
    kind="write", minutes=30, lesson="14", function="loss_and_gradient",
    goal="compute a softmax whose numbers are spread over ranks",
    prerequisites=("softmax_backward", "column_row_pair"),
    cases={"plain": (4, lambda rank: 3, 1), "different widths": (3, lambda rank: 1 + rank, 1), "large logits": (3, lambda rank: 2, 800)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"each rank subtracts its own largest logit\nall ranks must subtract the same number: which all-reduce "
              "gives it?": own_maximum,
              "the largest logit is subtracted in the sum only\nsubtract it from the target's logit, too":
              unshifted_target,
              "the gradient is the softmax alone\nsubtract 1 in the column of each token's target: which rank has this column?":
              without_one_hot},
    library="minipar/parallel/vocabulary.py")
