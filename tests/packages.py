"""Potentials that are written for engines: each is compiled once, for all tests."""

import logging
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from filelock import FileLock
from systems import ELEMENTS, ace, acsf, core, knowing, network_potential

from nnpot.formats import aot
from nnpot.formats.seal import sealed
from nnpot.potential import Potential
from nnpot.repulsion import ZBL

EXPORTED: dict[str, Callable[[], Potential]] = {
    "ACE + ZBL": lambda: (
        knowing(network_potential(ace(n_radial=4, weighted_channels=3, weighted_layers=2, weighted_units=5)))
        + ZBL(ELEMENTS[::-1])
    ),
    "ACSF": lambda: network_potential(acsf(), core=core()),
}
"""Trainable densities with an uncertainty and another term that counts the elements otherwise, and a fixed descriptor
with a core."""

_folders: list[Path] = []


def keep_packages_in(folder: Path) -> None:
    """Say where packages are kept, for all processes of a run of tests."""
    _folders[:] = [folder]


@cache
def package_of(name: str) -> Path:
    """Return the float64 package of one of them; some 20 s at the first call of any process."""
    logging.getLogger("nnpot").setLevel(logging.WARNING)
    path = _folders[0] / f"{list(EXPORTED).index(name)}.pt2"
    with FileLock(f"{path}.lock"):
        return (
            path if path.exists() else aot.write(EXPORTED[name](), path, "float64", summary={"level of theory": "PBE"})
        )


def with_metadata(path: Path, old: str, new: str) -> Path:
    """Write a copy of a package that says something else of itself, and holds no machine code."""
    with zipfile.ZipFile(package_of("ACSF")) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("_metadata.json"):
                assert old.encode() in content
                content = content.replace(old.encode(), new.encode())
            target.writestr(name, b"nothing" if name.endswith(".so") else content)
    path.write_bytes(sealed(path.read_bytes()))
    return path
