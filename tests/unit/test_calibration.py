"""The uncertainty of a trained potential agrees with the errors of structures that it was not trained on."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from ase.build import bulk
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot import Structure
from nnpot.calibration import FEWEST, OUTSIDE, REGULAR, Hidden, Typical, calibrated
from nnpot.committee import Committee
from nnpot.functional.clusters import Clusters
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential, SumPotential
from nnpot.prediction import Prediction
from nnpot.repulsion import ZBL

ELEMENTS = ("Cu", "Au")


@cache
def potential() -> NeuralNetworkPotential:
    return network_potential(acsf(ELEMENTS))


@cache
def structures(n: int, seed: int) -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(n, seed)]


def learned(potential: Potential) -> list[Structure]:
    """Training structures whose energies and stresses a potential has learned without an error."""
    told = potential.predict(list(structures(20, 0)))
    return [
        s.with_labels(energy=float(p.energy), stress=p.stress[0].double())
        for s, p in zip(structures(20, 0), told, strict=True)
    ]


@cache
def result() -> NeuralNetworkPotential:
    new = calibrated(potential(), learned(potential()), structures(12, 7))
    assert isinstance(new, NeuralNetworkPotential)
    return new


def ratio(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Root mean square error, relative to that which is expected."""
    return float(torch.cat(found).square().mean().sqrt() / torch.cat(expected).square().mean().sqrt())


def test_energies_and_stresses_of_unseen_structures_are_off_by_what_is_expected() -> None:
    told = [(s, result().predict(s)) for s in structures(12, 7)]
    errors = [p.energy - s.labels["energy"] for s, p in told]
    assert ratio(errors, [p.energy_uncertainty for _, p in told]) == pytest.approx(1, rel=1e-9)
    stresses = [(p.stress[0] - s.labels["stress"]) * s.cell.det() for s, p in told]
    expected = [p.stress_uncertainty.repeat(6) * s.cell.det() for s, p in told]
    assert ratio(stresses, expected) == pytest.approx(1, rel=1e-9)


def test_energies_are_off_by_no_less_than_those_that_were_trained_on() -> None:
    # as where few unseen structures hold none of a rare kind
    known, lucky = off(structures(20, 0), 2.0, 1.0), off(structures(12, 7), 1e-3, 1.0)
    new = calibrated(potential(), known, lucky)
    errors, expected = (
        torch.stack(x)
        for x in zip(
            *((p.energy - s.energy, p.energy_uncertainty) for s, p in zip(known, new.predict(known), strict=True)),
            strict=True,
        )
    )
    assert ratio([errors], [expected]) == pytest.approx(1, rel=1e-4)  # a hundredth of twenty is none
    forces = [
        (p.forces_uncertainty, q.forces_uncertainty)
        for p, q in zip(new.predict(lucky), result().predict(lucky), strict=True)
    ]
    torch.testing.assert_close(*map(torch.cat, zip(*forces, strict=True)))


def test_stresses_are_off_by_no_less_than_those_that_were_trained_on() -> None:
    known, predicted = structures(20, 0), result().predict(structures(12, 7))
    lucky = [s.with_labels(stress=p.stress[0] + 1e-6) for s, p in zip(structures(12, 7), predicted, strict=True)]
    told = [(s, p) for s, p in zip(known, calibrated(potential(), known, lucky).predict(known), strict=True)]
    errors = [(p.stress[0] - s.labels["stress"]) * s.cell.det() for s, p in told]
    expected = [p.stress_uncertainty.repeat(6) * s.cell.det() for s, p in told]
    assert ratio(errors, expected) == pytest.approx(1, rel=1e-9)  # a hundredth of twenty is none
    without = [s.with_labels(stress=None) for s in lucky]
    assert float(calibrated(potential(), known, without).uncertainty.virial.abs().max()) == 0.0  # nobody knows


