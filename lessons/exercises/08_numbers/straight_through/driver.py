def drive(submission, comm, w, g, scale, q):
    return {"result": submission.forward(w, scale, q), "grad w": submission.backward(w, g, scale, q)}
