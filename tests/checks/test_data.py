"""Each line on data finds the fault that it is for, and says nothing of a good model."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from systems import POTENTIALS, SYSTEMS, rattled

from nnpot.calibration import calibrated
from nnpot.checks import Line, NotLooked, Status, Subject
from nnpot.checks.data import BEYOND, ELEMENT, ERRORS, EXPECTED, FRAME, TYPE, USED_BEYOND, data
from nnpot.checks.line import NO_GRADE
from nnpot.fingerprints import Role
from nnpot.potential import Potential
from nnpot.structure import Structure


def model() -> Potential:
    return POTENTIALS["ACSF cosine"]().double()


def labelled(n: int = 12) -> list[Structure]:
    """Structures with the labels that the model itself gives, and a little noise."""
    noise, found = np.random.default_rng(0), []
    for seed in range(n):
        one = Structure.from_ase(rattled(SYSTEMS["alloy"](), seed=seed), name=f"train.xyz, frame {seed}")
        said = model().predict(one)
        forces = said.forces.numpy() + noise.normal(scale=1e-3, size=(len(one), 3))
        one = one.with_labels(energy=float(said.energy), forces=forces, stress=said.stress[0])
        found.append(replace(one, group=("a", "b", "c")[seed % 3]))
    return found


def lines_of(potential: Potential, structures: list[Structure]) -> dict[str, Line]:
    found = data(Subject(potential, tuple(structures), tuple(structures)))
    return {line.name: line for line in found if isinstance(line, Line)}


def test_a_good_model_passes() -> None:
    lines = lines_of(model(), labelled())
    names = {"energy error / spread", "force error / spread", "stress error / spread", ELEMENT, TYPE, FRAME}
    assert set(lines) == names
    assert {line.status for line in lines.values()} == {Status.PASSED}, lines


@pytest.mark.parametrize(
    ("role", "why"),
    [
        ("training", "the model was trained on these structures"),
        ("validation", "its error bars were made to agree with these structures"),
    ],
)
def test_errors_of_structures_that_are_known_are_not_compared_with_what_is_expected_of_new_ones(
    role: Role, why: str
) -> None:
    noisy = [s.with_labels(energy=float(s.energy) + 1e-3 * (k % 3 - 1)) for k, s in enumerate(labelled())]
    known = calibrated(model(), noisy, noisy)
    found = [*data(Subject(known, tuple(labelled()), tuple(labelled()), role=role))]
    assert not [line for line in found if isinstance(line, Line) and EXPECTED in line.name]
    assert [gap.why.split(";")[0] for gap in found if isinstance(gap, NotLooked) and gap.name == EXPECTED] == [why]
    assert BEYOND in {line.name for line in found}


def test_single_atoms_alone_are_looked_at_as_well() -> None:
    noisy = [s.with_labels(energy=float(s.energy) + 1e-3 * (k % 3 - 1)) for k, s in enumerate(labelled())]
    alone = Structure.from_ase(Atoms("Cu"), name="atom.xyz, frame 0")
    found = {one.name: one for one in data(Subject(calibrated(model(), noisy, noisy), (alone,), (alone,)))}
    line, gap = found[BEYOND], found[ERRORS]
    assert isinstance(line, Line)
    assert line.status == Status.LOOK
    assert line.sentence.startswith("1 of 1 atoms of atom.xyz are beyond the training data (γ > 1), the farthest in")
    assert isinstance(gap, NotLooked)
    assert gap.why == "there are single atoms alone in atom.xyz"


def test_a_model_that_knows_its_errors_is_compared_with_them() -> None:
    noisy = [s.with_labels(energy=float(s.energy) + 1e-3 * (k % 3 - 1)) for k, s in enumerate(labelled())]
    known = calibrated(model(), noisy, noisy)
    lines = lines_of(known, noisy)
    found = [lines[f"{name}: {EXPECTED}"] for name in ("energy", "forces")]
    assert {line.status for line in [*found, lines[BEYOND]]} == {Status.PASSED}
    assert found[0].figure == pytest.approx(1.0, rel=1e-3)
    others = [s.with_labels(forces=s.forces + 0.05) for s in labelled()]
    line = lines_of(known, labelled())[f"energy: {EXPECTED}"]
    assert line.status == Status.LOOK
    assert line.figure < 0.5
    assert line.wanted == "0.5 … 2"
    line = lines_of(known, others)[f"forces: {EXPECTED}"]
    assert line.status == Status.LOOK
    assert "times what the model expects" in line.sentence
    squeezed = [Structure.from_ase(s.to_ase()) for s in labelled(3)]
    far = [replace(s, positions=0.8 * s.positions, cell=0.8 * s.cell).with_labels(energy=0.0) for s in squeezed]
    assert lines_of(known, far)[BEYOND].status == Status.LOOK


def squeezed(*, labels: bool, name: str = "far.xyz") -> list[Structure]:
    found = []
    for k, one in enumerate(labelled(3)):
        scale = 1.0 - 0.1 * k
        far = Structure.from_ase(one.to_ase(), f"{name}, frame {k}")
        found.append(replace(far, positions=scale * far.positions, cell=scale * far.cell, labels={}))
    return [s.with_labels(energy=0.0, forces=np.zeros((len(s), 3))) for s in found] if labels else found


@pytest.mark.parametrize("labels", [False, True])
def test_atoms_beyond_the_training_data_are_seen_with_and_without_labels(labels: bool) -> None:
    known, near = calibrated(model(), labelled(), labelled()), labelled(4)
    for structures, of_data, name in (
        ((), squeezed(labels=labels), BEYOND),
        (squeezed(labels=labels), near, USED_BEYOND),
    ):
        found = list(data(Subject(known, tuple(structures or of_data), tuple(of_data))))
        line = next(one for one in found if isinstance(one, Line) and one.name == name)
        assert line.status == Status.LOOK
        assert line.bars == "structures like those of far.xyz"
        n = sum(int((known.float().predict(s).extrapolation > 1).sum()) for s in squeezed(labels=False))
        known.double()
        assert line.sentence.startswith(
            f"{n} of 12 atoms of far.xyz are beyond the training data (γ > 1), the farthest in"
        )
        assert "far.xyz, frame 2 with γ = " in line.sentence
        (farthest,) = (one for one in found if one.name == f"{name}: the farthest")
        assert isinstance(farthest, Line)
        assert (farthest.status, farthest.limit) == (Status.LOOK, 20.0)
        assert "far.xyz, frame 2 has γ = " in farthest.sentence
        other = [one for one in found if isinstance(one, Line) and BEYOND in one.name and name not in one.name]
        assert [one.status for one in other] == [Status.PASSED] * len(structures[:1])


def test_a_model_that_knows_its_errors_needs_labels_to_compare() -> None:
    known, bare = calibrated(model(), labelled(), labelled()), squeezed(labels=False)
    found = list(data(Subject(known, tuple(bare), tuple(bare))))
    gaps = {one.name: one.why for one in found if isinstance(one, NotLooked)}
    assert gaps == dict.fromkeys(("errors", EXPECTED), "there are no labels in far.xyz")
    gaps = {one.name: one.why for one in data(Subject(model(), tuple(bare), tuple(bare))) if isinstance(one, NotLooked)}
    assert gaps.keys() == {"errors", EXPECTED, BEYOND}
    assert gaps[BEYOND] == NO_GRADE


def test_scrambled_weights_of_one_element_are_found() -> None:
    scrambled = copy.deepcopy(model())
    with torch.no_grad():
        place = scrambled.elements.index("Cu")
        for weight in (*scrambled.networks[place].parameters(), *scrambled.linear[place].parameters()):
            weight.copy_(weight.flatten()[torch.randperm(weight.numel())].view_as(weight))
    line = lines_of(scrambled, labelled())[ELEMENT]
    assert line.status > Status.PASSED
    assert "on Au" in line.sentence or "on Cu" in line.sentence


def test_a_wrong_structure_is_named() -> None:
    structures = labelled()
    structures[4] = structures[4].with_labels(forces=structures[4].forces + 0.3)
    line = lines_of(model(), structures)[FRAME]
    assert line.status == Status.LOOK
    assert "train.xyz, frame 4" in line.sentence


def test_a_wrong_type_is_named() -> None:
    structures = [s.with_labels(forces=s.forces + 0.05 * (s.group == "b")) for s in labelled()]
    line = lines_of(model(), structures)[TYPE]
    assert line.status == Status.LOOK
    assert "on b " in line.sentence


def test_a_model_that_knows_no_better_than_the_mean_has_failed() -> None:
    noise = np.random.default_rng(1)
    structures = [s.with_labels(forces=noise.normal(scale=0.1, size=(4, 3))) for s in labelled()]
    assert lines_of(model(), structures)["force error / spread"].status == Status.FAILED


def test_only_some_structures_are_looked_at_where_time_is_short() -> None:
    structures = labelled()
    structures[1] = structures[1].with_labels(forces=structures[1].forces + 0.3)
    found = data(Subject(model(), tuple(structures), tuple(structures)), most_structures=6)
    assert all(line.status == Status.PASSED for line in found if isinstance(line, Line))


def test_without_labels_it_says_so() -> None:
    assert [type(one) for one in data(Subject(model()))] == [NotLooked]


@pytest.mark.parametrize("element", ["Ni"])
def test_structures_of_other_elements_are_left_out(element: str) -> None:
    atoms = SYSTEMS["alloy"]()
    atoms.symbols[:] = element
    other = Structure.from_ase(atoms).with_labels(energy=1.0, forces=np.zeros((4, 3)))
    assert all(line.status == Status.PASSED for line in lines_of(model(), [*labelled(), other]).values())
