"""A whole training in plain lines: text, tokens, model, forward, backward, optimiser.

`Trainer` does the same on any number of ranks. The last lines run it on one rank, and its losses and its weights
are the same, in every bit.
"""

import minipar as mp
from minipar.data.batches import Batches, split
from minipar.data.tokenizer import CharTokenizer
from minipar.optim import AdamW, Flat, clip_by_global_norm

text = "to be, or not to be: that is the question. " * 50
tokenizer = CharTokenizer.from_text(text)                   # one token per character
tokens = tokenizer.encode(text)                             # [N] integers
training, validation = split(tokens)                        # the first 90 %, and the rest
sizes = mp.ModelConfig(vocabulary=tokenizer.vocab_size, context=32, layers=2, heads=2, width=32)
model = mp.GPT(sizes, seed=0)
weights = Flat(model.parameters())  # all weights in one array, all gradients in another
optimizer = AdamW(weights, weight_decay=0.1)
batches = Batches(training, sizes.context, batch=8, seed=0)

losses = []
for step in range(30):
    inputs, targets = batches.get(step)  # [8, 32] each; targets are the inputs, one token later
    weights.zero_grad()
    loss = model.loss(inputs, targets)                      # the mean over all targets, in nats
    mp.backward(loss)
    clip_by_global_norm(weights.gradient(), 1.0)
    optimizer.step(lr=1e-2)
    losses.append(loss.item())
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")


def with_trainer(comm):
    recipe = mp.TrainConfig(
        batch=8, steps=30, lr=1e-2, schedule="constant", warm_up=0, clip=1.0, weight_decay=0.1
    )
    trainer = mp.Trainer(sizes, recipe, tokenizer, tokens, mp.Grid(comm, mp.Layout()))
    return [trainer.step().loss for _ in range(30)], trainer.flat.data


its_losses, its_weights = mp.run(1, with_trainer)[0]
assert its_losses == losses and (its_weights == weights.data).all(), "Trainer gives the same bits"
print("Trainer: the same bits")
