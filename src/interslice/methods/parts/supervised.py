"""What the supervised peers share: a network that corrects an interpolated volume, trained on high-resolution volumes."""

import numpy as np
import torch
from torch import Tensor, nn

from interslice.methods.conventional import BSpline
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.methods.parts.networks import pad_to_multiple

SLICES_AT_ONCE = 32  # bounds the memory of inference whatever the size of the volume


class Supervised(TrainedMethod):
    """`network` takes and returns (batch, depth, rows, columns): slices of the aligned cubic B-spline, and better ones.

    It has seen high-resolution volumes of training subjects, which the methods that this benchmark is about have not.
    """

    supervised = True
    neighbours = 4
    reach = 0  # output slices on either side that a result depends on
    margin = 0  # voxels at every face of a training patch that the loss leaves out

    @property
    def stride(self) -> int:
        return 1

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"network": list(self.network.parameters())}

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Mean squared error of restored `windows` to `alphas`: the inputs and targets of `draw_pairs`."""
        inside = (slice(None), *(slice(self.margin, length - self.margin) for length in windows.shape[1:]))
        error = nn.functional.mse_loss(self.restore_patch(windows), alphas[inside])
        return {"network": error}, {"mse": error}

    def restore_patch(self, windows: Tensor) -> Tensor:
        """What the loss sees of training patches: all but `margin` voxels at every face."""
        return self.network(windows)

    @torch.no_grad()
    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        fine = BSpline({}).interpolate(volume, factor)
        with self.autocast():
            return self.restore(fine)

    def restore(self, fine: np.ndarray) -> np.ndarray:
        """(slices, rows, columns) float32 to the same, better: slab by slab."""
        count, height, width = fine.shape
        result = np.empty_like(fine)
        for start in range(0, count, SLICES_AT_ONCE):
            stop = min(start + SLICES_AT_ONCE, count)
            low, high = max(0, start - self.reach), min(count, stop + self.reach)
            slab = torch.from_numpy(fine[np.newaxis, low:high]).to(self.device)
            restored = self.network(pad_to_multiple(slab, self.stride))[0, start - low : stop - low]
            result[start:stop] = restored[:, :height, :width].float().cpu().numpy()
        return result
