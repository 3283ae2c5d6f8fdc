def drive(submission, comm, w, gradients, lr):
    new, kept = submission.step(comm, w, gradients, lr)
    return {"w": new, "kept": kept}
