from minipar.compress.distill import Distillation, DistillationRecipe, take_layers


def compare(teacher, beginner, train, alpha, temperature):
    """The losses of four students, and how much the start and the soft targets help, by name."""
    raise NotImplementedError("write compare: one student first, with random weights and labels only")
