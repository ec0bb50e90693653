"""What a user may have meant by a word that is not known, without PyTorch being imported."""

import difflib
from collections.abc import Iterable

OTHER_PROGRAMS = {
    "max_epochs": "epochs n_epochs num_epochs max_num_epochs nepochs steps iterations",
    "lr": "learning_rate start_lr rate",
    "batch_size": "batch batchsize",
    "hidden": "layers hidden_layers units neurons hidden_units mlp_irreps",
    "cutoff": "r_max rcut r_cut rc radius cutoff_radius",
    "atomic_energies": "e0s e0 isolated_energies shift",
    "train": "train_file training training_data input traindata",
    "validation": "valid_file val valid valid_fraction validation_file val_file valdata test_size",
    "accelerator": "device gpu cuda",
    "device": "accelerator gpu cuda",
    "dtype": "default_dtype precision",
    "out": "output outdir output_dir work_dir dir name",
    "test": "test_file",
    "resume": "restart restart_latest continue checkpoint ckpt",
    **dict.fromkeys(("from", "from_model"), "finetune fine_tune foundation_model pretrained init_model model"),
    "members": "committee ensemble n_models",
    "loggers": "wandb tensorboard logger log",
    "descriptor": "descriptors features representation",
    "to": "format target_format kind",
    "plots": "plot figures pictures",
    "plot": "plots figure picture",
    "runs": "models",
    "temperatures": "temperature temp t",
    "energy": "energy_key energy_weight",
    "forces": "forces_key force_key forces_weight force_weight",
    "stress": "stress_key stress_weight virial_key",
    "patience": "early_stopping",
    "method": "optimizer opt",
}
"""Words that other programs, or users, have for a setting, by the last part of its name here."""

COMMANDS = {
    "train": "fit learn resume finetune fine_tune restart continue run",
    "evaluate": "test validate error errors plot",
    "doctor": "inspect analyze",
    "check": "verify prove stability stable sanity trust",
    "merge": "average blend interpolate mix combine soup",
    "export": "deploy convert freeze compile lammps",
    "sample": "generate label",
    "info": "show describe summary system",
}
"""Words that a user may try for a command."""


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.65) -> str | None:
    """Return the choice that is most like a word, whatever its case; None if none is like it."""
    by_plain_name = {_plain(choice): choice for choice in choices}
    close = difflib.get_close_matches(_plain(word), by_plain_name, n=1, cutoff=cutoff)
    return by_plain_name[close[0]] if close else None


def meant(word: str, choices: Iterable[str], others: dict[str, str], cutoff: float = 0.65) -> str | None:
    """Return the choice that a word stands for elsewhere, or else is most like it; None if there is none.

    Args:
        word: That is not known.
        choices: Words that are.
        others: Other words for some of them, separated by spaces.
        cutoff: How much alike they must be, from 0 to 1.
    """
    known, plain = list(choices), _plain(word)
    exact = [choice for choice in known if _plain(choice) == plain]
    same = [choice for choice in known if plain in others.get(choice, "").split()]
    return next(iter([*exact, *same]), None) or nearest(word, known, cutoff)


def did_you_mean(word: str, choices: Iterable[str], cutoff: float = 0.65) -> str:
    """Return the advice to take the nearest of some choices, behind a semicolon; nothing if none is like the word."""
    close = nearest(word, choices, cutoff)
    return "" if close is None else f"; did you mean {close}?"


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
