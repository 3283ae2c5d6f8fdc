"""What compression costs: validation loss and bytes on disk of one GPT, quantised, pruned and distilled in
every way.

    python benchmarks/compression.py [--data FILE] [--run DIR] [--seed 0] [--picture lessons/pictures/compression.png]

First a small GPT is trained, by default on the documentation of Python, or the model of a trained run is
taken. Every row starts from that model. "fine-tuned", "gradual" and "in training" go on training for the same
number of steps on the same batches; so does the first row of the pruned ones, which prunes nothing: compare
with that, not with the model as it was.

Linear layers are quantised (a scale per output, the clipping that makes the squared error least) and pruned
(magnitude, over all layers together); embeddings, LayerNorms and biases stay float32. Files are those of
minipar.checkpoint: codes packed to their bits, pruned weights as a bitmap and what stays. It takes some
minutes; OPENBLAS_NUM_THREADS=1 makes it faster.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from minipar.lessons.plots.compression_benchmark import Row, draw_compression

import minipar as mp
from minipar.autograd import no_grad, tokens_that_count
from minipar.checkpoint.archive import save
from minipar.compress import prune, quantize
from minipar.compress.distill import Distillation, DistillationRecipe, matching_layers, take_layers
from minipar.compress.pipeline import pack_sparse
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.malloc import keep_freed_memory
from minipar.optim import AdamW, Flat

BITS = (16, 8, 6, 4, 3, 2)
SPARSITIES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95)
RATE, TUNING_RATE = 2e-3, 5e-4


@dataclass(frozen=True)
class Effort:
    """Steps of training the model, of every row that is tuned, and of every student; windows to validate
    on.
    """

    training: int = 800
    tuning: int = 100
    student: int = 400
    windows: int = 256
    batch: int = 12


@dataclass(frozen=True)
class Subject:
    """The trained model, and what every row needs: batches, a validation loss, the size of a file."""

    model: mp.GPT
    batches: Batches
    validation: EvaluationBatches
    effort: Effort

    def copy(self) -> mp.GPT:
        model = mp.GPT(self.model.config, dtype=self.model.token_table.weight.dtype)
        model.load_state_dict(self.model.state_dict())
        return model

    def loss(self, model: mp.GPT) -> float:
        """Nats per token over the validation windows."""
        with no_grad():
            sums = [(model.loss(*batch, count=1).item(), tokens_that_count(batch[1]))
                    for batch in self.validation]
        return sum(total for total, _ in sums) / sum(size for _, size in sums)

    def row(self, method: str, setting: str, model: mp.GPT, packed: tuple[dict, dict]) -> Row:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.npz")
            save(path, *packed)
            return Row(method, setting, self.loss(model), path.stat().st_size)


def whole(model: mp.GPT) -> tuple[dict, dict]:
    """A model as it is, for its file."""
    return model.state_dict(), {}


def sparse(model: mp.GPT) -> tuple[dict, dict]:
    """A pruned model, zeros as bits."""
    return prune.pack(model.state_dict()), {}


def quantised(subject: Subject) -> Iterator[Row]:
    for bits in BITS:
        scheme = quantize.Scheme(bits, axis=1)
        model = subject.copy()
        quantize.quantize_weights(model, scheme, limits=quantize.mse)
        yield subject.row("quantised after training", f"{bits} bits", model, quantize.pack_model(model))
        model = subject.copy()
        train_rounded(subject, model, scheme)
        yield subject.row("quantised in training", f"{bits} bits", model, quantize.pack_model(model))


def train_rounded(subject: Subject, model: mp.GPT, scheme: quantize.Scheme) -> None:
    """Straight-through training; the model's weights are integers afterwards."""
    quantize.quantize_in_training(model, scheme, limits=quantize.mse)
    tune(subject, model, AdamW(Flat(model.parameters())))
    quantize.convert(model)


def pruned(subject: Subject) -> Iterator[Row]:
    for sparsity in SPARSITIES:
        for method, pruning in PRUNING.items():
            if sparsity or pruning is not gradual:  # nothing, gradually, is what then_tuned does
                model = subject.copy()
                pruning(subject, model, sparsity)
                yield subject.row(method, f"{sparsity:.0%}", model, sparse(model))


def one_shot(subject: Subject, model: mp.GPT, sparsity: float) -> None:
    weights = prune.linear_weights(model)
    prune.magnitude_mask(weights, sparsity).apply(weights)


def then_tuned(subject: Subject, model: mp.GPT, sparsity: float) -> None:
    mask = prune.magnitude_mask(prune.linear_weights(model), sparsity)
    tune(subject, model, prune.Masked(AdamW(Flat(model.parameters())), mask))


