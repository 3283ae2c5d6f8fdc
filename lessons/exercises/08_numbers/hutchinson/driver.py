def drive(submission, comm, H, signs):
    calls = []

    def times(z):
        calls.append(z)
        return H @ z

    return {"diagonal": submission.diagonal(times, signs), "products": len(calls)}
