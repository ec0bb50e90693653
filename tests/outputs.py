"""What electronic structure programs print, as short as their readers allow."""

from collections.abc import Mapping

EDIFF_REACHED = "------------ aborting loop because EDIFF is reached ------------"
EDIFF_NOT_REACHED = "------------ aborting loop EDIFF was not reached (unconverged) ------------"

ESPRESSO = """
     Program PWSCF v.7.0 starts on  1Jan2024 at  0: 0: 0
     lattice parameter (alat)  =      10.0000  a.u.
     number of atoms/cell      =            2
     number of atomic types    =            2
     celldm(1)=  10.000000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

   Cartesian axes
     site n.     atom                  positions (alat units)
         1           Cu  tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           Au  tau(   2) = (   0.0000000   0.5000000   0.5000000  )

!    total energy              =     -20.50000000 Ry
     smearing contrib. (-TS)   =      -0.50000000 Ry
     internal energy E=F+TS    =     -20.00000000 Ry

     The total energy is F=E-TS. E is the sum of the following terms:

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.01000000    0.02000000    0.03000000
     atom    2 type  2   force =    -0.01000000   -0.02000000   -0.03000000

     Computing stress (Cartesian axis) and pressure

          total   stress  (Ry/bohr**3)                   (kbar)     P=       -2.94
  -0.00002000   0.00000000   0.00000000           -2.94        0.00        0.00
   0.00000000  -0.00002000   0.00000000            0.00       -2.94        0.00
   0.00000000   0.00000000  -0.00002000            0.00        0.00       -2.94

     JOB DONE.
"""

ORCA = """
                                 *****************
                                 * O   R   C   A *
                                 *****************
Number of atoms                             ...      2
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
  H      0.000000    0.000000    0.000000
  F      0.000000    0.000000    0.920000

-------------------------   --------------------
FINAL SINGLE POINT ENERGY      -100.250000000000
-------------------------   --------------------
------------------
CARTESIAN GRADIENT
------------------

   1   H   :    0.010000000    0.000000000   -0.030000000
   2   F   :   -0.010000000    0.000000000    0.030000000

                             ****ORCA TERMINATED NORMALLY****
"""

GAUSSIAN = """
 Entering Gaussian System, Link 0=g16
                          Input orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          1           0        0.000000    0.000000    0.000000
      2          9           0        0.000000    0.000000    0.920000
 ---------------------------------------------------------------------
 SCF Done:  E(RHF) =  -100.250000000     A.U. after   10 cycles
 -------------------------------------------------------------------
 Center     Atomic                   Forces (Hartrees/Bohr)
 Number     Number              X              Y              Z
 -------------------------------------------------------------------
      1        1          -0.010000000    0.000000000    0.030000000
      2        9           0.010000000    0.000000000   -0.030000000
 -------------------------------------------------------------------
 Normal termination of Gaussian 16
"""

AIMS = """
          Invoking FHI-aims ...
  | Number of atoms                   :        2
  | Number of spin channels           :        1
  Input geometry:
  | Unit cell:
  |        4.00000000        0.00000000        0.00000000
  |        0.00000000        4.00000000        0.00000000
  |        0.00000000        0.00000000        4.00000000
  | Atomic structure:
  |       Atom                x [A]            y [A]            z [A]
  |    1: Species Cu            0.00000000        0.00000000        0.00000000
  |    2: Species Au            0.00000000        2.00000000        2.00000000

  | Number of Kohn-Sham states (occupied + empty):       20
  The structure contains        2 atoms,  and a total of        108.000 electrons.

          Begin self-consistency loop: Initialization.
          Begin self-consistency iteration #    1
  Total energy components:
  | Total energy uncorrected          :      -4.500000000000000E+01 eV
  | Total energy corrected            :      -4.550000000000000E+01 eV
  | Electronic free energy            :      -4.600000000000000E+01 eV
  Self-consistency cycle converged.
  Energy and forces in a compact form:
  | Total energy uncorrected          :         -0.450000000000000E+02 eV
  | Total energy corrected            :         -0.455000000000000E+02 eV  <-- do not rely on this value
  | Electronic free energy            :         -0.460000000000000E+02 eV

  Total atomic forces (unitary forces cleaned) [eV/Ang]:
  |    1          0.100000000000000E+00          0.200000000000000E+00          0.300000000000000E+00
  |    2         -0.100000000000000E+00         -0.200000000000000E+00         -0.300000000000000E+00

  |              Analytical stress tensor - Symmetrized                  |
  |                  Cartesian components [eV/A**3]                      |
  |----------------------------------------------------------------------|
  |                x                y                z                   |
  |                                                                      |
  |  x         0.00100000       0.00000000       0.00000000              |
  |  y         0.00000000       0.00200000       0.00000000              |
  |  z         0.00000000       0.00000000       0.00300000              |

          Have a nice day.
"""


