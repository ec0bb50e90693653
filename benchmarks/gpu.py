"""nnpot on a GPU, in one run of some minutes: is it right there, how fast is it, and what holds it up.

python benchmarks/gpu.py [--seconds 480] [--only right training ...] [--data 3bpa/train.xyz] [--out gpu.json]

Sections run in the order of their worth, and none begins once the time is nearly over; an error ends one section only.
The numbers are written to a file after each.  Without a GPU all of it is rehearsed on the CPU with small systems, which
says nothing of speed.  Times are medians, in ms, the device synchronised before and after each call; compare numbers of
one run only.  Weights are random; labels of a data set, where one is given, are used for the training.
"""

import argparse
import collections
import copy
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import speed_candidates as candidates
import torch
from ase import Atoms
from ase.io import read
from speed_peers import mace_model

from nnpot import NNPotCalculator
from nnpot.batch import Batch
from nnpot.committee import Committee
from nnpot.neighbors import NeighborPairs, neighbor_pairs, single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.tables import arranged, needs_of, with_tables
from nnpot.training.loss import LossOptions, weighted
from nnpot.training.optimizers import optimizer_of

Row = dict[str, Any]
REHEARSED = not torch.cuda.is_available()
DEVICE = torch.device("cpu" if REHEARSED else "cuda")
MOST_FLOAT64, MOST_FLOAT32 = 1e-9, 2e-4
"""Differences between the device and float64 on the CPU, relative to the norm, up to which it is right."""


