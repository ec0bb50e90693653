// The table of symmetry functions, as nnpot/functional/symmetry_functions.py writes it.
#pragma once

#include "checks.h"
#include "cutoffs.h"
#include "moments.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

constexpr int MOST = 16;  // of radial factors or angular parts in a family

// Angular functions of one kind: a grid of radial factors R_e and angular parts P_p.
struct Family {
    int narrow, n_radial, n_parts, n_functions;
    const double *eta, *r_s, *zeta, *sign;
    const int64_t* grid;                        // place of each function in the table (radial factor, angular part)
    std::shared_ptr<const PowerSeries> series;  // of a family that is calculated through moments
    double norm[MOST];                          // 2^(1-zeta)
    int power[MOST];                            // zeta - 1 if zeta is an integer, else -1

    int radial_factor(int function) const { return int(grid[function]) / n_parts; }
    int part(int function) const { return int(grid[function]) % n_parts; }
};

struct SymmetryFunctions {
    int g1, n_g2, n_g3, n_elements;
    Cutoff radial, angular;
    const double *eta, *r_s, *kappa;  // of G2 (eta, r_s) and G3
    std::vector<Family> families;

    int n_radial() const { return g1 + n_g2 + n_g3; }
    int columns() const {
        int of_pair = 0;
        for (const auto& f : families) of_pair += f.n_functions;
        return n_elements * n_radial() + n_elements * (n_elements + 1) / 2 * of_pair;
    }
};

// What is left to read.
struct Table {
    const int64_t *sizes, *sizes_end;
    const double *numbers, *numbers_end;
};

// Narrow, n_radial, n_parts, n_functions and the grid; eta, r_s, zeta and lambda.
inline Answer read(Table& left, Family& f) {
    const int64_t* s = left.sizes;
    const double* x = left.numbers;
    const int64_t n_sizes = left.sizes_end - s;
    if (n_sizes < 4 || n_sizes < 4 + s[3] || left.numbers_end - x < 2 * (s[1] + s[2])) return WRONG_SIZES;
    f = Family{int(s[0]),    int(s[1]),           int(s[2]), int(s[3]), x,  x + s[1],
               x + 2 * s[1], x + 2 * s[1] + s[2], s + 4,     {},        {}, {}};
    if (f.n_radial > MOST || f.n_parts > MOST) return NOT_COMPILED;
    if (!are_below(int64_t(f.n_radial) * f.n_parts, f.grid, f.n_functions)) return WRONG_SIZES;
    for (int p = 0; p < f.n_parts; ++p) {
        f.norm[p] = std::pow(2.0, 1 - f.zeta[p]);
        f.power[p] = f.zeta[p] == std::floor(f.zeta[p]) && f.zeta[p] < 1e4 ? int(f.zeta[p]) - 1 : -1;
    }
    if (!f.narrow && PowerSeries::serves(f.n_parts, f.zeta))
        f.series = std::make_shared<const PowerSeries>(f.n_parts, f.zeta, f.sign);
    left.sizes += 4 + f.n_functions;
    left.numbers += 2 * (f.n_radial + f.n_parts);
    return DONE;
}

// Steep functions have a slope at their start, and so no inner radius.
inline bool are_cutoffs(int kind, double cutoff, double angular_cutoff, double inner) {
    const bool is_steep = kind == TANH3 || kind == SCALED_TANH3;
    if (!(0 < angular_cutoff && angular_cutoff <= cutoff && cutoff < 1e9)) return false;
    return is_steep ? inner == 0 : 0 <= inner && inner < 1;
}

// From flat arrays: `sizes` holds g1, n_g2, n_g3, n_elements, kind, number of families, then those of each family;
// `numbers` holds both cutoffs, the inner radius as a fraction of them, eta and r_s of G2, kappa of G3, then those of
// each family.
inline Answer read(const int64_t* sizes, int64_t n_sizes, const double* numbers, int64_t n_numbers,
                   SymmetryFunctions& g) {
    constexpr int64_t MANY = 1 << 20;  // so that sums of them have room
    if (n_sizes < 6 || !are_below(MANY, sizes, n_sizes)) return WRONG_SIZES;
    g.g1 = int(sizes[0]), g.n_g2 = int(sizes[1]), g.n_g3 = int(sizes[2]), g.n_elements = int(sizes[3]);
    if (3 + 2 * g.n_g2 + g.n_g3 > n_numbers) return WRONG_SIZES;
    const int kind = int(sizes[4]);
    if (kind > NONIC || g.g1 > 1) return WRONG_SIZES;
    if (!are_cutoffs(kind, numbers[0], numbers[1], numbers[2])) return WRONG_CUTOFFS;
    g.radial = {kind, numbers[0], numbers[2] * numbers[0]};
    g.angular = {kind, numbers[1], numbers[2] * numbers[1]};
    g.eta = numbers + 3, g.r_s = g.eta + g.n_g2, g.kappa = g.r_s + g.n_g2;
    Table left{sizes + 6, sizes + n_sizes, g.kappa + g.n_g3, numbers + n_numbers};
    for (int64_t k = 0; k < sizes[5]; ++k) {
        Family f;
        const Answer answer = read(left, f);
        if (answer != DONE) return answer;
        g.families.push_back(f);
    }
    return DONE;
}
