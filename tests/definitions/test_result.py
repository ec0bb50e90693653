"""Which weights a training ends with: the last of one that ended well, else the best on validation."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import labelled_alloys
from short import Short, finished, short_training

from nnpot.fingerprints import Fingerprints
from nnpot.io import MODEL, load, read_summary, save
from nnpot.potential import Potential
from nnpot.structure import Structure
from nnpot.training import result
from nnpot.training.checkpoint import DurableCheckpointIO
from nnpot.training.data import Split
from nnpot.training.result import holds, model_in, model_of, needs_twin, result_of, save_result
from nnpot.training.twin import _divided

BEST = 10.0
"""Error of the best weights."""

ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "after all epochs": ({"error": 1.5 * BEST}, "last"),
    "after all epochs, not quite twice the best error": ({"error": 1.99 * BEST}, "last"),
    "after all epochs, twice the best error: diverged": ({"error": 2.01 * BEST}, "best"),
    "cut short": ({"error": 1.5 * BEST, "finished": False}, "best"),
    "stopped early": ({"error": 1.5 * BEST, "stopped": True}, "best"),
    "without validation": ({"error": None}, "last"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """A training of one epoch."""
    return short_training(tmp_path_factory.mktemp("run"), **{"trainer.max_epochs": 1})


def rewritten(path: Path, factor: float, **progress: Any) -> torch.Tensor:
    """Multiply the weights of the networks in a checkpoint, and change how far it says it is; return the weights."""
    content = torch.load(path, weights_only=True)
    weights = {name: p for name, p in content["state_dict"].items() if ".networks." in name}
    content["state_dict"] |= {name: factor * p for name, p in weights.items()}
    content["nnpot"] |= progress
    DurableCheckpointIO().save_checkpoint(content, path)
    return factor * torch.cat([p.flatten() for p in weights.values()])


@pytest.mark.parametrize("end", ENDS)
def test_the_result_of_a_training_that_ended(run: Short, tmp_path: Path, end: str) -> None:
    progress, wanted = ENDS[end]
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    weights = {
        "best": rewritten(folder / "best.ckpt", 2.0, error=BEST),
        "last": rewritten(folder / "last.ckpt", 3.0, **progress),
    }
    save_result(folder, lambda: Split([], []))
    assert torch.equal(finished(folder).weights("networks"), weights[wanted])


def changed(potential: Potential) -> Potential:
    """The same with another last layer, as a core may ask for."""
    new = copy.deepcopy(potential)
    next(p for name, p in new.state_dict().items() if ".4.weight" in name or ".2.weight" in name).add_(0.5)
    return new


def test_a_file_is_of_its_training_whatever_was_changed_afterwards(
    run: Short, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / MODEL).unlink()
    monkeypatch.setattr(result, "guarded", lambda potential, *_: changed(potential))
    save_result(folder, lambda: Split([], []))
    trained = model_of(result_of(folder))  # type: ignore[arg-type]
    dtype = trained.dtype_and_device()[0]
    kept = load(folder / MODEL, dtype)
    differs = [name for name, x in trained.state_dict().items() if not torch.equal(x, kept.state_dict()[name])]
    assert len(differs) == 1
    assert holds(folder / MODEL, trained)
    assert torch.equal(model_in(folder, dtype).state_dict()[differs[0]], kept.state_dict()[differs[0]])
    before = (folder / MODEL).read_bytes()
    save_result(folder, lambda: pytest.fail("made once more"))
    assert (folder / MODEL).read_bytes() == before
    assert len(read_summary(folder / MODEL)["trained weights"]) == 16
    assert not holds(folder / MODEL, changed(trained))


def test_a_file_from_before_fingerprints_is_known_by_its_weights(run: Short, tmp_path: Path) -> None:
    trained = model_of(result_of(run.folder))  # type: ignore[arg-type]
    save(trained, tmp_path / MODEL, {})
    assert holds(tmp_path / MODEL, trained)
    assert not holds(tmp_path / MODEL, changed(trained))
    assert not holds(tmp_path / "none.nnpot", trained)


@pytest.mark.parametrize(("n", "unseen"), [(15, 5), (21, 7), (30, 10), (50, 10), (100, 20)])
def test_a_twin_does_not_see_a_fifth_and_ten_if_that_is_no_more_than_a_third(n: int, unseen: int) -> None:
    split = Split([Structure.from_ase(atoms) for atoms in labelled_alloys(n)], [])
    seen, left_out = _divided(split, 0)
    assert (len(seen.train), len(left_out)) == (n - unseen, unseen)
    assert not {id(s) for s in seen.train} & {id(s) for s in left_out}


def test_a_twin_sees_all_that_the_model_was_trained_on_from_which_it_starts() -> None:
    structures = [Structure.from_ase(atoms) for atoms in labelled_alloys(60)]
    split = Split(structures, [], old=Fingerprints.of(structures[:30]))
    assert needs_twin(split)
    assert not needs_twin(replace(split, old=Fingerprints.of(structures[9:])))
    seen, left_out = _divided(split, 0)
    assert len(left_out) == 10
    assert {id(s) for s in left_out} <= {id(s) for s in structures[30:]}
    assert {id(s) for s in (*seen.train, *left_out)} == {id(s) for s in structures}


def test_a_twin_takes_structures_with_forces() -> None:
    structures = [Structure.from_ase(atoms) for atoms in labelled_alloys(12)]
    assert needs_twin(Split(structures, []))
    assert not needs_twin(Split([s.with_labels(forces=None) for s in structures], []))
    assert not needs_twin(Split(structures[:9], []))
    assert not needs_twin(Split(structures[:6], structures[6:]))
