# The range that makes the squared error of rounding least.

from minipar.compress.quantize import mse

x, scheme = stream(7, "normal").normal(size=20_000), Scheme(4)
largest = abs(x).max()
errors = {share: squared_error(x, scheme, Limits(np.array([-share * largest]), np.array([share * largest])))
          for share in np.linspace(1, 0.1, 91)}
best = min(errors, key=errors.get)
assert 0.5 < best < 0.8, best  # the largest of 20,000 is about 4 standard deviations
assert 10 * np.log10(errors[1] / errors[best]) > 2
assert errors[best] <= squared_error(x, scheme, mse(x, scheme)) < 1.02 * errors[best]
