# With noisy gradients Adam comes to rest only where its rate does.

from minipar.optim import cosine

shocks = stream(5, "shocks").normal(size=(2000, 2))

def noisy(w, step):
    return bowl(w) + along(shocks[step])(w, step)

def mean_loss(lr):
    return bowl_losses(run(Adam, noisy, np.ones(2), lr, 2000))[-200:].mean()

restless, settled = mean_loss(constant(0.03)), mean_loss(cosine(0.03, 0.0, 2000))
assert restless > 20 * settled, (restless, settled)
