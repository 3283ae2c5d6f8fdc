import numpy as np

import minipar as mp
from minipar.autograd import no_grad
from minipar.compress.tune import fine_tune
from minipar.optim import Adam, Flat


def drive(submission, comm, sizes, weights, batches, unseen, alpha, temperature):
    def gpt(layers):
        return mp.GPT(mp.ModelConfig(layers=layers, **sizes), seed=1, dtype=np.float64)

    def train(student, loss):
        fine_tune(loss, Adam(Flat(student.parameters())), lambda step: batches[step], len(batches), 1e-2)
        with no_grad():
            return student.loss(*unseen).item()

    teacher = gpt(4)
    teacher.load_state_dict(weights)
    return submission.compare(teacher, lambda: gpt(2), train, alpha, temperature)
