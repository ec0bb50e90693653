"""What VASP's OUTCAR tells besides labels: ionic steps that did not converge."""

import re

_STEP = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM"
"""What stands once in each ionic step, by which ASE parts them."""

_LIMIT = re.compile(r"NELM\s*=\s*(\d+)\s*;\s*NELMIN")
_ITERATION = re.compile(r"Iteration\s+\d+\(\s*(\d+)\)")
_REACHED, _NOT_REACHED = "aborting loop because EDIFF is reached", "aborting loop EDIFF was not reached"

_MOST = 4
"""Number of frames that are named."""


def unconverged(outcar: str, n_frames: int) -> list[int]:
    """Return which frames of an OUTCAR are ionic steps whose electronic iterations did not converge.

    VASP 6 says so itself. Where it does not, the last iteration is that of number NELM, and there is no line that
    EDIFF is reached.

    Args:
        outcar: The text of the file.
        n_frames: Number of ionic steps that were read.
    """
    limit = _LIMIT.search(outcar)
    steps = outcar.split(_STEP)[:n_frames]
    return [k for k, step in enumerate(steps) if _is_unconverged(step, int(limit[1]) if limit else None)]


def not_converged(outcar: str, n_frames: int) -> str:
    """Return a sentence with the frames that did not converge, empty if there are none; see `unconverged`."""
    frames = unconverged(outcar, n_frames)
    if not frames:
        return ""
    return (
        f"{_listed(frames)} did not converge (EDIFF was not reached within NELM iterations), so that energy and forces "
        "are wrong; calculate them again, or leave them out"
    )


def _is_unconverged(step: str, limit: int | None) -> bool:
    if _NOT_REACHED in step:
        return True
    last = max((int(number) for number in _ITERATION.findall(step)), default=0)
    return limit is not None and last >= limit and _REACHED not in step


def _listed(frames: list[int]) -> str:
    if len(frames) == 1:
        return f"frame {frames[0]}"
    shown = [str(k) for k in (frames if len(frames) <= _MOST else frames[: _MOST - 1])]
    last = shown.pop() if len(shown) == len(frames) else f"{len(frames) - len(shown)} more"
    return f"frames {', '.join(shown)} and {last}"
