// The neighbour density, the transpose of its derivative, and its derivative along given changes of the pair vectors,
// straight from the pair list.
//
//     A_i,lm,(q,k) = sum_j  w_{s(j),q} R_k(r_ij) Y_lm(r_ij / |r_ij|)
//     dE/dr_ij     = sum_{lm,q,k}  Abar_i,lm,(q,k) w_{s(j),q} d[R_k Y_lm] / dr_ij
//     dA_i,lm,(q,k) = sum_j  w_{s(j),q} d[R_k Y_lm] / dr_ij . v_ij
//
// The last two are transposes of each other, so that each is the derivative of the other by what it is applied to.
//
// The same formulas, in the same notation, are in nnpot/functional/density.py, radial.py and harmonics.py, with which the
// tests compare these.  Neighbours of one element within the cutoff are gathered into blocks of one vector register.  What
// belongs to a neighbour (functions, their derivatives, forces) is calculated for a whole block, a neighbour in each lane;
// sums over neighbours have k along the register.

#include "elementary.h"
#include "harmonics.h"
#include "lanes.h"
#include "pairs.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int MAX_RADIAL = 32;

struct Shape {
    int n_elements;  // s
    int n_weights;   // q
    int n_radial;    // k
    int l_max;
    double cutoff;
};

// How many of L harmonics are summed side by side, to hide the latency of an addition.
constexpr int at_once(int L) { return L == 16 ? 8 : L == 25 ? 5 : L == 9 ? 3 : L; }

// Neighbours of one atom and one element: a lane each.
template <class T>
struct Block {
    static constexpr int W = LANES<T>;
    int count = 0;
    int64_t pair[W];
    alignas(REGISTER) T r[W], x[W], y[W], z[W];  // distance, then the unit vector
};

// Y_lm, R_k and dR_k/dr of every neighbour.
template <class T>
struct Functions {
    static constexpr int W = LANES<T>;
    alignas(REGISTER) T harmonics[MAX_HARMONICS][W];
    alignas(REGISTER) T radial[MAX_RADIAL][W], slopes[MAX_RADIAL][W];
};

