"""The list of faults that scripts/mutants.py plants has followed the code."""

from pathlib import Path

import pytest
from modules import ROOT, loaded

MUTANTS = {mutant.name: mutant for mutant in loaded("scripts/mutants.py").mutants()}
each_mutant = pytest.mark.parametrize("name", MUTANTS)


@each_mutant
def test_its_text_stands_where_it_is_said_to(name: str) -> None:
    mutant = MUTANTS[name]
    assert mutant.planted(ROOT) != (ROOT / mutant.file).read_text()


@each_mutant
def test_its_tests_are_there(name: str) -> None:
    for place in MUTANTS[name].tests:
        file, *rest = place.split("::")
        text = (ROOT / file).read_text()
        assert all(f"def {test.split('[')[0]}(" in text for test in rest), place


def test_a_text_that_has_moved_is_an_error(tmp_path: Path) -> None:
    mutant = next(iter(MUTANTS.values()))
    path = tmp_path / mutant.file
    path.parent.mkdir(parents=True)
    for n in (0, 2):
        path.write_text(mutant.old * n)
        with pytest.raises(ValueError, match=f"stands {n} times in {mutant.file}; correct mutants.toml"):
            mutant.planted(tmp_path)
