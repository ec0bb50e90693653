"""`nnpot init`: look at labelled structures, and write a configuration for them with comments."""

import logging
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser

from nnpot.commands.configuration import read_settings
from nnpot.commands.kinds import classes_of, group_of, parameters_of
from nnpot.commands.recipes import recipe_file
from nnpot.commands.topics import meanings_of
from nnpot.commands.train import train
from nnpot.descriptors.reach import cutoff_of
from nnpot.doctor.consultation import consult
from nnpot.elements import elements_of
from nnpot.label_names import LabelKeys, is_virial
from nnpot.labels import LABELS
from nnpot.machine.files import write_atomically
from nnpot.reading import Inventory, Sources, as_words, plain_sources, read_labelled, short_name
from nnpot.spec import Module
from nnpot.structure import Structure
from nnpot.training.aside import share_of
from nnpot.training.core import Distances
from nnpot.training.data import NAMING

log = logging.getLogger("nnpot")

FARTHEST = 6.0
"""Distance in Å up to which shortest distances are looked for."""

LONGEST = 100
"""Number of characters of a comment behind a setting."""


def init(data: Sources, out: Path = Path("nnpot.yaml"), recipe: str = "ace") -> Path:
    """Look at labelled structures and write a configuration for them, with what they hold and what each setting means.

    Labels that are stored under other names than ASE's own are looked for.

    Args:
        data: Labelled structures: files, folders, patterns such as `data/*.xyz`, some frames by `a.xyz@0:10`.
        out: Configuration to write, for `nnpot train --config`.
        recipe: Recipe to start from, by its name, or a configuration.

    Returns:
        The configuration.

    Raises:
        FileExistsError: If the configuration is there already.
        FileNotFoundError: If the data are not there.
        ValueError: If they cannot be read or have no energies, or there is no such recipe.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already; give another file by --out, or remove it")
    settings = read_settings(str(recipe_file(recipe)))
    structures, keys = _read(data)
    cutoff = cutoff_of(structures)
    facts = [*facts_about(structures), f"a cutoff that is auto comes to {cutoff} Å"]
    name = as_words(data)
    print(f"{name}:", *facts, sep="\n  ")
    consult({short_name(data): structures}, cutoff, "--data.doctor", "warn")
    named = {name: value for name, value in vars(keys).items() if value != getattr(LabelKeys, name)}
    settings["data"] = {**settings.get("data", {}), "train": plain_sources(data), **({"keys": named} if named else {})}
    lines = [f"# Settings of `nnpot train --config {out}`, by the recipe {recipe}.", f"# {name}:"]
    lines += [f"#   {fact}" for fact in facts] + [""]
    write_atomically(out, "\n".join([*lines, *_commented(train, settings, "")]) + "\n")
    given = shlex.quote(str(out))
    print(f"written: {out}", "next:", sep="\n")
    print(f"  nnpot train --config {given} --plan", f"  nnpot train --config {given} --out runs/{out.stem}", sep="\n")
    return out


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`init` to a parser: as many files as are given."""
    parser.add_argument("data", nargs="+", type=Path, help="labelled structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(init, as_positional=False, skip={"data"}, sub_configs=False)


def facts_about(structures: Sequence[Structure]) -> Iterator[str]:
    """Yield what structures are, line by line: sizes, elements, labels, how close atoms come."""
    sizes, n_periodic = [len(s) for s in structures], sum(any(s.pbc) for s in structures)
    elements, groups = elements_of(structures), sorted({s.group for s in structures if s.group})
    atoms = f"{sizes[0]} atoms each" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)} atoms"
    what = "periodic" if n_periodic == len(sizes) else "molecules" if n_periodic == 0 else f"{n_periodic} periodic"
    yield f"{len(sizes)} structures of {atoms}, {sum(sizes)} in all; {', '.join(elements)}; {what}"
    if groups:
        more = f" and {len(groups) - 8} more" if len(groups) > 8 else ""
        yield f"configuration types: {', '.join(groups[:8])}{more}"
    counts = {name: sum(name in s.labels for s in structures) for name in LABELS}
    yield "labels: " + ", ".join(f"{name} {n}" for name, n in counts.items() if n or not LABELS[name].has_head)
    yield from _spreads(structures)
    d = Distances.of(structures, elements, FARTHEST)
    pairs = [(float(d.shortest[a, b]), a, b) for a, b in combinations_with_replacement(range(len(elements)), 2)]
    near = sorted(pair for pair in pairs if pair[0] < FARTHEST)[:6]
    yield "closest atoms: " + ", ".join(f"{elements[a]}-{elements[b]} {r:.2f} Å" for r, a, b in near)
    n_aside = round(share_of("auto", len(sizes)) * len(sizes))
    yield f"for validation {n_aside} are set aside" if n_aside else "none is set aside for validation: they are few"


def _spreads(structures: Sequence[Structure]) -> Iterator[str]:
    energies = torch.tensor([s.energy / len(s) for s in structures if s.energy is not None], dtype=torch.float64)
    forces = [s.forces for s in structures if s.forces is not None]
    told = []
    if len(energies) > 1:
        told.append(f"energies spread by {float(energies.std(correction=0)):.3g} eV/atom")
    if forces:
        components = torch.cat(forces)
        largest = float(components.norm(dim=1).max())
        told.append(f"force components of {float(components.square().mean().sqrt()):.3g} eV/Å, at most {largest:.3g}")
    yield from [", ".join(told)] if told else []


def _read(data: Sources) -> tuple[list[Structure], LabelKeys]:
    """Structures with labels under whatever names they are, and these names."""
    structures, found = read_labelled(data, None, NAMING)
    keys = LabelKeys(**_names_of(found))
    if keys != LabelKeys():
        structures, found = read_labelled(data, keys, NAMING)
    log.info("%s", found)
    if all(s.energy is None for s in structures):
        raise ValueError(f"{found.source} has no energies, nor what looks like them; label them first")
    return structures, keys


def _names_of(found: Inventory) -> dict[str, str]:
    """For each label that no structure has, the most frequent name that looks like it."""
    missing = [name for name in LABELS if not found.names[name] and not LABELS[name].has_head]
    likely = {name: found.others[name].most_common(1)[0][0] for name in missing if found.others[name]}
    return {"virial" if is_virial(other) else name: other for name, other in likely.items()}


def _commented(of: Callable[..., Any], settings: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Lines of a configuration, each setting with its meaning."""
    meanings, kinds = meanings_of(of), parameters_of(of)
    for name, value in settings.items():
        inner = group_of(kinds.get(name))
        meaning = _first_clause(meanings.get(name, ""))
        if inner is None or not isinstance(value, Mapping):
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
            written = text.removesuffix("\n").removesuffix("\n...").strip()
            yield f"{indent}{name}: {written}" + (f"  # {meaning}" if meaning else "")
            continue
        yield f"{indent}{name}:" + (f"  # {meaning}" if meaning else "")
        if not issubclass(inner, Module):
            yield from _commented(inner, value, f"{indent}  ")
        elif "class_path" in value:
            kind = classes_of(inner)[value["class_path"]]
            yield f"{indent}  class_path: {value['class_path']}"
            yield f"{indent}  init_args:"
            yield from _commented(kind, value.get("init_args", {}), f"{indent}    ")
        else:
            yield from _commented(inner, value, f"{indent}  ")


def _first_clause(meaning: str) -> str:
    """The beginning of a docstring up to its first full stop or semicolon, nothing if that is long."""
    clause = re.split(r"(?<=[a-z0-9)])\. |; ", meaning.replace("`", ""))[0].removesuffix(".")
    return clause if len(clause) <= LONGEST else ""
