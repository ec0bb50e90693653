"""A committee that is trained by one command."""

from pathlib import Path

import pytest
import torch
from datasets import labelled_alloys, tiny_config
from reports import Page
from runs import refusal

from nnpot.__main__ import main
from nnpot.commands.members import train_members
from nnpot.committee import Committee
from nnpot.io import load, read_summary
from nnpot.machine.signals import TIME_IS_OVER, InterruptedRunError
from nnpot.structure import Structure
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.options import DataOptions


def test_its_members_differ_by_their_seeds_and_what_is_done_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "three"
    command = ["train", "--config", str(tiny_config(tmp_path)), "--trainer.max_epochs", "2", "--out", str(out)]
    main([*command, "--members", "3", "--seed", "4"])
    records = [Checkpoint.read(out / f"member-{k}/last.ckpt").record for k in range(3)]
    assert [record.settings["seed"] for record in records] == [4, 5, 6]
    committee, members = load(out / "model.nnpot"), [load(out / f"member-{k}") for k in range(3)]
    assert isinstance(committee, Committee)
    assert read_summary(out / "model.nnpot")["members"] == 3
    page, told = Page((out / "report.html").read_text()), capsys.readouterr().out
    assert page.faults == []
    for words in ("three: committee of 3", "member-2", "within 3 σ", "validation structures of all members"):
        assert words in page.text, words
    assert f"next: open {out}/report.html" in told
    assert "forces_std" in told
    assert (out / "report.txt").read_text().strip() in told
    structure = Structure.from_ase(labelled_alloys(3)[2])
    energies = torch.cat([member.predict(structure).energy for member in members])
    torch.testing.assert_close(committee.predict(structure).energy, energies.mean(dim=0, keepdim=True))
    assert len(set(energies.tolist())) == 3
    times = [(out / f"member-{k}/model.nnpot").stat().st_mtime_ns for k in range(3)]
    (out / "member-1/report.txt").unlink()
    (out / "model.nnpot").unlink()
    main([*command, "--members", "3", "--seed", "4"])
    assert [(out / f"member-{k}/model.nnpot").stat().st_mtime_ns for k in range(3)] == times
    assert (out / "member-1/report.txt").is_file()
    assert (out / "model.nnpot").is_file()


def test_a_member_that_is_ended_says_how_its_committee_goes_on(tmp_path: Path) -> None:
    def ended(**_: object) -> Path:
        raise InterruptedRunError(TIME_IS_OVER)

    with pytest.raises(InterruptedRunError) as stop:
        train_members(2, ended, tmp_path, 0, resume=None, data=DataOptions(tmp_path), plan=False)
    assert stop.value.__notes__ == ["this was member 1 of 2: the same command once more goes on with the committee"]


def test_what_a_committee_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--config", tiny_config(tmp_path)]
    assert "members must be at least 1" in refusal(capsys, *command, "--members", "0")
    with pytest.raises(ValueError, match="without --resume"):
        train_members(2, lambda **_: tmp_path, tmp_path, 0, resume=tmp_path)
