"""A client of i-PI that evaluates a potential, see input.xml.

python client.py --model model.nnpot --template start.xyz
"""

import time
from pathlib import Path

import jsonargparse
from ase.calculators.socketio import SocketClient
from ase.io import read

from nnpot import NNPotCalculator


def client(
    model: Path,
    template: Path,
    address: str = "nnpot",
    device: str = "cpu",
    dtype: str = "float64",
    patience_s: float = 60.0,
) -> None:
    """Evaluate what i-PI asks for, until i-PI ends.

    Args:
        model: Model file.
        template: Structure with the elements in i-PI's order; periodic or not as the simulation is.
        address: As in the input of i-PI.
        device: `cpu` or `cuda`.
        dtype: `float32` or `float64`.
        patience_s: How long to wait for i-PI to start, in s.
    """
    atoms = read(template)
    atoms.calc = NNPotCalculator(model, device=device, dtype=dtype)
    end = time.monotonic() + patience_s
    while True:
        try:
            connection = SocketClient(unixsocket=address)
            break
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    connection.run(atoms, use_stress=any(atoms.pbc))


if __name__ == "__main__":
    jsonargparse.auto_cli(client, as_positional=False)
