// The neighbours of an atom in blocks of one vector register, and the functions of their vectors: radial functions,
// spherical harmonics, their derivatives.  What belongs to a neighbour is calculated for a whole block, a neighbour in
// each lane.  The same formulas, in the same notation, are in nnpot/functional/radial.py and harmonics.py.
#pragma once

#include "api.h"
#include "checks.h"
#include "elementary.h"
#include "harmonics.h"
#include "lanes.h"
#include "pairs.h"

#include <cmath>
#include <cstdint>
#include <vector>

constexpr int MAX_RADIAL = NNPOT_MOST_N_RADIAL;

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

// R_k = sqrt(2/r_c) sin(k pi t) / (k r) f_c(t),  t = r/r_c,  f_c = 1 - 10 t^3 + 15 t^4 - 6 t^5;
// sin and cos of k pi t by the recurrence f_{k+1} = 2 cos(pi t) f_k - f_{k-1}.
template <class T>
void radial_functions(const Block<T>& b, Functions<T>& f, const Basis& basis, bool with_slopes) {
    using V = Vector<T>;
    const T cutoff = T(basis.cutoff), norm = std::sqrt(T(2) / cutoff), wave = T(M_PI) / cutoff;
    const V r = load(b.r), t = r / cutoff, inverse = 1 / r;
    const V cut = 1 + t * t * t * (-10 + t * (15 - 6 * t)), cut_slope = -30 * t * t * (1 - t) * (1 - t) / cutoff;
    const V envelope = norm * cut * inverse, envelope_slope = (norm * cut_slope - envelope) * inverse;
    store(f.cut, cut);
    store(f.cut_slope, cut_slope);
    V sine, cosine, sine_before = {}, cosine_before = V{} + 1;
    sine_and_cosine(t, sine, cosine);
    const V twice = 2 * cosine;
    for (int k = 0; k < basis.n_radial; ++k) {
        const V s = sine / T(k + 1);
        store(f.radial[k], s * envelope);
        if (with_slopes) store(f.slopes[k], cosine * wave * envelope + s * envelope_slope);
        const V next_sine = twice * sine - sine_before, next_cosine = twice * cosine - cosine_before;
        sine_before = sine;
        sine = next_sine;
        cosine_before = cosine;
        cosine = next_cosine;
    }
}

// Y_lm for l <= l_max, as harmonic polynomials on the unit sphere.
template <class T>
void harmonic_polynomials(const Block<T>& b, int l_max, T (&h)[MAX_HARMONICS][LANES<T>]) {
    using V = Vector<T>;
    const V x = load(b.x), y = load(b.y), z = load(b.z), x2 = x * x, y2 = y * y, z2 = z * z;
    const auto write = [&](int lm, const V& value) { store(h[lm], value); };
    write(0, V{} + 1);
    if (l_max >= 1) {
        const T c = std::sqrt(T(3));
        write(1, c * y);
        write(2, c * z);
        write(3, c * x);
    }
    if (l_max >= 2) {
        const T c = std::sqrt(T(15)), c_0 = std::sqrt(T(5)) / 2;
        write(4, c * x * y);
        write(5, c * y * z);
        write(6, c_0 * (3 * z2 - 1));
        write(7, c * x * z);
        write(8, c / 2 * (x2 - y2));
    }
    if (l_max >= 3) {
        const T c_0 = std::sqrt(T(7)) / 2, c_1 = std::sqrt(T(21) / 8), c_2 = std::sqrt(T(105)),
                c_3 = std::sqrt(T(35) / 8);
        write(9, c_3 * y * (3 * x2 - y2));
        write(10, c_2 * x * y * z);
        write(11, c_1 * y * (5 * z2 - 1));
        write(12, c_0 * z * (5 * z2 - 3));
        write(13, c_1 * x * (5 * z2 - 1));
        write(14, c_2 / 2 * z * (x2 - y2));
        write(15, c_3 * x * (x2 - 3 * y2));
    }
    if (l_max >= 4) {
        const T c_1 = T(1.5) * std::sqrt(T(5) / 2), c_2 = T(1.5) * std::sqrt(T(5));
        const T c_3 = T(1.5) * std::sqrt(T(35) / 2), c_4 = T(1.5) * std::sqrt(T(35));
        write(16, c_4 * x * y * (x2 - y2));
        write(17, c_3 * y * z * (3 * x2 - y2));
        write(18, c_2 * x * y * (7 * z2 - 1));
        write(19, c_1 * y * z * (7 * z2 - 3));
        write(20, T(0.375) * (35 * z2 * z2 - 30 * z2 + 3));
        write(21, c_1 * x * z * (7 * z2 - 3));
        write(22, c_2 / 2 * (x2 - y2) * (7 * z2 - 1));
        write(23, c_3 * x * z * (x2 - 3 * y2));
        write(24, c_4 / 4 * (x2 * (x2 - 3 * y2) - y2 * (3 * x2 - y2)));
    }
}

