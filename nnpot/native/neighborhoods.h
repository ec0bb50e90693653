// The neighbours of an atom in blocks of one vector register, and the functions of their vectors: radial functions,
// spherical harmonics, their derivatives.  What belongs to a neighbour is calculated for a whole block, a neighbour in each
// lane.  The same formulas, in the same notation, are in nnpot/functional/radial.py and harmonics.py.
#pragma once

#include "checks.h"
#include "elementary.h"
#include "harmonics.h"
#include "lanes.h"
#include "pairs.h"

#include <cmath>
#include <cstdint>
#include <vector>

constexpr int MAX_RADIAL = 32;

struct Basis {
    int n_radial;  // k
    int l_max;
    double cutoff;
};

// Neighbours of one atom: a lane each.
template <class T>
struct Block {
    static constexpr int W = LANES<T>;
    int count = 0;
    int64_t pair[W];
    alignas(REGISTER) T r[W], x[W], y[W], z[W];  // distance, then the unit vector
};

// Y_lm, R_k, dR_k/dr, f_c and df_c/dr of every neighbour.
template <class T>
struct Functions {
    static constexpr int W = LANES<T>;
    alignas(REGISTER) T harmonics[MAX_HARMONICS][W];
    alignas(REGISTER) T radial[MAX_RADIAL][W], slopes[MAX_RADIAL][W];
    alignas(REGISTER) T cut[W], cut_slope[W];
};

template <class T>
void evaluate(Block<T>& b, Functions<T>& f, const Basis& basis, bool with_slopes) {
    constexpr int W = LANES<T>;
    const T cutoff = T(basis.cutoff);
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
        f.cut[w] = 1 + t * t * t * (-10 + t * (15 - 6 * t));
        f.cut_slope[w] = -30 * t * t * (1 - t) * (1 - t) / cutoff;
        envelope[w] = norm * f.cut[w] * inverse;
        envelope_slope[w] = (norm * f.cut_slope[w] - envelope[w]) * inverse;
        sine_and_cosine(t, sine[w], cosine[w]);
        twice[w] = 2 * cosine[w];
        sine_before[w] = 0;
        cosine_before[w] = 1;
    }
    for (int k = 0; k < basis.n_radial; ++k) {
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
        if (basis.l_max >= 1) {
            h[1][w] = root3 * y;
            h[2][w] = root3 * z;
            h[3][w] = root3 * x;
        }
        if (basis.l_max >= 2) {
            h[4][w] = root15 * x * y;
            h[5][w] = root15 * y * z;
            h[6][w] = root5 / 2 * (3 * z2 - 1);
            h[7][w] = root15 * x * z;
            h[8][w] = root15 / 2 * (x2 - y2);
        }
        if (basis.l_max >= 3) {
            h[9][w] = a3 * y * (3 * x2 - y2);
            h[10][w] = b3 * x * y * z;
            h[11][w] = c3 * y * (5 * z2 - 1);
            h[12][w] = root7 / 2 * z * (5 * z2 - 3);
            h[13][w] = c3 * x * (5 * z2 - 1);
            h[14][w] = b3 / 2 * z * (x2 - y2);
            h[15][w] = a3 * x * (x2 - 3 * y2);
        }
        if (basis.l_max >= 4) {
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

// Adds a neighbour to a block.
template <class T>
void add(const Pairs<T>& p, int64_t pair, Block<T>& b) {
    const T* v = p.vectors + 3 * pair;
    const int w = b.count++;
    const T r = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), inverse = 1 / r;
    b.pair[w] = pair;
    b.r[w] = r;
    b.x[w] = v[0] * inverse;
    b.y[w] = v[1] * inverse;
    b.z[w] = v[2] * inverse;
}

template <class T>
bool is_near(const Pairs<T>& p, T cutoff, int64_t pair) {
    const T* v = p.vectors + 3 * pair;
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < cutoff * cutoff;
}

// Calls work(element, block) for full and last blocks of the neighbours of one atom within the cutoff; `open` holds an empty
// block of each element, or if they are MIXED one for all of them, counted as 0.
template <bool MIXED, class T, class Work>
void for_blocks(const Pairs<T>& p, T cutoff, int64_t atom, std::vector<Block<T>>& open, Work work) {
    const auto close = [&](int64_t element) {
        work(element, open[element]);
        open[element].count = 0;
    };
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
        if (!is_near(p, cutoff, pair)) continue;
        const int64_t element = MIXED ? 0 : p.species[p.neighbors[pair]];
        add(p, pair, open[element]);
        if (open[element].count == LANES<T>) close(element);
    }
    for (size_t element = 0; element < open.size(); ++element)
        if (open[element].count > 0) close(element);
}

