# %% [markdown]
# # The hydrogen molecule from twelve points
#
# **You will learn** to fit a potential to very few points, to choose its settings without a look at the answer, and
# how much is gained by forces and by physics that is known already. The picture at the end is the one to show.
#
# The energy of H₂ as a function of the distance $R$ is calculated by full CI, exact within its basis cc-pVTZ, at 91
# distances from 0.5 to 5 Å. Only 12 of them, equally spaced, are for training. The other 79 say how good the fits
# are. Run this page as a script with `python examples/lessons/h2_curve.py`; it takes about a minute.

# %%
import re

import matplotlib.pyplot as plt
import numpy as np
import torch
from _lesson import BLUE, DATA, GREEN, GREY, ORANGE, PURPLE, show
from ase import Atoms
from ase.units import Bohr, Hartree, _amu, _c, _e
from scipy.optimize import brentq

import nnpot
from nnpot.functional.cutoffs import cutoff_function
from nnpot.functional.segment import segment_sum
from nnpot.nn import Affine, GaussianBasis

torch.set_default_dtype(torch.float64)
data = DATA / "h2.csv"
R, E, F = np.loadtxt(data, delimiter=",", skiprows=2).T  # Å, Ha, Ha/Å
atom = float(re.search(r"has (\S+) Ha", data.read_text())[1])
train = np.linspace(0, 90, 12).round().astype(int)
validate = np.setdiff1d(np.arange(91), train)
curves, errors = {}, {}


def keep(name, energies, forces):
    """Remember a fitted curve at all 91 distances, in Ha and Ha/Å, and print its validation error."""
    curves[name] = (energies, forces)
    errors[name] = float(np.mean((energies - E)[validate] ** 2))
    print(f"{name}: mean squared error of the validation energies {errors[name]:.1e} Ha²")


print("training points, Å:", *R[train])
print(f"two free atoms: {2 * atom:.6f} Ha")

# %% [markdown]
# Where is the difficulty? Between the first two points, 0.5 and 0.9 Å, the curve falls down a wall, has its minimum
# and rises again. Nothing but the *smoothness* that a model assumes tells it where the minimum is.
#
# ## A linear model, and how to choose its settings
#
# The simplest model: Gaussians at fixed places with one common width $\ell$, weighed so that the squared error is
# least,
#
# $$ \hat E(R) = b + \sum_k w_k\, e^{-(R - c_k)^2/2\ell^2}, \qquad
# \min_w\ |\hat E - E|^2 + \lambda |w|^2. $$
#
# Two settings have to be chosen, $\ell$ and $\lambda$. Not by the validation points: then they would be training
# points. *Leave-one-out cross-validation* needs the training points alone. Each of the twelve is left out in turn,
# predicted from the other eleven, and the mean squared error of these predictions decides.


# %%
def weights_of(a, y, ridge):
    """Solve the least squares problem, shape (rows, columns), with λ as further rows."""
    eye = np.sqrt(ridge) * np.eye(a.shape[1])
    return np.linalg.lstsq(np.vstack([a, eye]), np.concatenate([y, np.zeros(len(eye))]), rcond=None)[0]


def leave_one_out(a, y, ridge):
    """Return the mean squared error of the energies if each distance is left out; rows are energies, then forces."""
    n, square = len(train), 0.0
    for k in range(n):
        others = np.arange(len(a)) % n != k
        square += (a[k] @ weights_of(a[others], y[others], ridge) - y[k]) ** 2
    return square / n


def gaussians(r, width):
    phi = np.exp(-((r[:, None] - np.linspace(0.5, 5, 12)) ** 2) / (2 * width**2))
    slope = -(r[:, None] - np.linspace(0.5, 5, 12)) / width**2 * phi
    return np.hstack([phi, np.ones((len(r), 1))]), np.hstack([slope, np.zeros((len(r), 1))])


