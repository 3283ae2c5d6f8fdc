# %% [markdown]
# # 03 · Reading a report
#
# Covers: F22 F23 C1 N43 N44 N45 N46 E13 E14
#
# A table with three digits looks like a measurement. Document 003 (5.4) ends with this one, "on the CoNLL-2003 text
# classification set (文本分类)", and concludes: "94.3 % F1". Not one of its definitions is given. They are (F23), per class,
# from true positives TP, false positives FP and false negatives FN:
#
#     precision (精确率) P = TP / (TP + FP)      recall (召回率) R = TP / (TP + FN)      F1 = 2 P R / (P + R)
#
# and on average over classes: *micro* pools the counts, *macro* is the plain mean, *weighted* the mean by support (the number
# of items that truly are of the class). From these alone, without the model and without the data, the table can be checked.
# Almost no line of it can be true (R7 in the errata).
#
# 000 and 003 (5.2) also average losses wrongly (F22, R29), and 000's `evaluate` (C1) cannot print any report.
#
# Run me: `python lessons/03_reading_a_report.py`, or cell by cell in an editor.

# %%
import ast
import builtins

import numpy as np
from minipar.lessons.plots.reading_a_report import draw_reading_a_report
from minipar.lessons.support.lesson import Lesson, refusal
from minipar.lessons.support.metrics import classification_report, confusion, entity_report, f1_score
from minipar.lessons.support.tagged import TYPES, VOCABULARY, corpus

import minipar as mp
from minipar.autograd import IGNORE, concatenate, cross_entropy, gelu, no_grad
from minipar.nn import Linear, Module, VocabParallelEmbedding
from minipar.optim import Adam, Flat
from minipar.precision import FLOAT16, FLOAT32, Autocast, Format, loss_scale_of
from minipar.rng import stream

lesson = Lesson("03_reading_a_report", ranks=1)

# %% [markdown]
# ## 1 · The table, added up
#
# **Predict before you run:** the supports are printed, and so is their total. What is the first thing to check?

# %%
PRINTED = {  # 003, 5.4: precision, recall, f1-score, support
    "B-PER": (0.924, 0.912, 0.916, 1668), "I-PER": (0.911, 0.876, 0.892, 257),
    "B-ORG": (0.918, 0.888, 0.899, 1661),
    "I-ORG": (0.912, 0.885, 0.893, 835), "B-LOC": (0.925, 0.907, 0.914, 1678),
    "I-LOC": (0.916, 0.895, 0.902, 257), "O": (0.993, 0.995, 0.994, 38323),
}
TOTAL = 46435                                                       # as printed, three times
CONLL = {"B-PER": 1617, "I-PER": 1156, "B-ORG": 1661, "I-ORG": 835, "B-LOC": 1668, "I-LOC": 257,
         "B-MISC": 702, "I-MISC": 216, "O": 38323}  # tokens of the data set's test part, by tag
P, R, F1, support = (np.array(column) for column in zip(*PRINTED.values(), strict=True))
off = {tag: int(CONLL[tag] - (PRINTED[tag][3] if tag in PRINTED else 0)) for tag in CONLL}
lesson.say(f"1 · supports add up to {support.sum()}, printed is {TOTAL}: {TOTAL - support.sum()} are missing",
           f"  they are {', '.join(f'{tag} {count:+}' for tag, count in off.items() if count)}", "")
assert support.sum() == 44679 and TOTAL - support.sum() == 1756, (
    "N43: supports add up to 44679, 1756 short of 46435"
)
assert sum(CONLL.values()) == TOTAL and off["B-MISC"] + off["I-MISC"] == 918 and off["I-PER"] == 899, \
    "N43: the total is the data set's: MISC is left out (918), I-PER has I-LOC's 257 (899 short)"
assert (off["B-PER"], off["B-LOC"]) == (-51, -10) and 918 + 899 - 51 - 10 == TOTAL - support.sum(), \
    "N43: B-PER has B-LOC's 1668 (51 over), B-LOC is 10 over; 918 + 899 - 51 - 10 is all that is missing"

# %% [markdown]
# ## 2 · F1 follows from P and R
#
# Three digits are an interval: P = 0.924 means 0.9235 to 0.9245. F1 grows with P and with R, so it must lie between its values
# at the ends.
#
# **Predict:** for how many of the seven rows does it?

# %%
half = 0.0005


