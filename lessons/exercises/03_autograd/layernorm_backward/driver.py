def drive(submission, comm, x, g):
    return {"n": submission.layernorm(x), "grad x": submission.backward(x, g)}
