"""Put the recipes of `configs/` into the package, where `nnpot.commands.recipes` finds them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RECIPES = Path(__file__).parent / "configs"


class WithRecipes(build_py):
    """The modules, then the recipes as `nnpot/recipes`."""

    def run(self) -> None:
        """Copy both to where the wheel is made from; an editable installation reads `configs/` itself."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "nnpot" / "recipes"
        folder.mkdir(parents=True, exist_ok=True)
        for recipe in RECIPES.glob("*.yaml"):
            shutil.copy(recipe, folder)


setup(cmdclass={"build_py": WithRecipes})
