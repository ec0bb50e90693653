// The core of a pair of atoms: nnpot/functional/core.py has the formulas and says what they are for.
//
// Hardly ever is a pair that close: nearly all that is done is to compare squares of distances.  What there is to
// calculate is calculated in double precision.

#include "api.h"
#include "checks.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace core {
namespace {

constexpr double INNER = 0.8;  // d_in / d
constexpr double WEIGHTS[] = {0.18175, 0.50986, 0.28022, 0.02817}, DECAYS[] = {3.19980, 0.94229, 0.40290, 0.20162};
// Gauss and Legendre, from -1 to 1: the four points above 0, and weights.
constexpr double POINTS[] = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
constexpr double SHARES[] = {0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};

template <class T>
struct Given {
    int64_t threads;
    Pairs<T> pairs;
    const int64_t* centers;
    const double* table;  // d, the strength and the rate of the repulsion, for each pair of elements
    int64_t n_elements;
};

// Screened repulsion of the nuclei.
struct Repulsion {
    double value, slope;

    Repulsion(double r, double strength, double rate) {
        double screening = 0, screening_slope = 0;
        for (int n = 0; n < 4; ++n) {
            const double term = WEIGHTS[n] * std::exp(-DECAYS[n] * rate * r);
            screening += term;
            screening_slope -= DECAYS[n] * rate * term;
        }
        value = strength / r * screening;
        slope = strength / r * (screening_slope - screening / r);
    }
};

// 1 - s, where y = 1 - x.
inline double fading(double y) { return y * y * y * (10 + y * (-15 + 6 * y)); }

// One pair that is closer than d.
struct Close {
    double unit[3], ratio, slope, energy, energy_slope;

    template <class T>
    Close(const T* v, double square, double d, double strength, double rate) {
        const double r = std::sqrt(square), width = (1 - INNER) * d;
        const double x = std::min(std::max((r - INNER * d) / width, 0.0), 1.0), y = 1 - x;
        for (int k = 0; k < 3; ++k) unit[k] = double(v[k]) / r;
        slope = x * x * x * (10 + x * (-15 + 6 * x));
        ratio = (INNER * d + width * (0.5 + x * x * x * x * (2.5 + x * (-3 + x)))) / r;
        const Repulsion here(r, strength, rate);
        energy = here.value - Repulsion(INNER * d + width * x, strength, rate).value;
        const double half = 0.5 * width * y;  // of what is left to d, over which the force of the nuclei fades
        for (int n = 0; n < 8; ++n) {
            const double away = half * (n < 4 ? 1 - POINTS[n] : 1 + POINTS[n - 4]);
            energy -= SHARES[n % 4] * half * fading(away / width) * Repulsion(d - away, strength, rate).slope;
        }
        energy *= 0.5;  // that of one of the two atoms
        energy_slope = 0.5 * fading(y) * here.slope;
    }

    // The derivative of the longer vector, applied to v, which is its own transpose.
    template <class T>
    void turn(const T* v, double more, T* out) const {
        const double along = unit[0] * v[0] + unit[1] * v[1] + unit[2] * v[2];
        for (int k = 0; k < 3; ++k) out[k] = T(ratio * v[k] + ((slope - ratio) * along + more) * unit[k]);
    }
};

// Calls of_pair(pair) for all pairs of an atom but those that are close, close(pair, what it is) for these.
template <class T, class OfPair, class OfClose>
inline void for_pairs(const Given<T>& given, int64_t atom, OfPair of_pair, OfClose of_close) {
    const Pairs<T>& p = given.pairs;
    const int64_t n = given.n_elements, area = n * n;
    const double* row = given.table + given.centers[atom] * n;
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
        const T* v = p.vectors + 3 * pair;
        const double square = double(v[0]) * v[0] + double(v[1]) * v[1] + double(v[2]) * v[2];
        const double* curve = row + p.species[p.neighbors[pair]];
        if (square < curve[0] * curve[0])
            of_close(pair, Close(v, square, curve[0], curve[area], curve[2 * area]));
        else
            of_pair(pair);
    }
}

template <class T>
inline void copy(const T* from, T* to) {
    for (int k = 0; k < 3; ++k) to[k] = from[k];
}

// Whether any pair may be closer than the largest of all d: a first glance, in single precision, without its elements.
template <class T>
bool is_any_near(const Given<T>& given) {
    double largest = 0;
    for (int64_t k = 0; k < given.n_elements * given.n_elements; ++k) largest = std::max(largest, given.table[k]);
    const float bound = static_cast<float>(largest * largest * 1.00001);  // more than what rounding can do
    const T* v = given.pairs.vectors;
    int near = 0;
    for (int64_t pair = 0; pair < given.pairs.n_pairs; ++pair, v += 3) {
        const float x = static_cast<float>(v[0]), y = static_cast<float>(v[1]), z = static_cast<float>(v[2]);
        near |= x * x + y * y + z * z < bound;
    }
    return near != 0;
}

