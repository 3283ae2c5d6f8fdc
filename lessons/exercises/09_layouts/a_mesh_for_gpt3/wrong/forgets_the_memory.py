"""Takes the fastest mesh of all, which has several replicas of 175e9 weights.

fails: values
says: GB on a device
"""
from minipar.lessons.support.gpt3_on_64 import meshes, seconds


def choose(samples, zero):
    return min(meshes(), key=lambda mesh: seconds(*mesh, samples))
