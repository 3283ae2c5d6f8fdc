def drive(submission, comm, x, g, s, codes, steps, rate):
    return {"result": submission.forward(x, s, *codes), "grad s": submission.backward(x, g, s, *codes),
            "gradient descent": submission.learn(x, s, *codes, steps, rate)}
