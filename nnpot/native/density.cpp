// The neighbour density, the transpose of its derivative, and its derivative along given changes of the pair vectors,
// straight from the pair list.
//
//     A_i,lm,(q,k) = sum_j  w_{s(j),q} R_k(r_ij) Y_lm(r_ij / |r_ij|)
//     dE/dr_ij     = sum_{lm,q,k}  Abar_i,lm,(q,k) w_{s(j),q} d[R_k Y_lm] / dr_ij
//     dA_i,lm,(q,k) = sum_j  w_{s(j),q} d[R_k Y_lm] / dr_ij . v_ij
//
// The last two are transposes of each other, so that each is the derivative of the other by what it is applied to.
//
// The same formulas, in the same notation, are in nnpot/functional/density.py, with which the tests compare these.
// Neighbours of one element within the cutoff are gathered into blocks of one vector register, see neighborhoods.h;
// sums over neighbours have k along the register.

#include "api.h"
#include "checks.h"
#include "neighborhoods.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

struct Shape {
    int n_elements;  // s
    int n_weights;   // q
    Basis basis;
};

// What all operators are given.
template <class T>
struct Given {
    Pairs<T> pairs;
    const T* weights;
    Shape shape;
    Entries entries;
    int64_t threads;
};

// How many of L harmonics are summed side by side, to hide the latency of an addition.
constexpr int at_once(int L) { return L == 16 ? (HAS_FEW_REGISTERS ? 4 : 8) : L == 25 ? 5 : L == 9 ? 3 : L; }

// Numbers of registers that a row of so many numbers fills.
template <class T>
constexpr int registers(int n) {
    return (n + LANES<T> - 1) / LANES<T>;
}

// Rows of one neighbour each, k along them, `width` registers apart.
template <class T>
void turn(const T (&functions)[MAX_RADIAL][LANES<T>], int n_radial, int n_neighbors, Vector<T>* rows, int width) {
    T* numbers = reinterpret_cast<T*>(rows);
    for (int w = 0; w < n_neighbors; ++w)
        for (int k = 0; k < n_radial; ++k) numbers[w * width * LANES<T> + k] = functions[k][w];
}

// sums_in += f_iw row_wn of `count` neighbours w: f a register for each i, rows `width` registers apart.
template <class T, int I, int N>
inline void add_products(int count, const T* f, const Vector<T>* rows, int width, Vector<T> (&sums)[I][N]) {
    for (int w = 0; w < count; ++w, ++f, rows += width)
        for (int n = 0; n < N; ++n) {
            const Vector<T> row = rows[n];
            for (int i = 0; i < I; ++i) sums[i][n] += f[i * LANES<T>] * row;
        }
}

// The density, or with a direction its derivative along that.  Radial functions fill so many registers, 0 for any
// number.
template <class T, int L, int N_REGISTERS, bool CHANGES>
void density(const Given<T>& given, const T* direction, T* out, int64_t first, int64_t last) {
    using V = Vector<T>;
    const Shape& shape = given.shape;
    constexpr int W = LANES<T>, AT_ONCE = at_once(L);
    const int Q = shape.n_weights, K = shape.basis.n_radial, width = N_REGISTERS > 0 ? N_REGISTERS : registers<T>(K);
    std::vector<Block<T>> open(shape.n_elements);
    Functions<T> functions;
    alignas(REGISTER) T changes[MAX_HARMONICS][W];
    std::vector<V> rows(W * width), slope_rows(W * width);  // zero beyond K
    std::vector<V> sums(size_t(Q) * L * width);
    // what a block contributes to AT_ONCE harmonics and N registers of a row
    const auto add = [&](const Block<T>& b, int64_t element, int lm, int first_register, auto n_registers) {
        constexpr int N = decltype(n_registers)::value;
        V of_block[AT_ONCE][N] = {};
        add_products(b.count, (CHANGES ? changes : functions.harmonics)[lm], &rows[first_register], width, of_block);
        if constexpr (CHANGES)
            add_products(b.count, functions.harmonics[lm], &slope_rows[first_register], width, of_block);
        for (int q = 0; q < Q; ++q) {
            const T weight = given.weights[element * Q + q];
            if (weight == 0) continue;
            for (int i = 0; i < AT_ONCE; ++i)
                for (int n = 0; n < N; ++n)
                    sums[(size_t(q) * L + lm + i) * width + first_register + n] += weight * of_block[i][n];
        }
    };
    for (int64_t atom = first; atom < last; ++atom) {
        std::fill(sums.begin(), sums.end(), V{});
        for_blocks<false>(given.pairs, T(shape.basis.cutoff), atom, open, [&](int64_t element, Block<T>& b) {
            evaluate(b, functions, shape.basis, CHANGES);
            turn(functions.radial, K, b.count, rows.data(), width);
            if constexpr (CHANGES) {
                along(b, functions, shape.basis, given.entries, direction, changes);
                turn(functions.slopes, K, b.count, slope_rows.data(), width);
            }
            for (int lm = 0; lm < L; lm += AT_ONCE) {
                int n = 0;
                for (; n + 2 <= width; n += 2) add(b, element, lm, n, Constant<2>());
                if (n < width) add(b, element, lm, n, Constant<1>());
            }
        });
        T* row = out + size_t(atom) * L * Q * K;
        for (int lm = 0; lm < L; ++lm)
            for (int q = 0; q < Q; ++q) {
                const T* sum = reinterpret_cast<const T*>(&sums[(size_t(q) * L + lm) * width]);
                for (int k = 0; k < K; ++k) row[(lm * Q + q) * K + k] = sum[k];
            }
    }
}

