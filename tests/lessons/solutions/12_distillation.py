# The start helps more than the teacher's voice, in so few steps; both together beat labels from a random start.

from minipar.compress.distill import Distillation, DistillationRecipe, take_layers

gpt = mp.GPT(CONFIG, seed=0)
fine_tune(gpt.loss, AdamW(Flat(gpt.parameters())), batches.get, TRAINING, 3e-3)

def taught(student, alpha):
    loss = Distillation(student, gpt, DistillationRecipe(temperature=2.0, alpha=alpha)).loss
    fine_tune(loss, AdamW(Flat(student.parameters())), batches.get, TUNING, 3e-3)
    return validate(student)

def beginner():
    return mp.GPT(mp.ModelConfig(**{**vars(CONFIG), "layers": 2}), seed=1)

ends = {(start, alpha): taught(make(), alpha) for alpha in (0.0, 0.9)
        for start, make in (("random", beginner), ("teacher's", lambda: take_layers(gpt, [1, 3])))}
assert ends["teacher's", 0.9] < ends["random", 0.0] - 0.1, ends
assert ends["random", 0.0] - ends["teacher's", 0.0] > ends["random", 0.0] - ends["random", 0.9], ends
