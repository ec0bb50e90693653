# %% [markdown]
# # How to trust it: a molecule that gets hot, a crystal that is no longer one
#
# You will learn what nnpot says of its own errors, whether it is right, and what it cannot know. The question is that
# of a referee: *how do you know that this simulation means anything?*
#
# Three things answer it: errors on structures that the model has not seen (`nnpot evaluate`), an examination of the
# model itself (`nnpot check`), and, for every structure of a simulation, error bars and the grade γ. The teachers are
# cheap here, GFN2-xTB and EMT, so that we can look at the true error anywhere, which in earnest nobody can.
#
# The lesson needs `pip install tblite`.

# %%
import json
import os

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from _lesson import BLACK, BLUE, GREEN, GREY, ORANGE, PALETTE, shell, show, work_folder
from ase import Atoms
from ase.build import bulk, fcc100, fcc111, molecule
from ase.calculators.calculator import BaseCalculator
from ase.calculators.emt import EMT
from ase.cluster import Octahedron
from scipy.stats import spearmanr
from tblite.ase import TBLite

import nnpot
from nnpot.simulation import langevin

here = work_folder("trust").resolve()
os.chdir(here)  # frames that end a run are kept where it runs


def rms(forces: np.ndarray) -> float:
    """Root mean square of force vectors, in meV/Å."""
    return float(1000 * np.sqrt((forces**2).sum(axis=1).mean()))


# %% [markdown]
# ## 1. Ethanol at 300 K
#
# 300 structures of a trajectory of 18 ps at 300 K train a model, 60 of another one test it.

# %%
ase.io.write(here / "ethanol.xyz", molecule("CH3CH2OH"))
with_xtb = "--calculator tblite.ase.TBLite --timestep_fs 0.5 --temperatures '[300]'"
shell(f"nnpot sample ethanol.xyz train.xyz {with_xtb} --snapshots 300 --interval_fs 60", here, last=1)
shell(f"nnpot sample ethanol.xyz test.xyz {with_xtb} --snapshots 60 --interval_fs 60 --seed 1", here, last=1)

# %%
shell("nnpot train train.xyz --trainer.max_epochs 80 --out ethanol", here, last=4)
shell("nnpot evaluate ethanol test.xyz", here, last=12)

# %% [markdown]
# The lines on error bars say how large errors were beside what the model expected (1 is perfect), and how many atoms
# of the test lie beyond the edge of the training data, γ = 1.
#
# Then the model itself: is it the derivative of one energy, is it smooth, does dynamics hold at half again the
# temperature?

# %%
shell("nnpot check ethanol test.xyz --temperature 300 || true", here)

# %% [markdown]
# ## 2. Heated beyond the data
#
# From 300 K on, the thermostat is warmed by 90 K every picosecond. The model has never seen the amplitudes of 600 K.
# The calculator looks every tenth step and ends the run where an atom has γ > 2. Of every structure that it looked at
# we ask the teacher afterwards.


# %%
def heated(start: Atoms, last: float, picoseconds: float, seed: int) -> tuple[list[Atoms], bool]:
    """Structures of every tenth step, with all that the model says of them, and whether the run was stopped."""
    atoms, kept = start.copy(), []
    atoms.calc = nnpot.NNPotCalculator(here / "ethanol", on_extrapolation="stop")
    dynamics = langevin(atoms, 300, 0.5, 10.0, np.random.default_rng(seed))
    steps = round(picoseconds / 0.0005)

    def keep() -> None:
        dynamics.set_temperature(temperature_K=300 + (last - 300) * dynamics.get_number_of_steps() / steps)
        names = ("extrapolation", "forces", "forces_uncertainty")
        told = {f"own_{name}": atoms.calc.get_property(name, atoms) for name in names}
        kept.append(atoms.copy())
        kept[-1].info.update(told)

    dynamics.attach(keep, interval=10)
    try:
        dynamics.run(steps)
    except nnpot.ExtrapolationError as error:
        print(
            f"after {dynamics.get_number_of_steps() * 0.0005:.2f} ps, at {atoms.get_temperature():.0f} K: {str(error).split(';')[0]}"
        )
        return kept, True
    return kept, False


def true_errors(frames: list[Atoms], teacher: BaseCalculator) -> list[float]:
    """Root mean square of the errors of force vectors, in meV/Å, of each structure."""
    found = []
    for frame in frames:
        frame.calc = teacher
        found.append(rms(frame.get_forces() - frame.info["own_forces"]))
    return found


