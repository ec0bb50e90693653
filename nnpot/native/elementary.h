// exp, sin and cos of a number or of a register of them: without branches, loops, calls or conversions to integers, so
// that compilers vectorise them for every processor.
#pragma once

#include "lanes.h"

#include <cmath>
#include <cstdint>
#include <limits>

constexpr double inverse_factorial(int n) { return n > 1 ? inverse_factorial(n - 1) / n : 1; }

// 1/K! + x/(K+STEP)! + x^2/(K+2 STEP)! + ..., up to the term of LAST!.
template <int K, int STEP, int LAST, class T>
inline T series(const T& x) {
    constexpr auto first = typename Of<T>::Number(inverse_factorial(K));
    if constexpr (K + STEP > LAST)
        return T{} + first;
    else
        return first + x * series<K + STEP, STEP, LAST>(x);
}

// exp(x) for x <= 0, to rounding: 2^n exp(f), |f| <= ln(2)/2; never less than the smallest normal number.
template <class T>
inline T exponential(const T& x) {
    using Number = typename Of<T>::Number;
    using Bits = typename Of<T>::Bits;
    using Word = typename Of<Number>::Bits;
    constexpr bool SINGLE = sizeof(Number) == 4;
    constexpr int LAST = SINGLE ? 7 : 13, MANTISSA = SINGLE ? 23 : 52, EXPONENT = SINGLE ? 8 : 11;
    constexpr Word BIAS = (Word(1) << (EXPONENT - 1)) - 1, LOWER = (Word(1) << MANTISSA) - 1;
    constexpr double LN_2 = 0.693147180559945309417, HIGH = 0.693145751953125;  // HIGH has few digits: n HIGH is exact
    constexpr Number LOW = Number(1.42860682030941723212e-6);                   // with digits that LN_2 lacks
    constexpr Number LEAST = SINGLE ? -87 : -707;
    constexpr Number SHIFT = Number(1.5) / std::numeric_limits<Number>::epsilon();  // rounds what is added to it
    constexpr Word OF_SHIFT = __builtin_bit_cast(Word, SHIFT);

    const T bounded = x < LEAST ? T{} + LEAST : x;
    const Bits shifted = __builtin_bit_cast(Bits, bounded * Number(1 / LN_2) + SHIFT),
               biased = shifted + (BIAS - OF_SHIFT);
    // Where sums are associative a compiler takes (a + b) - b for a, and (x - n HIGH) - n LOW for x - n (HIGH + LOW),
    // which has lost its digits.  Between two steps stands what changes no bit, but is nothing that it can know.
    const T n = __builtin_bit_cast(T, (shifted & LOWER) | (OF_SHIFT & ~LOWER)) - SHIFT;
    const Bits of_rest = __builtin_bit_cast(Bits, bounded - n * Number(HIGH)), zero = biased >> (EXPONENT - 1);
    const T f = __builtin_bit_cast(T, of_rest | zero) - n * LOW;
    return __builtin_bit_cast(T, biased << MANTISSA) * series<0, 1, LAST>(f);
}

// sin(pi t) and cos(pi t) for 0 <= t <= 1, to rounding: series about t = 1/2.
template <class T>
inline void sine_and_cosine(const T& t, T& sine, T& cosine) {
    using Number = typename Of<T>::Number;
    constexpr int LAST = sizeof(Number) == 4 ? 14 : 22;
    const T u = Number(M_PI) * (t - Number(0.5)), s = -u * u;
    sine = series<0, 2, LAST>(s);
    cosine = -u * series<1, 2, LAST + 1>(s);
}
