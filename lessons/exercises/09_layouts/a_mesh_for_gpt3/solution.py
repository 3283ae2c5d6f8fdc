from minipar.lessons.support.gpt3_on_64 import MEMORY, gigabytes, meshes, seconds


def choose(samples, zero):
    """The fastest (dp, tp, pp) whose devices need at most MEMORY gigabytes."""
    fitting = [mesh for mesh in meshes() if gigabytes(*mesh, samples, zero) <= MEMORY]
    return min(fitting, key=lambda mesh: seconds(*mesh, samples))
