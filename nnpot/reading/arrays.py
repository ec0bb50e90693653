"""Arrays of NumPy from files of others: nothing in them is executed, and no more is taken than they hold."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_MAX_EXPANSION = 100
"""How many times larger than the file an array may be that is packed, besides the first 64 MiB."""


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array in a file.

    Raises:
        ValueError: If it is damaged or holds objects.
        FileNotFoundError: If it is not there.
    """
    with path.open("rb") as file:
        return _array(file, path.stat().st_size, str(path))


def names_in_npz(path: Path) -> list[str]:
    """Return the names of all arrays in an archive of NumPy, none if it is another one.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged or cut off ({error}); copy it again") from error
    return [name.removesuffix(".npy") for name in names] if all(name.endswith(".npy") for name in names) else []


def read_npz(path: Path, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    """Return arrays of an archive by their names.

    Raises:
        ValueError: If one is damaged, holds objects, or is far larger than the file.
    """
    largest = 2**26 + _MAX_EXPANSION * path.stat().st_size
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in names:
            member, source = archive.getinfo(f"{name}.npy"), f"{path}, array {name}"
            if member.file_size > largest:
                raise ValueError(
                    f"{source} unpacks to over {_MAX_EXPANSION} times the size of the file; that is no data"
                )
            try:
                with archive.open(member) as file:
                    arrays[name] = _array(file, member.file_size, source)
            except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
                raise ValueError(f"{source} is damaged ({error}); copy the file again") from error
            except Exception as error:
                if type(error).__module__ != "zlib":
                    raise
                raise ValueError(f"{source} is damaged ({error}); copy the file again") from error
    return arrays


def _array(file: Any, size: int, source: str) -> NDArray[Any]:
    """An array whose file has so many bytes."""
    stream: BinaryIO = file
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python 2 has written
            shape, is_fortran, dtype = read_header(stream)
    except Exception as error:  # a damaged header leads to nearly anything
        if isinstance(error, OSError | MemoryError):
            raise
        raise ValueError(f"{source} is no array of NumPy, or damaged ({str(error)[:100]}); copy it again") from error
    if dtype.hasobject:
        raise ValueError(
            f"{source} holds Python objects, which could be programs and are not loaded; save it as numbers"
        )
    n = 1
    for length in shape:
        n *= length
    n_bytes = n * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes > size:
        raise ValueError(f"{source} is to hold {n_bytes} bytes and ends before; copy it again")
    content = stream.read(n_bytes)
    if len(content) < n_bytes:
        raise ValueError(f"{source} is cut off after {len(content)} of {n_bytes} bytes; copy it again")
    return np.frombuffer(content, dtype, n).reshape(shape, order="F" if is_fortran else "C")


def numbers(array: NDArray[Any], source: str) -> NDArray[np.float64]:
    """Return an array in double precision.

    Raises:
        ValueError: If it holds no numbers.
    """
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{source} holds no numbers ({array.dtype})")
    return array.astype(np.float64)


def shaped(array: NDArray[np.float64], shape: tuple[int, ...], source: str) -> NDArray[np.float64]:
    """Return an array in another shape.

    Raises:
        ValueError: If it has another number of values.
    """
    n = int(np.prod(shape, dtype=np.int64))
    if array.size != n:
        raise ValueError(
            f"{source} has {array.size} numbers of shape {array.shape} where {' × '.join(map(str, shape))} are needed"
        )
    return array.reshape(shape)
