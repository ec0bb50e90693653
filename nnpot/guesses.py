"""What is tried first and is called otherwise here: the sentences that say what to type instead."""

import difflib
from collections.abc import Collection, Iterable, Mapping

_DETAILS = "print(potential), or potential.elements, potential.cutoff, potential.parameters()"
_CALCULATOR = "atoms.calc = nnpot.NNPotCalculator(potential)"

OF_POTENTIALS: Mapping[str, str] = {
    **dict.fromkeys(("get_potential_energy", "get_potential_energies", "get_forces", "get_stress"), _CALCULATOR),
    **dict.fromkeys(("calculate", "get_property", "calculation_required"), _CALCULATOR),
    **dict.fromkeys(("get_energy", "calculator", "as_calculator", "get_calculator", "calc", "to_ase"), _CALCULATOR),
    **dict.fromkeys(("relax", "optimize", "run_md"), f"{_CALCULATOR}, and any optimiser of ASE"),
    **dict.fromkeys(("load", "from_pretrained", "load_from_checkpoint"), "nnpot.load(path)"),
    **dict.fromkeys(("summary", "num_parameters", "n_parameters", "info"), _DETAILS),
    **dict.fromkeys(("device", "dtype"), "potential.dtype_and_device()"),
    **dict.fromkeys(("predict_batch", "batch_predict"), "potential.predict([a, b]), which gives a list"),
    **dict.fromkeys(("energy_and_forces", "virial"), "potential.predict(atoms), which has energy, forces and stress"),
    **dict.fromkeys(("finetune", "fine_tune"), "nnpot.train(structures, from_model=path)"),
    "embeddings": "potential.descriptor.features(atoms)",
    "spread": "nnpot.Committee(a, b, …).spread(atoms)",
    **{name: f"potential.predict(atoms).{name}" for name in ("energy", "energies", "forces", "stress")},
    "features": "potential.descriptor.features(atoms)",
    "get_hessian": "potential.hessian(atoms)",
    "save": "nnpot.save(potential, path)",
    "export": "nnpot.export(nnpot.save(potential, path), out, to=…)",
    "fit": "nnpot.train(structures, potential=potential)",
    "evaluate": "nnpot.evaluate(potential, structures)",
    "std": "committee.spread(atoms)",
    "uncertainty": "potential.predict(atoms).forces_uncertainty",
}
"""By the name of the attribute."""

OF_PREDICTIONS: Mapping[str, str] = {
    **{f"{kind}_std": "committee.spread(atoms)" for kind in ("energy", "energies", "forces")},
    **dict.fromkeys(("std", "spread"), "committee.spread(atoms)"),
    "uncertainty": "prediction.forces_uncertainty, energies_uncertainty or energy_uncertainty",
    **dict.fromkeys(("gamma", "grade", "grades"), "prediction.extrapolation"),
    **dict.fromkeys(("keys", "items"), "prediction.labels"),
    **dict.fromkeys(("numpy", "cpu", "tolist"), "prediction.forces.numpy(), say"),
    **dict.fromkeys(("virial", "virials"), "prediction.stress, in eV/Å³"),
    "total_energy": "prediction.energy",
    "atomic_energies": "prediction.energies",
}

OF_STRUCTURES: Mapping[str, str] = {
    **dict.fromkeys(
        ("atoms", "symbols", "write", "get_chemical_formula"), "structure.to_ase(), which gives atoms of ASE"
    ),
    **dict.fromkeys(("get_forces", "get_positions", "get_cell"), "structure.forces, .positions or .cell"),
    **dict.fromkeys(("get_potential_energy",), "structure.energy"),
    **dict.fromkeys(("atomic_numbers", "z"), "structure.numbers"),
    "calc": "structure.to_ase().calc",
}

OF_EVALUATIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("rmse", "mae", "energy_rmse", "forces_rmse", "force_rmse", "energy_mae", "forces_mae"), "evaluation.errors()"
    ),
    **dict.fromkeys(("keys", "items", "metrics"), "evaluation.errors()"),
    "plot": "nnpot evaluate MODEL DATA --plots FOLDER in a terminal",
    "report": "nnpot evaluate MODEL DATA --report test.html in a terminal",
}

OF_DESCRIPTORS: Mapping[str, str] = {
    **dict.fromkeys(("create", "compute", "transform", "predict"), "descriptor.features(atoms)"),
    "derivatives": "descriptor.features(atoms, positions), which autograd differentiates",
    "fit": "descriptor = descriptor.fitted([atoms, …])",
}

