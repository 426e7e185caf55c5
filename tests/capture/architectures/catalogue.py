"""All architectures by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from tests.capture.architectures import (
    bert,
    diffusion,
    distilbert,
    encoder,
    gpt2,
    llama,
    lora,
    recurrent,
    resnet,
    unet,
    vit,
)
from tests.capture.architectures.base import Architecture

ARCHITECTURES: dict[str, Callable[..., Architecture]] = {
    "gpt2": gpt2.architecture,
    "bert": bert.architecture,
    "distilbert": distilbert.architecture,
    "llama": llama.architecture,
    "vit": vit.architecture,
    "resnet": resnet.architecture,
    "lstm": recurrent.lstm,
    "gru": recurrent.gru,
    "encoder": encoder.architecture,
    "unet": unet.architecture,
    "diffusion": diffusion.architecture,
    "lora": lora.architecture,
}
