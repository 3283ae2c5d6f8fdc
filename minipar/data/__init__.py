"""From a path to batches, in the order to read: text, tokenizer, batches; and markov, a text whose best loss
is known.
"""
