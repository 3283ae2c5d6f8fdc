from minipar.lessons.support.gpt3_on_64 import MEMORY, gigabytes, meshes, seconds


def choose(samples, zero):
    """The fastest (dp, tp, pp) whose devices need at most MEMORY gigabytes."""
    raise NotImplementedError("write choose: print the memory and the time of every mesh first")
