# Cutting always goes towards zero: for numbers of one sign the errors add up instead of cancelling.

def truncated(x):
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

x = np.random.default_rng(0).uniform(1, 2, 10_000).astype(np.float32)
cut, rounded = truncated(x) - x, BFLOAT16.round(x) - x
step = 2.0**-7
assert abs(rounded).max() <= step / 2 < abs(cut).max() < step and (cut <= 0).all()
assert abs(cut.mean() + step / 2) < step / 50 and abs(rounded.mean()) < step / 50
wrong = [
    abs(float(kind(x).sum(dtype=np.float64) - x.sum(dtype=np.float64)))
    for kind in (truncated, BFLOAT16.round)
]
assert wrong[0] > 30 > 5 > wrong[1]
assert np.array_equal(truncated(BFLOAT16.round(x)), BFLOAT16.round(x))
