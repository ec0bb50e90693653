"""Write the frozen model files and predictions of tests/regression.

PYTHONPATH=tests python scripts/make_regression_data.py

Run once per version of the model-file format; files of older versions stay as they are and must keep loading.
"""

from pathlib import Path

import numpy as np
from systems import ELEMENTS, SYSTEMS, acsf, network_potential, structure

from nnpot import ZBL, save_potential
from nnpot.model_file import FORMAT

FOLDER = Path(__file__).parents[1] / "tests/regression"


def main() -> None:
    """Write one model of every kind of part, and what it predicts for every named system."""
    potential = network_potential(acsf()) + ZBL(ELEMENTS)
    save_potential(potential, FOLDER / f"format{FORMAT}.nnpot", {"note": "frozen"})
    arrays = {}
    for name in SYSTEMS:
        prediction = potential.predict(structure(name))
        arrays[f"{name}/energies"] = prediction.energies.numpy()
        arrays[f"{name}/forces"] = prediction.forces.numpy()
        arrays[f"{name}/positions"] = structure(name).positions.numpy()
    np.savez_compressed(FOLDER / f"format{FORMAT}.npz", **arrays)


if __name__ == "__main__":
    main()