def test_stresses_that_are_wrong_in_a_hundredth_of_the_training_structures_do_not_count() -> None:
    known = [s.with_labels(stress=p.stress[0]) for s, p in zip(*_told(structures(100, 0)), strict=True)]
    unseen = [s.with_labels(stress=p.stress[0] + 1e-3) for s, p in zip(*_told(structures(12, 7)), strict=True)]
    wrong = [known[0].with_labels(stress=20 * known[0].labels["stress"] + 1.0), *known[1:]]
    of_both = [calibrated(potential(), k, unseen) for k in (known, wrong)]
    first, second = (new.predict(known[3]).stress_uncertainty for new in of_both)
    torch.testing.assert_close(first, second)


def _told(structures: list[Structure]) -> tuple[list[Structure], list[Prediction]]:
    return structures, potential().predict(list(structures))


def off(structures: list[Structure], energy: float, force: float) -> list[Structure]:
    """The same with labels that are off by so many times what `result` expects."""
    labelled = []
    for s in structures:
        p = result().predict(s)
        forces = p.forces.clone()
        forces[:, 0] += force * p.forces_uncertainty
        labelled.append(s.with_labels(energy=float(p.energy + energy * p.energy_uncertainty), forces=forces.double()))
    return labelled


@pytest.mark.parametrize("copies", [1, 10])
def test_few_energies_without_an_error_are_not_believed_where_forces_are_worse_than_those_of_training(
    copies: int,
) -> None:
    known, lucky = off(structures(20, 0), 2.0, 1.0), copies * off(structures(12, 7), 0.1, 5.0)
    new = calibrated(potential(), known, lucky)
    weight = (6 / len(lucky)) / (6 / len(lucky) + 0.4**2)
    wanted = max(0.1 * (2.0 * 5.0 / 0.1) ** weight, 2.0)  # energies are 0.1 by themselves, 10 by the growth of forces
    for s in structures(12, 7)[:3]:
        ours, theirs = new.predict(s), result().predict(s)
        assert float(ours.energy_uncertainty / theirs.energy_uncertainty) == pytest.approx(wanted, rel=1e-4)
        torch.testing.assert_close(ours.forces_uncertainty, 5 * theirs.forces_uncertainty, rtol=1e-4, atol=0)


def test_forces_on_atoms_beyond_the_edge_do_not_decide_of_all() -> None:
    unseen = off(structures(12, 7), 1.0, 1.0)
    squeezed = [Structure(s.numbers, 0.6 * s.positions, 0.6 * s.cell, s.pbc) for s in structures(12, 7)[:2]]
    assert all(float(p.extrapolation.min()) > 1 for p in result().predict(squeezed))
    new = calibrated(potential(), structures(20, 0), [*unseen, *off(squeezed, 0.0, 100.0)])
    told = new.predict(unseen)
    within = torch.cat([p.extrapolation for p in told]) <= 1
    off_by = torch.cat([(s.labels["forces"] - p.forces).norm(dim=1) for s, p in zip(unseen, told, strict=True)])
    assert ratio([off_by[within]], [torch.cat([p.forces_uncertainty for p in told])[within]]) == pytest.approx(1, 0.05)
    assert result().uncertainty is not None
    assert (result().uncertainty.least_weight, result().uncertainty.force_exponent) == (0.2, 0.25)
    beyond = calibrated(potential(), structures(20, 0), 3 * off(squeezed, 0.0, 100.0))  # there are no others
    assert float(beyond.predict(unseen[0]).forces_uncertainty.min() / told[0].forces_uncertainty.min()) > 20


def test_where_training_structures_are_not_known_each_is_judged_by_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.at_least", lambda factors, seen: factors)  # of a twin: these were trained on
    new = calibrated(potential(), (), structures(12, 7))
    errors = Typical.of(potential(), structures(12, 7))
    wanted = calibrated(potential(), structures(12, 7), structures(12, 7), errors)
    for ours, theirs in zip(*(p.predict(structures(4, 9)) for p in (new, wanted)), strict=True):
        for name in ("energy_uncertainty", "forces_uncertainty", "stress_uncertainty", "extrapolation"):
            assert torch.equal(ours[name], theirs[name])
    known = calibrated(potential(), structures(12, 7), structures(12, 7))  # by a covariance that holds them
    ratios = [k["energy_uncertainty"] / n["energy_uncertainty"] for k, n in
              zip(*(p.predict(structures(4, 9)) for p in (known, new)), strict=True)]  # fmt: skip
    assert min(ratios) > 1.2