def gradual(subject: Subject, model: mp.GPT, sparsity: float) -> None:
    """Sparsity grows over two thirds of the steps."""
    optimizer = prune.Masked(AdamW(Flat(model.parameters())), prune.Mask({}))
    growth = partial(prune.cubic_sparsity, final=sparsity, steps=max(subject.effort.tuning * 2 // 3, 1))
    pruner = prune.MagnitudePruner(optimizer, list(prune.linear_weights(model)), growth)
    tune(subject, model, optimizer, pruner.step)


PRUNING: dict[str, Callable[[Subject, mp.GPT, float], None]] = {
    "pruned, one shot": one_shot, "pruned, fine-tuned": then_tuned, "pruned, gradual": gradual}


def combined(subject: Subject) -> Iterator[Row]:
    """Pruned, fine-tuned, quantised, zeros as bits."""
    for sparsity, bits in ((0.5, 8), (0.7, 6), (0.8, 4)):
        model = subject.copy()
        then_tuned(subject, model, sparsity)
        quantize.quantize_weights(model, quantize.Scheme(bits, axis=1), limits=quantize.mse)
        yield subject.row("pruned, fine-tuned, quantised", f"{sparsity:.0%}, {bits} bits", model,
                          pack_sparse(model))


def distilled(subject: Subject) -> Iterator[Row]:
    """Students with half of the layers: from random weights, and from the teacher's; with labels alone, and
    with the teacher.
    """
    layers = subject.model.config.layers
    config = replace(subject.model.config, layers=max(layers // 2, 1))
    matching = matching_layers(config.layers, layers)
    starts = {"random start": lambda: mp.GPT(config, seed=1, dtype=subject.model.token_table.weight.dtype),
              "teacher's layers": lambda: take_layers(subject.model, matching)}
    for start, make in starts.items():
        for method in ("student alone", "student distilled"):
            student = make()
            taught = Distillation(student, subject.model, DistillationRecipe(temperature=2.0, alpha=0.7))
            loss = student.loss if method == "student alone" else taught.loss
            fine_tune(loss, AdamW(Flat(student.parameters()), weight_decay=0.1), subject.batches.get,
                      subject.effort.student, RATE)
            yield subject.row(method, f"{config.layers} layers, {start}", student, whole(student))


def tune(subject: Subject, model: mp.GPT, optimizer, after: Callable[[], object] = lambda: None) -> None:
    fine_tune(model.loss, optimizer, lambda step: subject.batches.get(subject.effort.training + step),
              subject.effort.tuning, TUNING_RATE, after=after)


def measure(subject: Subject) -> Iterator[Row]:
    yield subject.row("trained", "float32", subject.model, whole(subject.model))
    for part in (quantised, pruned, combined, distilled):
        yield from part(subject)


def trained(text: str, effort: Effort, seed: int, **sizes: int) -> Subject:
    """A GPT that learns the text."""
    tokenizer = CharTokenizer.from_text(text)
    training, validation = split(tokenizer.encode(text))
    config = mp.ModelConfig(vocabulary=tokenizer.vocab_size,
                            **{"layers": 4, "heads": 4, "width": 96, "context": 64, **sizes})
    subject = Subject(mp.GPT(config, seed=seed), Batches(training, config.context, effort.batch, seed),
                      EvaluationBatches(validation, config.context, effort.batch, effort.windows), effort)
    fine_tune(subject.model.loss, AdamW(Flat(subject.model.parameters()), weight_decay=0.1),
              subject.batches.get, effort.training, RATE)
    return subject


def of_run(folder: str, data: str | None, effort: Effort, seed: int) -> Subject:
    """The model of a run's last checkpoint, and its text."""
    run = mp.RunFolder(folder)
    model, tokenizer = run.model()
    _, _, meta = run.latest()
    training, validation = split(tokenizer.encode(load_text(data or meta["train"]["data"] or None)))
    context = model.config.context
    return Subject(model, Batches(training, context, effort.batch, seed),
                   EvaluationBatches(validation, context, effort.batch, effort.windows), effort)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the text: a file or a folder")
    parser.add_argument("--run", help="the folder of a trained run, in place of training a model here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("lessons/pictures/compression.png"))
    options = parser.parse_args()
    keep_freed_memory()
    began = time.perf_counter()
    try:
        # before minutes of work, rather than after them
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        subject = (of_run(options.run, options.data, Effort(), options.seed) if options.run
                   else trained(load_text(options.data), Effort(), options.seed))
    except (mp.MiniparError, OSError) as error:
        sys.exit(f"compression.py: {error}")
    rows = []
    print("| method | setting | validation loss | bytes on disk | of float32 |\n|---|---|---|---|---|")
    for row in measure(subject):
        rows.append(row)
        part = row.bytes / rows[0].bytes
        print(f"| {row.method} | {row.setting} | {row.loss:.3f} | {row.bytes:,} | {part:.3f} |", flush=True)
    draw_compression(rows).savefig(options.picture, dpi=110)
    print(f"\n{time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of the processor; picture: "
          f"{options.picture}")


if __name__ == "__main__":
    main()