xtb = TBLite(method="GFN2-xTB", verbosity=0)
evaluation = nnpot.evaluate(here / "ethanol", here / "test.xyz").labels["forces"]
test_error = rms((evaluation.predicted - evaluation.reference).reshape(-1, 3)) / 1000
print(f"error of the forces in the test, RMS of vectors: {test_error:.0f} meV/Å")

start = ase.io.read(here / "test.xyz", index=0)
runs = [heated(start, 1200, 10.0, seed) for seed in range(4)]
errors = [true_errors(frames, xtb) for frames, _ in runs]
for (_, stopped), of_run in zip(runs, errors, strict=True):
    print(
        f"{'stopped' if stopped else 'not stopped'}, {len(of_run) * 0.005:.2f} ps; "
        f"largest error until then {max(of_run) / test_error:.1f} × that of the test"
    )

# %%
_, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
for (frames, _), of_run, (color, _) in zip(runs, errors, PALETTE, strict=False):
    times = 0.005 * np.arange(len(frames))
    expected = [1000 * np.sqrt((f.info["own_forces_uncertainty"] ** 2).mean()) for f in frames]
    axes[0].plot(times, [f.info["own_extrapolation"].max() for f in frames], color=color, linewidth=0.9)
    axes[1].plot(times, of_run, color=color, linewidth=0.9)
    axes[1].plot(times, expected, ":", color=color, linewidth=0.9)
axes[0].axhline(2, color=GREY, linewidth=0.8)
axes[0].set(ylabel="largest γ", title="ethanol, warmed by 90 K a picosecond: four runs, each until it is stopped")
axes[1].axhline(3 * test_error, color=GREY, linewidth=0.8)
axes[1].set(xlabel="time (ps)", ylabel="force error (meV/Å)\nline: true, dots: expected", yscale="log")
show("heated")

# %% [markdown]
# The grey lines are the limit of γ and three times the error of the test. A few picoseconds of one molecule are not all
# that it does at 300 K: some structures are off by several times the error of the test before γ reaches its limit, and
# a run may be stopped early. The expected errors (dots) rise along with the true ones (lines): look at both.
#
# At a constant 300 K:

# %%
steady, stopped = heated(start, 300, 5.0, 9)
largest = max(float(f.info["own_extrapolation"].max()) for f in steady)
worst = max(true_errors(steady, xtb)) / test_error
print(f"{'stopped' if stopped else 'not stopped'} in {len(steady) * 0.005:.1f} ps at 300 K, largest γ {largest:.2f}")
print(f"largest error {worst:.1f} × that of the test")

# %% [markdown]
# ## 3. Copper that is no bulk crystal
#
# A model of bulk copper and gold, 300 to 900 K, meets surfaces, a vacancy, a liquid, a cluster and a crystal that is
# squeezed to three quarters of its volume.


# %%
def trajectory(atoms: Atoms, temperature: float, snapshots: int, seed: int) -> list[Atoms]:
    """Structures of a run by the teacher, 60 fs apart, with energy and forces."""
    atoms.calc = EMT()
    dynamics, kept = langevin(atoms, temperature, 3.0, 10.0, np.random.default_rng(seed)), []
    for _ in range(snapshots):
        dynamics.run(20)
        kept.append(nnpot.Structure.from_ase(atoms).to_ase())
    return kept


def alloy(atoms: Atoms, share: float) -> Atoms:
    """The same with a share of gold."""
    places = np.random.default_rng(0).choice(len(atoms), round(share * len(atoms)), replace=False)
    atoms.symbols[places] = "Au"
    return atoms


def crystal(a: float) -> Atoms:
    """32 atoms, a third of them gold."""
    return alloy(bulk("Cu", cubic=True, a=a).repeat((2, 2, 2)), 0.33)


holed = crystal(3.85)
del holed[5]
cluster = Octahedron("Cu", 4, cutoff=1)
cluster.center(vacuum=8)
known = [f for k, t in enumerate((300, 600, 900)) for f in trajectory(crystal(3.8 + 0.05 * k), t, 50, k)]
kinds = {
    "bulk, 600 K": trajectory(crystal(3.85), 600, 20, 11),
    "slab (100), 600 K": trajectory(alloy(fcc100("Cu", (3, 3, 4), vacuum=8, a=3.8), 0.33), 600, 10, 12),
    "slab (111), 900 K": trajectory(alloy(fcc111("Cu", (3, 3, 4), vacuum=8, a=3.8), 0.33), 900, 10, 13),
    "vacancy, 900 K": trajectory(holed, 900, 10, 14),
    "liquid, 3000 K": trajectory(crystal(4.0), 3000, 10, 15),
    "cluster, 500 K": trajectory(alloy(cluster, 0.33), 500, 10, 16),
    "squeezed": trajectory(crystal(3.5), 600, 10, 17),
}
ase.io.write(here / "alloy.xyz", known)
shell("nnpot train alloy.xyz --trainer.max_epochs 100 --out alloy", here, last=4)

