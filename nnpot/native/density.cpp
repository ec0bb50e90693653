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
// tests compare these.  Neighbours within the cutoff are gathered into blocks of one vector register; functions of the
// distance and of the direction are evaluated for a whole block, sums over (lm, k) for one neighbour with k (or lm) along
// the register.

#include "elementary.h"
#include "pairs.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr int MAX_HARMONICS = 25;  // l <= 4
constexpr int PADDED_HARMONICS = 32;

struct Shape {
    int n_weights;  // q
    int n_radial;   // k
    int l_max;
    double cutoff;
    int n_harmonics() const { return (l_max + 1) * (l_max + 1); }
};

// Neighbours of one atom side by side: a lane each.
template <class T, int KP>
struct Block {
    static constexpr int W = LANES<T>;
    int count = 0;
    int64_t pair[W];
    int64_t species[W];
    T r[W], x[W], y[W], z[W];  // distance, then the unit vector
    T harmonics[MAX_HARMONICS][W];
    T radial[W][KP], slopes[W][KP];  // R_k and dR_k/dr of each neighbour, zero beyond k = K
};

template <class T, int KP>
void evaluate(Block<T, KP>& b, const Shape& shape, bool with_slopes) {
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
        const T f = 1 + t * t * t * (-10 + t * (15 - 6 * t)), f_slope = -30 * t * t * (1 - t) * (1 - t) / cutoff;
        envelope[w] = norm * f * inverse;
        envelope_slope[w] = (norm * f_slope - envelope[w]) * inverse;
        sine_and_cosine(t, sine[w], cosine[w]);
        twice[w] = 2 * cosine[w];
        sine_before[w] = 0;
        cosine_before[w] = 1;
    }
    for (int k = 0; k < KP; ++k) {
        T value[W], slope[W];
        const T scale = k < shape.n_radial ? T(1) : T(0), inverse = scale / T(k + 1), turn = scale * wave;
        for (int w = 0; w < W; ++w) {
            const T s = sine[w] * inverse;
            value[w] = s * envelope[w];
            slope[w] = cosine[w] * turn * envelope[w] + s * envelope_slope[w];
            const T next_sine = twice[w] * sine[w] - sine_before[w];
            const T next_cosine = twice[w] * cosine[w] - cosine_before[w];
            sine_before[w] = sine[w];
            sine[w] = next_sine;
            cosine_before[w] = cosine[w];
            cosine[w] = next_cosine;
        }
        for (int w = 0; w < W; ++w) b.radial[w][k] = value[w];
        if (with_slopes)
            for (int w = 0; w < W; ++w) b.slopes[w][k] = slope[w];
    }
    // harmonic polynomials on the unit sphere
    const T root3 = std::sqrt(T(3)), root5 = std::sqrt(T(5)), root7 = std::sqrt(T(7)), root15 = std::sqrt(T(15));
    const T a3 = std::sqrt(T(35) / 8), b3 = std::sqrt(T(105)), c3 = std::sqrt(T(21) / 8);
    const T a4 = T(1.5) * std::sqrt(T(35)), b4 = T(1.5) * std::sqrt(T(35) / 2), c4 = T(1.5) * root5;
    const T d4 = T(1.5) * std::sqrt(T(5) / 2);
    for (int w = 0; w < W; ++w) {
        const T x = b.x[w], y = b.y[w], z = b.z[w], x2 = x * x, y2 = y * y, z2 = z * z;
        auto& h = b.harmonics;
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

// Calls work(block) for full and last blocks of the neighbours of one atom within the cutoff.
template <class T, int KP, class Work>
void for_blocks(const Pairs<T>& p, T cutoff, int64_t atom, Block<T, KP>& b, Work work) {
    b.count = 0;
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
        const T *v = p.vectors + 3 * pair, square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        if (!(square < cutoff * cutoff)) continue;
        const int w = b.count++;
        const T r = std::sqrt(square), inverse = 1 / r;
        b.pair[w] = pair;
        b.species[w] = p.species[p.neighbors[pair]];
        b.r[w] = r;
        b.x[w] = v[0] * inverse;
        b.y[w] = v[1] * inverse;
        b.z[w] = v[2] * inverse;
        if (b.count == LANES<T>) {
            work(b);
            b.count = 0;
        }
    }
    if (b.count > 0) work(b);
}

// Entry of D: the derivative of harmonic polynomial p by the coordinate a contains q with a coefficient.
struct Entries {
    int count;
    const int32_t* aqp;
    const double* coefficients;
};