template <class T>
void evaluate(Block<T>& b, Functions<T>& f, const Shape& shape, bool with_slopes) {
    constexpr int W = LANES<T>;
    const T cutoff = T(shape.cutoff);
    for (int w = b.count; w < W; ++w) {  // idle lanes: anything finite
        b.r[w] = T(0.5) * cutoff;
        b.x[w] = b.y[w] = 0;
        b.z[w] = 1;
    }
    // R_k = sqrt(2/r_c) sin(k pi t) / (k r) f_c(t),  t = r/r_c,  f_c = 1 - 10 t^3 + 15 t^4 - 6 t^5;
    // sin and cos of k pi t by the recurrence f_{k+1} = 2 cos(pi t) f_k - f_{k-1}
    T twice[W], sine[W], sine_before[W], cosine[W], cosine_before[W], envelope[W], envelope_slope[W];
    const T norm = std::sqrt(T(2) / cutoff), wave = T(M_PI) / cutoff;
    for (int w = 0; w < W; ++w) {
        const T t = b.r[w] / cutoff, inverse = 1 / b.r[w];
        const T cut = 1 + t * t * t * (-10 + t * (15 - 6 * t)), cut_slope = -30 * t * t * (1 - t) * (1 - t) / cutoff;
        envelope[w] = norm * cut * inverse;
        envelope_slope[w] = (norm * cut_slope - envelope[w]) * inverse;
        sine_and_cosine(t, sine[w], cosine[w]);
        twice[w] = 2 * cosine[w];
        sine_before[w] = 0;
        cosine_before[w] = 1;
    }
    for (int k = 0; k < shape.n_radial; ++k) {
        const T inverse = 1 / T(k + 1);
        for (int w = 0; w < W; ++w) {
            const T s = sine[w] * inverse;
            f.radial[k][w] = s * envelope[w];
            if (with_slopes) f.slopes[k][w] = cosine[w] * wave * envelope[w] + s * envelope_slope[w];
            const T next_sine = twice[w] * sine[w] - sine_before[w];
            const T next_cosine = twice[w] * cosine[w] - cosine_before[w];
            sine_before[w] = sine[w];
            sine[w] = next_sine;
            cosine_before[w] = cosine[w];
            cosine[w] = next_cosine;
        }
    }
    // harmonic polynomials on the unit sphere
    const T root3 = std::sqrt(T(3)), root5 = std::sqrt(T(5)), root7 = std::sqrt(T(7)), root15 = std::sqrt(T(15));
    const T a3 = std::sqrt(T(35) / 8), b3 = std::sqrt(T(105)), c3 = std::sqrt(T(21) / 8);
    const T a4 = T(1.5) * std::sqrt(T(35)), b4 = T(1.5) * std::sqrt(T(35) / 2), c4 = T(1.5) * root5;
    const T d4 = T(1.5) * std::sqrt(T(5) / 2);
    for (int w = 0; w < W; ++w) {
        const T x = b.x[w], y = b.y[w], z = b.z[w], x2 = x * x, y2 = y * y, z2 = z * z;
        auto& h = f.harmonics;
        h[0][w] = 1;
        if (shape.l_max >= 1) {
            h[1][w] = root3 * y;
            h[2][w] = root3 * z;
            h[3][w] = root3 * x;
        }
        if (shape.l_max >= 2) {
            h[4][w] = root15 * x * y;
            h[5][w] = root15 * y * z;
            h[6][w] = root5 / 2 * (3 * z2 - 1);
            h[7][w] = root15 * x * z;
            h[8][w] = root15 / 2 * (x2 - y2);
        }
        if (shape.l_max >= 3) {
            h[9][w] = a3 * y * (3 * x2 - y2);
            h[10][w] = b3 * x * y * z;
            h[11][w] = c3 * y * (5 * z2 - 1);
            h[12][w] = root7 / 2 * z * (5 * z2 - 3);
            h[13][w] = c3 * x * (5 * z2 - 1);
            h[14][w] = b3 / 2 * z * (x2 - y2);
            h[15][w] = a3 * x * (x2 - 3 * y2);
        }
        if (shape.l_max >= 4) {
            h[16][w] = a4 * x * y * (x2 - y2);
            h[17][w] = b4 * y * z * (3 * x2 - y2);
            h[18][w] = c4 * x * y * (7 * z2 - 1);
            h[19][w] = d4 * y * z * (7 * z2 - 3);
            h[20][w] = T(0.375) * (35 * z2 * z2 - 30 * z2 + 3);
            h[21][w] = d4 * x * z * (7 * z2 - 3);
            h[22][w] = c4 / 2 * (x2 - y2) * (7 * z2 - 1);
            h[23][w] = b4 * x * z * (x2 - 3 * y2);
            h[24][w] = a4 / 4 * (x2 * (x2 - 3 * y2) - y2 * (3 * x2 - y2));
        }
    }
}

// Calls work(element, block) for full and last blocks of the neighbours of one atom within the cutoff; `open` holds an empty
// block of each element, or if they are MIXED one for all of them, counted as 0.
template <bool MIXED, class T, class Work>
void for_blocks(const Pairs<T>& p, T cutoff, int64_t atom, std::vector<Block<T>>& open, Work work) {
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
        const T *v = p.vectors + 3 * pair, square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        if (!(square < cutoff * cutoff)) continue;
        const int64_t element = MIXED ? 0 : p.species[p.neighbors[pair]];
        Block<T>& b = open[element];
        const int w = b.count++;
        const T r = std::sqrt(square), inverse = 1 / r;
        b.pair[w] = pair;
        b.r[w] = r;
        b.x[w] = v[0] * inverse;
        b.y[w] = v[1] * inverse;
        b.z[w] = v[2] * inverse;
        if (b.count == LANES<T>) {
            work(element, b);
            b.count = 0;
        }
    }
    for (size_t element = 0; element < open.size(); ++element)
        if (open[element].count > 0) {
            work(int64_t(element), open[element]);
            open[element].count = 0;
        }
}

// Entry of D: the derivative of harmonic polynomial p by the coordinate a contains q with a coefficient.
struct Entries {
    int count;
    const int32_t* aqp;
    const double* coefficients;
};

