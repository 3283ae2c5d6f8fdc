"""GPT-2's weights under others' names: there and back, both dialects, and every misfit named."""

import numpy as np
import pytest

from minipar.config import GPT2, ModelConfig
from minipar.errors import ConfigError, ShapeError
from minipar.nn import GPT
from minipar.nn.gpt2_names import DIALECTS, from_gpt2, to_gpt2
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=13, context=9, layers=2, heads=2, width=8)
VARIANTS = [CONFIG, ModelConfig(13, 9, 1, 4, 8, hidden=20, tied=False),
            ModelConfig(13, 9, 2, 1, 8, hidden=8, bias=False),
            ModelConfig(13, 9, 2, 2, 8, tied=False, bias=False)]

# What the published files of the smallest GPT-2 hold, layer 0 of 12: Conv1D, no prefix, masks, no head.
PUBLISHED = {
    "wte.weight": (50257, 768), "wpe.weight": (1024, 768), "h.0.ln_1.weight": (768,), "h.0.ln_1.bias": (768,),
    "h.0.attn.bias": (1, 1, 1024, 1024), "h.0.attn.c_attn.weight": (768, 2304),
    "h.0.attn.c_attn.bias": (2304,),
    "h.0.attn.c_proj.weight": (768, 768), "h.0.attn.c_proj.bias": (768,), "h.0.ln_2.weight": (768,),
    "h.0.ln_2.bias": (768,),
    "h.0.mlp.c_fc.weight": (768, 3072), "h.0.mlp.c_fc.bias": (3072,), "h.0.mlp.c_proj.weight": (3072, 768),
    "h.0.mlp.c_proj.bias": (768,), "ln_f.weight": (768,), "ln_f.bias": (768,),
}


def random_state(config: ModelConfig) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {p.name: rng.standard_normal(p.shape).astype(np.float32) for p in GPT(config).parameters()}


@pytest.mark.parametrize("config", VARIANTS, ids=str)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_and_back(config: ModelConfig, dialect: str) -> None:
    state = random_state(config)
    theirs = to_gpt2(config, state, dialect)
    sizes, ours = from_gpt2(theirs, config.heads)
    assert sizes == config
    assert ours.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(ours[name], array)
    model = GPT(sizes)
    model.load_state_dict(ours)                                     # every name and shape is the model's


def test_dialects_differ_in_the_linear_layers_alone() -> None:
    huggingface, nanogpt = (to_gpt2(CONFIG, random_state(CONFIG), dialect) for dialect in DIALECTS)
    assert huggingface.keys() == nanogpt.keys()
    flipped = {name for name in huggingface if not np.array_equal(huggingface[name], nanogpt[name])}
    assert flipped == {f"transformer.h.{i}.{layer}.weight" for i in range(2)
                       for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}
    for name in flipped:
        np.testing.assert_array_equal(huggingface[name], nanogpt[name].T)
    assert nanogpt["transformer.h.0.attn.c_attn.weight"].shape == (24, 8)


def test_the_published_names_are_read() -> None:
    layer0 = {name: np.broadcast_to(np.float32(0), shape) for name, shape in PUBLISHED.items()}
    whole = {name.replace("h.0.", f"h.{i}."): array for i in range(12) for name, array in layer0.items()}
    config, state = from_gpt2(whole)
    assert config == GPT2
    assert sum(array.size for array in state.values()) == 124_439_808


@pytest.mark.parametrize("prefix", ["", "transformer.", "_orig_mod.transformer."])
def test_prefixes_masks_and_tied_heads_are_seen_through(prefix: str) -> None:
    state = random_state(CONFIG)
    bare = {name.removeprefix("transformer."): array for name, array in to_gpt2(CONFIG, state).items()}
    head = bare.pop("lm_head.weight")
    named = {prefix + name: array for name, array in bare.items()}
    named |= {f"{prefix}h.0.attn.bias": np.ones((1, 1, 9, 9)),
              f"{prefix}h.1.attn.masked_bias": np.float32(-1e4)}
    for arrays in (named, named | {prefix.removesuffix("transformer.") + "lm_head.weight": head.copy()}):
        config, ours = from_gpt2(arrays, heads=2)
        assert config == CONFIG
        for name, array in state.items():
            np.testing.assert_array_equal(ours[name], array)


