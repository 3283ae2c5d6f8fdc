def drive(submission, comm, memory, samples, mixed, zero, devices, layers):
    """Return the ledger of `layers` layers, and the largest model that fits into `memory` bytes."""
    lines = submission.ledger(layers, samples, mixed, zero, devices)
    most, line = submission.largest(memory, samples, mixed, zero, devices)
    return {**lines, "layers": most, "largest line": line}
