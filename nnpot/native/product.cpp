// Products of functions on the sphere that are expansions in spherical harmonics, many of them at once:
//
//     (f g)_k = sum_ij  G_ijk f_i g_j,    i, j, k = lm,    G the Gaunt coefficients
//
// The products stand beside each other in memory, a register of them is calculated at a time.  Every coefficient is a
// constant in the code, which is a few hundred multiplications in a row.  G is symmetric in all of i, j, k, so that the
// derivative of a product is a product again.

#include "harmonics.h"
#include "lanes.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

#define TERM(k, value) \
    if constexpr (k < L) out[k] += T(value) * both;
#define PAIR(i, j, terms)                                                       \
    if constexpr (j < L) {                                                      \
        V both = f[i] * g[j];                                                   \
        if constexpr (i < j) both += f[j] * g[i];                               \
        terms                                                                   \
    }

template <class T, int L, class V = Vector<T>>
inline void product(const V* f, const V* g, V* out) {
#include "gaunt.h"
}

#undef TERM
#undef PAIR

// Columns of L rows of n numbers, from `column` on: as many as a register holds, or fewer.
template <class T, int L, class Bytes>
inline void product_of_columns(int64_t n, const T* f, const T* g, T* out, int64_t column, Bytes bytes) {
    Vector<T> a[L] = {}, b[L] = {}, c[L] = {};
    for (int lm = 0; lm < L; ++lm) {
        std::memcpy(&a[lm], f + lm * n + column, bytes);
        std::memcpy(&b[lm], g + lm * n + column, bytes);
    }
    product<T, L>(a, b, c);
    for (int lm = 0; lm < L; ++lm) std::memcpy(out + lm * n + column, &c[lm], bytes);
}

template <class T, int L>
void products(int64_t n, const T* f, const T* g, T* out, int64_t first, int64_t last) {
    constexpr std::integral_constant<size_t, REGISTER> full;
    int64_t column = first;
    for (; column + LANES<T> <= last; column += LANES<T>)
        product_of_columns<T, L>(n, f, g, out, column, full);
    if (column < last) product_of_columns<T, L>(n, f, g, out, column, (last - column) * sizeof(T));
}

template <class T>
bool products_of_all(int64_t threads, int64_t n, const T* f, const T* g, int64_t l_max, T* out) {
    constexpr int64_t AT_ONCE = LANES<T>;
    return with_harmonics(int(l_max), [&](auto L) {
        parallel((n + AT_ONCE - 1) / AT_ONCE, threads, [=](int64_t first, int64_t last) {
            products<T, L.value>(n, f, g, out, first * AT_ONCE, std::min(last * AT_ONCE, n));
        });
    });
}

}  // namespace

// `bytes` per number says float or double.  Returns 0 if it is not compiled for degrees up to l_max.
extern "C" int nnpot_product(int64_t bytes, int64_t threads, int64_t n, const void* f, const void* g, int64_t l_max,
                             void* out) {
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        return products_of_all(threads, n, static_cast<const T*>(f), static_cast<const T*>(g), l_max, static_cast<T*>(out));
    };
    return bytes == 4 ? run(0.0f) : run(0.0);
}