def main() -> None:
    """Run the sections, print their rows and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--data", type=Path, help="labelled molecules; without, made-up ones, and no command is timed")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    began, results = time.perf_counter(), {}
    for name in options.only:
        if time.perf_counter() - began > options.seconds - 30:
            print(f"{name} is left out: the time is over")
            continue
        try:
            results[name] = SECTIONS[name](options.data)
        except Exception:  # the other sections are worth as much
            results[name] = {"failed": traceback.format_exc().splitlines()[-8:]}
        options.out.write_text(json.dumps(results, indent=1, default=str) + "\n")
        print(f"{name} ({time.perf_counter() - began:.0f} s since the start)")
        for key, row in results[name].items():
            print(f"  {key}: {row}", flush=True)


def synchronized() -> float:
    """Wait for the device; return the time."""
    if not REHEARSED:
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any], repeat: int = 10, warm_up: int = 2, seconds: float = 8.0) -> Row:
    """Median and smallest time of a call, in ms."""
    for _ in range(warm_up):
        work()
    times: list[float] = []
    began = synchronized()
    while len(times) < (2 if REHEARSED else repeat) and time.perf_counter() - began < seconds:
        start = synchronized()
        work()
        times.append(1e3 * (synchronized() - start))
    return {"ms": round(statistics.median(times), 4), "least": round(min(times), 4)}


def asked(work: Callable[[], Any]) -> Row:
    """Kernels and copies of one call, their time on the device, and where the host waited; peak memory in MiB."""
    if REHEARSED:
        return {}
    work()
    synchronized()
    torch.cuda.reset_peak_memory_stats()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        work()
        synchronized()
    events = [e for e in profiler.events() if str(e.device_type).endswith("CUDA")]
    by_name: collections.Counter[str] = collections.Counter()
    for e in events:
        by_name[re.sub(r"<.*", "", e.name)[:60]] += e.device_time
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    torch.cuda.set_sync_debug_mode("default")
    lines = collections.Counter(f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message))
    return {
        "kernels": sum(not e.name.startswith(("Memcpy", "Memset")) for e in events),
        "copies": sum(e.name.startswith("Memcpy") for e in events),
        "device ms": round(sum(by_name.values()) / 1e3, 4),
        "dearest µs": {name: round(t, 1) for name, t in by_name.most_common(8)},
        "waits": dict(lines.most_common(12)),
        "MiB": round(torch.cuda.max_memory_allocated() / 2**20, 1),
    }


def per_second(row: Row, n_atoms: int) -> Row:
    """Add atom-steps per second."""
    return {**row, "atom-steps/s": round(1e3 * n_atoms / row["ms"])}


def molecules(n: int, data: Path | None) -> list[Atoms]:
    """Labelled molecules, again from the beginning where there are too few."""
    frames = candidates.training_set("molecule21")[0] if data is None else read(data, f":{min(n, 500)}")
    return [frames[k % len(frames)] for k in range(n)]


def water(n_atoms: int) -> Atoms:
    """Water of about so many atoms; of more than 7000, repeated boxes, rattled."""
    side = max(2, round((min(n_atoms, 1536 if n_atoms > 7000 else n_atoms) / 3) ** (1 / 3)))
    atoms = candidates.water(side, side, side)
    if n_atoms > 7000:
        atoms *= (max(1, round((n_atoms / 1536) ** (1 / 3))),) * 3
        atoms.positions += np.random.default_rng(1).normal(scale=0.02, size=atoms.positions.shape)
    return atoms


def machine(_: Path | None) -> Row:
    """What the figures are of: copies, products, launches and uploads."""
    row: Row = {"torch": torch.__version__, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    if REHEARSED:
        return {**row, "device": "none: a rehearsal on the CPU"}
    a, b = torch.empty(2, 2**28, device=DEVICE)
    x, small = torch.randn(8192, 8192, device=DEVICE), torch.randn(64, device=DEVICE)

    def launches() -> None:
        y = small
        for _ in range(1000):
            y = y + small

    return {
        **row,
        "device": torch.cuda.get_device_name(),
        "copy, TB/s": round(2e-9 * a.nbytes / timed(lambda: b.copy_(a))["ms"], 3),
        "float32 product, TFLOP/s": round(2e-9 * 8192**3 / timed(lambda: x @ x, 5)["ms"], 1),
        "launch, µs": timed(launches)["ms"],
    }


def right(data: Path | None) -> Row:
    """Energies, forces, stresses and gradients by all parameters, against float64 on the CPU."""
    few, box, metal = molecules(3, data), candidates.water(3, 3, 3), candidates.copper(2)
    bare = candidates.default_ace(few)
    cases: dict[str, tuple[Potential, list[Atoms]]] = {
        "molecules": (bare, few),
        "molecules, ZBL": (bare + ZBL(bare.elements), few),
        "water": (candidates.default_ace([box]), [box]),
        "water, large": (candidates.large_ace([box]), [box]),
        "copper": (candidates.default_ace([metal]), [metal]),
        "water, symmetry functions": (candidates.default_acsf([box]), [box]),
        "water, committee": (Committee((candidates.default_ace([box]), candidates.large_ace([box]))), [box]),
    }
    rows: Row = {}
    for name, (potential, frames) in cases.items():
        batch = Batch.join([single_batch(Structure.from_ase(a), potential.cutoff) for a in frames])
        wanted = copy.deepcopy(potential).double().eval()(batch)
        for dtype, limit in ((torch.float64, MOST_FLOAT64), (torch.float32, MOST_FLOAT32)):
            got = copy.deepcopy(potential).to(DEVICE, dtype).eval()(batch.to(DEVICE, dtype))
            # of a total much may cancel
            off = {k: difference(getattr(got, k), getattr(wanted, k)) for k in ("energies", "forces", "stress")}
            passes = max(off.values()) < limit
            rows[f"{name}, {str(dtype).removeprefix('torch.')}"] = {**off, "passes": passes}
        if isinstance(potential, NeuralNetworkPotential):
            here, there = (gradients(potential, batch, device) for device in (torch.device("cpu"), DEVICE))
            off = max(difference(a, b) for a, b in zip(there, here, strict=True) if float(b.norm()) > 0)
            rows[f"{name}, gradients, float64"] = {"off": off, "passes": off < MOST_FLOAT64}
    return {**rows, "all pass": all(row["passes"] for row in rows.values())}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """How far a is from b, relative to its norm; NaN where they are not finite at the same places."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    known = torch.isfinite(b)
    if not torch.equal(torch.isfinite(a), known):
        return float("nan")
    return float((a - b)[known].norm() / b[known].norm().clamp(min=1e-300))