template <class T>
void evaluate(Block<T>& b, Functions<T>& f, const Basis& basis, bool with_slopes) {
    for (int w = b.count; w < LANES<T>; ++w) {  // idle lanes: anything finite
        b.r[w] = T(0.5) * T(basis.cutoff);
        b.x[w] = b.y[w] = 0;
        b.z[w] = 1;
    }
    radial_functions(b, f, basis, with_slopes);
    harmonic_polynomials(b, basis.l_max, f.harmonics);
}

// Adds a neighbour to a block.
template <class T>
void add(const Pairs<T>& p, int64_t pair, Block<T>& b) {
    const T* v = p.vectors + 3 * pair;
    const int w = b.count++;
    const T r = std::sqrt(square_of(v)), inverse = 1 / r;
    b.pair[w] = pair;
    b.r[w] = r;
    b.x[w] = v[0] * inverse;
    b.y[w] = v[1] * inverse;
    b.z[w] = v[2] * inverse;
}

template <class T>
bool is_near(const Pairs<T>& p, T cutoff, int64_t pair) {
    return square_of(p.vectors + 3 * pair) < cutoff * cutoff;
}

// Calls work(element, block) for full and last blocks of the neighbours of one atom within the cutoff; `open` holds an
// empty block of each element, or if they are MIXED one for all of them, counted as 0.
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

// The same, one element after the other in blocks of all elements; `near` holds an empty list of pairs for each of
// them.
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

// Entry of D: the derivative of harmonic polynomial p with respect to coordinate a contains q with a coefficient.
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
    using V = Vector<T>;
    V v[3];
    for (int a = 0; a < 3; ++a)
        v[a] = lane_by_lane<T>([&](int w) { return w < b.count ? direction[3 * b.pair[w] + a] : T(0); });
    const V inverse = 1 / load(b.r), outward = load(b.x) * v[0] + load(b.y) * v[1] + load(b.z) * v[2];
    for (int a = 0; a < 3; ++a) v[a] *= inverse;
    for (int l = 0, lm = 0; l <= basis.l_max; ++l)
        for (int m = 0; m < 2 * l + 1; ++m, ++lm)
            store(harmonics[lm], -T(l) * outward * inverse * load(f.harmonics[lm]));
    for (int e = 0; e < entries.count; ++e) {
        const int32_t a = entries.aqp[3 * e], q = entries.aqp[3 * e + 1], lm = entries.aqp[3 * e + 2];
        store(harmonics[lm], load(harmonics[lm]) + T(entries.coefficients[e]) * v[a] * load(f.harmonics[q]));
    }
    for (int k = 0; k < basis.n_radial; ++k) store(f.slopes[k], load(f.slopes[k]) * outward);
}

// Derivatives with respect to the vectors of the neighbours of a block, from those with respect to the harmonics, a
// register for every lm, and to the distances:  dE/dr = [sum_lm Ybar_lm (grad Z_lm - l u Y_lm)] / r + u rbar.
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
