"""Takes the mesh that needs the least memory: tensor parallelism over several machines.

fails: values
says: takes
"""
from minipar.lessons.support.gpt3_on_64 import gigabytes, meshes


def choose(samples, zero):
    return min(meshes(), key=lambda mesh: gigabytes(*mesh, samples, zero))
