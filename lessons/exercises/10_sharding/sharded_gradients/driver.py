import weakref

from minipar.exercises.submission_error import SubmissionError


def drive(submission, comm, gradients):
    alive, most, todo = set(), 0, list(range(len(gradients)))

    def compute(layer):
        nonlocal most
        if not todo or layer != todo[-1]:
            raise SubmissionError(
                f"compute({layer}) is not the next: backward goes from layer {len(gradients) - 1} to 0"
            )
        todo.pop()
        most = max(most, len(alive))
        whole = gradients[layer].copy()
        alive.add(layer)
        weakref.finalize(whole, alive.discard, layer)
        return whole

    chunks = submission.backward(comm, len(gradients), compute)
    return {"chunks": chunks, "whole gradients kept": most}