# %%
calculator = nnpot.NNPotCalculator(here / "alloy", on_extrapolation="ignore")
table: dict[str, np.ndarray] = {}
for name, frames in kinds.items():
    rows = []
    for frame in frames:
        told, true = calculator.potential.predict(frame), frame.get_forces()
        rows.append(
            [
                rms(told.forces.numpy() - true),
                1000 * float(told.forces_uncertainty.square().mean().sqrt()),
                1000 * abs(float(told.energy) - frame.get_potential_energy()) / len(frame),
                1000 * float(told.energy_uncertainty) / len(frame),
                float(told.extrapolation.max()),
            ]
        )
    table[name] = np.array(rows)

print(f"{'':18s}{'forces, meV/Å':>22s}{'energy, meV/atom':>22s}{'largest γ':>11s}")
print(f"{'':18s}{'found':>11s}{'expected':>11s}{'found':>11s}{'expected':>11s}{'(median)':>11s}")
for name, rows in table.items():
    squares = np.sqrt((rows[:, :4] ** 2).mean(axis=0))
    print(f"{name:18s}" + "".join(f"{x:11.1f}" for x in squares) + f"{np.median(rows[:, 4]):11.2f}")
everything = np.concatenate(list(table.values()))
order = float(spearmanr(everything[:, 0], everything[:, 1]).statistic)
print(f"rank correlation of found and expected force errors, over all structures: {order:.2f}")

# %%
_, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
styles = [*PALETTE, (BLACK, "P"), (GREEN, "X")]
for (name, rows), (color, marker) in zip(table.items(), styles, strict=True):
    axes[0].plot(rows[:, 1], rows[:, 0], marker, color=color, markersize=4, label=name)
    axes[1].plot(rows[:, 4], rows[:, 0], marker, color=color, markersize=4)
axes[0].axline((10, 10), (100, 100), color=GREY, linewidth=0.8)
axes[0].set(xscale="log", yscale="log", xlabel="expected force error (meV/Å)", ylabel="found (meV/Å)")
axes[0].legend(fontsize=7)
for x, color in ((1, BLUE), (2, ORANGE)):
    axes[1].axvline(x, color=color, linewidth=0.8)
axes[1].set(xscale="log", yscale="log", xlabel="largest γ", title="edge of the data (1), where a run is stopped (2)")
show("kinds")

# %% [markdown]
# ## What this means, and what it does not
#
# | number | take it as |
# |---|---|
# | errors of `nnpot evaluate` | what to expect of structures like those of the test, and of no others |
# | a failed *exact* line of `nnpot check` | the model is broken: forces are no derivative, or a file holds something else. Do not use it |
# | other lines of `nnpot check` | what it is good for: near which temperature, for which properties |
# | `forces_uncertainty`, `energy_uncertainty` | a standard deviation where γ is below 1; beyond, an order of magnitude, which still says which of two structures is worse |
# | γ | an alarm. Below 1: as in training. Above 2: nobody knows, so stop, label and train again |
#
# None of them sees
#
# - **a smooth wrong answer inside the data**: labels that are all wrong in the same way, a functional that is not right
#   for the system, a k-point mesh that is too coarse. The model reproduces them, with small error bars;
# - **what was never asked**: another phase that the simulation does not visit has no γ. If it matters whether it is
#   more stable, put it into the data;
# - **the sum of small errors**: a reaction barrier or a free energy can be off though every force is good.
#   Compare what you publish with the teacher on some points of the path.

# %%
(here / "summary.json").write_text(
    json.dumps(
        {
            "test_error": test_error,
            "stopped": [stopped for _, stopped in runs],
            "largest": [max(of_run) / test_error for of_run in errors],
            "steady_stopped": stopped,
            "rank_correlation": order,
            "median_grade": {name: float(np.median(rows[:, 4])) for name, rows in table.items()},
        }
    )
)
