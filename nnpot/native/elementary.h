// exp, sin and cos of many numbers at once: without branches, loops or calls, so that compilers vectorise them.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

// 1 + f/K (1 + f/(K+1) (... (1 + f/LAST))): with K = 1 the Taylor series of exp.
template <int K, int LAST, class T>
inline T exponential_series(T f) {
    if constexpr (K > LAST)
        return T(1);
    else
        return 1 + f * T(1.0 / K) * exponential_series<K + 1, LAST>(f);
}

// exp(x) for x <= 0, to rounding: 2^n exp(f), |f| <= ln(2)/2; never less than the smallest normal number.
template <class T>
inline T exponential(T x) {
    using Bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    constexpr int TERMS = sizeof(T) == 4 ? 7 : 13, MANTISSA = sizeof(T) == 4 ? 23 : 52, BIAS = sizeof(T) == 4 ? 127 : 1023;
    constexpr double LN_2 = 0.693147180559945309417, HIGH = 0.693145751953125;  // HIGH has few digits: n HIGH is exact
    constexpr T LEAST = sizeof(T) == 4 ? -87 : -707;
    const T bounded = x < LEAST ? LEAST : x;
    const Bits n = Bits(bounded * T(1 / LN_2) - T(0.5));
    const T f = (bounded - T(n) * T(HIGH)) - T(n) * T(LN_2 - HIGH);
    const T power = __builtin_bit_cast(T, Bits((n + BIAS) << MANTISSA));
    return power * exponential_series<1, TERMS>(f);
}

// 1 + s/(K (K+1)) (1 + s/((K+2)(K+3)) (...)): with s = -u^2 cos u for K = 1, sin(u)/u for K = 2.
template <int K, int LAST, class T>
inline T circular_series(T s) {
    if constexpr (K > LAST)
        return T(1);
    else
        return 1 + s * T(1.0 / (K * (K + 1))) * circular_series<K + 2, LAST>(s);
}

// sin(pi t) and cos(pi t) for 0 <= t <= 1, to rounding: series about t = 1/2.
template <class T>
inline void sine_and_cosine(T t, T& sine, T& cosine) {
    constexpr int LAST = sizeof(T) == 4 ? 13 : 22;
    const T u = T(M_PI) * (t - T(0.5)), s = -u * u;
    sine = circular_series<1, LAST>(s);
    cosine = -u * circular_series<2, LAST>(s);
}