// The same, one element after the other in blocks of all elements; `near` holds an empty list of pairs for each of them.
template <class T, class Work>
void for_sorted_blocks(const Pairs<T>& p, T cutoff, int64_t atom, std::vector<std::vector<int64_t>>& near, Work work) {
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair)
        if (is_near(p, cutoff, pair)) near[p.species[p.neighbors[pair]]].push_back(pair);
    Block<T> b;
    for (auto& of_element : near) {
        for (int64_t pair : of_element) {
            add(p, pair, b);
            if (b.count == LANES<T>) {
                work(b);
                b.count = 0;
            }
        }
        of_element.clear();
    }
    if (b.count > 0) work(b);
}

// Entry of D: the derivative of harmonic polynomial p by the coordinate a contains q with a coefficient.
struct Entries {
    int count;
    const int32_t* aqp;
    const double* coefficients;
};

inline Answer checked(const Entries& entries, int64_t l_max) {
    for (int e = 0; e < entries.count; ++e)
        if (!are_below<int32_t>(3, entries.aqp + 3 * e, 1) ||
            !are_below(int32_t((l_max + 1) * (l_max + 1)), entries.aqp + 3 * e + 1, 2))
            return WRONG_SIZES;
    return DONE;
}

// Derivatives of the functions of every neighbour along the change v of its vector, in place of the slopes and beside
// the harmonics:  dR_k = R'_k u.v,   dY_lm = [sum_a v_a sum_q D_aqp Y_q - l (u.v) Y_lm] / r.
template <class T>
void along(const Block<T>& b, Functions<T>& f, const Basis& basis, const Entries& entries, const T* direction,
           T (&harmonics)[MAX_HARMONICS][LANES<T>]) {
    constexpr int W = LANES<T>;
    T v[3][W] = {}, outward[W], inverse[W];
    for (int w = 0; w < b.count; ++w)
        for (int a = 0; a < 3; ++a) v[a][w] = direction[3 * b.pair[w] + a];
    for (int w = 0; w < W; ++w) {
        outward[w] = b.x[w] * v[0][w] + b.y[w] * v[1][w] + b.z[w] * v[2][w];
        inverse[w] = 1 / b.r[w];
    }
    for (int l = 0, lm = 0; l <= basis.l_max; ++l)
        for (int m = 0; m < 2 * l + 1; ++m, ++lm)
            for (int w = 0; w < W; ++w) harmonics[lm][w] = -T(l) * outward[w] * inverse[w] * f.harmonics[lm][w];
    for (int e = 0; e < entries.count; ++e) {
        const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
        const T c = T(entries.coefficients[e]);
        for (int w = 0; w < W; ++w) harmonics[lm][w] += c * v[a][w] * inverse[w] * f.harmonics[q][w];
    }
    for (int k = 0; k < basis.n_radial; ++k)
        for (int w = 0; w < W; ++w) f.slopes[k][w] *= outward[w];
}

// Derivatives by the vectors of the neighbours of a block, from those by the harmonics, a register for every lm, and by the
// distances:  dE/dr = [sum_lm Ybar_lm (grad Z_lm - l u Y_lm)] / r + u rbar.
template <class T>
void write_gradient(const Block<T>& b, const Functions<T>& f, const Basis& basis, const Entries& entries,
                    const Vector<T>* harmonics_bar, const Vector<T>& distances_bar, T* gradient) {
    using V = Vector<T>;
    V inner = {}, turned[3] = {};
    for (int l = 0, lm = 0; l <= basis.l_max; ++l)
        for (int m = 0; m < 2 * l + 1; ++m, ++lm) inner += T(l) * harmonics_bar[lm] * load(f.harmonics[lm]);
    for (int e = 0; e < entries.count;) {  // in the order of a
        const int32_t a = entries.aqp[3 * e];
        V sums[2] = {};
        for (; e < entries.count && entries.aqp[3 * e] == a; ++e) {
            const int32_t q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
            sums[e % 2] += T(entries.coefficients[e]) * harmonics_bar[lm] * load(f.harmonics[q]);
        }
        turned[a] += sums[0] + sums[1];
    }
    for (int w = 0; w < b.count; ++w) {
        const T inverse = 1 / b.r[w], along = distances_bar[w] - inner[w] * inverse;
        T* g = gradient + 3 * b.pair[w];
        g[0] = turned[0][w] * inverse + b.x[w] * along;
        g[1] = turned[1][w] * inverse + b.y[w] * along;
        g[2] = turned[2][w] * inverse + b.z[w] * along;
    }
}
