"""What `nnpot sample` has done so far, beside its file: it is written frame by frame, and goes on where it ended."""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from nnpot.machine.files import write_atomically

ENDING = ".unfinished"


@dataclass(frozen=True)
class Reached:
    """How far a sampling has come.

    Attributes:
        frames: Number of frames in the file.
        size: Bytes of the file with them; what follows was being written when the run was killed.
        run: Number of the trajectory that goes on.
        taken: Number of its frames.
        blown_up: Number of frames that are missing because trajectories have blown up.
        state: Of the trajectory: positions, momenta, random numbers; empty at its start.
    """

    frames: int = 0
    size: int = 0
    run: int = 0
    taken: int = 0
    blown_up: int = 0
    state: Mapping[str, Any] | None = None


class Unfinished:
    """The file of a sampling that is not over, and the note beside it that says how far it has come.

    Args:
        out: The file of frames.
        settings: What they depend on.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.out, self._note = out, out.with_name(out.name + ENDING)
        text = json.dumps(settings, sort_keys=True, default=str)
        self._settings = hashlib.sha256(text.encode()).hexdigest()
        self.reached = self._read()

    def _read(self) -> Reached:
        """Where the run goes on.

        Raises:
            ValueError: If it was begun with other settings, or the note cannot be read.
        """
        if not (self._note.is_file() and self.out.is_file()):
            return Reached()
        how = f"remove {self._note} to begin anew, which replaces {self.out}, or give another file to write to"
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            settings, reached = note["settings"], Reached(**note["reached"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._note} is damaged; {how}") from error
        if settings != self._settings:
            raise ValueError(f"{self.out} is unfinished, and was begun with other settings or start structures; {how}")
        if self.out.stat().st_size < reached.size:
            raise ValueError(f"{self.out} is shorter than when the run was ended; {how}")
        os.truncate(self.out, reached.size)
        return reached

    def add(self, frame: Atoms, reached: Reached) -> Reached:
        """Write a frame behind the others, and then note how far the run has come with it, but for the size.

        Raises:
            OSError: If the file cannot be written.
        """
        text = io.StringIO()
        ase.io.write(text, frame, format="extxyz")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with self.out.open("ab" if reached.frames > 1 else "wb") as file:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        return self.note(Reached(**{**asdict(reached), "size": size}))

    def note(self, reached: Reached) -> Reached:
        """Note how far the run has come."""
        self.reached = reached
        if reached.frames:
            note = {"settings": self._settings, "reached": asdict(reached)}
            write_atomically(self._note, json.dumps(note), durable=False)
        return reached

    def finish(self) -> None:
        """Remove the note: nothing is left to do."""
        self._note.unlink(missing_ok=True)


def state_of(atoms: Atoms, generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a trajectory as plain data; numbers are kept to the last bit."""
    return {
        "positions": atoms.positions.tolist(),
        "momenta": atoms.get_momenta().tolist(),
        "generator": generator.bit_generator.state,
    }


def restore(atoms: Atoms, generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Take the state of a trajectory over."""
    atoms.set_positions(np.array(state["positions"]))
    atoms.set_momenta(np.array(state["momenta"]))
    generator.bit_generator.state = state["generator"]


def digest_of(frames: Sequence[Atoms]) -> str:
    """Return a short text that differs if structures do."""
    digest = hashlib.sha256()
    for atoms in frames:
        digest.update(repr((atoms.pbc.tolist(), atoms.info.get("config_type"))).encode())
        for values in (atoms.numbers, atoms.positions, atoms.cell.array):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
