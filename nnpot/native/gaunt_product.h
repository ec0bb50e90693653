// The product of two functions on the sphere that are expansions in spherical harmonics:
//
//     (f g)_k = sum_ij  G_ijk f_i g_j,    i, j, k = lm,    G the Gaunt coefficients
//
// Every coefficient is a constant in the code, which is a few hundred multiplications in a row.  G is symmetric in all
// of i, j, k, so that the derivative of a product is a product again.
#pragma once

#include "lanes.h"

#define TERM(k, value) \
    if constexpr (k < L) out[k] += T(value) * both;
#define PAIR(i, j, terms)                                  \
    if constexpr (j < L) {                                 \
        V both = f[i] * g[j];                              \
        if constexpr (i < j) both += f[j] * g[i];          \
        if constexpr (TWO) both += f2[i] * g2[j];          \
        if constexpr (TWO && i < j) both += f2[j] * g2[i]; \
        terms                                              \
    }

// Adds f g, or f g + f2 g2, of L coefficients in every lane.
template <class T, int L, bool TWO, class V = Vector<T>>
__attribute__((noinline)) void add_gaunt_product(const V* __restrict f, const V* __restrict g, const V* __restrict f2,
                                                 const V* __restrict g2, V* __restrict out) {
#include "gaunt.h"
}

#undef TERM
#undef PAIR