def gradients(potential: Potential, batch: Batch, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Derivatives of a function of energies and forces by all parameters."""
    twin = copy.deepcopy(potential).to(device, torch.float64).train()
    prediction = twin(batch.to(device, torch.float64))
    total = prediction.energy.square().mean() + prediction.forces.square().sum()
    return torch.autograd.grad(total, list(twin.parameters()), materialize_grads=True, allow_unused=True)


def training_step(
    potential: NeuralNetworkPotential, frames: Sequence[Atoms], device: torch.device
) -> Callable[[], Any]:
    """A step of the default recipe with a batch that lies on the device, its tables made on the host."""
    potential = potential.to(device).train()
    single = [single_batch(Structure.from_ase(a), potential.cutoff).to(dtype=torch.float32) for a in frames]
    if device.type == "cpu":
        batch = Batch.join(single)
    else:
        needs = needs_of(potential)
        batch = with_tables(Batch.join([arranged(b, needs) for b in single])).to(device)
    optimizer = optimizer_of("soap", potential.parameter_groups(), lr=1e-4, weight_decay=0.01)
    losses = LossOptions(energy=2.0, forces=1.0)

    def step() -> None:
        loss = weighted(losses.of(potential(batch), batch), losses.weights())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(potential.parameters(), 1.0)
        optimizer.step()

    return step


def training(data: Path | None) -> Row:
    """A step of training of growing batches, with weighted densities and without, beside the kernels of the CPU."""
    frames, rows = molecules(4 if REHEARSED else 576, data), {}
    for n in (2, 4) if REHEARSED else (9, 36, 144, 576):
        n_atoms = sum(map(len, frames[:n]))
        for name, make in (("default", candidates.default_ace), ("no weighted", candidates.ace_without_second)):
            step = training_step(make(frames), frames[:n], DEVICE)
            rows[f"{name}, {n_atoms} atoms"] = {**timed(step), **asked(step)}
        on_cpu = training_step(candidates.default_ace(frames), frames[:n], torch.device("cpu"))
        rows[f"default, {n_atoms} atoms, CPU"] = timed(on_cpu, seconds=4.0)
    return rows


def dynamics(_: Path | None) -> Row:
    """Steps through ASE, and of a loop that leaves everything on the device."""
    rows: Row = {}
    for name, make in (("default", candidates.default_ace), ("large", candidates.large_ace)):
        for n in (192,) if REHEARSED else (1000, 10_000, 100_000, 1_000_000):
            if name == "large" and n > 100_000:
                continue
            atoms, potential = water(n), make([water(200)]).eval()
            if n <= 100_000:
                step = candidates.moving(atoms, NNPotCalculator(potential, device=DEVICE.type))
                rows[f"{name}, ASE, {len(atoms)} atoms"] = per_second(timed(step, 5, 1), len(atoms))
            step, note = staying(potential.to(DEVICE), atoms)
            counts = asked(step) if n <= 10_000 else {}
            rows[f"{name}, on the device, {len(atoms)} atoms"] = per_second(timed(step, 6), len(atoms)) | note | counts
            if not REHEARSED:
                torch.cuda.empty_cache()
    atoms = water(192 if REHEARSED else 1536)
    step = candidates.moving(atoms, NNPotCalculator(candidates.default_ace([atoms])))
    rows[f"default, ASE, {len(atoms)} atoms, CPU"] = per_second(timed(step, 5), len(atoms))
    return rows


def staying(potential: Potential, atoms: Atoms) -> tuple[Callable[[], Any], Row]:
    """A step whose positions, pairs and vectors never leave the device, and how its neighbours were found."""
    structure = Structure.from_ase(atoms)
    began = synchronized()
    try:
        pairs, where = pairs_on_device(structure, potential.cutoff + 1.0), "device"
    except Exception as error:  # whatever vesin says where it cannot
        found = neighbor_pairs(structure, potential.cutoff + 1.0)
        pairs = NeighborPairs(found.i.to(DEVICE), found.j.to(DEVICE), found.shifts.to(DEVICE))
        where = f"CPU ({str(error)[:80]})"
    note = {"neighbours found on": where, "in s": round(synchronized() - began, 3)}
    none = torch.zeros(0, dtype=torch.int64)
    empty = Batch.of_structure(structure, torch.zeros(0, 3), none, none).to(DEVICE, torch.float32)
    cell, place = structure.cell.to(DEVICE), {"r": structure.positions.to(DEVICE)}

    def step() -> None:
        with torch.no_grad():
            vectors = pairs.vectors(place["r"], cell).float()
            prediction = potential(replace(empty, r_ij=vectors, pair_i=pairs.i, pair_j=pairs.j))
            place["r"] = place["r"] + 1e-6 * prediction.forces

    return step, note


def pairs_on_device(structure: Structure, cutoff: float) -> NeighborPairs:
    """Neighbours by vesin from tensors that lie on the device."""
    import vesin

    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    points, box = structure.positions.to(DEVICE), structure.cell.to(DEVICE)
    i, j, shifts = finder.compute(points, box, torch.tensor(structure.pbc, device=DEVICE), quantities="ijS")
    return NeighborPairs(i.long(), j.long(), shifts.double())


def neighbours(_: Path | None) -> Row:
    """The search for neighbours on the host and on the device, and whether it finds the same."""
    rows: Row = {}
    for n in (192,) if REHEARSED else (1000, 10_000, 100_000, 1_000_000):
        s = Structure.from_ase(water(n))
        if n <= 100_000:
            rows[f"host, {len(s)} atoms"] = timed(lambda s=s: neighbor_pairs(s, 6.0), 3, 1, 4.0)
        rows[f"device, {len(s)} atoms"] = timed(lambda s=s: pairs_on_device(s, 6.0), 5, 1, 6.0)
        if n <= 10_000:
            both = (neighbor_pairs(s, 6.0), pairs_on_device(s, 6.0))
            here, there = (torch.stack([p.i, p.j, *p.shifts.long().T]).cpu().T.tolist() for p in both)
            rows[f"the same, {len(s)} atoms"] = sorted(here) == sorted(there)
    return rows


def compiled(data: Path | None) -> Row:
    """A step of training compiled as `trainer.compile: on` does it, and how long the first one takes."""
    frames, rows = molecules(2 if REHEARSED else 9, data), {}
    for name, make in (("default", candidates.default_ace), ("no weighted", candidates.ace_without_second)):
        potential = make(frames)
        potential.compiled(training=True)
        step = training_step(potential, frames, DEVICE)
        first = timed(step, 1, 0)["ms"] / 1e3
        refused = any(graph.refused for graph in potential.graphs.values())
        rows[name] = {**timed(step), "first, s": round(first, 1), "refused": refused, **asked(step)}
    return rows


def peers(_: Path | None) -> Row:
    """TorchANI and a small MACE beside nnpot, through ASE, where they are installed."""
    atoms, rows = water(192 if REHEARSED else 1536), {}

    def torchani() -> Any:
        return candidates.ani(atoms, neighborlist="cell_list").requires_grad_(False).to(DEVICE).ase()

    def mace() -> Any:
        from mace.calculators import MACECalculator

        model = mace_model(sorted(set(atoms.numbers.tolist()))).float()
        return MACECalculator(models=[model], device=DEVICE.type, default_dtype="float32")

    def ours() -> Any:
        return NNPotCalculator(candidates.default_ace([atoms]), device=DEVICE.type)

    for name, make in (("nnpot", ours), ("TorchANI", torchani), ("MACE 64x0e", mace)):
        try:
            rows[name] = per_second(timed(candidates.moving(atoms, make()), 5), len(atoms))
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            rows[name] = f"{type(error).__name__}: {str(error)[:200]}"
    return rows


def command(data: Path | None) -> Row:
    """Seconds per epoch of `nnpot train` on the device and on the CPU."""
    if data is None:
        return {"left out": "no data"}
    rows: Row = {}
    for kind in ("cpu",) if REHEARSED else ("gpu", "cpu"):
        with tempfile.TemporaryDirectory() as folder:
            given = ["--data.train", f"{data}@0:20" if REHEARSED else str(data), "--out", f"{folder}/run"]
            length = ["--trainer.max_epochs", "8", "--trainer.validate_every", "1", "--trainer.accelerator", kind]
            short = ["--check", "false", "--uncertainty", "false", "--data.doctor", "off"]
            started = [sys.executable, "-u", "-m", "nnpot", "train", "--recipe", "ace", *given, *length, *short]
            began, stamps, lines = time.perf_counter(), [], []
            with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                for line in process.stdout or ():
                    lines.append(line)
                    if re.match(r"\s*\d+/\d+\s", line):
                        stamps.append(time.perf_counter() - began)
            steps = [b - a for a, b in itertools.pairwise(stamps)]
            s_per_epoch = statistics.median(steps) if steps else None
            ended = {} if process.returncode == 0 else {"code": process.returncode, "last": lines[-5:]}
            rows[kind] = {"s/epoch": s_per_epoch, "first, s": stamps[:1], **ended}
    return rows


SECTIONS: dict[str, Callable[[Path | None], Row]] = {
    "machine": machine,
    "right": right,
    "training": training,
    "dynamics": dynamics,
    "neighbours": neighbours,
    "command": command,
    "compiled": compiled,
    "peers": peers,
}

if __name__ == "__main__":
    main()
