"""Images whose structures are moved in the plane."""

import torch
from torch import Tensor, nn


def displaced(images: Tensor, shift: Tensor, mode: str) -> Tensor:
    """Images (batch, n, H, W) sampled `shift` pixels (batch, n, 2, H, W; along columns, rows) beside every pixel: edges
    repeated, in float32. mode: "bilinear" or "bicubic"."""
    batch, count, height, width = images.shape
    columns = torch.arange(width, device=images.device) + shift[:, :, 0]
    rows = torch.arange(height, device=images.device)[:, None] + shift[:, :, 1]
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)
    flat = nn.functional.grid_sample(
        images.reshape(batch * count, 1, height, width),
        grid.reshape(batch * count, height, width, 2),
        mode=mode,
        padding_mode="border",
        align_corners=True,
    )
    return flat.view(batch, count, height, width)
