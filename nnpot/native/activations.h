// Activation functions with their first and second derivatives.
#pragma once

#include "elementary.h"

#include <cstdint>

enum Function { LINEAR = 0, TANH, SIGMOID, SILU, GAUSSIAN, RELU };

// f, f' and f'' of n numbers.
template <class T, class F>
void activated_by(int n, const T* z, T* value, T* slope, T* curvature, F function) {
    for (int k = 0; k < n; ++k) function(z[k], value[k], slope[k], curvature[k]);
}

template <class T>
inline T sigmoid(T z) {
    const T e = exponential(z < 0 ? z : -z), least = 1 / (1 + e);
    return z < 0 ? e * least : least;
}

template <class T>
bool activate(int64_t kind, int n, const T* z, T* value, T* slope, T* curvature) {
    const auto by = [&](auto function) { return activated_by(n, z, value, slope, curvature, function), true; };
    switch (kind) {
        case LINEAR: return by([](T z, T& f, T& f1, T& f2) { f = z, f1 = 1, f2 = 0; });
        case TANH:
            return by([](T z, T& f, T& f1, T& f2) {
                f = 2 * sigmoid(2 * z) - 1;
                f1 = 1 - f * f;
                f2 = -2 * f * f1;
            });
        case SIGMOID:
            return by([](T z, T& f, T& f1, T& f2) {
                f = sigmoid(z);
                f1 = f * (1 - f);
                f2 = f1 * (1 - 2 * f);
            });
        case SILU:
            return by([](T z, T& f, T& f1, T& f2) {
                const T s = sigmoid(z);
                f = z * s;
                f1 = s + f * (1 - s);
                f2 = s * (1 - s) * (2 + z * (1 - 2 * s));
            });
        case GAUSSIAN:
            return by([](T z, T& f, T& f1, T& f2) {
                f = exponential(T(-0.5) * z * z);
                f1 = -z * f;
                f2 = (z * z - 1) * f;
            });
        case RELU: return by([](T z, T& f, T& f1, T& f2) { f = z > 0 ? z : 0, f1 = z > 0 ? 1 : 0, f2 = 0; });
        default: return false;
    }
}
