"""A trained model made smaller: quantize/ (fewer bits), prune/ (fewer weights), distill/ (a smaller model
learns from it).

pipeline.py puts the first two together into one file; tune.py trains on in between; reduction.py is how these
packages, which know no communicator, are told to add up over the ranks of tensor parallelism.
"""