grid = [(width, ridge) for width in (0.5, 0.7, 1.0, 1.4, 2.0, 2.8) for ridge in (1e-12, 1e-10, 1e-8, 1e-6)]
width, ridge = min(grid, key=lambda one: leave_one_out(gaussians(R[train], one[0])[0], E[train], one[1]))
phi, slope = gaussians(R, width)
w = weights_of(phi[train], E[train], ridge)
print(f"chosen: ℓ = {width} Å, λ = {ridge:.0e}")
keep("linear model", phi @ w, -slope @ w)

# %% [markdown]
# ## The network with trainable radial basis functions
#
# The same Gaussians become a network if their centres $c_k$ and inverse widths $\gamma_k$ are trained as well: they
# gather where the curve needs them. It is `nnpot.nn.GaussianBasis` with an `Affine` layer behind:
#
# $$ \hat E(R) = b + \sum_k w_k\, e^{-\gamma_k (R - c_k)^2}. $$
#
# Plain gradient descent in all parameters is slow here, since the best $w$ are large and nearly cancel. A way out
# that is as old as such networks: for given centres and widths the best $w$ is known, by least squares. So only
# centres and widths are trained, by L-BFGS, and $w$ follows them in each step (*variable projection*, Golub and
# Pereyra 1973); PyTorch differentiates through the solution. How many Gaussians? Cross-validation again, with a whole
# training for every point that is left out.

# %%
RIDGE = 1e-12


def projected(basis, r, y):
    """Return the outputs of the basis augmented by a 1, and the best weights for them."""
    phi = torch.cat([basis(r), torch.ones(len(r), 1)], dim=1)
    eye = RIDGE**0.5 * torch.eye(phi.shape[1])
    q, upper = torch.linalg.qr(torch.cat([phi, eye]))
    solution = torch.linalg.solve_triangular(upper, q.T @ torch.cat([y, torch.zeros(len(eye), 1)]), upper=True)
    return phi, solution


def trained_network(n, points, steps=60):
    """Train a network of n Gaussians on some points of the curve."""
    r, y = torch.tensor(R[points, None]), torch.tensor(E[points, None])
    basis = GaussianBasis(torch.linspace(0.5, 5, n)[:, None], gamma=0.25)

    def objective():
        phi, w = projected(basis, r, y)
        loss = ((phi @ w - y) ** 2).sum() + RIDGE * (w**2).sum()
        optimizer.zero_grad()
        loss.backward()
        return loss

    optimizer = torch.optim.LBFGS(
        basis.parameters(), max_iter=steps, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )
    optimizer.step(objective)
    network = torch.nn.Sequential(basis, Affine(n, 1))
    network[1].weight.data = projected(basis, r, y)[1].detach().T
    return network


def left_out(n):
    points = [np.delete(train, k) for k in range(12)]
    predicted = [
        float(trained_network(n, p)(torch.tensor(R[[k], None])).detach()) for k, p in zip(train, points, strict=True)
    ]
    return float(np.mean((np.array(predicted) - E[train]) ** 2))


scores = {n: left_out(n) for n in (6, 8, 10)}
best = min(scores, key=scores.get)
print("left-out error, Ha²:", ", ".join(f"{n} Gaussians {score:.1e}" for n, score in scores.items()))

network = trained_network(best, train)
r = torch.tensor(R[:, None], requires_grad=True)
energies = network(r)
(slopes,) = torch.autograd.grad(energies.sum(), r)
keep("RBF network", energies.detach().numpy()[:, 0], -slopes.numpy()[:, 0])
print("centres, Å:", *network[0].centers.detach().numpy()[:, 0].round(2))

