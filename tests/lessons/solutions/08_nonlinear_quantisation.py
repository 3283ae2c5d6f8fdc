# Codes that are used equally often tell the most, and are not the nearest.

def entropy(codes):
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    return float(-(shares * np.log2(shares)).sum())


x = NORMAL[0]
error, bits_told = {}, {}
for bits in (3, 8):
    for name, coded in (
        ("linear", quantize(x, Scheme(bits, symmetric=False))),
        ("quantiles", quantile_codes(x, bits)),
    ):
        error[bits, name] = float(((coded.dequantize() - x) ** 2).mean())
        bits_told[bits, name] = entropy(coded.codes)
assert error[8, "quantiles"] > 5 * error[8, "linear"]               # the last code stands for all of a tail
assert error[3, "quantiles"] < error[3, "linear"]  # but with few codes linear ones waste most of them
for bits in (3, 8):
    assert (
        bits_told[bits, "linear"] < bits_told[bits, "quantiles"]
        and bits_told[bits, "quantiles"] > bits - 0.05
    )
