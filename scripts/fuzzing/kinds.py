"""The kinds of files: how they are made, what is done to them, and how they are used."""

import io
import json
import pickle
import random
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from safetensors import safe_open
from safetensors.torch import save

from nnpot.__main__ import main
from nnpot.calculator import NNPotCalculator
from nnpot.committee import Committee
from nnpot.descriptors import ACE, ACSF
from nnpot.formats import aot, n2p2
from nnpot.formats.nnpot import checksum
from nnpot.formats.seal import sealed
from nnpot.io import save as save_model
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.reading import read_structures
from nnpot.repulsion import ZBL

from . import changes, dialects

ELEMENTS = ("Cu", "Au")
TRAP = "trapped"
"""Name of the file that code would write if it was run."""

Made = tuple[str, bool]
"""What was done, and whether other numbers may come of it in silence."""


class _Trap:
    """What runs code when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TRAP

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def alloys(n: int = 6) -> list[Atoms]:
    """Small cells with energies, forces and stresses."""
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[: k % 4] = "Au"
        atoms.rattle(0.1, seed=k)
        atoms.calc = EMT()
        atoms.get_stress()
        frames.append(atoms)
    return frames


class Kind(ABC):
    """A kind of files.

    Args:
        folder: Where the whole ones are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.make()

    @abstractmethod
    def make(self) -> None:
        """Write whole files."""

    @abstractmethod
    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """Write a mutated file into an empty folder.

        Returns:
            What was done; a function that uses the file and returns numbers; the file, to be named in errors.
        """

    def trap(self, place: Path) -> bytes:
        """A pickle that runs code, in one of the ways in which PyTorch or Python read one."""
        buffer = io.BytesIO()
        torch.save({"state_dict": _Trap(place)}, buffer)
        return buffer.getvalue()


def results(potential: Any, atoms: Atoms) -> Any:
    """Energy and forces."""
    atoms = atoms.copy()
    atoms.calc = NNPotCalculator(potential, dtype="float64")
    return np.append(atoms.get_forces().ravel(), atoms.get_potential_energy())