# %% [markdown]
# ## A potential, and what need not be learned
#
# So far $R$ was a number. A potential of nnpot sees *atoms*: it can be moved, turned, and used in any program that
# asks for energies and forces. Its features are sums over neighbours, here sixteen Gaussians of the distance times a
# smooth cutoff (the symmetry functions G2 of Behler), and its output is linear in them, without a bias: an atom alone
# has the energy of a free atom.
#
# Physics helps more than any setting. By Born and Oppenheimer the energy is that of the electrons plus the repulsion
# of the nuclei, and the latter is known: $1/R$ in atomic units. The wall is all in it. What is left, the energy of
# the electrons, is a smooth curve without a wall. So the potential is a *sum* of two: one with nothing to learn,
# written below in ten lines, and one that learns the rest.


# %%
class NuclearRepulsion(nnpot.Potential):
    """1/R between hydrogen nuclei, in atomic units, brought to 0 at the cutoff."""

    def __init__(self, cutoff: float = 6.0) -> None:
        super().__init__()
        self.elements, self.cutoff = ("H",), cutoff

    def atomic_energies(self, pairs):
        r = torch.linalg.vector_norm(pairs.r_ij.double(), dim=1)
        energy = Hartree * Bohr / r * cutoff_function("polynomial").value(r, self.cutoff)
        return segment_sum(0.5 * energy, pairs.pair_i, len(pairs.center_species))  # half to each atom


def predicted(potential):
    """Return energies (91,) in Ha and forces −dE/dR (91,) in Ha/Å."""
    results = potential.predict([Atoms("H2", positions=[[0, 0, 0], [0, 0, r]]) for r in R])
    energies = [float(result.energy) for result in results]
    return np.array(energies) / Hartree, np.array([float(result.forces[1, 2]) for result in results]) / Hartree


repulsion = NuclearRepulsion()
repulsion_e, repulsion_f = predicted(repulsion)
fig, axis = plt.subplots(figsize=(6, 3.2))
axis.plot(R, E - 2 * atom, color=BLUE, label="total energy")
axis.plot(R, E - 2 * atom - repulsion_e, color=ORANGE, label="without the repulsion of the nuclei")
axis.plot(R[train], (E - 2 * atom)[train], "o", color=BLUE)
axis.plot(R[train], (E - 2 * atom - repulsion_e)[train], "o", color=ORANGE)
axis.set(xlabel="R (Å)", ylabel="energy relative to two atoms (Ha)")
axis.legend()
show("electronic")

# %% [markdown]
# Because the output is linear in its weights, the best weights come from least squares as before; a step of training
# is not needed. The columns of the problem are what the potential itself predicts, energies *and forces*, when one
# weight is 1 and all others are 0.


# %%
def linear_potential(width, n=16):
    """Return a potential linear in n Gaussians, in float64 since its large weights nearly cancel."""
    centers = np.linspace(0, 6, n)
    descriptor = nnpot.ACSF(
        cutoff=6.0, elements=("H",), cutoff_function="polynomial", g2=tuple((0.5 / width**2, float(c)) for c in centers)
    )
    potential = nnpot.NeuralNetworkPotential(
        descriptor, hidden=(), linear=False, atomic_energies={"H": atom * Hartree}, energy_scale=Hartree
    )
    return potential.double().eval()


def set_weights(potential, w):
    potential.networks[0][0].weight.data = torch.tensor([[*w, 0.0]])  # the bias is 0


def columns(potential):
    """Return energies and forces for every weight, (91, K) each, in Ha and Ha/Å."""
    results = []
    for row in np.eye(potential.descriptor.n_features):
        set_weights(potential, row)
        results.append(predicted(potential))
    return np.stack([e for e, _ in results], axis=1) - 2 * atom, np.stack([f for _, f in results], axis=1)


WIDTHS = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0)
RIDGES = (1e-15, 1e-13, 1e-11)
problems = {width: columns(linear_potential(width)) for width in WIDTHS}
target_e, target_f = E - 2 * atom - repulsion_e, F - repulsion_f


def rows(width, *, with_forces):
    a, b = problems[width]
    if not with_forces:
        return a[train], target_e[train]
    return np.vstack([a[train], b[train]]), np.concatenate([target_e[train], target_f[train]])


