"""Chooses once, with the large batch: a long pipeline, whose bubble hurts a small batch.

fails: values
says: takes
"""
from minipar.lessons.support.gpt3_on_64 import MEMORY, gigabytes, meshes, seconds


def choose(samples, zero):
    fitting = [mesh for mesh in meshes() if gigabytes(*mesh, 1536, zero) <= MEMORY]
    return min(fitting, key=lambda mesh: seconds(*mesh, 1536))
