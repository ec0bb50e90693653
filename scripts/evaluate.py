"""Errors of a potential, from Python: python scripts/evaluate.py runs/train/model.nnpot test.xyz."""

import sys
from pathlib import Path

from nnpot.commands.evaluate import evaluate

if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    model, data = Path(sys.argv[1]), Path(sys.argv[2])
    errors = evaluate(model, data, json=model.with_name("errors.json"), plots=model.parent)
    print(f"force RMSE {errors['force_rmse_mev_per_ang']:.1f} meV/Å")