def fitted(*, with_forces):
    """Choose width and λ by the points left out, fit all twelve; return the whole potential and the scores."""
    scores = {(s, t): leave_one_out(*rows(s, with_forces=with_forces), t) for s in WIDTHS for t in RIDGES}
    width, ridge = min(scores, key=scores.get)
    print(f"chosen: ℓ = {width} Å, λ = {ridge:.0e}")
    learned = linear_potential(width)
    set_weights(learned, weights_of(*rows(width, with_forces=with_forces), ridge))
    return learned + repulsion, scores


potentials, choices = {}, {}
for name, with_forces in {"potential, energies": False, "potential, energies and forces": True}.items():
    potentials[name], choices[name] = fitted(with_forces=with_forces)
    keep(name, *predicted(potentials[name]))

# %% [markdown]
# Was cross-validation a good judge? Below is the error of the points left out for each width, and, as a reader of the
# answer sees it afterwards, the error on the 79 validation points. Both curves have their minimum at about the same
# width. The left-out error is much larger, since to leave out a point doubles the gap, and most of it stems from the
# first point: to predict 0.5 Å from 0.9 Å and beyond is extrapolation. The smallest λ of all is chosen both times:
# full CI has no noise that would have to be smoothed.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for axis, (name, scores), with_forces in zip(axes, choices.items(), (False, True), strict=True):
    ridge = min(scores, key=scores.get)[1]
    true = []
    for width in WIDTHS:
        w = weights_of(*rows(width, with_forces=with_forces), ridge)
        true.append(np.mean((problems[width][0] @ w - target_e)[validate] ** 2))
    axis.semilogy(WIDTHS, [scores[width, ridge] for width in WIDTHS], "o-", color=BLUE, label="points left out")
    axis.semilogy(WIDTHS, true, "s--", color=GREY, label="validation points")
    axis.set(xlabel="width ℓ (Å)", title=name)
axes[0].set_ylabel("mean squared error (Ha²)")
axes[0].legend()
show("choice")

# %% [markdown]
# ## The picture

# %%
STYLE = dict(zip(curves, [(GREY, ":"), (PURPLE, "--"), (ORANGE, "-."), (GREEN, "-")], strict=True))
fig, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained", sharex=True)
for column, (exact, unit) in enumerate([(E, "Ha"), (F, "Ha/Å")]):
    top, bottom = axes[:, column]
    top.plot(R, exact, color=BLUE, lw=5, alpha=0.3, label="full CI")
    for name, curve in curves.items():
        color, line = STYLE[name]
        top.plot(R, curve[column], line, color=color, lw=1.3)
        bottom.semilogy(R, np.maximum(np.abs(curve[column] - exact), 1e-9), line, color=color, lw=1.3, label=name)
    top.plot(R[train], exact[train], "o", color=BLUE, label="training points")
    for r in R[train]:
        bottom.axvline(r, color=BLUE, alpha=0.25, lw=0.8)
    top.set_ylabel(f"{'energy' if column == 0 else 'force'} ({unit})")
    bottom.set(xlabel="R (Å)", ylabel=f"|error| ({unit})")
axes[0, 0].legend()
fig.legend(*axes[1, 0].get_legend_handles_labels(), ncols=4, loc="outside lower center")
show("h2_curve")

# %% [markdown]
# Without forces the errors are largest between 0.5 and 0.9 Å. With forces each point says where the curve is *and*
# where it is going: twice as many numbers, and a squared error that is smaller by an order of magnitude.
#
# ## What a chemist reads off the curve
#
# Distance of the minimum $R_e$, well depth $D_e$ and harmonic wavenumber $\omega_e = \sqrt{E''(R_e)/\mu}\,/\,2\pi c$.
# Every curve is treated alike: a polynomial of degree 10 through energies and forces at the 13 distances from 0.5 to
# 1.1 Å.