template <class T>
void reach(const Given<T>& given, T* out) {
    bool is_close = false;
    const int64_t n_looked_at = is_any_near(given) ? given.pairs.n_centers : 0;
    for (int64_t atom = 0; atom < n_looked_at && !is_close; ++atom)
        for_pairs(given, atom, [](int64_t) {}, [&](int64_t, const Close&) { is_close = true; });
    out[0] = T(is_close);
}

// Longer vectors, then energies of the atoms.
template <class T>
void values(const Given<T>& given, T* out) {
    const Pairs<T>& p = given.pairs;
    parallel(p.n_centers, given.threads, [&](int64_t first, int64_t last) {
        for (int64_t atom = first; atom < last; ++atom) {
            double energy = 0;
            for_pairs(given, atom, [&](int64_t pair) { copy(p.vectors + 3 * pair, out + 3 * pair); },
                      [&](int64_t pair, const Close& close) {
                for (int k = 0; k < 3; ++k) out[3 * pair + k] = T(close.ratio * p.vectors[3 * pair + k]);
                energy += close.energy;
            });
            out[3 * p.n_pairs + atom] = T(energy);
        }
    });
}

template <class T>
void tangent(const Given<T>& given, const T* direction, T* out) {
    const int64_t n_pairs = given.pairs.n_pairs;
    parallel(given.pairs.n_centers, given.threads, [&](int64_t first, int64_t last) {
        for (int64_t atom = first; atom < last; ++atom) {
            double change = 0;
            for_pairs(given, atom, [&](int64_t pair) { copy(direction + 3 * pair, out + 3 * pair); },
                      [&](int64_t pair, const Close& close) {
                const T* along = direction + 3 * pair;
                close.turn(along, 0, out + 3 * pair);
                for (int k = 0; k < 3; ++k) change += close.energy_slope * close.unit[k] * along[k];
            });
            out[3 * n_pairs + atom] = T(change);
        }
    });
}

template <class T>
void pullback(const Given<T>& given, const T* bar, T* out) {
    const T* energies_bar = bar + 3 * given.pairs.n_pairs;
    parallel(given.pairs.n_centers, given.threads, [&](int64_t first, int64_t last) {
        for (int64_t atom = first; atom < last; ++atom)
            for_pairs(given, atom, [&](int64_t pair) { copy(bar + 3 * pair, out + 3 * pair); },
                      [&](int64_t pair, const Close& close) {
                close.turn(bar + 3 * pair, close.energy_slope * energies_bar[atom], out + 3 * pair);
            });
    });
}

// Calls work(given, number) with what the arguments say, `number` a zero of their type.
template <class Work>
int with_given(NNPOT_CORE, Work work) {
    if (!are_below(n_elements, centers, n_centers)) return WRONG_CENTERS;
    static_cast<void>(threads);
    const auto run = [&](auto zero) -> int {
        using T = decltype(zero);
        const Pairs<T> pairs{n_centers, n_pairs, n_atoms, static_cast<const T*>(vectors), starts, neighbors, species};
        const Answer answer = checked(pairs, n_elements);
        if (answer != DONE) return answer;
        work(Given<T>{threads, pairs, centers, table, n_elements}, zero);
        return DONE;
    };
    return with_numbers(bytes, run);
}

}  // namespace
}  // namespace core

using namespace core;

#define ARGUMENTS \
    bytes, threads, n_centers, n_pairs, n_atoms, vectors, starts, neighbors, species, centers, table, n_elements

extern "C" int nnpot_core(NNPOT_CORE, void* out) {
    return with_given(ARGUMENTS,
                      [&](const auto& given, auto zero) { values(given, static_cast<decltype(zero)*>(out)); });
}

extern "C" int nnpot_core_reach(NNPOT_CORE, void* out) {
    return with_given(ARGUMENTS,
                      [&](const auto& given, auto zero) { reach(given, static_cast<decltype(zero)*>(out)); });
}

extern "C" int nnpot_core_tangent(NNPOT_CORE, const void* direction, void* out) {
    return with_given(ARGUMENTS, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        tangent(given, static_cast<const T*>(direction), static_cast<T*>(out));
    });
}

extern "C" int nnpot_core_pullback(NNPOT_CORE, const void* bar, void* out) {
    return with_given(ARGUMENTS, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        pullback(given, static_cast<const T*>(bar), static_cast<T*>(out));
    });
}
