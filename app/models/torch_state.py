"""The state of a torch module: what of it is trained, what follows, what stays as it is made."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def statistics(module: nn.Module) -> list[str]:
    """Names of the buffers that follow the parameters, as batch norm's statistics do.

    What is not part of the module's state, holds no real numbers, or infinite ones (a causal mask)
    is a constant.
    """
    saved = module.state_dict().keys()
    return [
        name
        for name, buffer in module.named_buffers()
        if name in saved and buffer.is_floating_point() and bool(buffer.isfinite().all())
    ]


def state(
    module: nn.Module, names: Sequence[str]
) -> tuple[dict[str, nn.Parameter], dict[str, torch.Tensor]]:
    """Parameters and the buffers ``names`` by their name in the ``state_dict``; a tied one once."""
    buffers = dict(module.named_buffers())
    return dict(module.named_parameters()), {name: buffers[name] for name in names}
