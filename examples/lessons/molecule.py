# %% [markdown]
# # A molecule: vibrations and infrared spectrum of methanol
#
# You will learn how to sample a molecule at temperature with a semi-empirical program, train energies, forces and
# *dipoles* together, and compare what a chemist measures, vibrational frequencies and the infrared spectrum, with the
# teacher's.
#
# The teacher is GFN2-xTB (C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019)), which takes
# milliseconds: its frequencies deviate from measured ones by tens of cm⁻¹, which is no concern of ours. The potential
# is to reproduce the teacher. With a better teacher nothing changes but the time for labels.
#
# The lesson needs `pip install tblite`.

# %%
import json

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from _lesson import BLACK, BLUE, ORANGE, shell, show, work_folder
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import BaseCalculator
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from scipy.optimize import linear_sum_assignment
from tblite.ase import TBLite

import nnpot
from nnpot.simulation import langevin

here = work_folder("molecule")

# %% [markdown]
# ## 1. Structures at temperature, with dipoles
#
# `nnpot sample` runs dynamics with any ASE calculator and labels snapshots: energy and forces, and dipole and charges
# where the calculator gives them. At 700 K all vibrations are excited well beyond what a spectrum at room temperature
# explores, and the OH group turns. Hydrogen moves fast: a step of 1 fs (0.5 fs for long runs).

# %%
ase.io.write(here / "methanol.xyz", molecule("CH3OH"))
with_xtb = "--calculator tblite.ase.TBLite --timestep_fs 1"
cases = {"train.xyz": ("300, 700", 60, 24, 0), "test.xyz": ("500", 40, 20, 1)}
for file, (temperatures, snapshots, interval, seed) in cases.items():
    times = f"--snapshots {snapshots} --interval_fs {interval} --seed {seed}"
    shell(f"nnpot sample methanol.xyz {file} {with_xtb} --temperatures '[{temperatures}]' {times}", here, last=1)

# %% [markdown]
# ## 2. Training
#
# A *head* is a further small network on the same features. That of charges gives every atom a charge $q_i$; the
# dipole is $\mu = \sum_i q_i r_i$. We learn the charges from the dipoles alone: they are then whichever charges
# reproduce dipoles, not those of a population analysis. Everything else is the default recipe.

# %%
run = nnpot.train(
    here / "train.xyz", out=here / "run", heads=["charges"], loss={"dipole": 10.0}, max_epochs=80, loggers=[]
)

# %%
evaluation = nnpot.evaluate(run, here / "test.xyz")
errors = evaluation.errors()
for name, value in errors.items():
    print(f"{name:28s} {value:10.4g}")

_, axes = plt.subplots(1, 3, figsize=(9.5, 3.1), layout="constrained")
for ax, name, unit in zip(axes, ("energy", "forces", "dipole"), ("meV/atom", "meV/Å", "me·Å"), strict=True):
    label = evaluation.labels[name]
    ax.axline((0, 0), slope=1, color=BLACK, linewidth=0.8)
    ax.plot(label.reference, label.predicted, ".", markersize=3, color=BLUE)
    ax.set(title=f"{name}: RMSE {label.errors.rmse:.2g} {unit}", xlabel=f"GFN2-xTB ({unit})")
axes[0].set_ylabel("nnpot (same units)")
show("parity")

# %% [markdown]
# (1000 me·Å are 4.8 debye.)
#
# ## 3. Vibrations
#
# At a minimum the energy is a quadratic form of the displacements, with the Hessian $H_{ij} = \partial^2 E/\partial
# x_i \partial x_j$. The eigenvalues of $H_{ij}/\sqrt{m_i m_j}$ are the squares of the angular frequencies; six are
# zero, for moving and turning the molecule as a whole. In the harmonic approximation a mode $Q$ absorbs light in
# proportion to $|\partial\mu/\partial Q|^2$.
#
# One function serves for both: it displaces each atom by 0.01 Å both ways, and takes differences of forces and
# dipoles.

# %%
KM_PER_MOL = 42.2561
"""Intensity in km/mol of (∂μ/∂Q)² = 1 D² Å⁻² u⁻¹."""