class Models(Kind):
    """Model files: symmetry functions, ACE with a weighted density, a committee with a repulsion."""

    def make(self) -> None:
        """Write whole files."""
        torch.manual_seed(0)
        g4 = ((0.05, 1.0, -1.0, 0.0), (0.1, 2.0, 1.0, 0.8))
        acsf = ACSF(4.0, ELEMENTS, g2=((0.5, 0.0), (2.0, 1.5)), g4=g4, selected=(0, 2, 5, 7))
        ace = ACE(4.0, ELEMENTS, 3, 2, 2, weighted_channels=2, weighted_units=3)
        energies = {"Cu": -3.5, "Au": -3.2}
        single = [NeuralNetworkPotential(d, (4, 3), atomic_energies=energies) for d in (acsf, ace, acsf, acsf)]
        committee = Committee((single[2], single[3])) + ZBL(ELEMENTS)
        self.paths = [self.folder / f"{k}.nnpot" for k in range(3)]
        for path, potential in zip(self.paths, (*single[:2], committee), strict=True):
            save_model(potential, path, {"note": "a summary", "epochs": 3})
        self.atoms = alloys(2)[1]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind."""
        source, path = chance.choice(self.paths), place / "model.nnpot"
        way = chance.random()
        may_change = False
        if way < 0.4:
            name = chance.choice(list(changes.BYTES))
            path.write_bytes(changes.BYTES[name](source.read_bytes(), chance))
        elif way < 0.5:
            name, content = "bits of the header", source.read_bytes()
            end = 8 + int.from_bytes(content[:8], "little")
            path.write_bytes(changes.flipped_bits(content[:end], chance) + content[end:])
        elif way < 0.52:
            name = "a pickle"
            path.write_bytes(chance.choice((self.trap(place), pickle.dumps(_Trap(place)))))
        else:
            seals = chance.random() < 0.6
            name, content = self._described_anew(source, chance, seals=seals)
            may_change = seals
            path.write_bytes(content)
        return (name, may_change), lambda: results(path, self.atoms), path

    def whole(self) -> list[Any]:
        """What whole files give."""
        return [results(path, self.atoms) for path in self.paths]

    def _described_anew(self, source: Path, chance: random.Random, *, seals: bool) -> tuple[str, bytes]:
        with safe_open(source, "pt") as file:
            metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        what = chance.choice(("spec", "spec", "spec", "tensors", "tensors", "names", "text", "format", "summary"))
        if what == "spec":
            metadata["spec"] = json.dumps(changes.changed_value(json.loads(metadata["spec"]), chance))
        elif what == "text":
            name = chance.choice(list(changes.BYTES))
            metadata["spec"] = changes.BYTES[name](metadata["spec"].encode(), chance).decode(errors="replace")
        elif what == "format":
            metadata["nnpot"] = chance.choice(("1", "3", "0", "", "x", "2.0", "-1"))
        elif what == "summary":
            metadata["summary"] = chance.choice(("", "[]", "1", '{"a": ', "null", '{"recipe": 3}', "[" * 100_000))
        elif what == "names":
            name = chance.choice(list(tensors))
            tensors[chance.choice(list(tensors)) + "_"] = tensors.pop(name)
        else:
            name = chance.choice(list(tensors))
            tensors[name] = _hostile(tensors[name], chance)
        if seals:
            metadata["sha256"] = checksum(metadata, tensors)
        return f"{what}, {'sealed anew' if seals else 'not sealed'}", save(tensors, metadata)


def _hostile(tensor: torch.Tensor, chance: random.Random) -> torch.Tensor:
    """Another tensor in the place of one."""
    new, k = tensor.clone(), chance.randrange(max(tensor.numel(), 1))
    values = (float("nan"), float("inf"), 1e38, 0.0, -1.0)
    if chance.random() < 0.5:
        new.view(-1)[k] = chance.choice(values)
        return new
    other = (torch.bool, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float64, torch.uint8)
    if chance.random() < 0.5:
        return new.to(chance.choice(other))
    return new.new_zeros(chance.choice(((0,), (1,), (1000, 10), (*tensor.shape, 1))))


class Folders(Kind):
    """Folders with the files of n2p2."""

    def make(self) -> None:
        """Write whole files."""
        torch.manual_seed(0)
        acsf = ACSF(4.0, ELEMENTS, g2=((0.5, 0.0), (2.0, 1.5)), g4=((0.05, 1.0, -1.0, 0.0),))
        energies = {"Cu": -3.5, "Au": -3.2}
        potential = NeuralNetworkPotential(acsf, (4, 3), "tanh", energies, linear=False)
        n2p2.write(potential, self.folder / "whole")
        self.atoms = alloys(2)[1]

    def whole(self) -> list[Any]:
        """What the whole folder gives."""
        return [results(self.folder / "whole", self.atoms)]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind; without a checksum other numbers cannot be told from the right ones."""
        folder = Path(shutil.copytree(self.folder / "whole", place / "potential"))
        path = chance.choice(sorted(folder.iterdir()))
        way, may_change = chance.random(), False
        if way < 0.35:
            name, content = "hostile words", changes.hostile_word(path.read_bytes(), chance)
            may_change = path.name == "input.nn" or not {"nan", "inf", "1e999"} & set(content.decode().lower().split())
        elif way < 0.55:
            name, content = "lines swapped", changes.swapped_lines(path.read_bytes(), chance)
        elif way < 0.7:
            name, content = "a line less or twice", changes.line_removed_or_repeated(path.read_bytes(), chance)
            may_change = path.name == "input.nn"
        else:
            name = chance.choice(list(changes.BYTES))
            content, may_change = changes.BYTES[name](path.read_bytes(), chance), True
        path.write_bytes(content)
        return (name, may_change), lambda: results(folder, self.atoms), folder