// Derivatives of the functions of every neighbour along the change v of its vector, in place of the slopes and beside
// the harmonics:  dR_k = R'_k u.v,   dY_lm = [sum_a v_a sum_q D_aqp Y_q - l (u.v) Y_lm] / r.
template <class T>
void along(const Block<T>& b, Functions<T>& f, const Shape& shape, const Entries& entries, const T* direction,
           T (&harmonics)[MAX_HARMONICS][LANES<T>]) {
    constexpr int W = LANES<T>;
    T v[3][W] = {}, outward[W], inverse[W];
    for (int w = 0; w < b.count; ++w)
        for (int a = 0; a < 3; ++a) v[a][w] = direction[3 * b.pair[w] + a];
    for (int w = 0; w < W; ++w) {
        outward[w] = b.x[w] * v[0][w] + b.y[w] * v[1][w] + b.z[w] * v[2][w];
        inverse[w] = 1 / b.r[w];
    }
    for (int l = 0, lm = 0; l <= shape.l_max; ++l)
        for (int m = 0; m < 2 * l + 1; ++m, ++lm)
            for (int w = 0; w < W; ++w) harmonics[lm][w] = -T(l) * outward[w] * inverse[w] * f.harmonics[lm][w];
    for (int e = 0; e < entries.count; ++e) {
        const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
        const T c = T(entries.coefficients[e]);
        for (int w = 0; w < W; ++w) harmonics[lm][w] += c * v[a][w] * inverse[w] * f.harmonics[q][w];
    }
    for (int k = 0; k < shape.n_radial; ++k)
        for (int w = 0; w < W; ++w) f.slopes[k][w] *= outward[w];
}

// Rows of one neighbour each, k along them, zero beyond what is calculated.
template <class T, int N>
void turn(const T (&functions)[MAX_RADIAL][LANES<T>], int n_radial, int n_neighbors, T (&rows)[LANES<T>][N * LANES<T>]) {
    for (int w = 0; w < n_neighbors; ++w)
        for (int k = 0; k < n_radial; ++k) rows[w][k] = functions[k][w];
}

// The density, or with a direction its derivative along that.  Radial functions fill N registers.
template <class T, int L, int N, bool CHANGES>
void density(const Pairs<T>& p, const T* weights, const Shape& shape, const Entries& entries, const T* direction, T* out,
             int64_t first, int64_t last) {
    using V = Vector<T>;
    constexpr int W = LANES<T>, AT_ONCE = at_once(L);
    const int Q = shape.n_weights, K = shape.n_radial;
    std::vector<Block<T>> open(shape.n_elements);
    Functions<T> functions;
    alignas(REGISTER) T changes[MAX_HARMONICS][W], rows[W][N * W] = {}, slope_rows[W][N * W] = {};
    std::vector<T> sums(size_t(Q) * L * N * W);
    for (int64_t atom = first; atom < last; ++atom) {
        std::fill(sums.begin(), sums.end(), T(0));
        for_blocks<false>(p, T(shape.cutoff), atom, open, [&](int64_t element, Block<T>& b) {
            evaluate(b, functions, shape, CHANGES);
            turn<T, N>(functions.radial, K, b.count, rows);
            if constexpr (CHANGES) {
                along(b, functions, shape, entries, direction, changes);
                turn<T, N>(functions.slopes, K, b.count, slope_rows);
            }
            for (int lm = 0; lm < L; lm += AT_ONCE) {
                V of_block[AT_ONCE][N] = {};
                for (int w = 0; w < b.count; ++w)
                    for (int n = 0; n < N; ++n) {
                        const V row = load(rows[w] + n * W);
                        for (int i = 0; i < AT_ONCE; ++i)
                            of_block[i][n] += (CHANGES ? changes : functions.harmonics)[lm + i][w] * row;
                        if constexpr (CHANGES) {
                            const V slope_row = load(slope_rows[w] + n * W);
                            for (int i = 0; i < AT_ONCE; ++i) of_block[i][n] += functions.harmonics[lm + i][w] * slope_row;
                        }
                    }
                for (int q = 0; q < Q; ++q) {
                    const T weight = weights[element * Q + q];
                    if (weight == 0) continue;
                    for (int i = 0; i < AT_ONCE; ++i)
                        for (int n = 0; n < N; ++n) {
                            T* sum = sums.data() + ((size_t(q) * L + lm + i) * N + n) * W;
                            store(sum, load(sum) + weight * of_block[i][n]);
                        }
                }
            }
        });
        T* row = out + size_t(atom) * L * Q * K;
        for (int lm = 0; lm < L; ++lm)
            for (int q = 0; q < Q; ++q)
                for (int k = 0; k < K; ++k) row[(lm * Q + q) * K + k] = sums[(size_t(q) * L + lm) * N * W + k];
    }
}