def test_heads_are_width_over_64_unless_given() -> None:
    config = ModelConfig(vocabulary=5, context=4, layers=1, heads=2, width=128)
    arrays = to_gpt2(config, random_state(config))
    assert from_gpt2(arrays)[0].heads == 2
    assert from_gpt2(arrays, heads=8)[0].heads == 8
    with refused(ConfigError, item="heads"):
        from_gpt2(arrays, heads=5)
    with pytest.raises(ConfigError, match="a width of 8 does not determine"):
        from_gpt2(to_gpt2(CONFIG, random_state(CONFIG)))


@pytest.mark.parametrize("change, message", [
    (lambda a: a.pop("transformer.h.1.ln_2.bias"),
     "h.1.ln_2.bias is missing"),
    (lambda a: a.update({"transformer.h.1.mlp.c_fc.weight": np.zeros((8, 31))}),
     r"c_fc.weight is \(8, 31\), not \(8, 32\)"),
    (lambda a: a.update({"score.weight": np.zeros(3)}),
     "score.weight is unknown"),
    (lambda a: a.update({"transformer.h.7.ln_1.bias": np.zeros(8)}),
     r"ln_1.weight is missing.* and \d+ more"),
    (lambda a: a.update({"transformer.h.1.attn.c_attn.weight": np.zeros((24, 8))}),
     r"c_attn.weight is \(24, 8\), not"),
    (lambda a: a.pop("transformer.wte.weight"),                                     "no matrix wte.weight"),
    (lambda a: a.pop("transformer.h.0.attn.c_attn.weight"),
     "no matrix h.0.attn.c_attn.weight"),
    (lambda a: a.update({"transformer.wpe.weight": np.zeros(9)}),                   "no matrix wpe.weight"),
    (lambda a: a.clear(),                                                           "among the 0 arrays"),
])
def test_what_does_not_fit_is_named_in_one_line(change, message: str) -> None:
    arrays = to_gpt2(CONFIG, random_state(CONFIG))
    change(arrays)
    with pytest.raises(ShapeError, match=message) as caught:
        from_gpt2(arrays, heads=2)
    assert "\n" not in str(caught.value)


def test_states_and_dialects_that_do_not_fit_are_named() -> None:
    state = random_state(CONFIG)
    with refused(ConfigError, "keras", "huggingface", "nanogpt"):
        to_gpt2(CONFIG, state, "keras")
    state["norm.weight"] = np.zeros(9)
    with refused(ShapeError, item="norm.weight"):
        to_gpt2(CONFIG, state)
    with refused(ShapeError, item="blocks.0.norm1.bias"):
        to_gpt2(ModelConfig(13, 9, 2, 2, 8, bias=False), random_state(CONFIG))


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_torch_computes_the_same_logits_from_the_exported_weights(config: ModelConfig) -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_gpt import TorchGPT

    model = GPT(config, dtype=np.float64)
    model.load_state_dict(random_state(config))
    theirs = TorchGPT(config)
    exported = to_gpt2(config, model.state_dict(), "nanogpt")
    theirs.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array))
                            for name, array in exported.items()})
    tokens = np.random.default_rng(0).integers(0, 13, (2, 9))
    expected = theirs(torch.from_numpy(tokens)).detach().numpy()
    np.testing.assert_allclose(model(tokens).data, expected, rtol=0, atol=1e-12 * abs(expected).max())
    sizes, back = from_gpt2({name: p.detach().numpy() for name, p in theirs.state_dict().items()},
                            config.heads)
    assert sizes.tied == config.tied
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(back[name], array)
