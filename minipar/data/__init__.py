"""From a path to batches.

Read text.py, tokenizer.py and batches.py; markov.py makes tokens whose best possible loss is known.
"""
