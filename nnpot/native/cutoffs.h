// Cutoff functions f_c, 1 up to an inner radius and 0 at and beyond the cutoff, with their derivatives with respect to
// r.  The same formulas are in nnpot/functional/cutoffs.py.
#pragma once

#include "elementary.h"
#include "lanes.h"

#include <cmath>
#include <cstddef>

enum Switch { COSINE = 0, TANH3, POLYNOMIAL, HARD, SCALED_TANH3, EXPONENTIAL, CUBIC, SEPTIC, NONIC };

struct Cutoff {
    int kind;
    double radius, inner;
};

// Of 0 <= x <= 1 between the radii: f_c(x) and df_c/dx.
template <int KIND, class T>
inline void switch_function(const T& x, T& value, T& slope) {
    using Number = typename Of<T>::Number;
    const T y = 1 - x;
    if constexpr (KIND == COSINE) {
        T sine, cosine;
        sine_and_cosine(x, sine, cosine);
        value = Number(0.5) * (1 + cosine);
        slope = Number(-0.5 * M_PI) * sine;
    } else if constexpr (KIND == TANH3 || KIND == SCALED_TANH3) {
        const T e = exponential(-2 * y), t = (1 - e) / (1 + e);
        constexpr Number factor = Number(KIND == TANH3 ? 1 : 2.2637537952253513);  // 1 / tanh(1)^3
        value = factor * t * t * t;
        slope = factor * -3 * t * t * (1 - t * t);
    } else if constexpr (KIND == POLYNOMIAL) {
        value = 1 + x * x * x * (-10 + x * (15 - 6 * x));
        slope = -30 * x * x * y * y;
    } else if constexpr (KIND == HARD) {
        value = T{} + 1;
        slope = T{};
    } else if constexpr (KIND == EXPONENTIAL) {
        const T below = 1 - x * x,
                held = below > Number(1e-3) ? below : T{} + Number(1e-3);  // e^-999 is 0: no division by 0
        value = exponential(1 - 1 / held);
        slope = -2 * x * value / (held * held);
    } else if constexpr (KIND == CUBIC) {
        value = y * y * (1 + 2 * x);
        slope = -6 * x * y;
    } else if constexpr (KIND == SEPTIC) {
        value = y * y * y * y * (1 + x * (4 + x * (10 + 20 * x)));
        slope = -140 * x * x * x * y * y * y;
    } else {
        value = y * y * y * y * y * (1 + x * (5 + x * (15 + x * (35 + 70 * x))));
        slope = -630 * x * x * x * x * y * y * y * y;
    }
}

template <int KIND, class T>
void cutoff_functions(const Cutoff& c, const T* r, size_t n, T* values, T* slopes) {
    using Number = typename Of<T>::Number;
    const Number radius = Number(c.radius), inner = Number(c.inner), per_width = 1 / (radius - inner);
    for (size_t k = 0; k < n; ++k) {
        const T scaled = (r[k] - inner) * per_width, above = scaled > 0 ? scaled : T{}, x = above < 1 ? above : T{} + 1;
        T value, slope;
        switch_function<KIND>(x, value, slope);
        values[k] = r[k] < radius ? value : T{};
        slopes[k] = r[k] < radius ? slope * per_width : T{};
    }
}

// Of n numbers or registers.
template <class T>
inline void cutoff_functions(const Cutoff& c, const T* r, size_t n, T* values, T* slopes) {
    switch (c.kind) {
        case COSINE: return cutoff_functions<COSINE>(c, r, n, values, slopes);
        case TANH3: return cutoff_functions<TANH3>(c, r, n, values, slopes);
        case POLYNOMIAL: return cutoff_functions<POLYNOMIAL>(c, r, n, values, slopes);
        case HARD: return cutoff_functions<HARD>(c, r, n, values, slopes);
        case SCALED_TANH3: return cutoff_functions<SCALED_TANH3>(c, r, n, values, slopes);
        case EXPONENTIAL: return cutoff_functions<EXPONENTIAL>(c, r, n, values, slopes);
        case CUBIC: return cutoff_functions<CUBIC>(c, r, n, values, slopes);
        case SEPTIC: return cutoff_functions<SEPTIC>(c, r, n, values, slopes);
        default: return cutoff_functions<NONIC>(c, r, n, values, slopes);
    }
}