# %%
def constants(energies, forces):
    near, degree = R < 1.12, 10
    x = R[near] - 0.75
    powers = np.arange(degree + 1)
    values = x[:, None] ** powers
    slopes = powers * x[:, None] ** np.maximum(powers - 1, 0)
    a, y = np.vstack([values, slopes]), np.concatenate([energies[near], -forces[near]])
    curve = np.polynomial.Polynomial(np.linalg.lstsq(a, y, rcond=None)[0])
    minimum = brentq(curve.deriv(), -0.1, 0.1)
    k = curve.deriv(2)(minimum) * Hartree * _e * 1e20  # N/m
    mass = 1.00782503 / 2 * _amu
    wavenumber = np.sqrt(k / mass) / (2 * np.pi * _c) / 100
    return minimum + 0.75, (2 * atom - curve(minimum)) * Hartree, wavenumber


table = {"full CI": constants(E, F), **{name: constants(*curve) for name, curve in curves.items()}}
print(f"{'':32s}{'R_e (Å)':>10s}{'D_e (eV)':>11s}{'ω_e (cm⁻¹)':>12s}{'MSE (Ha²)':>12s}")
for name, (distance, depth, wavenumber) in table.items():
    error = f"{errors[name]:12.1e}" if name in errors else ""
    print(f"{name:32s}{distance:10.4f}{depth:11.4f}{wavenumber:12.1f}{error}")

# %% [markdown]
# The potential is an ordinary one. In ASE, for example:

# %%
molecule = Atoms("H2", positions=[[0, 0, 0], [0.3, 0.4, 0.6]])
molecule.calc = nnpot.NNPotCalculator(potentials["potential, energies and forces"], dtype="float64")
print(f"R = {molecule.get_distance(0, 1):.3f} Å: {molecule.get_potential_energy() / Hartree:.6f} Ha")

# %% [markdown]
# ## Exercises
#
# 1. Fit the potential without `repulsion` (targets `E - 2 * atom` and `F`). By how much does the error grow, and
#    where?
# 2. Put the twelve points where the curve bends, at equal steps of $e^{-R/2}$ in place of $R$. Better or worse? Does
#    the left-out error know?
# 3. Fit forces alone, no energies. What can the result not know, and what is missing to repair it?
# 4. Put the atoms 0.3 Å and 8 Å apart. Which of the models may be trusted there, and why?
#
# <details><summary><b>Solutions</b></summary>
#
# **1.** Replace the targets and drop `+ repulsion`. With energies alone the error is a few thousand times larger,
# nine tenths of it between 0.5 and 0.9 Å: functions that are smooth on the scale of 1 Å cannot follow the wall. With
# forces, which say how steep the wall is, it still grows by a factor of about two thousand.
#
# **2.** `t = np.linspace(np.exp(-0.25), np.exp(-2.5), 12)` and `train = np.array([np.abs(R + 2 * np.log(x)).argmin()
# for x in t])`. The validation error is *larger*, by orders of magnitude: now the widest gap, from 3.85 to 5 Å, is
# wider than the Gaussians bridge. The left-out error of the energies even falls a little. It only knows the places
# where points are, and compares settings for the same points, not sets of points.
#
# **3.** The constant. Forces give the shape: with ℓ = 1.2 Å the squared error is 9·10⁻⁶ Ha², but 2·10⁻¹⁰ Ha² after a
# shift by 3 mHa, so that $R_e$ and $\omega_e$ are as good as before. Free atoms are built in where the functions end,
# at 6 Å, yet no point between 5 and 6 Å connects them with the curve. One energy repairs it.
#
# **4.** At 8 Å the potential gives exactly two free atoms, because both parts end at their cutoff and the energy of an
# atom is built in: right by construction. The RBF network says +1.2 Ha. At 0.3 Å, where full CI has −0.693 Ha, all
# extrapolate: the linear model says −1.02 Ha, the RBF network −0.79 Ha, the potential −0.696 Ha, since it has the right
# repulsion of the nuclei.
# </details>