// Derivatives of the functions of every neighbour along the change v of its vector, in place of the slopes and beside
// the harmonics:  dR_k = R'_k u.v,   dY_lm = [sum_a v_a sum_q D_aqp Y_q - l (u.v) Y_lm] / r.
template <class T, int KP>
void along(Block<T, KP>& b, const Shape& shape, const Entries& entries, const T* direction,
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
            for (int w = 0; w < W; ++w) harmonics[lm][w] = -T(l) * outward[w] * inverse[w] * b.harmonics[lm][w];
    for (int e = 0; e < entries.count; ++e) {
        const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
        const T c = T(entries.coefficients[e]);
        for (int w = 0; w < W; ++w) harmonics[lm][w] += c * v[a][w] * inverse[w] * b.harmonics[q][w];
    }
    for (int w = 0; w < W; ++w)
        for (int k = 0; k < KP; ++k) b.slopes[w][k] *= outward[w];
}

// The density, or with a direction its derivative along that.
template <class T, int KP>
void density(const Pairs<T>& p, const T* weights, const Shape& shape, const Entries& entries, const T* direction, T* out,
             int64_t first, int64_t last) {
    const int L = shape.n_harmonics(), Q = shape.n_weights, K = shape.n_radial;
    Block<T, KP> block;
    T changes[MAX_HARMONICS][LANES<T>];
    std::vector<T> sums(size_t(Q) * L * KP);
    for (int64_t atom = first; atom < last; ++atom) {
        std::fill(sums.begin(), sums.end(), T(0));
        for_blocks(p, T(shape.cutoff), atom, block, [&](Block<T, KP>& b) {
            evaluate(b, shape, direction != nullptr);
            if (direction) along(b, shape, entries, direction, changes);
            for (int w = 0; w < b.count; ++w)
                for (int q = 0; q < Q; ++q) {
                    const T weight = weights[b.species[w] * Q + q];
                    if (weight == 0) continue;
                    T scaled[KP], scaled_slope[KP];
                    for (int k = 0; k < KP; ++k) scaled[k] = weight * b.radial[w][k];
                    T* sum = sums.data() + size_t(q) * L * KP;
                    if (!direction) {
                        for (int lm = 0; lm < L; ++lm) {
                            const T y = b.harmonics[lm][w];
                            for (int k = 0; k < KP; ++k) sum[lm * KP + k] += y * scaled[k];
                        }
                        continue;
                    }
                    for (int k = 0; k < KP; ++k) scaled_slope[k] = weight * b.slopes[w][k];
                    for (int lm = 0; lm < L; ++lm) {
                        const T y = b.harmonics[lm][w], change = changes[lm][w];
                        for (int k = 0; k < KP; ++k) sum[lm * KP + k] += y * scaled_slope[k] + change * scaled[k];
                    }
                }
        });
        T* row = out + size_t(atom) * L * Q * K;
        for (int lm = 0; lm < L; ++lm)
            for (int q = 0; q < Q; ++q)
                for (int k = 0; k < K; ++k) row[(lm * Q + q) * K + k] = sums[(size_t(q) * L + lm) * KP + k];
    }
}

