"""Makes a trained model smaller: quantize/ (fewer bits), prune/ (fewer weights), distill/ (a smaller model
learns from it).

pipeline.py stores a pruned and quantised model in one file. tune.py fine-tunes the model between two steps.
These packages import no communicator. reduction.py defines a function that a caller passes, so that they can
reduce over the ranks of tensor parallelism.
"""