// Of one atom, for neighbours of one element: sum_q w_q Abar by (k, lm), lm along the register, zero beyond L.
template <class T, int L>
void fill_table(const T* bar, const T* weights, const Shape& shape, Vector<T>* table) {
    using V = Vector<T>;
    constexpr int W = LANES<T>, PARTS = (L + W - 1) / W;
    const int Q = shape.n_weights, K = shape.n_radial;
    for (int k = 0; k < K; k += W)
        for (int part = 0; part < PARTS; ++part) {
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
void pullback(const Pairs<T>& p, const T* weights, const Shape& shape, const Entries& entries, const T* bar, T* gradient,
              int64_t first, int64_t last) {
    using V = Vector<T>;
    constexpr int W = LANES<T>, PARTS = (L + W - 1) / W;
    const int Q = shape.n_weights, K = shape.n_radial;
    std::vector<Block<T>> open(1);  // neighbours of all elements
    Functions<T> functions;
    std::vector<V> tables(size_t(shape.n_elements) * K * PARTS);
    std::vector<int64_t> filled_for(shape.n_elements, -1);
    V harmonics_bar[PARTS * W], slopes_bar[PARTS * W];  // by lm, a neighbour in each lane
    for (int64_t atom = first; atom < last; ++atom)
        for_blocks<true>(p, T(shape.cutoff), atom, open, [&](int64_t, Block<T>& b) {
            evaluate(b, functions, shape, true);
            for (int w = 0; w < b.count; ++w) {
                const int64_t element = p.species[p.neighbors[b.pair[w]]];
                V* table = tables.data() + element * K * PARTS;
                if (filled_for[element] != atom) {
                    filled_for[element] = atom;
                    fill_table<T, L>(bar + size_t(atom) * L * Q * K, weights + element * Q, shape, table);
                }
                V of_radial[PARTS] = {}, of_slopes[PARTS] = {};
                for (int k = 0; k < K; ++k)
                    for (int part = 0; part < PARTS; ++part) {
                        of_radial[part] += functions.radial[k][w] * table[k * PARTS + part];
                        of_slopes[part] += functions.slopes[k][w] * table[k * PARTS + part];
                    }
                for (int part = 0; part < PARTS; ++part) {
                    harmonics_bar[part * W + w] = of_radial[part];
                    slopes_bar[part * W + w] = of_slopes[part];
                }
            }
            for (int part = 0; part < PARTS; ++part) {
                for (int w = b.count; w < W; ++w) harmonics_bar[part * W + w] = slopes_bar[part * W + w] = V{};
                transpose<T>(harmonics_bar + part * W);
                transpose<T>(slopes_bar + part * W);
            }
            V outward = {}, inner = {}, turned[3] = {};
            for (int l = 0; l * l < L; ++l)
                for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
                    const V y = load(functions.harmonics[lm]);
                    outward += slopes_bar[lm] * y;
                    inner += T(l) * harmonics_bar[lm] * y;
                }
            for (int e = 0; e < entries.count; ++e) {
                const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
                turned[a] += T(entries.coefficients[e]) * harmonics_bar[lm] * load(functions.harmonics[q]);
            }
            for (int w = 0; w < b.count; ++w) {
                const T inverse = 1 / b.r[w], along = outward[w] - inner[w] * inverse;
                T* g = gradient + 3 * b.pair[w];
                g[0] = turned[0][w] * inverse + b.x[w] * along;
                g[1] = turned[1][w] * inverse + b.y[w] * along;
                g[2] = turned[2][w] * inverse + b.z[w] * along;
            }
        });
}

// Calls work with the number of registers that the radial functions fill.
template <class T, class Work>
bool with_registers(int n_radial, Work work) {
    constexpr int W = LANES<T>;
    if (n_radial <= W) return work(Constant<1>()), true;
    if (n_radial <= 2 * W) return work(Constant<2>()), true;
    if (n_radial <= MAX_RADIAL) return work(Constant<MAX_RADIAL / W>()), true;
    return false;
}

template <class T, bool CHANGES>
bool density_of_all(int64_t n_centers, const Pairs<T>& pairs, const T* weights, const Shape& shape, int64_t threads,
                    const Entries& entries, const T* direction, T* out) {
    bool done = false;
    with_harmonics(shape.l_max, [&](auto L) {
        done = with_registers<T>(shape.n_radial, [&](auto N) {
            parallel(n_centers, threads, [&](int64_t first, int64_t last) {
                density<T, L.value, N.value, CHANGES>(pairs, weights, shape, entries, direction, out, first, last);
            });
        });
    });
    return done;
}

template <class T>
bool pullback_of_all(int64_t n_centers, const Pairs<T>& pairs, const T* weights, const Shape& shape, int64_t threads,
                     const Entries& entries, const T* bar, T* gradient) {
    return shape.n_radial <= MAX_RADIAL && with_harmonics(shape.l_max, [&](auto L) {
        parallel(n_centers, threads, [&](int64_t first, int64_t last) {
            pullback<T, L.value>(pairs, weights, shape, entries, bar, gradient, first, last);
        });
    });
}

}  // namespace