def vasprun(n: int) -> str:
    basis = '<varray name="basis"><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray>'
    structure = f'<crystal>{basis}</crystal><varray name="positions"><v>0 0 0</v><v>0 .5 .5</v></varray></structure>'
    energies = '<energy><i name="e_fr_energy">{0}</i><i name="e_wo_entrp">-3</i><i name="e_0_energy">-3</i></energy>'
    steps = "".join(
        f"<calculation><scstep>{energies.format(-3.5 - k)}</scstep><structure>{structure}"
        f'<varray name="forces"><v>.1 .2 .3</v><v>-.1 -.2 -.3</v></varray>{energies.format(-3.5 - k)}</calculation>\n'
        for k in range(n)
    )
    return (
        '<?xml version="1.0"?><modeling><kpoints><varray name="kpointlist"><v>0 0 0</v></varray>'
        '<varray name="weights"><v>1</v></varray></kpoints><parameters></parameters><atominfo><array name="atoms">'
        "<set><rc><c>Cu</c></rc><rc><c>Au</c></rc></set></array></atominfo>"
        f'<structure name="initialpos">{structure}\n{steps}</modeling>\n'
    )


def outcar(n: int, limit: int | None = None, ends: Mapping[int, tuple[int, str]] = {}) -> str:
    """An OUTCAR of n ionic steps.

    Args:
        n: Their number.
        limit: NELM; not written if None.
        ends: By number of a step, its last electronic iteration and the line by which these end.
    """
    head = " POTCAR:    PAW_PBE Cu 22Jun2005\n POTCAR:    PAW_PBE Au 04Oct2007\n" * 2
    head += "   ions per type =               1   1\n   ISPIN  =      1    spin polarized calculation?\n"
    head += "" if limit is None else f"   NELM   =    {limit:3d};   NELMIN=  2; NELMDL= -5     # of ELM steps\n"
    steps = "".join(
        _iterations(k + 1, *ends.get(k, (1, EDIFF_REACHED))) + "      direct lattice vectors\n"
        "     4.0  0.0  0.0     0.25  0.0  0.0\n     0.0  4.0  0.0     0.0  0.25  0.0\n"
        "     0.0  0.0  4.0     0.0  0.0  0.25\n\n POSITION                TOTAL-FORCE (eV/Angst)\n ------------\n"
        "      0.0      0.0      0.0         0.1      0.2      0.3\n"
        "      0.0      2.0      2.0        -0.1     -0.2     -0.3\n ------------\n\n"
        "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  ---------------\n"
        f"  free  energy   TOTEN  =       {-3.5 - k:.6f} eV\n\n"
        f"  energy  without entropy=       {-3.4 - k:.6f}  energy(sigma->0) =       {-3.45 - k:.6f}\n\n"
        for k in range(n)
    )
    return head + steps + " General timing and accounting informations for this job:\n"


def _iterations(step: int, last: int, end: str) -> str:
    return "".join(f"--------- Iteration {step:6d}({k:4d})  ---------\n" for k in range(1, last + 1)) + f"{end}\n"
