# %% [markdown]
# # 03 · Reading a report: can these numbers be true?
#
# A colleague sends you this table, and writes: "94.3 % F1". You have neither the
# model nor the data. Can you still find out whether the numbers are right?
#
#     class    precision    recall    F1       support
#     cat      0.80         0.60      0.72     50
#     dog      0.75         0.90      0.82     70
#     total                                    130
#
# You can. F1 follows from precision and recall: for *cat* it is 0.69, so 0.72 is
# wrong. And 50 + 70 is not 130. Such a table is made from a few counts, so its
# numbers depend on each other. After this lesson you can compute every number of
# such a report by hand, refute a wrong one, and say which of many scores to ask
# for.
#
# You need lesson 1. The core path takes 45 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 3` (step by step) or `minipar lesson run 3`.

# %%
import ast
import builtins

import numpy as np
from minipar.lessons.plots.reading_a_report import draw_printed, draw_scores
from minipar.lessons.support.lesson import Lesson, refusal
from minipar.lessons.support.metrics import (
    classification_report,
    confusion,
    entity_report,
    f1_score,
)
from minipar.lessons.support.tagged import TYPES, VOCABULARY, corpus

import minipar as mp
from minipar.autograd import (
    IGNORE,
    concatenate,
    cross_entropy,
    gelu,
    no_grad,
)
from minipar.nn import Linear, Module, VocabParallelEmbedding
from minipar.optim import Adam, Flat
from minipar.precision import (
    FLOAT16,
    FLOAT32,
    Autocast,
    Format,
    loss_scale_of,
)
from minipar.rng import stream

lesson = Lesson("03_reading_a_report", ranks=1)

# %% [markdown]
# ## 1 · Three counts for each class
#
# Ten letters, each with a true class and a predicted one:
#
#     true        A A A A A A B B C C
#     predicted   A A A A B B B A C C
#
# For class A there are three counts:
#
# * true positives, TP = 4: predicted A, and it is A;
# * false positives, FP = 1: predicted A, but it is B;
# * false negatives, FN = 2: it is A, but B was predicted.
#
# From these come all its scores:
#
#     precision  P  = TP / (TP + FP) = 4/5      how often "A" is right
#     recall     R  = TP / (TP + FN) = 4/6      how much of A was found
#     F1            = 2 P R / (P + R) = 8/11    near the smaller of both
#
# The **support** of A is how often it is true: TP + FN = 6.

# %%
NAMES = ["A", "B", "C"]
TRUE, GUESS = (np.array([NAMES.index(letter) for letter in letters])
               for letters in ("AAAAAABBCC", "AAAABBBACC"))


def counts(c: int) -> tuple[int, int, int]:
    """TP, FP and FN of class c."""
    return (int(((GUESS == c) & (TRUE == c)).sum()),
            int(((GUESS == c) & (TRUE != c)).sum()),
            int(((GUESS != c) & (TRUE == c)).sum()))


