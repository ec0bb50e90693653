// A look at what functions are given before it is used: an index out of range would read foreign memory, and a pair
// vector that is not a number would count as far away.
#pragma once

#include "pairs.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

// What became of a call; sums.cpp says it in words.
enum Answer {
    NO_MEMORY = -9,
    WRONG_SIZES,
    WRONG_VECTORS,
    WRONG_STARTS,
    WRONG_NEIGHBORS,
    WRONG_SPECIES,
    WRONG_CENTERS,
    WRONG_CUTOFFS,
    WRONG_ACTIVATION,
    NOT_COMPILED = 0,
    DONE = 1,
};

// Calls work with a zero of the numbers that have so many bytes, and answers what that answers.  No exception crosses
// the border of C; all that work throws means that there is no memory.
template <class Work>
inline int with_numbers(int64_t bytes, Work work) noexcept {
    try {
        return bytes == 4 ? work(0.0f) : work(0.0);
    } catch (...) {
        return NO_MEMORY;
    }
}

// Whether 0 <= x < limit for all of them; without branches or comparisons, so that compilers vectorise it.
template <class Integer>
inline bool are_below(Integer limit, const Integer* x, int64_t n) {
    uint64_t signs = 0;
    for (int64_t k = 0; k < n; ++k) signs |= uint64_t(x[k]) | (uint64_t(limit) - 1 - uint64_t(x[k]));
    return n == 0 || (limit > 0 && int64_t(signs) >= 0);
}

// By the bits: sums and products with 0 may be left out where sums are associative.  An exponent of ones overflows if
// one more is added.
template <class T>
inline bool are_finite(const T* x, int64_t n) {
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr Bits SIGN = Bits(1) << (8 * sizeof(T) - 1), ONE = Bits(1) << (sizeof(T) == 4 ? 23 : 52);
    Bits signs = 0;
    for (int64_t k = 0; k < n; ++k) {
        Bits bits;
        std::memcpy(&bits, x + k, sizeof(T));
        signs |= (bits & ~SIGN) + ONE;
    }
    return (signs & SIGN) == 0;
}

// DONE if all is well.
template <class T>
Answer checked(const Pairs<T>& p, int64_t n_elements) {
    if (p.n_centers < 0 || p.starts[0] != 0 || p.starts[p.n_centers] != p.n_pairs) return WRONG_STARTS;
    for (int64_t i = 0; i < p.n_centers; ++i)
        if (p.starts[i] > p.starts[i + 1]) return WRONG_STARTS;
    if (!are_below(p.n_atoms, p.neighbors, p.n_pairs)) return WRONG_NEIGHBORS;
    if (!are_below(n_elements, p.species, p.n_atoms)) return WRONG_SPECIES;
    return are_finite(p.vectors, 3 * p.n_pairs) ? DONE : WRONG_VECTORS;
}
