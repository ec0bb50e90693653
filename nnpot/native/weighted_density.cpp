// A weighted density whose neighbours are weighted by a network, its derivatives, and the derivatives of those by the
// weights.
//
//     D_lm,c  = sum_n A_lm,n P_l,nc                    projections, weights P, U, V of the element of the atom
//     u_l,c   = sum_m D_lm,c Y_lm                      the density in the direction of a neighbour
//     z       = U [e_q R_k; u; 1],  e of the element of the neighbour
//     a       = silu(z),  g = V [a; 1],  w = f_c g
//     A'_lm,c = sum_j Y_lm w_c
//
// What u contributes to z is linear in Y: sum_lm F_lm Y_lm with F_lm = sum_c D_lm,c U_lc, which is calculated once for
// an atom.
//
// All of it is written for dual numbers: every quantity may carry its change along a direction (the tangent network of
// B. A. Pearlmutter, Neural Computation 6, 147 (1994)); index 0 is a value, 1 its change; of adjoints: that of the
// value, that of the change.
//
// The same formulas are in nnpot/descriptors/weighted_density.py, with which the tests compare these.  A block of
// neighbours is a matrix, one row each: columns are filled up to whole registers.

#include "api.h"
#include "checks.h"
#include "parallel.h"
#include "weighted_density_network.h"
#include "weighted_density_weights.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weighted_density {
namespace {

constexpr int64_t MIN_PER_THREAD = 16;  // atoms that are worth a thread

template <class T>
void density(const Given<T>& given, T* out) {
    parallel(given.pairs.n_centers, given.threads, [&](int64_t first, int64_t last) {
        Network<T, 1> network(given);
        for (int64_t atom = first; atom < last; ++atom) network.write_density(atom, out);
    }, MIN_PER_THREAD);
}

// Derivatives by the vectors, then those by the density.
template <class T>
void pullback(const Given<T>& given, const T* second_bar, T* out) {
    T* by_density = out + 3 * given.pairs.n_pairs;
    parallel(given.pairs.n_centers, given.threads, [&](int64_t first, int64_t last) {
        Network<T, 1> network(given);
        for (int64_t atom = first; atom < last; ++atom) network.write_pullback(atom, second_bar, out, by_density);
    }, MIN_PER_THREAD);
}

// With D = 2 the change of A', then the gradients by A and by P, U, V of all elements, one behind the other.
template <class T, int D>
void gradient(const Given<T>& given, const T* second_bar, const T* vectors_change, const T* density_change, T* out) {
    const Shape& s = given.shape;
    const int64_t n = given.pairs.n_centers, parts = count_parts(n, given.threads, MIN_PER_THREAD);
    T* by_density = D == 2 ? out + n * s.n_harmonics() * s.n_channels : out;
    std::vector<std::vector<Weights<T>>> sums(parts,
                                              std::vector<Weights<T>>(s.n_elements, Weights<T>(s, given.widths)));
    parallel(parts, parts, [&](int64_t first, int64_t last) {
        for (int64_t part = first; part < last; ++part) {
            Network<T, D> network(given);
            for (int64_t atom = n * part / parts; atom < n * (part + 1) / parts; ++atom)
                network.add_gradients(atom, second_bar, vectors_change, density_change, out, by_density,
                                      sums[part][given.centers[atom]]);
        }
    }, 1);
    out = by_density + n * s.n_harmonics() * s.n_seen;
    T *u = out + s.n_elements * s.projection_size(), *v = u + s.n_elements * s.hidden_size();
    std::fill_n(out, s.n_elements * (s.projection_size() + s.hidden_size() + s.outer_size()), T(0));
    for (auto& of_part : sums)
        for (int element = 0; element < s.n_elements; ++element) {
            Weights<T>& sum = of_part[element];
            sum.projection.add_to(out + element * s.projection_size(), s.n_degrees() * s.n_seen, s.n_channels);
            sum.for_layers(s, given.widths, given.element_weights, u + element * s.hidden_size(),
                           v + element * s.outer_size(),
                           [](T factor, T& total, const T& part) { total += factor * part; });
        }
}

// Calls work(given, number) with what the arguments say, `number` a zero of their type.
template <class Work>
int with_given(NNPOT_WEIGHTED_DENSITY, Work work) {
    const Shape s{int(n_elements), int(n_weights),  {int(n_radial), int(l_max), cutoff},
                  int(n_seen),     int(n_channels), int(n_units)};
    if (l_max < 0 || s.n_harmonics() > MAX_HARMONICS || n_radial > MAX_RADIAL) return NOT_COMPILED;
    if (!are_below(n_elements, centers, n_centers)) return WRONG_CENTERS;
    const Entries entries{int(n_entries), places, coefficients};
    static_cast<void>(threads);
    const auto run = [&](auto zero) -> int {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        const Pairs<T> pairs{n_centers, n_pairs, n_atoms, typed(vectors), starts, neighbors, species};
        const Answer answer = std::min(checked(pairs, n_elements), checked(entries, l_max));
        if (answer != DONE) return answer;
        Given<T> given{threads,      s, entries, pairs, centers, typed(element_weights), typed(density_of_atoms),
                       Widths<T>(s), {}};
        for (int element = 0; element < s.n_elements; ++element)
            given.weights.emplace_back(
                s, given.widths, given.element_weights, typed(projection) + element * s.projection_size(),
                typed(hidden) + element * s.hidden_size(), typed(outer) + element * s.outer_size());
        work(given, zero);
        return DONE;
    };
    return with_numbers(bytes, run);
}

}  // namespace
}  // namespace weighted_density

using namespace weighted_density;

// They answer NOT_COMPILED for so many radial functions or degrees.

#define ARGUMENTS                                                                                               \
    bytes, threads, n_centers, n_pairs, n_atoms, vectors, starts, neighbors, species, centers, element_weights, \
        density_of_atoms, projection, hidden, outer, n_elements, n_weights, cutoff, n_radial, l_max, n_seen,    \
        n_channels, n_units, places, coefficients, n_entries

extern "C" int nnpot_weighted_density(NNPOT_WEIGHTED_DENSITY, void* out) {
    return with_given(ARGUMENTS,
                      [&](const auto& given, auto zero) { density(given, static_cast<decltype(zero)*>(out)); });
}

extern "C" int nnpot_weighted_density_pullback(NNPOT_WEIGHTED_DENSITY, const void* second_bar, void* out) {
    return with_given(ARGUMENTS, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        pullback(given, static_cast<const T*>(second_bar), static_cast<T*>(out));
    });
}

extern "C" int nnpot_weighted_density_gradient(NNPOT_WEIGHTED_DENSITY, const void* second_bar, void* out) {
    return with_given(ARGUMENTS, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        gradient<T, 1>(given, static_cast<const T*>(second_bar), nullptr, nullptr, static_cast<T*>(out));
    });
}

extern "C" int nnpot_weighted_density_pullback_gradient(NNPOT_WEIGHTED_DENSITY, const void* second_bar,
                                                        const void* vectors_change, const void* density_change,
                                                        void* out) {
    return with_given(ARGUMENTS, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        gradient<T, 2>(given, typed(second_bar), typed(vectors_change), typed(density_change), static_cast<T*>(out));
    });
}
