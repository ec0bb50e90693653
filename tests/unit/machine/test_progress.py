"""How far a command has come is said now and then, in a file as well."""

import pytest

from nnpot.machine.progress import Counted


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize(("total", "n_lines"), [(3, 3), (40, 20), (1000, 20)])
def test_there_are_about_twenty_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], total: int, n_lines: int
) -> None:
    with Counted("labelling", total) as counted:
        for _ in range(total):
            counted.advance()
    said = lines(capsys)
    assert len(said) == n_lines
    assert said[-1] == f"labelling: {total} of {total} structures"


def test_few_that_are_quick_need_none_but_one_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 61.0, 62.0])
    monkeypatch.setattr("nnpot.machine.progress.time.monotonic", lambda: next(clock))
    with Counted("predicting", 3, lines=0) as counted:
        for _ in range(3):
            counted.advance()
    assert lines(capsys) == ["predicting: 2 of 3 structures"]


def test_it_counts_on_from_what_was_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    with Counted("labelling", 4, done=2) as counted:
        counted.advance(2)
        counted.advance(0)
    assert lines(capsys) == ["labelling: 4 of 4 structures"]