class Data(Kind):
    """Training data in extended XYZ."""

    def make(self) -> None:
        """Write whole files."""
        import ase.io

        self.path = self.folder / "data.xyz"
        ase.io.write(self.path, alloys(3), format="extxyz")

    def whole(self) -> list[Any]:
        """What the whole file gives."""
        return [self._read(self.path)]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind; a number that is another cannot be told from the right one, but in a known dialect."""
        text = {"hostile words": changes.hostile_word, "lines swapped": changes.swapped_lines}
        ways = {**changes.BYTES, **text, "a line less or twice": changes.line_removed_or_repeated}
        name = chance.choice((*ways, "hostile words", "hostile words"))
        path = place / "data.xyz"
        if chance.random() < 0.4:
            known = {**dialects.HARMLESS, **dialects.REFUSED, **dialects.RANDOM}
            name = chance.choice(list(known))
            text_after = dialects.changed(self.path.read_text(), known[name], chance.randrange(3), chance)
            path.write_bytes(text_after.encode())
            return (name, name in dialects.RANDOM), lambda: self._read(path), path
        path.write_bytes(ways[name](self.path.read_bytes(), chance))
        return (name, True), lambda: self._read(path), path

    @staticmethod
    def _read(path: Path) -> Any:
        from nnpot.neighbors import single_batch

        structures = read_structures(path)
        numbers: list[float] = []
        for s in structures:
            batch = single_batch(s, 4.0)
            for values in (s.numbers, s.positions, s.cell, *s.labels.values(), batch.r_ij.sum()):
                numbers += values.double().flatten().tolist()
        return np.array(numbers)


SETTINGS: dict[str, Any] = {
    "potential": {
        "descriptor": {"class_path": "ACSF", "init_args": {"cutoff": 4.0, "g2": [[0.5, 0.0], [2.0, 1.5]]}},
        "hidden": [4, 3],
        "activation": "silu",
    },
    "data": {"validation": 0.25, "batch_size": 4},
    "loss": {"energy": 2.0, "forces": 1.0, "stress": 1.0},
    "optimizer": {"method": "adamw", "lr": 0.002, "schedule": "cosine", "ema": 0.0},
    "trainer": {"accelerator": "cpu", "devices": 1, "gradient_clip": 1.0, "dtype": "float32", "patience": 0},
    "seed": 0,
    "repulsion": "auto",
}

TAGS = (
    "!!python/object/apply:pathlib.Path.touch [{trap}]",
    "!!python/name:os.system",
    "!!python/object/new:fuzz_trap.Trap []",
    "!!python/module:fuzz_trap",
)
CLASSES = ("os.system", "subprocess.Popen", "this.s", "fuzz_trap.Trap", "fuzz_trap.Missing", "torch.nn.Linear", "ZBL")


def trained(arguments: Sequence[Any]) -> Any:
    """Run `nnpot train` without its pictures; numbers of the weights of the model."""
    with mock.patch("nnpot.commands.report.parity"), mock.patch("nnpot.commands.report.learning_curves"):
        main(["train", *map(str, arguments)])
    return np.zeros(1)


class Configurations(Kind):
    """Configurations of `nnpot train`."""

    def make(self) -> None:
        """Write the data of the trainings."""
        import ase.io

        self.data = self.folder / "data.xyz"
        ase.io.write(self.data, alloys(6), format="extxyz")

    def whole(self) -> list[Any]:
        """What a training gives."""
        return [np.zeros(1)]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind; a training is of one epoch, whatever the configuration says."""
        path, way = place / "c.yaml", chance.random()
        text = yaml.safe_dump(SETTINGS, sort_keys=False).encode()
        if way < 0.45:
            name, content = "values", yaml.safe_dump(changes.changed_value(SETTINGS, chance)).encode()
        elif way < 0.6:
            name, content = "hostile words", changes.hostile_word(text, chance)
        elif way < 0.7:
            name = "lines"
            content = chance.choice((changes.swapped_lines, changes.line_removed_or_repeated))(text, chance)
        elif way < 0.8:
            name, content = "classes and tags", self._harmful(text, chance, place)
        else:
            name = chance.choice(list(changes.BYTES))
            content = changes.BYTES[name](text, chance)
        path.write_bytes(content)
        fixed = [
            "--trainer.devices",
            1,
            "--trainer.max_epochs",
            1,
            "--trainer.validate_every",
            1,
            "--trainer.num_nodes",
            1,
        ]
        arguments = ["--config", path, "--data.train", self.data, "--out", place / "run", *fixed]
        return (name, True), lambda: trained(arguments), path

    @staticmethod
    def _harmful(text: bytes, chance: random.Random, place: Path) -> bytes:
        what = chance.choice(("class", "class", "tag", "bomb", "deep", "binary"))
        if what == "class":
            old = chance.choice((b"class_path: ACSF", b"activation: silu", b"method: adamw", b"potential:\n"))
            return text.replace(old, old.split(b":")[0] + b": " + chance.choice(CLASSES).encode() + b"\n", 1)
        if what == "tag":
            return text.replace(b"seed: 0", b"seed: " + chance.choice(TAGS).format(trap=place / TRAP).encode())
        if what == "bomb":
            levels = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}' if k else 'x'] * 9)}]" for k in range(10)]
            return "\n".join([*levels, "seed: *a9"]).encode() + b"\n" + text.replace(b"seed: 0\n", b"")
        return b"seed: " + b"[" * 5000 if what == "deep" else chance.randbytes(2000)