// The registers that all lm fill, in groups of sums that fit into registers beside each other.
template <class T, int L>
struct Parts {
    static constexpr int FILLED = registers<T>(L), GROUPS = (FILLED + 3) / 4;
    static constexpr int AT_ONCE = (FILLED + GROUPS - 1) / GROUPS, ALL = GROUPS * AT_ONCE;
};

// Of one atom, for neighbours of one element: sum_q w_q Abar by (k, lm), lm along the register; beyond L it stays zero.
template <class T, int L>
void fill_table(const T* bar, const T* weights, const Shape& shape, Vector<T>* table) {
    using V = Vector<T>;
    constexpr int W = LANES<T>, PARTS = Parts<T, L>::ALL;
    const int Q = shape.n_weights, K = shape.basis.n_radial;
    for (int k = 0; k < K; k += W)
        for (int part = 0; part < Parts<T, L>::FILLED; ++part) {
            V square[W] = {};
            const int width = std::min(W, K - k), height = std::min(W, L - part * W);
            for (int q = 0; q < Q; ++q) {
                if (weights[q] == 0) continue;
                for (int lm = 0; lm < height; ++lm) {
                    const int place = ((part * W + lm) * Q + q) * K + k;
                    V row = {};
                    if (place + W <= L * Q * K)
                        row = load(bar + place);  // beyond `width` are numbers that are not used
                    else
                        std::memcpy(&row, bar + place, width * sizeof(T));
                    square[lm] += weights[q] * row;
                }
            }
            transpose<T>(square);
            for (int i = 0; i < width; ++i) table[(k + i) * PARTS + part] = square[i];
        }
}

template <class T, int L>
void pullback(const Given<T>& given, const T* bar, T* gradient, int64_t first, int64_t last) {
    using V = Vector<T>;
    const Shape& shape = given.shape;
    constexpr int W = LANES<T>, PARTS = Parts<T, L>::ALL, AT_ONCE = Parts<T, L>::AT_ONCE;
    const int Q = shape.n_weights, K = shape.basis.n_radial;
    std::vector<Block<T>> open(1);  // neighbours of all elements
    Functions<T> functions;
    std::vector<V> tables(size_t(shape.n_elements) * K * PARTS);
    std::vector<int64_t> filled_for(shape.n_elements, -1);
    V harmonics_bar[PARTS * W], slopes_bar[PARTS * W];  // by lm, a neighbour in each lane
    for (int64_t atom = first; atom < last; ++atom)
        for_blocks<true>(given.pairs, T(shape.basis.cutoff), atom, open, [&](int64_t, Block<T>& b) {
            evaluate(b, functions, shape.basis, true);
            for (int w = 0; w < b.count; ++w) {
                const int64_t element = given.pairs.species[given.pairs.neighbors[b.pair[w]]];
                V* table = tables.data() + element * K * PARTS;
                if (filled_for[element] != atom) {
                    filled_for[element] = atom;
                    fill_table<T, L>(bar + size_t(atom) * L * Q * K, given.weights + element * Q, shape, table);
                }
                for (int first_part = 0; first_part < PARTS; first_part += AT_ONCE) {
                    V of_radial[AT_ONCE] = {}, of_slopes[AT_ONCE] = {};
                    for (int k = 0; k < K; ++k)
                        for (int part = 0; part < AT_ONCE; ++part) {
                            of_radial[part] += functions.radial[k][w] * table[k * PARTS + first_part + part];
                            of_slopes[part] += functions.slopes[k][w] * table[k * PARTS + first_part + part];
                        }
                    for (int part = 0; part < AT_ONCE; ++part) {
                        harmonics_bar[(first_part + part) * W + w] = of_radial[part];
                        slopes_bar[(first_part + part) * W + w] = of_slopes[part];
                    }
                }
            }
            for (int part = 0; part < PARTS; ++part) {
                for (int w = b.count; w < W; ++w) harmonics_bar[part * W + w] = slopes_bar[part * W + w] = V{};
                transpose<T>(harmonics_bar + part * W);
                transpose<T>(slopes_bar + part * W);
            }
            V outward = {};
            for (int lm = 0; lm < L; ++lm) outward += slopes_bar[lm] * load(functions.harmonics[lm]);
            write_gradient(b, functions, shape.basis, given.entries, harmonics_bar, outward, gradient);
        });
}

