from minipar.lessons.support.gpt3_on_64 import MEMORY, gigabytes, meshes, seconds

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    return [size]


def judge(ranks, arguments, results):
    samples, zero = arguments[0]
    mesh = results[0]
    if not isinstance(mesh, tuple | list) or len(mesh) != 3 or not all(type(n) is int for n in mesh):
        return "give (dp, tp, pp), three whole numbers"
    mesh = tuple(mesh)
    if mesh not in meshes():
        return f"{mesh} is none of the meshes\ndp * tp * pp is 64, tp divides 96 heads, and pp divides 96 layers"
    size = gigabytes(*mesh, samples, zero)
    if size > MEMORY:
        return f"{mesh} needs {size:.1f} GB on a device, which has {MEMORY:.0f} GB\nwhich axis does not split the weights?"
    time = seconds(*mesh, samples)
    par = min(seconds(*one, samples) for one in meshes() if gigabytes(*one, samples, zero) <= MEMORY)
    return "" if time <= par else (f"a step on {mesh} takes {time:.2f} s; par is {par:.2f} s\nwhich part is the "
                                   "largest: computing with the bubble, tensor parallelism, or gradients?")


EXERCISE = Exercise(
    kind="design", minutes=25, lesson="16", function="choose", comm="",
    goal="choose the mesh of a real model, and see how the batch and ZeRO change the choice",
    prerequisites=("choose_a_layout",),
    cases={"1536 samples": (1536, 0), "64 samples": (64, 0), "256 samples": (256, 0), "256 samples, ZeRO": (256, 1)},
    inputs=inputs, judge=judge, library="minipar/plan/memory.py")
