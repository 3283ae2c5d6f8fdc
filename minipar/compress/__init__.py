"""Make a trained model smaller: quantize/ (fewer bits), prune/ (fewer weights), distill/ (a smaller model
learns from it).

pipeline.py stores a pruned and quantised model in one file. tune.py is the fine-tuning between two steps.
These packages import no communicator; reduction.py defines the function through which a caller lets them
reduce over the ranks of tensor parallelism.

"""
