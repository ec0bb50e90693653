"""CP2K as an oracle: it reads the files of n2p2 and evaluates them in double precision, on any number of MPI ranks."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnpot.structure import Structure
from nnpot.units import BOHR

PROGRAM = shutil.which("cp2k.psmp") or shutil.which("cp2k")
LAUNCHER = shutil.which("mpirun.openmpi")
PUBLISHED = sorted(path.parent for path in Path("/usr/share/cp2k/NNP").glob("*/*/input.nn"))

_INPUT = """&GLOBAL
  PROJECT nnp
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD NNP
  STRESS_TENSOR ANALYTICAL
  &PRINT
    &FORCES
      NDIGITS 14
      FILENAME forces
    &END FORCES
    &STRESS_TENSOR ON
      FILENAME stress
    &END STRESS_TENSOR
  &END PRINT
  &NNP
    NNP_INPUT_FILE_NAME model/input.nn
    SCALE_FILE_NAME model/scaling.data
    &MODEL
      WEIGHTS model/weights
    &END MODEL
  &END NNP
  &SUBSYS
    &CELL
{cell}
    &END CELL
    &COORD
      UNIT bohr
{atoms}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
"""


def run(model: Path, structure: Structure, ranks: int, folder: Path) -> tuple[float, NDArray[np.float64]]:
    """Return the energy, in hartree, and the forces, in hartree/bohr, of a periodic structure.

    Lengths go to CP2K in bohr, so that its value of the bohr is of no account.

    Args:
        model: Folder with input.nn, scaling.data and weights.
        structure: What to evaluate.
        ranks: Number of MPI processes.
        folder: An empty folder to work in.
    """
    (folder / "model").symlink_to(model)
    vectors = (structure.cell / BOHR).tolist()
    cell = [f"      {name} [bohr] " + " ".join(map(repr, vector)) for name, vector in zip("ABC", vectors, strict=True)]
    rows = zip(structure.to_ase().symbols, (structure.positions / BOHR).tolist(), strict=True)
    atoms = [f"      {symbol} " + " ".join(map(repr, position)) for symbol, position in rows]
    (folder / "nnp.inp").write_text(_INPUT.format(cell="\n".join(cell), atoms="\n".join(atoms)))
    launch = [LAUNCHER, "--oversubscribe", "-np", str(ranks)] if ranks > 1 else []
    environment = {
        **{name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"},
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }
    done = subprocess.run(
        [*launch, PROGRAM, "-i", "nnp.inp"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    energy = re.findall(r"ENERGY\| Total FORCE_EVAL.*:\s+(\S+)", done.stdout)[-1]
    (path,) = folder.glob("*forces*")
    words = [line.split() for line in path.read_text().splitlines()]
    forces = [[float(x) for x in w[-3:]] for w in words if len(w) == 6 and w[0].isdigit()]
    return float(energy), np.array(forces)