// All take the bytes of a number (float or double), then the arguments of their operator (`operators.py`) behind the number
// of threads and of centres, and the result.  They return 0 if they are not compiled for so many radial functions.

extern "C" int nnpot_density_tangent(int64_t bytes, int64_t threads, int64_t n_centers, const void* vectors,
                                     const int64_t* starts, const int64_t* neighbors, const int64_t* species,
                                     const void* weights, int64_t n_elements, int64_t n_weights, double cutoff,
                                     int64_t n_radial, int64_t l_max, const int32_t* aqp, const double* coefficients, int64_t n_entries,
                                     const void* direction, void* out) {
    const Shape shape{int(n_elements), int(n_weights), int(n_radial), int(l_max), cutoff};
    const Entries entries{int(n_entries), aqp, coefficients};
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const Pairs<T> pairs{starts, neighbors, species, static_cast<const T*>(vectors)};
        const auto calculate = direction ? density_of_all<T, true> : density_of_all<T, false>;
        return calculate(n_centers, pairs, static_cast<const T*>(weights), shape, threads, entries,
                         static_cast<const T*>(direction), static_cast<T*>(out));
    };
    return bytes == 4 ? run(0.0f) : run(0.0);
}

extern "C" int nnpot_density(int64_t bytes, int64_t threads, int64_t n_centers, const void* vectors, const int64_t* starts,
                             const int64_t* neighbors, const int64_t* species, const void* weights, int64_t n_elements,
                             int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max, void* out) {
    return nnpot_density_tangent(bytes, threads, n_centers, vectors, starts, neighbors, species, weights, n_elements,
                                 n_weights, cutoff, n_radial, l_max, nullptr, nullptr, 0, nullptr, out);
}

// The gradient of pairs beyond the cutoff is left as it is.
extern "C" int nnpot_density_pullback(int64_t bytes, int64_t threads, int64_t n_centers, const void* vectors,
                                      const int64_t* starts, const int64_t* neighbors, const int64_t* species,
                                      const void* weights, int64_t n_elements, int64_t n_weights, double cutoff,
                                      int64_t n_radial, int64_t l_max, const int32_t* aqp, const double* coefficients,
                                      int64_t n_entries, const void* bar, void* gradient) {
    const Shape shape{int(n_elements), int(n_weights), int(n_radial), int(l_max), cutoff};
    const Entries entries{int(n_entries), aqp, coefficients};
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const Pairs<T> pairs{starts, neighbors, species, static_cast<const T*>(vectors)};
        return pullback_of_all(n_centers, pairs, static_cast<const T*>(weights), shape, threads, entries,
                               static_cast<const T*>(bar), static_cast<T*>(gradient));
    };
    return bytes == 4 ? run(0.0f) : run(0.0);
}
