"""The labels: every quantity of a structure that a potential can predict, learn and be measured by.

This table is the only place that lists them.  Files, loss, metrics, tables and plots go through it: a new label is an
entry here, and a head in :mod:`nnpot.heads` that predicts it.

=========  =========  ======  =======  ===================================================================
label      per        shape   unit     meaning
=========  =========  ======  =======  ===================================================================
energy     structure  ()      eV       total energy
forces     atom       (3,)    eV/Å     forces
stress     structure  (6,)    eV/Å³    Voigt xx, yy, zz, yz, xz, xy, positive under tension
dipole     structure  (3,)    e·Å      Σ q_i r_i, about the origin of the coordinates; of molecules alone
charges    atom       ()      e        atomic charges
=========  =========  ======  =======  ===================================================================
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from nnpot.units import GPA, MEV

Kind = TypeVar("Kind", bound=type)

Place = Literal["anything", "a cell", "no cell"]
"""What a structure must have for a label: nothing, a periodic cell with a volume, or no periodic direction."""


@dataclass(frozen=True)
class Label:
    """One quantity.

    Attributes:
        name: In ASE's results, in configurations and in `Structure.labels`.
        key: In the names of metrics, such as `force` in `val/force_rmse_mev_per_ang`.
        symbol: On the progress line and in the heads of tables.
        title: Of a plot.
        per: Whether there is one for each structure or for each atom.
        shape: Of the one.
        unit: Of the values in memory and in files, in words for the help.
        shown: Unit of errors as a reader sees them.
        suffix: The same in the names of metrics.
        factor: One of `shown`, in `unit`.
        words: A name that contains one of them may be that of the label.
        phrase: The label with its article.
        wanted: What a file must hold for it, in words.
        weight: In the loss, unless another is given.
        of: The structures that can have it.
        is_extensive: Whether errors are those of the value per atom.
        has_head: Whether only a potential with a head for it predicts it.
    """

    name: str
    key: str
    symbol: str
    title: str
    per: Literal["structure", "atom"]
    shape: tuple[int, ...]
    unit: str
    shown: str
    suffix: str
    factor: float
    words: tuple[str, ...]
    phrase: str
    wanted: str
    weight: float = 0.0
    of: Place = "anything"
    is_extensive: bool = False
    has_head: bool = False

    def is_possible(self, pbc: Sequence[bool], *, has_volume: bool) -> bool:
        """Return whether a structure of this periodicity can have the label."""
        if self.of == "a cell":
            return any(pbc) and has_volume
        return self.of == "anything" or not any(pbc)

    @property
    def why_impossible(self) -> str:
        """Why no structure of a file can have it."""
        return "no structure is periodic" if self.of == "a cell" else f"periodic cells have no {self.name} label"


_ALL = (
    Label(
        name="energy",
        key="energy",
        symbol="E",
        title="Energy",
        per="structure",
        shape=(),
        unit="eV",
        shown="meV/atom",
        suffix="mev_per_atom",
        factor=MEV,
        weight=1.0,
        words=("energy",),
        phrase="an energy",
        wanted="one number",
        is_extensive=True,
    ),
    Label(
        name="forces",
        key="force",
        symbol="F",
        title="Force components",
        per="atom",
        shape=(3,),
        unit="eV/Å",
        shown="meV/Å",
        suffix="mev_per_ang",
        factor=MEV,
        weight=1.0,
        words=("force",),
        phrase="forces",
        wanted="three numbers per atom",
    ),
    Label(
        name="stress",
        key="stress",
        symbol="S",
        title="Stress",
        per="structure",
        shape=(6,),
        unit="eV/Å³",
        shown="GPa",
        suffix="gpa",
        factor=GPA,
        words=("stress", "virial"),
        phrase="a stress",
        wanted="6 numbers, 9 numbers or a 3×3 matrix",
        of="a cell",
    ),
    Label(
        name="dipole",
        key="dipole",
        symbol="µ",
        title="Dipole components",
        per="structure",
        shape=(3,),
        unit="e·Å",
        shown="me·Å",
        suffix="me_ang",
        factor=1e-3,
        words=("dipole",),
        phrase="a dipole",
        wanted="three numbers",
        of="no cell",
        has_head=True,
    ),
    Label(
        name="charges",
        key="charge",
        symbol="q",
        title="Atomic charges",
        per="atom",
        shape=(),
        unit="e",
        shown="me",
        suffix="me",
        factor=1e-3,
        words=("charge",),
        phrase="charges",
        wanted="one number per atom",
        has_head=True,
    ),
)
LABELS = {label.name: label for label in _ALL}
"""All labels by name, in the order in which they are shown."""


def with_labels(kind: type, default: Callable[[Label], object], help: Callable[[Label], str]) -> Callable[[Kind], Kind]:
    """Make a class a frozen dataclass that has a field for each label before its own.

    Args:
        kind: Type of these fields.
        default: Value of the field of a label, where none is given.
        help: What the docstring says of the field.
    """

    def decorate(options: Kind) -> Kind:
        """Add the fields and their help to the class."""
        fields = {name: default(label) for name, label in LABELS.items()}
        for name, value in fields.items():
            setattr(options, name, value)
        options.__annotations__ = {**dict.fromkeys(fields, kind), **options.__annotations__}
        lines = "".join(f"        {name}: {help(label)}\n" for name, label in LABELS.items())
        options.__doc__ = (options.__doc__ or "").replace("    Args:\n", f"    Args:\n{lines}", 1)
        dataclasses.dataclass(frozen=True)(options)
        return options

    return decorate
