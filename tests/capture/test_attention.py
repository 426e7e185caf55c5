"""Attention in every form that PyTorch's function takes, beside PyTorch, as the same few folds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.capture.running import run_operator

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 6, 8)).astype(np.float32)
SEEN = torch.from_numpy(RNG.random((2, 1, 6, 6)) < 0.6) | torch.eye(6, dtype=torch.bool)
NOTHING = SEEN & (torch.arange(6) != 2)[:, None]
BIAS = torch.from_numpy(RNG.normal(size=(4, 6, 6)).astype(np.float32))
Form = Callable[[torch.Tensor], torch.Tensor]
attend = F.scaled_dot_product_attention


def by_hand(x: torch.Tensor) -> torch.Tensor:
    scores = (x @ x.transpose(-2, -1)) * 8**-0.5
    scores = scores.masked_fill(~torch.ones(6, 6, dtype=torch.bool).tril(), float("-inf"))
    return scores.softmax(-1) @ x


FORMS: dict[str, Form] = {
    "plain": lambda x: attend(x, x, x),
    "causal": lambda x: attend(x, x, x, is_causal=True),
    "mask of bools": lambda x: attend(x, x, x, attn_mask=SEEN),
    "rows that see nothing": lambda x: attend(x, x, x, attn_mask=NOTHING),
    "bias": lambda x: attend(x, x, x, attn_mask=BIAS),
    "scale": lambda x: attend(x, x, x, scale=0.3),
    "grouped heads": lambda x: attend(x, x[:, :2], x[:, 2:], enable_gqa=True),
    "other keys": lambda x: attend(x, x[:, :, :3], x[:, :, 3:]),
    "three dimensions": lambda x: attend(x[:, 0], x[:, 1], x[:, 2]),
    "by hand": by_hand,
}


@pytest.mark.parametrize("form", FORMS)
def test_attention_agrees_with_stock_pytorch(form: str) -> None:
    outcome = run_operator(FORMS[form], X)
    assert outcome.worst() < 3e-6
    if form == "rows that see nothing":
        assert not outcome.output[0][:, :, 2].any()


@pytest.mark.parametrize("form", FORMS)
def test_attention_of_every_form_is_the_same_few_folds(form: str) -> None:
    origins = " ".join(run_operator(FORMS[form], X).captured.origins)
    assert "aten.any" not in origins
    assert origins.count("aten.exp (fwd)") == origins.count("aten.amax (fwd)") == 1
    assert origins.count("aten.bmm (fwd)") == 2
    assert origins.count("aten.bmm (bwd)") == 4
