def drive(submission, comm, true, predicted, pairs):
    return {"F1": submission.micro_f1(true, predicted), "half right": submission.half_right(list(pairs))}
