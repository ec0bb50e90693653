// Vector registers: what is written once for one number is calculated for all lanes of a register.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#ifdef NNPOT_REGISTER
constexpr int REGISTER = NNPOT_REGISTER;  // bytes
#elif defined(__AVX512F__)
constexpr int REGISTER = 64;
#elif defined(__AVX__)
constexpr int REGISTER = 32;
#else
constexpr int REGISTER = 16;
#endif

// Whether the processor has 16 of them: the others have 32.
#if (defined(__x86_64__) || defined(_M_X64)) && !defined(__AVX512F__)
constexpr bool HAS_FEW_REGISTERS = true;
#else
constexpr bool HAS_FEW_REGISTERS = false;
#endif

template <class T> constexpr int LANES = REGISTER / sizeof(T);  // numbers in a register

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(REGISTER)));
};
template <class T> using Vector = typename VectorOf<T>::type;

// What formulas are written for: a number, or a register of them; and their bits.
template <class T>
struct Of {
    using Number = T;
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
};
template <>
struct Of<Vector<float>> {
    using Number = float;
    using Bits = Vector<uint32_t>;
};
template <>
struct Of<Vector<double>> {
    using Number = double;
    using Bits = Vector<uint64_t>;
};

template <class T>
inline Vector<T> load(const T* from) {
    Vector<T> v;
    std::memcpy(&v, from, REGISTER);
    return v;
}

template <class T>
inline void store(T* to, const Vector<T>& v) {
    std::memcpy(to, &v, REGISTER);
}

// A register of what work(lane) gives.
template <class T, class Work>
inline Vector<T> lane_by_lane(Work work) {
    alignas(REGISTER) T lanes[LANES<T>];
    for (int w = 0; w < LANES<T>; ++w) lanes[w] = work(w);
    return load(lanes);
}

template <class T>
inline T sum_of_lanes(const Vector<T>& v) {
    T sum = 0;
    for (int w = 0; w < LANES<T>; ++w) sum += v[w];
    return sum;
}

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define NNPOT_SHUFFLES
#endif
#endif

// Lane by lane from a and b in turn, beginning with lane `first`.
template <class T, int first, int... k>
inline Vector<T> interleave(const Vector<T>& a, const Vector<T>& b, std::integer_sequence<int, k...>) {
    constexpr int W = LANES<T>;
#ifdef NNPOT_SHUFFLES
    return __builtin_shufflevector(a, b, (first + k / 2 + (k % 2) * W)...);
#else
    return Vector<T>{(k % 2 ? b : a)[first + k / 2]...};
#endif
}

// A square of numbers, a register for each row: rows become columns.
template <class T>
inline void transpose(Vector<T>* rows) {
    constexpr int W = LANES<T>;
    using Lanes = std::make_integer_sequence<int, W>;
    Vector<T> others[W];
    for (int done = 1; done < W; done *= 2) {
        for (int i = 0; i < W / 2; ++i) {
            others[2 * i] = interleave<T, 0>(rows[i], rows[i + W / 2], Lanes());
            others[2 * i + 1] = interleave<T, W / 2>(rows[i], rows[i + W / 2], Lanes());
        }
        for (int i = 0; i < W; ++i) rows[i] = others[i];
    }
}

// The sum over the lanes of every row of a square of numbers, one in each lane; the rows are used up.
template <class T>
inline Vector<T> sums_over_lanes(Vector<T>* rows) {
    constexpr int W = LANES<T>;
    using Lanes = std::make_integer_sequence<int, W>;
    for (int half = W / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            rows[i] = interleave<T, 0>(rows[i], rows[i + half], Lanes()) +
                      interleave<T, W / 2>(rows[i], rows[i + half], Lanes());
    return rows[0];
}
