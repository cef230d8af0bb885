"""Finished models for tests."""

from settings import small_settings


def random_model(path, method="cae"):
    """A checkpoint of an untrained small network: enough for everything but quality."""
    from interslice.common.checkpoints import write_checkpoint
    from interslice.methods import build_method

    settings = small_settings(method)
    weights = build_method(settings).network.state_dict()
    write_checkpoint({"settings": settings, "weights": weights}, path)
    return path
