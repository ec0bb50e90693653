// Forces from the derivatives of the energy with respect to the pair vectors:  F_k = sum_(i=k) g_ij - sum_(j=k) g_ij.

#include "api.h"
#include "checks.h"

namespace {

template <class T>
void forces(int64_t n_pairs, const int64_t* i, const int64_t* j, const T* gradient, T* out) {
    for (int64_t pair = 0; pair < n_pairs; ++pair) {
        T *of_i = out + 3 * i[pair], *of_j = out + 3 * j[pair];
        for (int x = 0; x < 3; ++x) {
            const T g = gradient[3 * pair + x];
            of_i[x] += g;
            of_j[x] -= g;
        }
    }
}

}  // namespace

// One thread: two pairs may add to the same atom.
extern "C" int nnpot_forces(NNPOT_FORCES, void* out) {
    static_cast<void>(threads);
    if (!are_below(n_atoms, i, n_pairs)) return WRONG_STARTS;
    if (!are_below(n_atoms, j, n_pairs)) return WRONG_NEIGHBORS;
    if (bytes == 4)
        forces(n_pairs, i, j, static_cast<const float*>(gradient), static_cast<float*>(out));
    else
        forces(n_pairs, i, j, static_cast<const double*>(gradient), static_cast<double*>(out));
    return DONE;
}

extern "C" const char* nnpot_meaning(int64_t answer) {
    switch (answer) {
        case NO_MEMORY: return "there is not enough memory";
        case WRONG_SIZES: return "sizes do not agree with the arrays";
        case WRONG_VECTORS: return "a pair vector r_ij is infinite or not a number";
        case WRONG_STARTS: return "a pair's centre is not one of the atoms, or the pairs are not sorted by centre";
        case WRONG_NEIGHBORS: return "a pair's neighbour is not one of the atoms";
        case WRONG_SPECIES: return "the element index of an atom is not one of the elements of the model";
        case WRONG_CENTERS: return "the element index of a centre is not one of the elements of the model";
        case WRONG_CUTOFFS:
            return "a cutoff is not positive, the angular one the larger, or the inner radius beyond it";
        case WRONG_ACTIVATION: return "there is no activation function of this number";
        case NOT_COMPILED: return "not compiled for these sizes";
        default: return "done";
    }
}
