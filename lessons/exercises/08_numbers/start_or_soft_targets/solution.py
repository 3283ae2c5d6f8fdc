from minipar.compress.distill import Distillation, DistillationRecipe, take_layers


def compare(teacher, beginner, train, alpha, temperature):
    """The losses of four students, and how much the start and the soft targets help, by name."""
    starts = {"random": beginner, "copied": lambda: take_layers(teacher, [1, 3])}
    losses = {}
    for start, new_student in starts.items():
        for targets, weight in (("labels", 0.0), ("soft", alpha)):
            student = new_student()
            recipe = DistillationRecipe(temperature, weight)
            losses[f"{start} {targets}"] = train(student, Distillation(student, teacher, recipe).loss)
    random = losses["random labels"] + losses["random soft"]
    copied = losses["copied labels"] + losses["copied soft"]
    labels = losses["random labels"] + losses["copied labels"]
    soft = losses["random soft"] + losses["copied soft"]
    return losses | {"start": (random - copied) / 2, "soft": (labels - soft) / 2}