def test_a_twin_judges_elements_with_few_atoms_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.ENOUGH", 10_000)
    errors = Typical.of(potential(), structures(12, 7))
    assert errors.forces["Cu"] == errors.forces["Au"]
    uncertainty = calibrated(potential(), structures(12, 7), structures(12, 7), errors).uncertainty
    assert uncertainty is not None
    assert float(uncertainty.force[0]) == pytest.approx(float(uncertainty.force[1]))


def relative_to_energies_off_by(of_known: float, of_unseen: float) -> float:
    """Error bar of energies, relative to what `result` expects; forces are off alike in both."""
    new = calibrated(potential(), off(structures(20, 0), of_known, 1.0), off(structures(12, 7), of_unseen, 1.0))
    s = structures(12, 7)[0]
    return float(new.predict(s).energy_uncertainty / result().predict(s).energy_uncertainty)


def test_few_energies_that_are_worse_than_their_forces_say_are_averaged_alike() -> None:
    weight = (6 / 12) / (6 / 12 + 0.4**2)
    assert relative_to_energies_off_by(1.0, 3.0) == pytest.approx(3.0 ** (1 - weight), rel=1e-4)
    assert relative_to_energies_off_by(1.0, 9.9) == pytest.approx(9.9 ** (1 - weight), rel=1e-4)


@pytest.mark.parametrize(("of_forces", "wanted"), [(5.0, 0.1), (1.25, 2.0 / 1.25)])
def test_training_structures_that_are_fewer_than_weights_widen_no_error_bars(of_forces: float, wanted: float) -> None:
    """Their covariance knows each of them, so that their forces, too, are off by more than it expects."""
    new = calibrated(potential(), off(structures(20, 0), 2.0, of_forces), off(structures(12, 7), 0.1, 1.0))
    s = structures(12, 7)[0]
    assert float(new.predict(s).energy_uncertainty / result().predict(s).energy_uncertainty) == pytest.approx(
        wanted, rel=1e-4
    )


def test_energies_that_were_learned_by_heart_say_nothing() -> None:
    assert relative_to_energies_off_by(1.0, 10.1) == pytest.approx(10.1, rel=1e-4)
    assert relative_to_energies_off_by(1e-6, 2.0) == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(("large", "small"), [(2.0, 0.5), (0.5, 2.0)])
def test_energies_of_structures_and_those_per_atom_are_off_by_no_more_than_is_expected(
    large: float, small: float
) -> None:
    doubled = [Structure.from_ase(atoms.repeat((2, 1, 1))) for atoms in labelled_alloys(12, 7)]
    judges = [*off(doubled, large, 1.0), *off(structures(12, 7), small, 1.0)]
    new = calibrated(potential(), [s.with_labels(energy=None) for s in structures(20, 0)], judges)
    told = [(s, new.predict(s)) for s in judges]
    errors = [p.energy - s.labels["energy"] for s, p in told]
    expected = [p.energy_uncertainty for _, p in told]
    whole = ratio(errors, expected)
    per_atom = ratio(*([x / len(s) for x, (s, _) in zip(xs, told, strict=True)] for xs in (errors, expected)))
    assert max(whole, per_atom) == pytest.approx(1, rel=1e-9)
    assert (whole > per_atom) == (large > small)
    assert abs(whole - per_atom) > 0.05


def test_a_wrong_label_among_many_does_not_count() -> None:
    known = [*structures(20, 0) * 5, structures(20, 0)[0].with_labels(energy=1e6)]
    ours, theirs = (calibrated(potential(), some, structures(12, 7)) for some in (known, known[:-1]))
    s = structures(12, 7)[0]
    assert float(ours.predict(s).energy_uncertainty) == pytest.approx(
        float(theirs.predict(s).energy_uncertainty), rel=0.5
    )  # clusters are others as well