def f1(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.array([f1_score(*pair) for pair in zip(p, r, strict=True)])


exact, lowest, highest = f1(P, R), f1(P - half, R - half), f1(P + half, R + half)
possible = (F1 + half >= lowest) & (F1 - half <= highest)
lesson.say("2 · F1 as printed, and what P and R allow")
lesson.table(("tag", "printed", "2PR/(P+R)", "at least", "at most", "possible"),
             *((tag, f"{F1[n]:.3f}", f"{exact[n]:.3f}", f"{lowest[n]:.4f}", f"{highest[n]:.4f}", "yes"
                if possible[n] else "no")
               for n, tag in enumerate(PRINTED)))
assert [f"{value:.3f}" for value in exact] == ["0.918", "0.893", "0.903", "0.898", "0.916", "0.905",
                                               "0.994"], \
    "F23 N44: F1 = 2PR/(P+R) is .918 .893 .903 .898 .916 .905 .994"
assert possible.tolist() == [False] * 6 + [True], "N44: rounding excludes every printed F1 but that of O"

# %% [markdown]
# ## 3 · The averages follow from the rows
#
# Each token has one label and gets one. So a false positive of one class is a false negative of another, and pooled counts
# have P = R = F1 = *accuracy*. That the three micro averages are equal is right, then. Their value is not: accuracy is also
# the support-weighted mean of recall.
#
# **Predict:** O is 86 % of the tokens and has R = 0.995. Can the weighted recall be 0.943?

# %%
ROWS = {"precision": P, "recall": R, "f1 as printed": F1, "f1 from P and R": exact}
macro = {name: float(values.mean()) for name, values in ROWS.items()}
weighted = {name: float(values @ support / support.sum()) for name, values in ROWS.items()}
by_total = {name: float(values @ support / TOTAL) for name, values in ROWS.items()}
lesson.say("3 · averages of the printed rows")
lesson.table(("", "macro", "printed", "weighted", "printed", f"over {TOTAL}"),
             *((name, f"{macro[name]:.4f}", printed, f"{weighted[name]:.4f}", "0.943",
                f"{by_total[name]:.4f}")
               for name, printed in zip(ROWS, ("0.927", "0.913", "0.917", "0.917"), strict=True)))


def digits(means: dict[str, float]) -> list[str]:
    return [f"{value:.4f}" for value in means.values()]


assert digits(macro)[:3] == ["0.9284", "0.9083",
                             "0.9157"], "N45: macro averages are .9284 .9083 .9157, not .927 .913 .917"
assert digits(weighted)[:3] == ["0.9827", "0.9813",
                                "0.9815"], "N45: weighted averages are .9827 .9813 .9815, not .943"
assert digits(macro)[3] == "0.9182" and digits(weighted)[3] == "0.9820", (
    "N44 N45: with F1s that fit P and R, .9182 and .9820"
)
assert f"{weighted['recall']:.3f}" == "0.981", "N45: the accuracy of this table, its micro average, is .981"
assert digits(by_total)[:3] == ["0.9455", "0.9442",
                                "0.9444"], "N45: .943 is nearly what comes out if all 1756 count as wrong"

# %% [markdown]
# ## 4 · 94.3 % of what?
#
# CoNLL-2003 is no text classification but named entity recognition (命名实体识别): each *token* has one of nine tags, B-X where
# a name of type X begins, I-X inside it, O outside. 003's model has `num_labels=2`. And most tokens are O, so a program that
# has learned nothing scores 0.825.

# %%
TAGS = list(CONLL)
conll_labels = np.repeat(np.arange(9), list(CONLL.values()))        # [46435]
always_o = classification_report(conll_labels, np.full(TOTAL, TAGS.index("O")), TAGS)
entity_rows = slice(0, 6)
entity_tags = float(F1[entity_rows] @ support[entity_rows] / support[entity_rows].sum())
two_logits = stream(0, "two labels").normal(size=(1000, 2))
lesson.say(f"4 · always O: accuracy {always_o.micro.f1:.3f}, macro F1 {always_o.macro.f1:.3f}",
           f"  weighted F1 of 003's six entity tags alone: {entity_tags:.4f}", "")
assert f"{always_o.micro.f1:.3f}" == "0.825" and always_o.macro.f1 < 0.11, (
    "N46: always answering O scores .825"
)
assert f"{entity_tags:.4f}" == "0.9065", "N46: the six entity tags alone have a weighted F1 of .9065"
assert sum(count > 0 for count in CONLL.values()) == 9 and set(two_logits.argmax(axis=1)) == {0, 1}, \
    "N46: there are nine tags, and a model with two labels can answer two of them"

# %% [markdown]
# ## 5 · The mean of means
#
# Both documents divide the sum of the batches' mean losses by the number of batches (F22). The last batch is often short, and
# then its samples count for more. Eight samples have loss 1, two have loss 5, in batches of 4, 4 and 2:

# %%
losses = np.array([1.0] * 8 + [5.0] * 2)
in_batches = np.split(losses, [4, 8])
mean_of_means = float(np.mean([batch.mean() for batch in in_batches]))
by_sample = sum(float(batch.sum()) for batch in in_batches) / len(losses)
# say that a loss of 1 is a right answer
accuracy = sum(int((batch < 2).sum()) for batch in in_batches) / len(losses)
lesson.say(f"5 · mean of means {mean_of_means:.3f}, mean over samples {by_sample:g}; accuracy {accuracy:g}",
           "")
assert f"{mean_of_means:.3f}" == "2.333" and by_sample == 1.8, (
    "F22: epoch_loss / len(dataloader) is 2.333, the mean loss 1.8"
)
assert accuracy == 8 / 10, "F22: accuracy, which 003 divides by the number of samples, is right"

# %% [markdown]
# ## 6 · A tagger of our own
#
# The corpus is made up (`support/tagged.py`), but its test part has CoNLL's counts per tag exactly. A sentence is a row of
# word numbers, filled up with padding whose label is `IGNORE`. Each type has names of its own. One name in five is from a list
# that all types share: then only the word before may tell, a cue such as "Mr" or "in".
#
# **Break it on purpose:** let padding carry the label O, as in a program that forgets to mask it: `PADDING = TAGS.index("O")`.
# The model looks better for it. Which line stops you?

# %%
PADDING = IGNORE
test_words, test_labels = corpus("test", CONLL, PADDING)
train_words, train_labels = corpus("train", {tag: count // (4 if lesson.fast else 1) for tag,
                                             count in CONLL.items()}, PADDING)


class Tagger(Module):
    """The word and its two neighbours -> logits of nine tags."""

    def __init__(self, width: int = 24):
        super().__init__("tagger")
        self.table = VocabParallelEmbedding("table", VOCABULARY, width)
        self.up, self.out = Linear("up", 3 * width, 64), Linear("out", 64, len(TAGS))
        self.initialise(0)

    def forward(self, words: np.ndarray) -> mp.Tensor:
        around, T = self.table.look_up(np.pad(words, ((0, 0), (1, 1)))), words.shape[1]   # [S, T + 2, D]
        three = concatenate([around[:, place : place + T] for place in range(3)], axis=-1)
        return self.out(gelu(self.up(three)))                                            # [S, T, 9]


# %% [markdown]
# 000's training loop (C1) opens `autocast()`, runs backward and the optimiser inside it, and scales no loss. Repaired:
# autocast around the forward pass alone, the loss scaled, the gradient unscaled before the step. In float32 the same loop
# casts nothing and scales by 1 (lesson 6 is about the difference).

# %%


def trained(format: Format) -> Tagger:
    model, steps = Tagger(), 200 if lesson.fast else 600
    flat = Flat(model.parameters())
    optimizer, autocast, scale = Adam(flat), Autocast(format), loss_scale_of(format)
    for step in range(steps):
        rows = stream(1, "batch", step).integers(len(train_words), size=64)
        flat.zero_grad()
        with autocast():
            loss = cross_entropy(model(train_words[rows]), train_labels[rows])
        mp.backward(loss, np.full_like(loss.data, scale.scale))
        scale.unscale(flat.gradient())
        if scale.update(bool(np.isfinite(flat.grad).all())):
            optimizer.step(1e-2)
    return model


def evaluate(model: Tagger) -> tuple[float, float, np.ndarray]:
    """Mean loss over tokens, mean of the batches' means, and the predicted labels [S, T]."""
    sums, means, predicted = 0.0, [], []
    with no_grad():
        for words, labels in zip(*(np.array_split(a, range(500, len(a), 500))
                                   for a in (test_words, test_labels)), strict=True):
            logits, tokens = model(words), int((labels != IGNORE).sum())
            means.append(cross_entropy(logits, labels).item())
            sums += means[-1] * tokens
            predicted.append(logits.data.argmax(axis=-1))
    return sums / TOTAL, float(np.mean(means)), np.concatenate(predicted)


loss, batch_mean, guess = evaluate(trained(FLOAT32))
report = classification_report(test_labels, guess, TAGS)
lesson.say("6 · our tagger on a test set with CoNLL's counts")
lesson.table(*report.rows())
assert report.macro.support == sum(scores.support for scores in report.classes.values()) == TOTAL, \
    "E14: the report's supports add up to CoNLL's 46435"
assert [report.classes[tag].support
        for tag in TAGS] == list(CONLL.values()), "E14: tag by tag they are CoNLL's"
half_loss = evaluate(trained(FLOAT16))[0]
assert abs(loss - half_loss) < 0.02, "C1: float16 with a scaled loss trains as float32 does"
assert batch_mean != loss, "F22: batches with different numbers of tokens: a mean of means is another number"

# %% [markdown]
# What was impossible in 003's table holds here to the last digit, since all of it is made from one matrix of counts.

# %%
hits = (test_labels == guess)[test_labels != IGNORE]
matrix = np.zeros((9, 9), int)
for true, predicted in zip(test_labels.reshape(-1), guess.reshape(-1), strict=True):
    if true != IGNORE:
        matrix[true, predicted] += 1                                 # by hand
assert np.array_equal(matrix, confusion(test_labels, guess, 9)) and matrix.sum() == TOTAL, \
    "C1: flat labels without padding: the report is that of the matrix counted by hand"
for n, scores in enumerate(report.classes.values()):
    assert (
        scores.precision == matrix[n, n] / matrix[:, n].sum()
        and scores.recall == matrix[n, n] / matrix[n].sum()
        and abs(scores.f1 - 2 * matrix[n, n] / (matrix[n].sum() + matrix[:, n].sum())) < 1e-15
    ), "F23: P, R and F1 from TP, FP and FN"
averages = np.array([[s.precision, s.recall, s.f1] for s in report.classes.values()])
shares = np.array(list(CONLL.values())) / TOTAL
assert (
    report.micro.precision == report.micro.recall == hits.mean()
    and abs(report.micro.f1 - hits.mean()) < 1e-15
), "E13: one label per token: micro P = R = F1 = accuracy"
assert abs(shares @ averages[:, 1] - hits.mean()) < 1e-15 and abs(report.weighted.recall
                                                                  - hits.mean()) < 1e-15, \
    "E13: weighted recall is accuracy"
assert abs(averages.mean(axis=0) - [report.macro.precision, report.macro.recall,
                                    report.macro.f1]).max() < 1e-15, \
    "E13: macro averages are plain means"

# %% [markdown]
# ## 7 · 000's program for evaluation
#
# And 000's `evaluate` (5.2, C1)? It takes `argmax(dim=2)` of logits [B, 2], which have no such axis; it hands nested lists of
# different lengths to a report that wants one flat list; and it never imports the report. All imports of that program, and
# two lines of `evaluate`:

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


def never_made(code: str) -> set[str]:
    """Names that are read, and neither imported, nor assigned, nor Python's own."""
    names = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    made = {alias.asname or alias.name for node in imports for alias in node.names}
    made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - made - set(dir(builtins))


no_axis = refusal(lambda: two_logits.argmax(axis=2))
nested = refusal(lambda: np.array([[1, 2, 3], [1, 2]]))
lesson.say("7 · 000's evaluate()", f"  {no_axis}", f"  {nested[:90]}...",
           f"  never imported: {', '.join(never_made(CODE))}", "")
assert "AxisError" in no_axis and "ValueError" in nested and never_made(CODE) == {"classification_report"}, \
    "C1: evaluate() stops three times over"

# %% [markdown]
# ## 8 · Entities, not tags
#
# Nobody wants tags; people want names. An entity counts as found where start, end and type all agree (CoNLL's own measure).
# Half an entity is a miss *and* a false alarm. So one model has many scores, and each of them may be called "its F1".
#
# **Predict:** accuracy, macro F1 over tags, micro F1 over entities: in which order?
#
# **Exercise:** write `spans(tags)` yourself, with what an I-X means that continues nothing, and compute micro F1 over
# entities without `minipar.lessons.support.metrics`. Then find tags for `["B-PER", "I-PER"] * 5` that hit half of the tokens and no entity.

# %%
lines = [[[TAGS[tag] for tag in row[labels != IGNORE]] for row, labels in zip(rows, test_labels, strict=True)]
         for rows in (test_labels, guess)]
whole = entity_report(*lines)
only = classification_report(test_labels, guess, TAGS, only=TAGS[:-1])
scores = {"always O,\naccuracy": always_o.micro.f1, "accuracy\n(micro, 9 tags)": report.micro.f1,
          "weighted F1,\n9 tags": report.weighted.f1, "macro F1,\n9 tags": report.macro.f1,
          "micro F1,\n8 entity tags": only.micro.f1, "micro F1,\nentities": whole.micro.f1}
lesson.say("8 · the same over entities")
lesson.table(*whole.rows())
assert whole.micro.support == sum(CONLL[f"B-{kind}"]
                                  for kind in TYPES) == 5648, "E14: as many entities as there are B tags"
assert report.micro.f1 > report.macro.f1 > whole.micro.f1, (
    "E13: one model, many scores: accuracy > macro F1 > F1 of entities"
)
assert only.micro.precision != only.micro.recall, (
    "F23: without O, micro P and R part: they are no accuracy any more"
)

# %% [markdown]
# ## The picture

# %%
lesson.picture(draw_reading_a_report(list(PRINTED), F1 - exact,
                                     (lowest - exact - half, highest - exact + half), scores))
