def drive(submission, comm, W, x, tags):
    return {"loss": submission.loss(W, x, tags), "grad W": submission.gradient(W, x, tags)}
