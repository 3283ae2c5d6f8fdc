"""Read a text from a path, and turn the text into batches of tokens.

Read text.py, tokenizer.py and batches.py first. markov.py generates tokens whose lowest possible loss is
known.
"""
