"""Where tensors may lie on this machine."""

import torch


def check_device(name: str) -> str:
    """Return the name of a device that is there.

    Raises:
        ValueError: If there is none of that name; it lists those that are there.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter where PyTorch was built without it
        there = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        raise ValueError(f"device must be one of {', '.join(there)} on this machine, got {name}") from error
    return name
