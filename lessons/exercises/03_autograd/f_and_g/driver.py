import minipar as mp


def drive(submission, comm, x, a, b, gradient):
    x, a, b = (mp.Tensor(array, requires_grad=True) for array in (x, a, b))
    y = submission.g(submission.f(x, comm) @ a @ b, comm)
    mp.backward(y, gradient)
    return {"y": y.data, "grad x": x.grad, "grad a": a.grad, "grad b": b.grad}
