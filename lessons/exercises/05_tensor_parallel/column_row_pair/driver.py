def drive(submission, comm, x, a, b, g):
    y = submission.forward(comm, x, a, b)
    grad_x, grad_a, grad_b = submission.backward(comm, x, a, b, g)
    return {"y": y, "grad x": grad_x, "grad a": grad_a, "grad b": grad_b}
