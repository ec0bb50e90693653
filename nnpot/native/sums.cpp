// Forces from the derivatives of the energy by the pair vectors:  F_k = sum_(i=k) g_ij - sum_(j=k) g_ij.

#include <cstdint>

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

// `out` is zero at the beginning.  `bytes` per number says float or double.
extern "C" int nnpot_forces(int64_t bytes, int64_t n_pairs, const int64_t* i, const int64_t* j, const void* gradient,
                            void* out) {
    if (bytes == 4)
        forces(n_pairs, i, j, static_cast<const float*>(gradient), static_cast<float*>(out));
    else
        forces(n_pairs, i, j, static_cast<const double*>(gradient), static_cast<double*>(out));
    return 1;
}
