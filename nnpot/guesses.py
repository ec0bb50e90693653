"""What is tried first and is called otherwise here: the sentences that say what to type instead."""

import difflib
from collections.abc import Iterable, Mapping

_CALCULATOR = "atoms.calc = nnpot.NNPotCalculator(potential)"

OF_POTENTIALS: Mapping[str, str] = {
    **dict.fromkeys(("get_potential_energy", "get_potential_energies", "get_forces", "get_stress"), _CALCULATOR),
    **dict.fromkeys(("calculate", "get_property", "calculation_required"), _CALCULATOR),
    **{name: f"potential.predict(atoms).{name}" for name in ("energy", "energies", "forces", "stress")},
    "features": "potential.descriptor.features(atoms)",
    "get_hessian": "potential.hessian(atoms)",
    "save": "nnpot.save(potential, path)",
    "export": "nnpot.export(nnpot.save(potential, path), out, to=…)",
    "fit": "nnpot.train(structures, potential=potential)",
    "evaluate": "nnpot.evaluate(potential, structures)",
    "std": "committee.spread(atoms)",
    "uncertainty": "committee.spread(atoms)",
}
"""By the name of the attribute."""

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
}

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
