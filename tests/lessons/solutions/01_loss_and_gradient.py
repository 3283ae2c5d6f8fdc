# F15 for a softmax over nine tags: dL/dz = (softmax(z) - one_hot(y)) / N, so for weights dL/dW = x^T (p - one_hot) / N.

x, tags = stream(0, "x").normal(size=(20, 4)), stream(0, "tags").integers(9, size=20)
W = stream(0, "W").normal(size=(4, 9))

def loss(W):
    z = x @ W
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(20), tags]))

def gradient(W):
    e = np.exp(x @ W)
    p = e / e.sum(axis=1, keepdims=True)
    return x.T @ (p - np.eye(9)[tags]) / 20

numeric = differences(lambda w: loss(w.reshape(4, 9)), W.reshape(-1)).reshape(4, 9)
assert abs(gradient(W) - numeric).max() < 1e-8
w = mp.Tensor(W, requires_grad=True)
mp.backward(ag.cross_entropy(mp.Tensor(x) @ w, tags))
assert abs(gradient(W) - w.grad).max() < 1e-15
