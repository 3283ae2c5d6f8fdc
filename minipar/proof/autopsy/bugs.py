"""Lists the symptoms of each mutant (planted bug), and public reports of the same kind of bug.

A report is the name of a public repository and the number of an issue in it. The issue describes this kind of
bug in another program. Most of these bugs are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.proof.autopsy.symptoms import VARIES
from minipar.proof.mutants import MUTANTS, Mutant


@dataclass(frozen=True)
class Bug:
    """A mutant with its symptoms. which: the values that are wrong first, as keys of WHICH. ratios: the
    possible ratios of the wrong to the right value, such as "tp", "1/dp" or "2". VARIES means that the ratio
    is not constant. reports: texts such as "owner/repository#number".
    """

    mutant: Mutant
    which: frozenset[str]
    ratios: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """The axes that must be larger than 1 for the bug to have an effect."""
        layout, train = self.mutant.case.layout, self.mutant.case.train
        axes = {axis for axis in ("dp", "tp", "pp") if getattr(layout, axis) > 1}
        in_pieces = any("micro-batches" in ratio for ratio in self.ratios) and train.micro_batches > 1
        return frozenset(axes | {"micro-batches"} if in_pieces else axes)


# For mutants that are not in SHOWS: the check that fails first -> the symptom.
BY_CHECK = {
    "initial weights": "start", "forward": "forward", "loss": "loss", "backward": "some", "gradients": "some",
    "norm": "norm", "first update": "some", "traffic dp": "memory", "rates": "rate",
    "later gradients": "later", "AdamW losses": "optimizer", "validation loss": "validation",
    "resume": "resume", "saved state": "resume", "mixed gradients": "mixed",
    "recomputed": "memory", "memory": "memory", "feedback": "optimizer", "logits": "generation",
    "collectives": "all", "CommError": "hang", "loss scales": "mixed", "tokens": "generation",
    "derivatives": "some", "definitions": "optimizer",
}
ALL_AND_LOSS = "all loss"
# name of a mutant -> (symptoms, ratios, public reports); each text lists its items with spaces between them
SHOWS: dict[str, tuple[str, str, str]] = {
    "averaged-twice": ("all", "1/dp", "meta-pytorch/torchtune#2172 verl-project/verl-SpeCo#29"),
    "own-tokens-then-sum": (ALL_AND_LOSS, "dp", ""),
    "own-tokens-then-mean": (ALL_AND_LOSS, VARIES, "pytorch/torchtitan#2206 meta-pytorch/torchtune#1875 "
                                                   "ml-explore/mlx-lm#1413"),
    "padding-counted": (ALL_AND_LOSS, VARIES, "NovaSky-AI/SkyRL#462 IBM/pytorch-seq2seq#125"),
    "mean-of-micro-batches-missing": ("all", "micro-batches", "verl-project/verl#3332"),
    "micro-batches-count-whole": ("all", "micro-batches", ""),
    "divided-by-micro-batches-on-top": (ALL_AND_LOSS, "1/micro-batches", ""),
    "every-stage-takes-the-mean": ("some", "1/micro-batches", ""),
    "accumulation-overwritten": ("all", VARIES, "NVIDIA-NeMo/Automodel#3530"),
    "reduced-after-every-micro-batch": ("all", VARIES, ""),
    "never-reduced": ("all replicas", VARIES, ""),
    "one-step-late": ("all later", VARIES, ""),
    "zero-grad-forgotten": ("later", VARIES, ""),
    "sent-in-half-the-bits": ("all", "1", ""),
    "one-parameter-forgotten": ("one-parameter replicas", VARIES, ""),
    "one-parameter-reduced": ("all replicas", VARIES, ""),
    "f-forgotten": ("some replicas", VARIES, ""),
    "f-forgotten-at-the-head": ("some replicas", VARIES, "NovaSky-AI/SkyRL#1886"),
    "g-forgotten": ("forward loss", VARIES, ""),
    "g-self-dual": ("some", "tp", ""),
    "row-bias-on-every-rank": ("forward loss", VARIES, "huggingface/text-generation-inference#1036 "
                                                       "Wenyueh/MinivLLM#80 PaddlePaddle/Paddle#35186"),
    "row-bias-shared-out": ("row-biases", "1/tp", "pytorch/torchtitan#4332"),
    "whole-gradients-summed": ("row-biases norms positions", "tp", ""),
    "qkv-sharded-in-one-block": ("forward loss", VARIES, "vllm-project/vllm#42803 hpcaitech/ColossalAI#817 "
                                 "BlackSamorez/tensor_parallel#103"),
    "norm-gradients-not-reduced": ("norms replicas", VARIES, "NVIDIA/Megatron-LM#1446 "
                                                             "EleutherAI/gpt-neox#1259"),
    "row-bias-gradients-not-reduced": ("row-biases replicas", VARIES, ""),
    "position-gradients-not-reduced": ("positions replicas", VARIES, ""),
    "dropout-from-zero": ("forward loss", VARIES, "PaddlePaddle/PaddleFleetX#1005 NVIDIA/Megatron-LM#1256"),
    "dropout-differs-on-replicas": ("forward replicas", VARIES, "InternLM/InternLM#405"),
    "dropout-by-position-in-the-micro-batch": ("forward", VARIES, "tenstorrent/tt-metal#55947"),
    "tied-look-up-lost": ("table", VARIES, ""),
    "tied-table-not-reduced": ("table replicas", VARIES, "uw-syfi/piper#13"),
    "tied-table-reduced-twice": ("table", "2", ""),
    "norm-counts-replicas": ("norm", VARIES, "NVIDIA-NeMo/RL#3788 ROCm/TransformerEngine#715"),
    "norm-of-the-own-part": ("norm replicas", VARIES, "huggingface/transformers#36132"),
    "loss-not-reduced": ("loss", VARIES, "cybertronai/transformer-xl#14 prajdabre/yanmtt#62"),
    "loss-stays-on-the-last-stage": ("loss", "0", "pytorch/torchtitan#550"),
    "validation-not-reduced": ("validation", VARIES, "cybertronai/transformer-xl#14"),
    "rate-times-dp": ("rate", "dp", ""),
    "schedule-counts-micro-batches": ("rate", VARIES, "huggingface/accelerate#963 starVLA/starVLA#210 "
                                                      "h2oai/h2o-llmstudio#663"),
    "optimizer-steps-lost-on-resume": ("resume", VARIES, "NVIDIA-NeMo/Automodel#763 TrenTorch/TrenTorch#187"),
    "cache-off-by-one": ("generation", VARIES, "huggingface/transformers#15751 skyzh/tiny-llm#46"),
}


def bugs() -> list[Bug]:
    """Returns every mutant with its symptoms."""
    found = []
    for name, mutant in MUTANTS.items():
        which, ratios, reports = SHOWS.get(name, (BY_CHECK[mutant.check], VARIES, ""))
        found.append(Bug(mutant, frozenset(which.split()), tuple(ratios.split()), tuple(reports.split())))
    return found