@pytest.mark.parametrize("element", ELEMENTS)
def test_so_are_the_forces_on_each_element(element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.ENOUGH", 2)
    new = calibrated(potential(), structures(20, 0), structures(12, 7))
    errors, expected = [], []
    for s in structures(12, 7):
        prediction = new.predict(s)
        own = (s.numbers == {"Cu": 29, "Au": 79}[element]) & (prediction.extrapolation <= 1)
        errors.append((prediction.forces - s.labels["forces"]).norm(dim=1)[own])
        expected.append(prediction.forces_uncertainty[own])
    assert ratio(errors, expected) == pytest.approx(1, rel=1e-9)


def test_the_covariance_is_that_of_the_last_layer() -> None:
    uncertainty, hidden = result().uncertainty, Hidden.of(potential(), structures(20, 0))
    assert uncertainty is not None
    factors = []
    for s in range(2):
        own = hidden.augmented[hidden.species == s]
        gram = own.T @ own
        inverse = np.linalg.inv(gram + REGULAR * np.trace(gram) / len(gram) * np.eye(len(gram)))
        root = uncertainty.root[s].numpy()
        factors.append(np.sum(root.T @ root * inverse) / np.sum(inverse**2))
        np.testing.assert_allclose(root.T @ root, factors[-1] * inverse, rtol=1e-6, atol=1e-9 * inverse.max())
    assert factors[0] == pytest.approx(factors[1], rel=1e-9)


def left_out(known: list[Structure], n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares that the covariance of the other structures expects of the first n energies, and of their atoms."""
    hidden = Hidden.of(potential(), known)
    energies, atoms, weights = np.zeros(n), np.zeros(len(hidden.species)), np.zeros(len(hidden.species))
    for s in range(2):
        own = hidden.species == s
        points, fold = hidden.values[own], np.unique(hidden.structure[own], return_inverse=True)[1] % 5
        grades = np.zeros(len(points))
        for k in range(5):
            grades[fold == k] = Clusters.of(points[fold != k], 32, 6).distances(points[fold == k])
        weights[own] = (grades / np.quantile(grades, 0.998)).clip(0.2, 1.0)
    for k in range(n):
        for s in range(2):
            x = hidden.augmented[(hidden.species == s) & (hidden.structure != k)]
            size = np.sum(hidden.augmented[hidden.species == s] ** 2) / x.shape[1]
            covariance = np.linalg.inv(x.T @ x + REGULAR * size * np.eye(x.shape[1]))
            own = (hidden.species == s) & (hidden.structure == k)
            h = hidden.augmented[own]
            energies[k] += weights[own] @ h @ covariance @ h.T @ weights[own]
            atoms[own] = np.einsum("ia,ab,ib->i", h, covariance, h)
    chosen = hidden.structure < n
    return energies, atoms[chosen], hidden.species[chosen]


def test_errors_of_a_twin_are_expected_of_what_is_left_out() -> None:
    known = learned(potential())
    judges = known[:6]
    errors = Typical(0.3, {"Cu": 0.2, "Au": 0.7}, 0.4)
    new = calibrated(potential(), known, judges, errors)
    told = new.predict(judges[0])
    energies, atoms, species = left_out(known, 6)
    unscaled = calibrated(potential(), known, judges)
    before = unscaled.predict(judges[0])
    factor = 0.3 / np.sqrt(energies.mean())
    assert new.uncertainty is not None
    assert unscaled.uncertainty is not None
    plain = unscaled.uncertainty.root[0].norm() / new.uncertainty.root[0].norm()
    assert float(before.energy_uncertainty / told.energy_uncertainty) == pytest.approx(float(plain), rel=1e-6)
    wanted = result_root(Hidden.of(potential(), known), 0) * factor
    np.testing.assert_allclose(new.uncertainty.root[0].numpy(), wanted, rtol=1e-5, atol=1e-8 * np.abs(wanted).max())
    of_cu = 0.2 / np.sqrt(np.mean(atoms[species == 0]))
    assert float(new.uncertainty.force[0]) == pytest.approx(of_cu / factor, rel=1e-5)
    assert float(new.uncertainty.virial) == pytest.approx(0.4 / 0.3, rel=1e-6)


def test_few_energies_of_a_twin_are_not_believed_where_its_forces_are_worse_than_those_of_training() -> None:
    known = off(structures(20, 0), 2.0, 1.0)
    errors = Typical(1.0, {"Cu": 20.0, "Au": 70.0}, 0.4)
    new = calibrated(potential(), known, known[:6], errors)
    seen = Typical.of(potential(), known)
    (energies, atoms, species), (every_energy, every_atom, every_species) = left_out(known, 6), left_out(known, 20)
    growth = []
    for s, element in enumerate(ELEMENTS):
        of_unseen = errors.forces[element] / np.sqrt(np.mean(atoms[species == s]))
        growth.append(of_unseen / (seen.forces[element] / np.sqrt(np.mean(every_atom[every_species == s]))))
    by_forces = seen.energy / np.sqrt(every_energy.mean()) * np.sqrt(growth[0] * growth[1])
    by_energies = errors.energy / np.sqrt(energies.mean())
    weight = (6 / 6) / (6 / 6 + 0.4**2)
    wanted = by_energies ** (1 - weight) * by_forces**weight
    assert wanted > seen.energy / np.sqrt(every_energy.mean())
    root = result_root(Hidden.of(potential(), known), 0) * wanted
    assert new.uncertainty is not None
    np.testing.assert_allclose(new.uncertainty.root[0].numpy(), root, rtol=1e-4, atol=1e-8 * np.abs(root).max())


def test_a_twin_leaves_energies_and_stresses_that_were_trained_on_no_worse_than_expected() -> None:
    known = off(structures(20, 0), 2.0, 1.0)
    new = calibrated(potential(), known, known[:6], Typical(1e-3, {"Cu": 0.02, "Au": 0.02}, 1e-3))
    told = [(s, new.predict(s)) for s in known]
    energies = [float(p.energy - s.labels["energy"]) for s, p in told]
    assert (
        ratio([torch.tensor(energies)], [p.energy_uncertainty for _, p in told]) <= 1.02
    )  # but for the worst hundredth
    volumes = [float(s.cell.det()) for s, _ in told]
    virials = [(p.stress[0] - s.labels["stress"]) * v for (s, p), v in zip(told, volumes, strict=True)]
    expected = [(p["stress_uncertainty"] * v).expand(6) for (_, p), v in zip(told, volumes, strict=True)]
    assert ratio(virials, expected) <= 1.1


def test_where_atoms_are_fewer_than_weights_training_energies_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    known = off(structures(20, 0), 2.0, 1.0)
    errors = Typical(1e-3, {"Cu": 0.02, "Au": 0.02}, 1e-3)
    n_weights = Hidden.of(potential(), known).augmented.shape[1]
    n_atoms = min(int(sum((s.numbers == z).sum() for s in known)) for z in (29, 79))
    both = []
    for many in (n_atoms // n_weights, n_atoms // n_weights + 1):
        monkeypatch.setattr("nnpot.calibration.MANY_ATOMS", many)
        both.append(float(calibrated(potential(), known, known[:6], errors).predict(known[0]).energy_uncertainty))
    assert both[0] > 2 * both[1]


def result_root(hidden: Hidden, s: int) -> np.ndarray:
    """R of an element before it is scaled."""
    own = hidden.augmented[hidden.species == s]
    gram = own.T @ own
    regular = REGULAR * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.inv(np.linalg.cholesky(gram + regular))


def test_typical_errors_are_root_mean_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.ENOUGH", 2)
    found, told = Typical.of(potential(), structures(12, 7)), potential().predict(list(structures(12, 7)))
    energies = [float(p.energy - s.labels["energy"]) for s, p in zip(structures(12, 7), told, strict=True)]
    assert found.energy == pytest.approx(float(np.sqrt(np.mean(np.square(energies)))), rel=1e-9)
    gold = torch.cat(
        [
            (p.forces - s.labels["forces"]).norm(dim=1)[s.numbers == 79]
            for s, p in zip(structures(12, 7), told, strict=True)
        ]
    )
    assert found.forces["Au"] == pytest.approx(float(gold.square().mean().sqrt()), rel=1e-9)
    assert found.virial > 0


def test_a_committee_is_off_by_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.ENOUGH", 2)
    members = [network_potential(acsf(ELEMENTS), seed) for seed in (1, 2, 3)]
    committee = calibrated(Committee(members), structures(20, 0), structures(12, 7))
    told = [(s, committee.predict(s)) for s in structures(12, 7)]
    volumes = [s.cell.det() for s, _ in told]
    pairs = {
        "energy": ([p.energy - s.labels["energy"] for s, p in told], [p.energy_uncertainty for _, p in told]),
        "stress": (
            [(p.stress[0] - s.labels["stress"]) * v for (s, p), v in zip(told, volumes, strict=True)],
            [p.stress_uncertainty.repeat(6) * v for (_, p), v in zip(told, volumes, strict=True)],
        ),
    } | {
        f"forces on {number}": (
            [(p.forces - s.labels["forces"]).norm(dim=1)[s.numbers == number] for s, p in told],
            [p.forces_uncertainty[s.numbers == number] for s, p in told],
        )
        for number in (29, 79)
    }
    assert {name: ratio(*both) for name, both in pairs.items()} == pytest.approx(dict.fromkeys(pairs, 1.0), rel=1e-9)
    of_members = [calibrated(m, structures(20, 0), structures(12, 7)) for m in members]
    again = calibrated(Committee(of_members), (), structures(12, 7)).predict(structures(1, 0)[0])
    torch.testing.assert_close(again.extrapolation, committee.predict(structures(1, 0)[0]).extrapolation)


def test_few_atoms_of_unseen_structures_are_beyond_the_edge_and_what_is_far_away_is() -> None:
    grades = torch.cat([result().predict(s).extrapolation for s in structures(40, 3)])
    assert float((grades > 1).double().mean()) < 0.05  # of 20 structures there are more than of many
    assert float(grades.median()) > 0.05
    squeezed = labelled_alloys(1, 0)[0]
    squeezed.set_cell(0.8 * squeezed.cell.array, scale_atoms=True)
    assert float(result().predict(squeezed).extrapolation.max()) > 1
    assert OUTSIDE == 0.002


@pytest.mark.parametrize("farther", [1.0, 30.0])
def test_two_of_a_thousand_training_atoms_are_beyond_the_edge_whatever_clusters_there_are(
    farther: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = structures(60, 0)
    found, per_element = Clusters.of, {int(sum((s.numbers == z).sum() for s in known)) for z in (29, 79)}

    def of(points: np.ndarray, *sizes: int) -> Clusters:
        """Those of all atoms of an element have the atoms farther away than those of parts of them have."""
        return found(points, *sizes).scaled(farther if len(points) in per_element else 1.0)

    monkeypatch.setattr(Clusters, "of", of)
    model = calibrated(potential(), known, structures(12, 7))
    for z in (29, 79):
        grades = torch.cat([model.predict(s).extrapolation[s.numbers == z] for s in known])
        assert float((grades > 1).double().mean()) <= OUTSIDE + 1 / len(grades)


def test_it_is_the_same_beside_a_repulsion() -> None:
    whole = SumPotential(potential(), ZBL(ELEMENTS))
    new = calibrated(whole, learned(whole), structures(12, 7))
    assert isinstance(new, SumPotential)
    told = [(s, new.predict(s)) for s in structures(12, 7)]
    errors = [p.energy - s.labels["energy"] for s, p in told]
    assert ratio(errors, [p.energy_uncertainty for _, p in told]) == pytest.approx(1, rel=1e-9)
    assert torch.equal(told[0][1].forces, whole.predict(told[0][0]).forces)


def test_a_twin_gives_the_same_beside_a_repulsion() -> None:
    known, errors = off(structures(20, 0), 2.0, 1.0), Typical(1.0, {"Cu": 20.0, "Au": 70.0}, 0.4)
    repulsion, with_it = ZBL(ELEMENTS), []
    for s in known:
        p = repulsion.predict(s)
        with_it.append(s.with_labels(energy=s.energy + float(p.energy), forces=s.labels["forces"] + p.forces.double()))
    assert float(repulsion.predict(known[0]).energy) > 0.01
    alone = calibrated(potential(), known, known[:6], errors)
    new = calibrated(SumPotential(potential(), repulsion), with_it, with_it[:6], errors)
    assert isinstance(alone, NeuralNetworkPotential)
    assert isinstance(new, SumPotential)
    assert isinstance(new.first, NeuralNetworkPotential)
    assert alone.uncertainty is not None
    assert new.first.uncertainty is not None
    torch.testing.assert_close(new.first.uncertainty.root, alone.uncertainty.root, rtol=1e-6, atol=1e-9)


def test_an_element_that_no_training_structure_has_is_beyond_everything() -> None:
    wide = network_potential(acsf(("Cu", "Au", "Ag")))
    new, atoms = calibrated(wide, structures(20, 0), structures(12, 7)), labelled_alloys(1, 0)[0]
    atoms.symbols[0] = "Ag"
    assert float(new.predict(atoms).extrapolation[0]) > 1e5


def test_atoms_that_are_all_alike_leave_finite_numbers() -> None:
    same = Structure.from_ase(bulk("CuAu", "cesiumchloride", a=3.0))
    new = calibrated(potential(), [same] * 8, structures(12, 7))
    assert all(bool(torch.isfinite(x).all()) for x in new.state_dict().values())
    assert (
        float(new.predict(same).extrapolation.max()) < 1 < float(new.predict(structures(1, 0)[0]).extrapolation.min())
    )


def test_what_it_cannot_be_made_of_is_told() -> None:
    few = structures(12, 7)[: FEWEST - 1]
    with pytest.raises(ValueError, match=r"4 structures .* was not trained on are too few; .* at least 5"):
        calibrated(potential(), structures(20, 0), few)
    bare = [replace(s, labels={}) for s in structures(12, 7)]
    with pytest.raises(ValueError, match="0 structures with energies and forces"):
        calibrated(potential(), structures(20, 0), bare)
    with pytest.raises(ValueError, match="a ZBL without hidden layers"):
        calibrated(ZBL(ELEMENTS), structures(20, 0), structures(12, 7))


# clusters -------------------------------------------------------------------------------------------------------------


def test_the_edge_is_three_standard_deviations_from_the_median_of_what_is_usual() -> None:
    x = np.random.default_rng(0).normal(loc=5.0, scale=2.0, size=(500, 1))
    clusters = Clusters.of(x, directions=1, n=1)
    distances = np.abs(x[:, 0] - x.mean())
    middle = np.median(distances)
    edge = middle + 3 * 1.4826 * np.median(np.abs(distances - middle))
    np.testing.assert_allclose(clusters.distances(x), distances / edge, rtol=1e-9)


def test_groups_of_points_are_each_a_cluster_and_what_lies_between_is_in_none() -> None:
    random = np.random.default_rng(1)
    groups = [random.normal(loc=place, scale=0.1, size=(200, 2)) for place in ((-5, 0), (5, 0), (0, 8))]
    clusters = Clusters.of(np.concatenate(groups), directions=2, n=3)
    assert clusters.distances(np.array([[0.0, 2.7]]))[0] > 3
    assert np.median(clusters.distances(np.concatenate(groups))) < 1


def test_directions_in_which_nothing_varies_do_not_count() -> None:
    x = np.hstack([np.random.default_rng(2).normal(size=(100, 2)), np.ones((100, 3))])
    clusters = Clusters.of(x, directions=4, n=1)
    assert np.isfinite(clusters.maps).all()
    assert clusters.maps.shape == (1, 4, 5)
    np.testing.assert_array_equal(clusters.maps[0, 2:], 0.0)
