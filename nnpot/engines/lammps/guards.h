// Settings of a LAMMPS input by which its neighbour list lacks pairs of atoms of the potential.  The energy of an atom
// depends on all its neighbours, so that one pair less is another potential, of which no message would tell.  And
// elements in another order than that of the types in the data, which masses tell.

#pragma once

#include "atom.h"
#include "neighbor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace nnpot {

// Which atoms are of the potential: those of a type that has an element.
class Ours {
  public:
    Ours(const LAMMPS_NS::Atom& atom, const std::vector<int64_t>& element_of) : atom(atom), element_of(element_of) {}

    bool type(int type) const { return element_of[type] >= 0; }

    bool operator()(int k) const { return type(atom.type[k]); }

    // Whether one among the first so many atoms is in a group.
    bool any(int n_atoms, int group) const {
        for (int k = 0; k < n_atoms; ++k)
            if ((*this)(k) && (atom.mask[k] & group)) return true;
        return false;
    }

    const LAMMPS_NS::Atom& atom;

  private:
    const std::vector<int64_t>& element_of;
};

// Whether pairs of bonded atoms are dropped, by the flags for those of 1, 2 and 3 bonds in between.
inline bool drops_bonded(const Ours& ours, LAMMPS_NS::Atom& atom, const int* flags) {
    if (atom.molecular == LAMMPS_NS::Atom::ATOMIC || (flags[1] && flags[2] && flags[3])) return false;
    if (atom.molecular == LAMMPS_NS::Atom::TEMPLATE) return true;
    for (int i = 0; i < atom.nlocal; ++i) {
        if (!ours(i)) continue;
        const int* ends = atom.nspecial[i];
        for (int k = 0; k < ends[2]; ++k) {
            const int bonds = 1 + (k >= ends[0]) + (k >= ends[1]), partner = atom.map(atom.special[i][k]);
            if (!flags[bonds] && partner >= 0 && ours(partner)) return true;
        }
    }
    return false;
}

// Whether pairs are dropped by type, group or molecule.
inline bool drops_excluded(const Ours& ours, const LAMMPS_NS::Neighbor& lists) {
    for (int k = 0; k < lists.nex_type; ++k)
        if (ours.type(lists.ex1_type[k]) && ours.type(lists.ex2_type[k])) return true;
    const int n_local = ours.atom.nlocal, n_atoms = n_local + ours.atom.nghost;
    for (int k = 0; k < lists.nex_group; ++k)
        if (ours.any(n_atoms, lists.ex1_bit[k]) && ours.any(n_atoms, lists.ex2_bit[k])) return true;
    for (int k = 0; k < lists.nex_mol; ++k)
        if (ours.any(n_local, lists.ex_mol_bit[k])) return true;
    return false;
}

// What is to be changed in the input for a complete list; nothing if it is.
inline std::string lacks_pairs(LAMMPS_NS::Atom& atom, const LAMMPS_NS::Neighbor& lists,
                               const std::vector<int64_t>& element_of) {
    const Ours ours(atom, element_of);
    if (drops_bonded(ours, atom, lists.special_flag))
        return "special_bonds drops pairs of bonded atoms, which the potential needs: give special_bonds lj/coul 1 1 1";
    if (lists.exclude && drops_excluded(ours, lists))
        return "neigh_modify exclude drops pairs of atoms, which the potential needs: take it out of the input";
    return {};
}

// What is said of the first atom type with the mass of another element of the potential than pair_coeff gives it, as in
// nnpot/engines/lammps/guards.py; nothing if there is none.  Isotopes and masses of the user's own are of no other.
inline std::string mass_of_another(const LAMMPS_NS::Atom& atom, const std::vector<int64_t>& element_of,
                                   const std::vector<std::string>& elements, const std::vector<double>& masses) {
    constexpr double OFF = 0.2, NEAR = 0.5, CLOSER = 0.2;  // so far from its own element, in u, so near to the other
    if (!atom.mass || masses.size() != elements.size()) return {};
    for (int type = 1; type <= atom.ntypes; ++type) {
        const int64_t own = element_of[type];
        if (own < 0 || !atom.mass_setflag[type]) continue;
        const double mass = atom.mass[type], off = std::abs(mass - masses[own]);
        for (size_t other = 0; off > OFF && other < elements.size(); ++other)
            if (std::abs(mass - masses[other]) < std::min(NEAR, CLOSER * off))
                return "atom type " + std::to_string(type) + " has the mass of " + elements[other] +
                       ", but pair_coeff makes it " + elements[own] +
                       ": give the elements in the order of the atom types";
    }
    return {};
}

}  // namespace nnpot
