"""A GPT-2 in plain PyTorch, to compare gradients and speed with: every gradient and the optimiser's steps are
PyTorch's own.

Parameters are named, and matrices lie, as in nanoGPT ([outputs, inputs]), so that a comparison also proves
the import of names.
"""

# B batch, T tokens, D model width, H heads, K head width, V vocabulary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minipar.config import ModelConfig


class CausalSelfAttention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.c_attn = nn.Linear(config.width, 3 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2)
                   for part in self.c_attn(x).split(D, dim=2))    # [B, H, T, K]
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(out.transpose(1, 2).reshape(B, T, D))


class MLP(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.c_fc = nn.Linear(config.width, config.mlp_width, bias=config.bias)
        self.c_proj = nn.Linear(config.mlp_width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.width, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class TorchGPT(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(config.vocabulary, config.width),
            "wpe": nn.Embedding(config.context, config.width),
            "h": nn.ModuleList(Block(config) for _ in range(config.layers)),
            "ln_f": nn.LayerNorm(config.width, bias=config.bias),
        })
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            self.lm_head.weight = self.transformer["wte"].weight
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B, T] -> logits [B, T, V]."""
        parts = self.transformer
        x = parts["wte"](tokens) + parts["wpe"](torch.arange(tokens.shape[1]))                  # [B, T, D]
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean over the targets that are not -1."""
        return F.cross_entropy(self(tokens).flatten(0, 1), targets.flatten(), ignore_index=-1)

    def adamw(self, rate: float, decay: float, **form: bool) -> torch.optim.AdamW:
        """Weight decay for matrices alone. form: foreach=True or fused=True."""
        matrices = [p for p in self.parameters() if p.ndim >= 2]
        vectors = [p for p in self.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), eps=1e-8, **form)
