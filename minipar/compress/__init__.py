"""Makes a trained model smaller, in three packages: quantize/ (fewer bits), prune/ (fewer weights) and
distill/ (a smaller model learns from the trained one).

pipeline.py stores a pruned and quantised model in one file. tune.py fine-tunes the model between two steps.
This package imports no communicator. If a model is sharded with tensor parallelism, the caller passes a
function that reduces over the ranks (see reduction.py).
"""