template <class T, int KP>
void pullback(const Pairs<T>& p, const T* weights, int n_species, const Shape& shape, const Entries& entries, const T* bar,
              T* gradient, int64_t first, int64_t last) {
    constexpr int W = LANES<T>, LP = PADDED_HARMONICS;
    const int L = shape.n_harmonics(), Q = shape.n_weights, K = shape.n_radial;
    Block<T, KP> block;
    // of one atom, for each element of its neighbours: sum_q w_q Abar as a table by (lm, k) and by (k, lm)
    std::vector<T> by_lm(size_t(n_species) * L * KP, T(0)), by_k(size_t(n_species) * K * LP, T(0));
    std::vector<int64_t> filled_for(n_species, -1);
    std::vector<T> degree(L);
    for (int l = 0, lm = 0; l <= shape.l_max; ++l)
        for (int m = 0; m < 2 * l + 1; ++m) degree[lm++] = T(l);
    for (int64_t atom = first; atom < last; ++atom)
        for_blocks(p, T(shape.cutoff), atom, block, [&](Block<T, KP>& b) {
            evaluate(b, shape, true);
            T harmonics_bar[MAX_HARMONICS][W];
            T outward[W] = {};
            for (int w = 0; w < b.count; ++w) {
                const int64_t s = b.species[w];
                T *table = by_lm.data() + size_t(s) * L * KP, *turned_table = by_k.data() + size_t(s) * K * LP;
                if (filled_for[s] != atom) {
                    filled_for[s] = atom;
                    for (int lm = 0; lm < L; ++lm)
                        for (int k = 0; k < K; ++k) {
                            T sum = 0;
                            for (int q = 0; q < Q; ++q)
                                sum += weights[s * Q + q] * bar[((size_t(atom) * L + lm) * Q + q) * K + k];
                            table[lm * KP + k] = turned_table[k * LP + lm] = sum;
                        }
                }
                T radial_bar[KP] = {};
                for (int lm = 0; lm < L; ++lm) {
                    const T y = b.harmonics[lm][w];
                    for (int k = 0; k < KP; ++k) radial_bar[k] += y * table[lm * KP + k];
                }
                T of_harmonics[LP] = {};
                for (int k = 0; k < K; ++k) {
                    const T value = b.radial[w][k];
                    for (int lm = 0; lm < LP; ++lm) of_harmonics[lm] += value * turned_table[k * LP + lm];
                }
                T sum = 0;
                for (int k = 0; k < KP; ++k) sum += b.slopes[w][k] * radial_bar[k];
                outward[w] = sum;
                for (int lm = 0; lm < L; ++lm) harmonics_bar[lm][w] = of_harmonics[lm];
            }
            for (int lm = 0; lm < L; ++lm)
                for (int w = b.count; w < W; ++w) harmonics_bar[lm][w] = 0;
            T inner[W] = {}, turned[3][W] = {};
            for (int lm = 1; lm < L; ++lm)
                for (int w = 0; w < W; ++w) inner[w] += degree[lm] * harmonics_bar[lm][w] * b.harmonics[lm][w];
            for (int e = 0; e < entries.count; ++e) {
                const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
                const T c = T(entries.coefficients[e]);
                for (int w = 0; w < W; ++w) turned[a][w] += c * harmonics_bar[lm][w] * b.harmonics[q][w];
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

// K padded to what the compiler can unroll.
template <class Work>
bool with_padding(int n_radial, Work work) {
    if (n_radial <= 8) return work(std::integral_constant<int, 8>()), true;
    if (n_radial <= 16) return work(std::integral_constant<int, 16>()), true;
    if (n_radial <= 32) return work(std::integral_constant<int, 32>()), true;
    return false;
}

template <class T>
int density_of_all(int64_t n_centers, const Pairs<T>& pairs, const T* weights, const Shape& shape, int64_t threads,
                   const Entries& entries, const T* direction, T* out) {
    return with_padding(shape.n_radial, [&](auto padded) {
        parallel(n_centers, threads, [&](int64_t first, int64_t last) {
            density<T, padded.value>(pairs, weights, shape, entries, direction, out, first, last);
        });
    });
}

template <class T>
int pullback_of_all(int64_t n_centers, const Pairs<T>& pairs, const T* weights, int64_t n_species, const Shape& shape,
                    int64_t threads, const Entries& entries, const T* bar, T* gradient) {
    return with_padding(shape.n_radial, [&](auto padded) {
        parallel(n_centers, threads, [&](int64_t first, int64_t last) {
            pullback<T, padded.value>(pairs, weights, int(n_species), shape, entries, bar, gradient, first, last);
        });
    });
}

}  // namespace

// All take the bytes of a number (float or double), then the arguments of their operator (`operators.py`) behind the number
// of threads and of centres, and the result.  They return 0 if they are not compiled for so many radial functions.

extern "C" int nnpot_density_tangent(int64_t bytes, int64_t threads, int64_t n_centers, const void* vectors,
                                     const int64_t* starts, const int64_t* neighbors, const int64_t* species,
                                     const void* weights, int64_t, int64_t n_weights, double cutoff, int64_t n_radial,
                                     int64_t l_max, const int32_t* aqp, const double* coefficients, int64_t n_entries,
                                     const void* direction, void* out) {
    const Shape shape{int(n_weights), int(n_radial), int(l_max), cutoff};
    const Entries entries{int(n_entries), aqp, coefficients};
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const Pairs<T> pairs{starts, neighbors, species, static_cast<const T*>(vectors)};
        return density_of_all(n_centers, pairs, static_cast<const T*>(weights), shape, threads, entries,
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
    const Shape shape{int(n_weights), int(n_radial), int(l_max), cutoff};
    const Entries entries{int(n_entries), aqp, coefficients};
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const Pairs<T> pairs{starts, neighbors, species, static_cast<const T*>(vectors)};
        return pullback_of_all(n_centers, pairs, static_cast<const T*>(weights), n_elements, shape, threads, entries,
                               static_cast<const T*>(bar), static_cast<T*>(gradient));
    };
    return bytes == 4 ? run(0.0f) : run(0.0);
}