def scores_of(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    f1 = 2 * precision * recall / (precision + recall)
    return precision, recall, f1


lesson.predict("What is the F1 of class B?")
by_hand = [scores_of(*counts(c)) for c in range(3)]
lesson.reveal(round(by_hand[1][2], 3))
lesson.table(("class", "TP", "FP", "FN", "precision", "recall", "F1"), *(
    (name, *counts(c), *by_hand[c]) for c, name in enumerate(NAMES)))
small = classification_report(TRUE, GUESS, NAMES)
assert all(np.allclose(mine, (s.precision, s.recall, s.f1), rtol=1e-14)
           for mine, s in zip(by_hand, small.classes.values(),
                              strict=True)), \
    "the library's report has your scores: look at what FP and FN count"
assert abs(by_hand[0][2] - 8 / 11) < 1e-15, "P = 4/5 and R = 4/6 give 8/11"

# %% [markdown]
# ## 2 · Three ways to average
#
# One number for all classes can be made in three ways:
#
# * **macro**: the plain mean over classes; a rare class counts as a common one;
# * **weighted**: the mean over classes, weighted by support;
# * **micro**: add up TP, FP and FN of all classes first, then compute.
#
# Here the sums are TP = 7, FP = 3, FN = 3. FP and FN are equal, and not by
# chance: a letter that is A and was called B is one FN (of A) and one FP (of B).
# Wherever each item has one true and one predicted class, this holds.

# %%
lesson.predict("Micro precision, recall and F1: how many of them equal the "
               "accuracy (the share of right answers)?")
right = float((TRUE == GUESS).mean())
pooled = scores_of(*np.sum([counts(c) for c in range(3)], axis=0).tolist())
lesson.reveal(sum(abs(score - right) < 1e-15 for score in pooled))
lesson.table(("average", "precision", "recall", "F1"), *(
    (name, s.precision, s.recall, s.f1) for name, s in (
        ("micro", small.micro), ("macro", small.macro),
        ("weighted", small.weighted))))
assert np.allclose(pooled, right, rtol=1e-15), \
    "each mistake is one FP and one FN: micro P = R = F1 = accuracy"
assert abs(small.weighted.recall - right) < 1e-15, \
    "support times recall is TP: the weighted recall is the accuracy, too"

# %% [markdown]
# So you can compute the accuracy from a printed table: it is the weighted mean
# of the recalls.

# %% [markdown]
# ## 3 · A printed table, row by row
#
# Here is a real table, from document 003, one of this course's five. A program
# *tags* the words of a text. B-PER is the first word of a person's name, I-PER a
# later word of it. ORG is an organisation, LOC a location. O (a letter) is any
# word outside a name.
#
# Three digits are an interval: 0.924 means 0.9235 to 0.9245. F1 grows with P and
# with R. So the true F1 lies between the F1 of both lower ends and the F1 of both
# upper ends. A printed F1 outside of that is wrong.

# %%
PRINTED = {     # precision, recall, F1, support
    "B-PER": (0.924, 0.912, 0.916, 1668),
    "I-PER": (0.911, 0.876, 0.892, 257),
    "B-ORG": (0.918, 0.888, 0.899, 1661),
    "I-ORG": (0.912, 0.885, 0.893, 835),
    "B-LOC": (0.925, 0.907, 0.914, 1678),
    "I-LOC": (0.916, 0.895, 0.902, 257),
    "O": (0.993, 0.995, 0.994, 38323),
}
P, R, F1, support = (
    np.array(column) for column in zip(*PRINTED.values(), strict=True))
half = 0.0005                                   # of the last digit


def f1(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.array([f1_score(*pair) for pair in zip(p, r, strict=True)])


lesson.predict("How many of the seven printed F1 scores are possible?")
exact = f1(P, R)
lowest, highest = f1(P - half, R - half), f1(P + half, R + half)
possible = (F1 + half >= lowest) & (F1 - half <= highest)
lesson.reveal(int(possible.sum()))
lesson.table(
    ("tag", "printed", "2PR/(P+R)", "at least", "at most", "possible"),
    *((tag, f"{F1[n]:.3f}", f"{exact[n]:.3f}", f"{lowest[n]:.4f}",
       f"{highest[n]:.4f}", "yes" if possible[n] else "no")
      for n, tag in enumerate(PRINTED)))
lesson.picture(draw_printed(list(PRINTED), F1 - exact, (
    lowest - exact - half, highest - exact + half)))
assert possible.tolist() == [False] * 6 + [True], \
    "only O's F1 follows from its P and R: compare with the interval"

# %% [markdown]
# **Averages and supports** can be checked in the same way. The table prints 46435
# as the number of words, and 0.943 as the weighted average of P, of R and of F1.
# Nearly all words are O, and O's recall is 0.995.

# %%
TOTAL = 46435                                   # as printed
ROWS = {"precision": P, "recall": R, "F1 as printed": F1,
        "F1 from P and R": exact}
macro = {name: float(v.mean()) for name, v in ROWS.items()}
weighted = {name: float(v @ support / support.sum())
            for name, v in ROWS.items()}
by_total = {name: float(v @ support / TOTAL) for name, v in ROWS.items()}
lesson.predict("Can the weighted recall be 0.943?",
               ["yes", "no, it is larger", "no, it is smaller"])
lesson.reveal("no, it is larger")
lesson.say(f"  supports add up to {support.sum()}, printed is {TOTAL}", "")
lesson.table(
    ("", "macro", "printed", "weighted", "printed", f"over {TOTAL}"),
    *((name, f"{macro[name]:.4f}", printed, f"{weighted[name]:.4f}",
       "0.943", f"{by_total[name]:.4f}") for name, printed in zip(
           ROWS, ("0.927", "0.913", "0.917", "0.917"), strict=True)))
assert weighted["recall"] > support[-1] / support.sum() * R[-1] > 0.85, \
    "O alone brings 0.86 of a weighted recall of 1"
assert support.sum() < TOTAL, "the printed rows are not all rows"

# %% [markdown]
# Almost no line of this table can be true, and we never saw the model.

# %% [markdown]
# ## 4 · The mean of means
#
# A program that evaluates a model works in batches. Many divide the sum of the
# batches' mean losses by the number of batches. But the last batch is often
# short, and then each of its samples counts for more. Eight samples have loss 1,
# two have loss 5, in batches of 4, 4 and 2.

# %%
losses = np.array([1.0] * 8 + [5.0] * 2)
in_batches = np.split(losses, [4, 8])
lesson.predict("The mean loss is 1.8. "
               "What is the mean of the batches' means?")
mean_of_means = float(np.mean([batch.mean() for batch in in_batches]))
by_sample = sum(float(batch.sum()) for batch in in_batches) / len(losses)
lesson.reveal(round(mean_of_means, 3))
assert by_sample == losses.mean() == 1.8, \
    "divide the sum of all losses by the number of samples"
assert mean_of_means > by_sample, "the short batch has the large losses"

# %% [markdown]
# ## 5 · A tagger of our own
#
# Now we make such a report ourselves. The task is *named-entity recognition*:
# tag each word of a text, as above, with one type more (MISC, other names). So
# there are nine tags. The data set CoNLL-2003 is the usual test; its test part
# has 46435 words, and we know how many of them have each tag. Our text is made
# up, but it has just these counts.
#
# A sentence is a row of word numbers. Short rows are filled up with *padding*,
# which has the label `IGNORE`: it must not count. Each type has names of its own.
# One name in five is from a list that all types share; then only the word before
# it helps, such as "Mr" or "in".
#
# First, a program that has learnt nothing: it answers O for every word.

# %%
CONLL = {   # words of CoNLL-2003's test part, by tag
    "B-PER": 1617, "I-PER": 1156, "B-ORG": 1661, "I-ORG": 835,
    "B-LOC": 1668, "I-LOC": 257, "B-MISC": 702, "I-MISC": 216, "O": 38323}
TAGS = list(CONLL)
conll_labels = np.repeat(np.arange(9), list(CONLL.values()))    # [46435]
lesson.predict("A program that always answers O: what is its accuracy?")
always_o = classification_report(
    conll_labels, np.full(TOTAL, TAGS.index("O")), TAGS)
lesson.reveal(round(always_o.micro.f1, 3))
lesson.say(f"  and its macro F1: {always_o.macro.f1:.3f}", "")
assert always_o.micro.f1 == CONLL["O"] / TOTAL, "O's share of the words"
assert always_o.macro.f1 < 0.11, "eight of nine classes are never found"

# %% [markdown]
# **Break it** after the run: let padding carry the label O, as in a program that
# forgets to mask it: `PADDING = TAGS.index("O")`. The model looks better for it.
# Which line stops you?

# %%
PADDING = IGNORE
test_words, test_labels = corpus("test", CONLL, PADDING)
train_words, train_labels = corpus("train", {
    tag: count // (4 if lesson.fast else 1)
    for tag, count in CONLL.items()}, PADDING)


class Tagger(Module):
    """The word and its two neighbours -> logits of nine tags."""

    def __init__(self, width: int = 24):
        super().__init__("tagger")
        self.table = VocabParallelEmbedding("table", VOCABULARY, width)
        self.up = Linear("up", 3 * width, 64)
        self.out = Linear("out", 64, len(TAGS))
        self.initialise(0)

    def forward(self, words: np.ndarray) -> mp.Tensor:
        T = words.shape[1]
        padded = np.pad(words, ((0, 0), (1, 1)))
        around = self.table.look_up(padded)         # [S, T + 2, D]
        three = concatenate(
            [around[:, shift : shift + T] for shift in range(3)], axis=-1)
        return self.out(gelu(self.up(three)))       # [S, T, 9]


# %% [markdown]
# The training loop can compute in 16 bits (lesson 6): `autocast` around the
# forward pass only, the loss multiplied by a scale, the gradient divided by it
# before the step. In float32 the same loop casts nothing and scales by 1.

# %%
def trained(format: Format) -> Tagger:
    model, steps = Tagger(), 200 if lesson.fast else 600
    flat = Flat(model.parameters())
    optimizer, scale = Adam(flat), loss_scale_of(format)
    autocast = Autocast(format)
    for step in range(steps):
        rows = stream(1, "batch", step).integers(len(train_words), size=64)
        flat.zero_grad()
        with autocast():
            loss = cross_entropy(model(train_words[rows]),
                                 train_labels[rows])
        mp.backward(loss, np.full_like(loss.data, scale.scale))
        scale.unscale(flat.gradient())
        if scale.update(bool(np.isfinite(flat.grad).all())):
            optimizer.step(1e-2)
    return model


def evaluate(model: Tagger) -> tuple[float, float, np.ndarray]:
    """Mean loss over words, mean of the batches' means, labels [S, T]."""
    sums, means, predicted = 0.0, [], []
    ends = range(500, len(test_words), 500)
    with no_grad():
        for words, labels in zip(np.array_split(test_words, ends),
                                 np.array_split(test_labels, ends),
                                 strict=True):
            logits = model(words)
            means.append(cross_entropy(logits, labels).item())
            sums += means[-1] * int((labels != IGNORE).sum())
            predicted.append(logits.data.argmax(axis=-1))
    return sums / TOTAL, float(np.mean(means)), np.concatenate(predicted)


# %%
loss, batch_mean, guess = evaluate(trained(FLOAT32))
report = classification_report(test_labels, guess, TAGS)
lesson.table(*report.rows())
assert report.macro.support == TOTAL, \
    "the supports add up to the words of the text: does padding count?"
assert batch_mean != loss, \
    "batches have different numbers of words: compare with section 4"

# %% [markdown]
# What was impossible in the printed table holds here to the last digit, since
# all of it is made from one matrix of counts: row true tag, column predicted
# tag. The diagonal has the true positives.

# %%
matrix = np.zeros((9, 9), int)
for true, predicted in zip(test_labels.reshape(-1), guess.reshape(-1),
                           strict=True):
    if true != IGNORE:
        matrix[true, predicted] += 1
hits = (test_labels == guess)[test_labels != IGNORE]
from_matrix = [(matrix[n, n] / matrix[:, n].sum(),
                matrix[n, n] / matrix[n].sum(),
                2 * matrix[n, n] / (matrix[n].sum() + matrix[:, n].sum()))
               for n in range(9)]
averages = np.array([[s.precision, s.recall, s.f1]
                     for s in report.classes.values()])
assert np.array_equal(matrix, confusion(test_labels, guess, 9)), \
    "the matrix counted by hand is the library's"
assert abs(averages - from_matrix).max() < 1e-15, \
    "P, R and F1 of each tag follow from its row and its column"

# %% [markdown]
# ## 6 · Names, not tags: which score do you mean?
#
# Nobody wants tags; people want names. A name counts as found where start, end
# and type all agree (CoNLL's own measure). Half a name is a miss *and* a false
# alarm. So one model has many scores, and each of them may be called "its F1".

# %%
lines = [[[TAGS[tag] for tag in row[labels != IGNORE]]
          for row, labels in zip(rows, test_labels, strict=True)]
         for rows in (test_labels, guess)]
lesson.predict("Which of these three scores is the lowest?", [
    "accuracy over tags", "macro F1 over tags", "micro F1 over names"])
whole = entity_report(*lines)
only = classification_report(test_labels, guess, TAGS, only=TAGS[:-1])
lesson.reveal("micro F1 over names")
lesson.table(*whole.rows())
scores = {"always O:\naccuracy": always_o.micro.f1,
          "accuracy\n(9 tags)": report.micro.f1,
          "weighted F1\n(9 tags)": report.weighted.f1,
          "macro F1\n(9 tags)": report.macro.f1,
          "micro F1\n(8 tags, no O)": only.micro.f1,
          "micro F1\n(names)": whole.micro.f1}
lesson.picture(draw_scores(scores), "_scores")
assert report.micro.f1 > report.macro.f1 > whole.micro.f1, \
    "O is common and easy; a rare tag is hard; a whole name is harder"
assert only.micro.precision != only.micro.recall, \
    "without O, a word called O by mistake is an FN and no FP"

# %% [markdown]
# So ask of any "94 %": of what, averaged how, and what does a program score that
# has learnt nothing?

# %% [markdown]
# ## 7 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `a_report_that_cannot_be`: find the numbers of a report that are impossible;
# * `spans_of_names`: turn tags into names. What does an I-X mean that continues
#   nothing?
# * `f1_of_names`: micro F1 over names without the library's metrics, and a
#   prediction that has half of the tags right and finds no name.

# %% [markdown]
# ## 8 · What the documents say (optional)
#
# Covers: F22 F23 C1 N43 N44 N45 N46 E13 E14
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F22 | 000 and 003, 5.2 | loss: the sum of batch means over the number of batches | a mean over samples is meant (R29) |
# | F23 | 003, 5.4 | precision (精确率), recall (召回率), F1, their means: no definition | sections 1 and 2 have them |
# | N43 to N45 | 003, 5.4 | section 3's table: supports, F1, averages | nearly all wrong (R7) |
# | N46 | 003, 5.4 | "94.3 % F1" in text classification (文本分类) on CoNLL-2003 | it is tagging, with 9 tags; the model has `num_labels=2` (R7) |
# | C1 | 000, 5.2 | a program that trains and reports | stops three times |
# | E13, E14 | 000, 003 | a report; CoNLL-2003 (命名实体识别) | section 5 |
#
# First F22 and F23, with the numbers of sections 4 and 5:

# %%
assert f"{mean_of_means:.3f}" == "2.333" and by_sample == 1.8, \
    "F22: epoch_loss / len(dataloader) is 2.333, the mean loss 1.8 (R29)"
accuracy = sum(int((batch < 2).sum()) for batch in in_batches) / len(losses)
assert accuracy == 8 / 10, \
    "F22: accuracy, which 003 divides by the number of samples, is right"
assert batch_mean != loss, "F22: and so it is with the tagger's batches"
for n, s in enumerate(report.classes.values()):
    assert (s.precision, s.recall) == from_matrix[n][:2] \
        and abs(s.f1 - from_matrix[n][2]) < 1e-15, \
        "F23: P, R and F1 from TP, FP and FN"
assert only.micro.precision != only.micro.recall, \
    "F23: without O, micro P and R are no accuracy any more"
share = np.array(list(CONLL.values())) / TOTAL
assert report.micro.precision == report.micro.recall == hits.mean() \
    and abs(report.micro.f1 - hits.mean()) < 1e-15, \
    "E13: one label per word: micro P = R = F1 = accuracy"
assert abs(share @ averages[:, 1] - hits.mean()) < 1e-15 \
    and abs(report.weighted.recall - hits.mean()) < 1e-15, \
    "E13: weighted recall is accuracy"
assert abs(averages.mean(axis=0) - [
    report.macro.precision, report.macro.recall, report.macro.f1]
    ).max() < 1e-15, "E13: macro averages are plain means"
assert report.micro.f1 > report.macro.f1 > whole.micro.f1, \
    "E13: one model, many scores: accuracy > macro F1 > F1 of entities"

# %% [markdown]
# ### The table
#
# Where do the printed supports come from? From CoNLL's own counts, with four
# slips: MISC is left out; B-PER and I-PER have the numbers of B-LOC and I-LOC;
# and B-LOC is too large by 10.

# %%
off = {tag: CONLL[tag] - (PRINTED[tag][3] if tag in PRINTED else 0)
       for tag in CONLL}
lesson.say(f"  missing: {TOTAL - support.sum()} words")
lesson.table(("tag", "CoNLL less printed"), *(
    (tag, f"{count:+}") for tag, count in off.items() if count))
assert support.sum() == 44679 and TOTAL - support.sum() == 1756, \
    "N43: supports add up to 44679, 1756 short of 46435 (R7)"
assert sum(CONLL.values()) == TOTAL and off["I-PER"] == 899 \
    and off["B-MISC"] + off["I-MISC"] == 918, \
    "N43: MISC is left out (918), I-PER has I-LOC's 257 (899 short)"
assert (off["B-PER"], off["B-LOC"]) == (-51, -10) \
    and 918 + 899 - 51 - 10 == TOTAL - support.sum(), \
    "N43: B-PER has B-LOC's 1668 (51 over), B-LOC is 10 over"
assert [f"{value:.3f}" for value in exact] == [
    "0.918", "0.893", "0.903", "0.898", "0.916", "0.905", "0.994"], \
    "F23 N44: F1 = 2PR/(P+R) is .918 .893 .903 .898 .916 .905 .994"
assert possible.tolist() == [False] * 6 + [True], \
    "N44: rounding excludes every printed F1 but that of O"

# %%
def digits(means: dict[str, float]) -> list[str]:
    return [f"{value:.4f}" for value in means.values()]


assert digits(macro)[:3] == ["0.9284", "0.9083", "0.9157"], \
    "N45: macro averages are .9284 .9083 .9157, not .927 .913 .917"
assert digits(weighted)[:3] == ["0.9827", "0.9813", "0.9815"], \
    "N45: weighted averages are .9827 .9813 .9815, not .943"
assert (digits(macro)[3], digits(weighted)[3]) == ("0.9182", "0.9820"), \
    "N44 N45: with F1s that fit P and R, .9182 and .9820"
assert f"{weighted['recall']:.3f}" == "0.981", \
    "N45: the accuracy of this table, its micro average, is .981"
assert digits(by_total)[:3] == ["0.9455", "0.9442", "0.9444"], \
    "N45: .943 is nearly what comes out if all 1756 count as wrong"
entity_rows = slice(0, 6)
entity_tags = float(F1[entity_rows] @ support[entity_rows]
                    / support[entity_rows].sum())
two_logits = stream(0, "two labels").normal(size=(1000, 2))
assert f"{always_o.micro.f1:.3f}" == "0.825" and always_o.macro.f1 < 0.11, \
    "N46: always answering O scores .825"
assert f"{entity_tags:.4f}" == "0.9065", \
    "N46: the six entity tags have a weighted F1 of .9065"
assert sum(count > 0 for count in CONLL.values()) == 9 \
    and set(two_logits.argmax(axis=1)) == {0, 1}, \
    "N46: there are nine tags; a model with two labels can answer two"
assert report.macro.support == TOTAL == sum(
    s.support for s in report.classes.values()), \
    "E14: the report's supports add up to CoNLL's 46435"
assert [report.classes[tag].support for tag in TAGS] == [*CONLL.values()], \
    "E14: tag by tag they are CoNLL's"
assert whole.micro.support == 5648 == sum(
    CONLL[f"B-{kind}"] for kind in TYPES), \
    "E14: as many entities as there are B tags"

# %% [markdown]
# ### The program
#
# 000's training loop (C1) opens `autocast()`, runs backward and the optimiser
# inside it, and scales no loss. Section 5 has the corrected loop.
#
# Its `evaluate` takes `argmax(dim=2)` of logits [B, 2], which have no such axis.
# It gives nested lists of different lengths to a report that wants one flat list.
# And it never imports the report. Here are all imports of that program, and two
# lines of `evaluate`:

# %%
CODE = """
from transformers import BertTokenizer, BertForSequenceClassification
from transformers import AdamW, get_linear_schedule_with_warmup
from torch.utils.data import DataLoader
from torch import nn
import torch
from torch.cuda.amp import autocast
import torch.distributed as dist
import torch.distributed.nn as distnn
import torch.distributed.optim as dist_optim
import torch.nn.parallel.DistributedDataParallel as DDP
preds, labels = [], []
print(classification_report(labels, preds))
"""


# %%
def never_made(code: str) -> set[str]:
    """Names that are read, but not imported, assigned, or Python's own."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    made = {alias.asname or alias.name for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names}
    made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - made - set(dir(builtins))


no_axis = refusal(lambda: two_logits.argmax(axis=2))
nested = refusal(lambda: np.array([[1, 2, 3], [1, 2]]))
lesson.wrapped(no_axis)
lesson.wrapped(nested)
lesson.say(f"  never imported: {', '.join(never_made(CODE))}", "")
assert "AxisError" in no_axis and "ValueError" in nested \
    and never_made(CODE) == {"classification_report"}, \
    "C1: evaluate() stops three times over"
assert np.array_equal(matrix, confusion(test_labels, guess, 9)) \
    and matrix.sum() == TOTAL, \
    "C1: flat labels without padding: the matrix counted by hand"
half_loss = evaluate(trained(FLOAT16))[0]
assert abs(loss - half_loss) < 0.02, \
    "C1: float16 with a scaled loss trains as float32 does"
