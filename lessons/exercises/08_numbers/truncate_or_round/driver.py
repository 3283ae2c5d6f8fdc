def drive(submission, comm, x):
    return {"truncated": submission.truncated(x), "rounded": submission.rounded(x)}
