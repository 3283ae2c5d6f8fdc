"""Computes the memory without ZeRO, so that no mesh with two replicas fits.

fails: values
says: takes
"""
from minipar.lessons.support.gpt3_on_64 import MEMORY, gigabytes, meshes, seconds


def choose(samples, zero):
    fitting = [mesh for mesh in meshes() if gigabytes(*mesh, samples) <= MEMORY]
    return min(fitting, key=lambda mesh: seconds(*mesh, samples))