def modes_of(hessian: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in cm⁻¹ and mass-weighted modes as columns, without the six of the whole molecule."""
    weights = np.repeat(masses, 3) ** -0.5
    squares, modes = np.linalg.eigh(weights[:, None] * (hessian + hessian.T) / 2 * weights)
    inner = np.sort(np.argsort(np.abs(squares))[6:])
    to_cm = units._hbar * 1e10 / np.sqrt(units._e * units._amu) / units.invcm
    return np.sqrt(squares[inner]) * to_cm, modes[:, inner]


def vibrations(atoms: Atoms, step: float = 0.01) -> dict[str, np.ndarray]:
    """Hessian in eV/Å², frequencies in cm⁻¹, modes, and infrared intensities in km/mol, by finite differences."""
    n = 3 * len(atoms)
    hessian, slopes = np.zeros((n, n)), np.zeros((n, 3))
    for k in range(n):
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions.flat[k] += sign * step
            hessian[k] -= sign * moved.get_forces().ravel() / (2 * step)
            slopes[k] += sign * moved.get_dipole_moment() / (2 * step)
    frequencies, modes = modes_of(hessian, atoms.get_masses())
    per_mode = (modes * np.repeat(atoms.get_masses(), 3)[:, None] ** -0.5).T @ slopes / units.Debye
    intensities = KM_PER_MOL * (per_mode**2).sum(axis=1)
    return {"hessian": hessian, "frequencies": frequencies, "modes": modes, "intensities": intensities}


def relaxed(calculator: BaseCalculator) -> Atoms:
    """Methanol at the minimum."""
    atoms = molecule("CH3OH")
    atoms.calc = calculator
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    return atoms


at_xtb = relaxed(TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0))
at_nnpot = relaxed(nnpot.NNPotCalculator(run, dtype="float64"))
xtb, own = vibrations(at_xtb), vibrations(at_nnpot)
for name, (i, j) in {"C-O": (0, 1), "O-H": (1, 3)}.items():
    print(f"{name} bond: GFN2-xTB {at_xtb.get_distance(i, j):.4f} Å, nnpot {at_nnpot.get_distance(i, j):.4f} Å")

# %% [markdown]
# nnpot has second derivatives without finite differences, too: `calculator.get_hessian(atoms)`, or
# `potential.hessian(atoms)`. Both must give the same frequencies:

# %%
exact, _ = modes_of(at_nnpot.calc.get_hessian(at_nnpot).reshape(18, 18), at_nnpot.get_masses())
print(
    f"finite differences against the exact Hessian: at most {np.abs(exact - own['frequencies']).max():.2f} cm⁻¹ apart"
)

# %% [markdown]
# Modes are paired by their overlap, not by their order, which may differ where two are close.

# %%
overlap = np.abs(xtb["modes"].T @ own["modes"])
_, partner = linear_sum_assignment(-overlap)
deviations = own["frequencies"][partner] - xtb["frequencies"]
print(f"{'GFN2-xTB (cm⁻¹)':>16s}{'nnpot':>9s}{'deviation':>11s}{'GFN2-xTB (km/mol)':>20s}{'nnpot':>8s}{'overlap':>9s}")
for k, j in enumerate(partner):
    print(
        f"{xtb['frequencies'][k]:16.1f}{own['frequencies'][j]:9.1f}{deviations[k]:+11.1f}"
        f"{xtb['intensities'][k]:20.1f}{own['intensities'][j]:8.1f}{overlap[k, j]:9.3f}"
    )
print(f"mean absolute deviation {np.abs(deviations).mean():.1f} cm⁻¹, largest {np.abs(deviations).max():.1f} cm⁻¹")


# %%
def spectrum(found: dict[str, np.ndarray], grid: np.ndarray, width: float = 12.0) -> np.ndarray:
    """Absorption of all modes, each a Lorentzian with a half width at half maximum in cm⁻¹."""
    lines = width / np.pi / ((grid[:, None] - found["frequencies"]) ** 2 + width**2)
    return lines @ found["intensities"]


grid = np.linspace(0, 4000, 2001)
_, axes = plt.subplots(2, 1, figsize=(8, 4.6), sharex=True, layout="constrained", height_ratios=(2, 1))
axes[0].plot(grid, spectrum(xtb, grid), color=BLACK, label="GFN2-xTB")
axes[0].plot(grid, spectrum(own, grid), "--", color=BLUE, label="nnpot")
axes[0].set(ylabel="absorption\n(km/mol per cm⁻¹)", title="methanol, harmonic infrared spectrum")
axes[0].legend()
axes[1].axhline(0, color=BLACK, linewidth=0.8)
axes[1].stem(xtb["frequencies"], deviations, linefmt=BLUE, markerfmt="o", basefmt=" ")
axes[1].set(xlabel="wavenumber (cm⁻¹)", ylabel="nnpot − GFN2-xTB\n(cm⁻¹)", xlim=(4000, 0))
show("spectrum")

# %% [markdown]
# ## 4. A spectrum from dynamics
#
# The harmonic spectrum is that of a molecule at rest. At temperature bonds are anharmonic and the OH group turns. The
# absorption then follows from the autocorrelation of the dipole's velocity along a trajectory at constant energy,
# $I(\omega) \propto \int \langle \dot\mu(0) \cdot \dot\mu(t) \rangle e^{-i\omega t} dt$. It takes tens of thousands
# of steps, which is what a potential is for.

# %%
STEPS, TIMESTEP = 4000, 0.5


def dynamic_spectrum(seed: int, temperature: float = 300.0) -> np.ndarray:
    """Power spectrum of the dipole's velocity, of one trajectory at constant energy."""
    atoms = at_nnpot.copy()
    atoms.calc = nnpot.NNPotCalculator(run)
    langevin(atoms, temperature, TIMESTEP, 10.0, np.random.default_rng(seed)).run(500)
    dynamics, dipoles = VelocityVerlet(atoms, TIMESTEP * units.fs), []
    for _ in range(STEPS):
        dynamics.run(1)
        dipoles.append(atoms.get_dipole_moment())
    velocity = np.gradient(np.array(dipoles), axis=0) * np.hanning(STEPS)[:, None]
    return (np.abs(np.fft.rfft(velocity, axis=0)) ** 2).sum(axis=1)


wavenumbers = np.fft.rfftfreq(STEPS, TIMESTEP * 1e-15) / (100 * units._c)
power = np.mean([dynamic_spectrum(seed) for seed in range(3)], axis=0)
smooth = np.convolve(power, np.hanning(7) / np.hanning(7).sum(), mode="same")
_, ax = plt.subplots(figsize=(8, 3), layout="constrained")
harmonic = spectrum(own, wavenumbers)
inside = wavenumbers < 4000
ax.plot(wavenumbers, harmonic / harmonic.max(), "--", color=BLUE, label="harmonic")
ax.plot(wavenumbers, smooth / smooth[inside].max(), color=ORANGE, label="dynamics, 300 K, 3 × 2 ps")
ax.set(xlim=(4000, 0), xlabel="wavenumber (cm⁻¹)", ylabel="absorption (largest = 1)")
ax.legend()
show("dynamics")

# %% [markdown]
# Below some 300 cm⁻¹ the molecule turns as a whole, which the harmonic spectrum knows nothing of. Intensities of so
# few short trajectories are noisy: each mode exchanges energy with the others slowly.
#
# ## Exercises
#
# 1. *Isotopes.* Replace the hydrogen of the OH group by deuterium. Where does its stretching vibration go, by the
#    Hessian that we have? No new training is needed: why?
# 2. *Whose charges?* Compare the charges of the head with those of the population analysis of GFN2-xTB at the
#    minimum, and the dipoles that both make.
# 3. *How small a step?* Repeat the finite differences of nnpot with `dtype="float32"` and steps of 0.01 and 0.0005 Å.
# 4. *Zero-point energy.* Compute it for both. Is the deviation below the "chemical accuracy" of 43 meV?
#
# ## Solutions
#
# **1.** The energy surface does not know masses (Born–Oppenheimer): only the mass-weighting changes.

# %%
masses = at_nnpot.get_masses()
heavy = masses.copy()
heavy[3] = 2.014
for name, of in (("CH3OH", masses), ("CH3OD", heavy)):
    frequencies, modes = modes_of(own["hessian"], of)
    share = (modes.reshape(len(masses), 3, -1) ** 2).sum(axis=1)[3]  # of each mode, by the hydrogen of the OH group
    print(f"{name}: OH stretching at {frequencies[share > 0.5].max():.0f} cm⁻¹")
print(f"expected of two masses on a spring: a factor of {np.sqrt((1.008 / 17.007) / (2.014 / 18.013)):.3f}")

# %% [markdown]
# **2.** Charges are no observables; dipoles are.

# %%
symbols = at_nnpot.get_chemical_symbols()
by_xtb = at_xtb.get_charges()
by_head = at_nnpot.get_charges()
for symbol, a, b in zip(symbols, by_xtb, by_head, strict=True):
    print(f"{symbol}  population {a:+.3f} e   head {b:+.3f} e")
for name, vector in {
    "GFN2-xTB": at_xtb.get_dipole_moment(),
    "its charges alone": by_xtb @ at_xtb.positions,
    "nnpot": at_nnpot.get_dipole_moment(),
}.items():
    print(f"dipole of {name}: {np.linalg.norm(vector) / units.Debye:.3f} D")

# %% [markdown]
# The charges of GFN2-xTB do not make up its dipole, since its atoms are polarised besides. The head's charges make up
# for that.
#
# **3.**

# %%
single = at_nnpot.copy()
single.calc = nnpot.NNPotCalculator(run)
for step in (0.01, 0.0005):
    worst = np.abs(vibrations(single, step)["frequencies"] - exact).max()
    print(f"float32, step {step} Å: up to {worst:.1f} cm⁻¹ from the exact Hessian")

# %% [markdown]
# The larger step lets anharmonicity in, whose error falls with the square of the step; errors of rounding are divided by
# the step and win in the end (try 0.00002 Å). `get_hessian` has neither problem.
#
# **4.** $E_0 = \frac12 \sum \hbar\omega$.

# %%
zero_point = {
    name: 500 * units.invcm * found["frequencies"].sum() for name, found in (("GFN2-xTB", xtb), ("nnpot", own))
}
print(", ".join(f"{name} {value:.1f} meV" for name, value in zero_point.items()))

# %%
summary = {
    "errors": errors,
    "deviations": deviations.tolist(),
    "intensities": [xtb["intensities"].tolist(), own["intensities"][partner].tolist()],
}
(here / "summary.json").write_text(json.dumps(summary, indent=2))
