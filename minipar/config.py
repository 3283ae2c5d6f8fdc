"""What a model is: a small frozen record, checked in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from minipar.errors import ConfigError


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a GPT. `hidden` is the width inside the MLP; 0 stands for four times the model width, as in GPT-2.

    tied: the head uses the token embedding. bias: linear layers and LayerNorms have biases. dropout: the rate on the
    embedding and on what each attention and MLP adds to the residual stream.
    """

    vocabulary: int = 256
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    hidden: int = 0
    tied: bool = True
    bias: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "layers", "heads", "width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads:
            near = [h for h in range(1, self.width + 1) if self.width % h == 0]
            choices = ", ".join(map(str, sorted(near, key=lambda h: abs(h - self.heads))[:4]))
            raise ConfigError(f"{self.heads} heads do not divide the width {self.width}; choose {choices} heads or another width")
        if self.hidden < 0:
            raise ConfigError(f"hidden is {self.hidden}; it must be positive, or 0 for four times the width")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")

    @property
    def mlp_width(self) -> int:
        return self.hidden or 4 * self.width

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def as_dict(self) -> dict:
        return asdict(self)


GPT2 = ModelConfig(vocabulary=50257, context=1024, layers=12, heads=12, width=768)      # 124M (Radford et al. 2019)