class Checkpoints(Kind):
    """Checkpoints from which a run goes on."""

    def make(self) -> None:
        """Train for two epochs."""
        import ase.io

        data, config = self.folder / "data.xyz", self.folder / "c.yaml"
        ase.io.write(data, alloys(6), format="extxyz")
        config.write_text(yaml.safe_dump({**SETTINGS, "optimizer": {"ema": "auto"}}))
        self.run = self.folder / "run"
        trained(["--config", config, "--data.train", data, "--out", self.run, "--trainer.max_epochs", 2])

    def whole(self) -> list[Any]:
        """What a run that goes on gives."""
        return [np.zeros(1)]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind; a run goes on for one more epoch."""
        run = Path(shutil.copytree(self.run, place / "run"))
        (run / "best.ckpt").unlink(missing_ok=True)
        path = run / "last.ckpt"
        content, way, seals = path.read_bytes(), chance.random(), chance.random() < 0.5
        if way < 0.5:
            name = chance.choice(list(changes.BYTES))
            new = changes.BYTES[name](content, chance)
        elif way < 0.6:
            name = "a pickle"
            new = chance.choice((self.trap(place), sealed(self.trap(place)), pickle.dumps(_Trap(place))))
        else:
            name = f"content, {'sealed anew' if seals else 'not sealed'}"
            buffer = io.BytesIO()
            torch.save(_changed_checkpoint(torch.load(path, weights_only=True), chance), buffer)
            new = sealed(buffer.getvalue()) if seals else buffer.getvalue()
        path.write_bytes(new)
        may_change = name.endswith("anew") or new == content
        use = trained if may_change else self._resumed
        return (name, may_change), lambda: use(["--resume", run, "--trainer.max_epochs", 3]), path

    def _resumed(self, arguments: Sequence[Any]) -> Any:
        model = arguments[1] / "model.nnpot"
        before = model.read_bytes()
        try:
            return trained(arguments)
        except BaseException:
            if model.read_bytes() != before:
                raise AssertionError("the model was written although the checkpoint cannot be used") from None
            raise


def _changed_checkpoint(content: Any, chance: random.Random) -> Any:
    """A part is missing or another."""
    if chance.random() < 0.3:
        weights = content["state_dict"]
        name = chance.choice(list(weights))
        weights[name] = _hostile(weights[name], chance)
        return content
    return changes.changed_value(content, chance)


class Packages(Kind):
    """Packages of machine code; this itself is not changed behind the back of the checksum: it may do anything."""

    def make(self) -> None:
        """Compile one, half a minute."""
        torch.manual_seed(0)
        acsf = ACSF(4.0, ELEMENTS, g2=((0.5, 0.0), (2.0, 1.5)))
        energies = {"Cu": -3.5, "Au": -3.2}
        self.path = aot.write(NeuralNetworkPotential(acsf, (4, 3), atomic_energies=energies), self.folder / "model.pt2")
        self.atoms = alloys(2)[1]

    def whole(self) -> list[Any]:
        """What the whole package gives."""
        return [results(self.path, self.atoms)]

    def mutate(self, chance: random.Random, place: Path) -> tuple[Made, Callable[[], Any], Path]:
        """As of every kind."""
        path, way, content = place / "model.pt2", chance.random(), self.path.read_bytes()
        if way < 0.6:
            name = chance.choice(list(changes.BYTES))
            new = changes.BYTES[name](content, chance)
        elif way < 0.65:
            name, new = "a pickle", sealed(self.trap(place))
        else:
            name, new = self._packed_anew(chance)
        path.write_bytes(new)
        return (name, name.startswith("metadata")), lambda: results(path, self.atoms), path

    def _packed_anew(self, chance: random.Random) -> tuple[str, bytes]:
        what = chance.choice(("metadata", "metadata", "members outside", "a member less", "a bomb"))
        buffer = io.BytesIO()
        with zipfile.ZipFile(self.path) as source, zipfile.ZipFile(buffer, "w") as target:
            names = source.namelist()
            lost = chance.choice(names) if what == "a member less" else ""
            for name in names:
                content = source.read(name)
                if what == "metadata" and name.endswith("_metadata.json"):
                    content = json.dumps(changes.changed_value(json.loads(content), chance)).encode()
                if name != lost:
                    target.writestr(name, content)
            if what == "members outside":
                outside = ("../out", "/tmp/fuzz-out", "1/../../out", "1\\..\\out", "C:/out", "1/data/../../../out")
                target.writestr(chance.choice(outside), b"outside")
            if what == "a bomb":
                target.writestr("1/zeros", bytes(50_000_000), compress_type=zipfile.ZIP_DEFLATED)
        return f"{what}, sealed anew", sealed(buffer.getvalue())


KINDS: dict[str, type[Kind]] = {
    "models": Models,
    "n2p2": Folders,
    "configurations": Configurations,
    "data": Data,
    "checkpoints": Checkpoints,
    "packages": Packages,
}
