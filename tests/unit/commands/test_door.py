"""The door says in one sentence what is missing, too."""

import sys

import pytest
from runs import refusal


@pytest.mark.parametrize(("missing", "command"), [("pytorch_lightning", "train"), ("nnpot.io", "info")])
def test_what_cannot_be_imported_is_named(
    missing: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [name for name in sys.modules if name.startswith("nnpot.commands.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, missing, None)
    line = refusal(capsys, command, "--help", "all")
    assert line.startswith(f"nnpot: nnpot {command} cannot start")
    assert missing in line