// Calls work with a number of registers as a constant if there are few of them, else with 0; for low degrees, where it
// gains little, always with 0: each constant is a function to compile.
template <int L, class Work>
void with_registers(int n, Work work) {
    if constexpr (L >= 16) {
        if (n == 1) return work(Constant<1>());
        if (n == 2) return work(Constant<2>());
    }
    work(Constant<0>());
}

template <class T, bool CHANGES>
bool density_of_all(const Given<T>& given, const T* direction, T* out) {
    const Basis& basis = given.shape.basis;
    return basis.n_radial <= MAX_RADIAL && with_harmonics(basis.l_max, [&](auto L) {
        with_registers<L.value>(registers<T>(basis.n_radial), [&](auto N) {
            parallel(given.pairs.n_centers, given.threads, [&](int64_t first, int64_t last) {
                density<T, L.value, N.value, CHANGES>(given, direction, out, first, last);
            });
        });
    });
}

template <class T>
bool pullback_of_all(const Given<T>& given, const T* bar, T* gradient) {
    const Basis& basis = given.shape.basis;
    return basis.n_radial <= MAX_RADIAL && with_harmonics(basis.l_max, [&](auto L) {
        parallel(given.pairs.n_centers, given.threads,
                 [&](int64_t first, int64_t last) { pullback<T, L.value>(given, bar, gradient, first, last); });
    });
}

// Checks the arguments, then calls work with them, their numbers of the right size.
template <class Work>
int with_given(NNPOT_DENSITY, NNPOT_GRADIENTS, Work work) {
    return with_numbers(bytes, [&](auto zero) -> int {
        using T = decltype(zero);
        const Given<T> given{
            {n_centers, n_pairs, n_atoms, static_cast<const T*>(vectors), starts, neighbors, species},
            static_cast<const T*>(weights),
            {int(n_elements), int(n_weights), {int(n_radial), int(l_max), cutoff}},
            {int(n_entries), places, coefficients},
            threads,
        };
        const Answer answer = std::min(checked(given.pairs, n_elements), checked(given.entries, l_max));
        if (answer != DONE) return answer;
        return work(given) ? DONE : NOT_COMPILED;
    });
}

}  // namespace

// They answer NOT_COMPILED for so many radial functions or degrees.

#define ARGUMENTS                                                                                                     \
    bytes, threads, n_centers, n_pairs, n_atoms, vectors, starts, neighbors, species, weights, n_elements, n_weights, \
        cutoff, n_radial, l_max

extern "C" int nnpot_density_tangent(NNPOT_DENSITY, NNPOT_GRADIENTS, const void* direction, void* out) {
    return with_given(ARGUMENTS, places, coefficients, n_entries, [&](const auto& given) {
        using T = std::decay_t<decltype(*given.weights)>;
        const auto calculate = direction ? density_of_all<T, true> : density_of_all<T, false>;
        return calculate(given, static_cast<const T*>(direction), static_cast<T*>(out));
    });
}

extern "C" int nnpot_density(NNPOT_DENSITY, void* out) {
    return nnpot_density_tangent(ARGUMENTS, nullptr, nullptr, 0, nullptr, out);
}

extern "C" int nnpot_density_pullback(NNPOT_DENSITY, NNPOT_GRADIENTS, const void* bar, void* gradient) {
    return with_given(ARGUMENTS, places, coefficients, n_entries, [&](const auto& given) {
        using T = std::decay_t<decltype(*given.weights)>;
        return pullback_of_all(given, static_cast<const T*>(bar), static_cast<T*>(gradient));
    });
}
