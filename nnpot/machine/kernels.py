"""The sources of the C++ kernels, and what compilers have made of them, without a look at PyTorch."""

import hashlib
from pathlib import Path

from nnpot.machine.build import STANDARD, fingerprint, version_of
from nnpot.machine.cache import folders, is_usable, objects_of

FOLDER = Path(__file__).parents[1] / "native"
SOURCES = sorted(FOLDER.glob("*.cpp"))
HEADERS = sorted(FOLDER.glob("*.h"))


def name_of_library(compiler: str | None) -> str:
    """Return what the library that a compiler makes of them is called, a pattern for that by any if there is none.

    Raises:
        OSError: If the compiler cannot be run.
        subprocess.SubprocessError: If it fails.
    """
    of_compiler = "*" if compiler is None else hashlib.sha256(version_of(compiler).encode()).hexdigest()[:8]
    return f"kernels-{fingerprint([*SOURCES, *HEADERS], STANDARD)}-{of_compiler}.so"


def kept_objects(compiler: str) -> Path | None:
    """Return the kernels as a compiler made them, in one object; None if they are not kept (a wheel brings none).

    Raises:
        OSError: If the compiler cannot be run.
        subprocess.SubprocessError: If it fails.
    """
    places = (objects_of(folder / name_of_library(compiler)) for folder in folders())
    return next((path for path in places if is_usable(path)), None)
