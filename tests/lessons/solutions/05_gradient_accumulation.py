# Padding makes pieces of equally many samples differ in tokens.

lengths = stream(0, "lengths").integers(3, TOY.context + 1, BATCH)
targets = np.where(np.arange(TOY.context) < lengths[:, None], targets, -1)


def right(pieces):
    model = mp.GPT(TOY, dtype=np.float64)
    flat = Flat(model.parameters())
    for piece in pieces:
        mp.backward(model.loss(inputs[piece], targets[piece], count=int((targets >= 0).sum())))
    return flat.gradient()


whole = right([rows])
assert apart(mean_of_means([rows]), whole) < 1e-12, "one piece: the mean over the tokens that count"
assert apart(mean_of_means(np.split(rows, 4)), whole) > 0.01, "four pieces of 4 samples"
assert all(apart(right(cut), whole) < 1e-12 for cut in (np.split(rows, 4), uneven))