OF_NNPOT: Mapping[str, str] = {
    "predict": "nnpot.load(path).predict(atoms)",
    "info": "nnpot.describe(path)",
    "read": "ase.io.read(path, ':'), the atoms of which go everywhere",
    "Calculator": "nnpot.NNPotCalculator(path)",
    "Model": "nnpot.load(path)",
    "fit": "nnpot.train(structures)",
    "forces": "potential.predict(atoms).forces",
    **dict.fromkeys(("finetune", "fine_tune"), "nnpot.train(structures, from_model=path)"),
    **dict.fromkeys(
        ("Trainer", "Dataset", "DataLoader", "DataModule"), "nnpot.train(structures), or nnpot.training.prepare"
    ),
    **dict.fromkeys(("NNPot", "NNP", "Net"), "nnpot.NeuralNetworkPotential(nnpot.ACE()), or nnpot.load(path)"),
    **dict.fromkeys(("load_model", "from_pretrained", "load_potential"), "nnpot.load(path)"),
    **dict.fromkeys(("Ensemble", "ensemble", "committee_of"), "nnpot.Committee(a, b, …)"),
    **dict.fromkeys(("test", "validate", "errors"), "nnpot.evaluate(potential, structures)"),
    **dict.fromkeys(("plot", "report"), "nnpot.train(…).plot(), or nnpot evaluate --report test.html in a terminal"),
    **dict.fromkeys(("MLP", "Network", "Function"), "nnpot.nn.Network or nnpot.nn.Function for one of your own"),
    "SOAP": "nnpot.ACE or nnpot.ACSF, the descriptors here",
    "compare": "nnpot compare RUNS in a terminal",
    "sample": "nnpot sample START OUT in a terminal",
    "optimize": "atoms.calc = nnpot.NNPotCalculator(path), and any optimiser of ASE",
}

OF_RESULTS: Mapping[str, str] = {
    **dict.fromkeys(("gamma", "grade", "grades", "extrapolation_grade"), "extrapolation"),
    **dict.fromkeys(("uncertainty", "uncertainties", "forces_std", "force_uncertainty"), "forces_uncertainty"),
    "energy_std": "energy_uncertainty",
    "energies_std": "energies_uncertainty",
}
"""Of the calculator: names of what a model says of its own errors, by those that they have elsewhere."""

CALIBRATE = "a model knows how large its errors are likely to be once nnpot calibrate MODEL DATA has let it"

OF_ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(("rcut", "r_cut", "rc", "r_max", "rmax", "cutoff_radius", "radius"), "cutoff"),
    **dict.fromkeys(("species", "symbols", "element", "types", "atomic_numbers"), "elements"),
    **dict.fromkeys(("lmax", "max_ell", "l"), "l_max"),
    **dict.fromkeys(("nmax", "n_max", "num_radial", "radial"), "n_radial"),
    **dict.fromkeys(("hidden_layers", "layers", "n_hidden", "units"), "hidden"),
}
"""Of constructors, by the name of the argument elsewhere."""

OF_RUNS: Mapping[str, str] = {
    "predict": "run.potential.predict(atoms)",
    "model": "run.potential",
    "calculator": "nnpot.NNPotCalculator(run)",
    "report": "run.folder / 'report.html'",
    "save": "nnpot.save(run.potential, path)",
    "export": "nnpot.export(run, out, to=…)",
    "resume": "nnpot.train(resume=run, max_epochs=…)",
    "loss": "run.history['train/loss']",
}


def missing(what: object, name: str, instead: Mapping[str, str], known: Iterable[str] = ()) -> AttributeError:
    """Return the error for an attribute that is not there.

    Args:
        what: What has no such attribute, as a word or an object of its class.
        name: Of the attribute.
        instead: What to type, by the name of the attribute.
        known: Names that there are, of which a similar one may be meant.
    """
    near = [instead[name]] if name in instead else difflib.get_close_matches(name, known, n=1)
    subject = what if isinstance(what, str) else type(what).__name__
    return AttributeError(f"{subject} has no {name}" + (f"; write {near[0]}" if near else ""))


def no_property(name: str, known: Collection[str], of_errors: Collection[str]) -> str:
    """Return what to say of a property that a calculator has not.

    Args:
        name: Of the property.
        known: Those that it has.
        of_errors: Names of what only a calibrated model tells.
    """
    meant = OF_RESULTS.get(name, name)
    if meant in of_errors and meant not in known:
        return f"the calculator has no {name}: {CALIBRATE}"
    others = ", ".join(known)
    near = [meant] if meant in known else difflib.get_close_matches(name, known, n=1)
    return f"the calculator has no {name}; " + (f"did you mean {near[0]}? " if near else "") + f"there are {others}"
