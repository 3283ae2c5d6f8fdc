"""Byte-pair encoding: frequent pairs of tokens are merged into new tokens, from single bytes upwards.

Read words.py (a text is split into words), learn.py (which pairs are merged), merge.py (the merges of one
word), tokenizer.py (text to tokens and back), and alphabet.py (GPT-2's letters for bytes).
checkpoint/tokenizer_files.py reads and writes the files of GPT-2 and Hugging Face.
"""
