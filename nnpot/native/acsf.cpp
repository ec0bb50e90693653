// Atom-centred symmetry functions, the transpose of their derivative, and their derivative along given changes of the
// pair vectors, straight from the pair list.  The last two are transposes of each other.
//
// Radial functions (G1, G2, G3) are sums over neighbours j of one element.  Angular ones (G4 narrow, G5 wide) are, for
// all radial factors e = (eta, r_s) and angular parts p = (zeta, lambda) of a family at once, sums over pairs of
// neighbours
//
//     G_ep = sum_(j<k) R_e(r_ij) R_e(r_ik) Q_e(r_jk) P_p(c),   c the cosine of the angle at i,
//     R_e(r) = exp[-eta (r - r_s)^2] f_c(r),   Q = R (narrow) or 1 (wide),   P_p(c) = 2^(1-zeta) (1 + lambda c)^zeta.
//
// With Gbar = dE/dG and S_e = sum_p Gbar_ep P_p the derivatives of a pair's share of E are
//
//     by r_ij  sum_e R'_e(r_ij) R_e(r_ik) Q_e S_e,   by r_jk  sum_e R_e(r_ij) R_e(r_ik) Q'_e S_e,
//     by c     sum_e R_e(r_ij) R_e(r_ik) Q_e sum_p Gbar_ep P'_p.
//
// The same formulas are in nnpot/descriptors/acsf.py and nnpot/functional/angular.py, with which the tests compare
// these. Wide functions whose zeta are small integers need no pairs of neighbours (moments.h).

#include "api.h"
#include "checks.h"
#include "elementary.h"
#include "lanes.h"
#include "moments.h"
#include "pairs.h"
#include "parallel.h"
#include "symmetry_functions.h"
#include "triples.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace {

// One centre after the other: its neighbours, and what functions of them have in common.
template <class T>
struct Center {
    const SymmetryFunctions& g;
    const Pairs<T>& pairs;
    Neighbors<T> n;
    RadialFactors<T> radial;
    std::vector<std::unique_ptr<Moments<T>>> moments;  // null for families that are not calculated through them
    Triples<T> triples;
    std::vector<int> chosen;

    Center(const SymmetryFunctions& g, const Pairs<T>& pairs) : g(g), pairs(pairs) {
        for (const Family& f : g.families)
            moments.push_back(f.series ? std::make_unique<Moments<T>>(*f.series, f.n_radial, g.n_elements) : nullptr);
    }

    // Calls work(pair, r, f_c, df_c/dr, column of the first function) for each neighbour within the cutoff of radial
    // functions.
    template <class Work>
    void for_pairs(int64_t atom, Work work) const {
        for (int64_t pair = pairs.starts[atom]; pair < pairs.starts[atom + 1]; ++pair) {
            const T r = std::sqrt(square_of(pairs.vectors + 3 * pair));
            if (!(r < T(g.radial.radius))) continue;
            T cut, cut_slope;
            cutoff_functions(g.radial, &r, 1, &cut, &cut_slope);
            work(pair, r, cut, cut_slope, pairs.species[pairs.neighbors[pair]] * g.n_radial());
        }
    }

    // Finds the neighbours for angular functions; `direction`: and how their vectors change.
    void move_to(int64_t atom, const T* direction) {
        n.gather(pairs, atom, g.n_elements, T(g.angular.radius));
        if (direction) n.set_changes(direction);
        radial.evaluate(g, n);
        for (size_t k = 0; k < moments.size(); ++k)
            if (moments[k])
                moments[k]->evaluate(n, radial.values[k].data(), radial.slopes[k].data(), direction != nullptr);
    }

    // Calls work(family, elements, first column) for all angular functions, in the order of their columns.
    template <class Work>
    void for_families(Work work) const {
        int column = g.n_elements * g.n_radial();
        for (int a = 0; a < g.n_elements; ++a)
            for (int b = a; b < g.n_elements; ++b)
                for (size_t k = 0; k < g.families.size(); ++k) {
                    work(k, a, b, column);
                    column += g.families[k].n_functions;
                }
    }

    // Calls work() for all `triples` that count for a family and two elements.
    template <class Work>
    void for_triples(const Family& f, int a, int b, bool with_slopes, Work work) {
        const T cutoff = T(f.narrow ? g.angular.radius : HUGE_VAL);
        ::for_triples(n, a, b, cutoff, chosen, triples, [&] {
            triples.evaluate(g, f, n, with_slopes);
            work();
        });
    }
};

// The functions, or with a direction their derivative along that.
template <class T>
class Values {
    using V = Vector<T>;

  public:
    Values(const SymmetryFunctions& g, const Pairs<T>& pairs, const T* direction)
        : g(g), center(g, pairs), direction(direction) {}

    void write(int64_t atom, T* row) {
        std::fill(row, row + g.columns(), T(0));
        center.for_pairs(atom, [&](int64_t pair, T r, T cut, T cut_slope, int64_t column) {
            add_radial(pair, r, cut, cut_slope, row + column);
        });
        if (g.families.empty()) return;
        center.move_to(atom, direction);
        center.for_families([&](size_t k, int a, int b, int column) {
            const Family& f = g.families[k];
            if (!f.series) return write_sums(k, a, b, row + column);
            for (int i = 0; i < f.n_functions; ++i)
                row[column + i] = center.moments[k]->value(f.radial_factor(i), f.part(i), a, b, direction != nullptr);
        });
    }

  private:
    // Each function is f(r) cut(r); along a direction f and cut change by their slopes times the rate of r.
    void add_radial(int64_t pair, T r, T cut, T cut_slope, T* sums) const {
        const T* v = center.pairs.vectors + 3 * pair;
        T rate = 0;
        if (direction)
            for (int x = 0; x < 3; ++x) rate += v[x] * direction[3 * pair + x] / r;
        if (g.g1) *sums++ += direction ? cut_slope * rate : cut;
        for (int f = 0; f < g.n_g2; ++f) {
            const T eta = T(g.eta[f]), d = r - T(g.r_s[f]), gauss = exponential(-eta * d * d);
            sums[f] += direction ? gauss * (cut_slope - 2 * eta * d * cut) * rate : gauss * cut;
        }
        for (int f = 0; f < g.n_g3; ++f) {
            const T kappa = T(g.kappa[f]), wave = std::cos(kappa * r);
            sums[g.n_g2 + f] += direction ? (wave * cut_slope - kappa * std::sin(kappa * r) * cut) * rate : wave * cut;
        }
    }

    void write_sums(size_t k, int a, int b, T* out) {
        const Family& f = g.families[k];
        const T *factors = center.radial.values[k].data(), *slopes = center.radial.slopes[k].data();
        V sums[MOST * MOST];
        std::fill(sums, sums + f.n_radial * f.n_parts, V{});
        center.for_triples(f, a, b, direction != nullptr, [&] {
            if (direction) rates.evaluate(center.n, center.triples);
            const size_t m = center.n.r.size();
            for (int e = 0; e < f.n_radial; ++e) {
                if (direction)
                    add_changes(f, e, factors + e * m, slopes + e * m, sums + e * f.n_parts);
                else
                    add_values(f, e, factors + e * m, sums + e * f.n_parts);
            }
        });
        for (int i = 0; i < f.n_functions; ++i) out[i] = sum_of_lanes<T>(sums[f.grid[i]]);
    }

    void add_values(const Family& f, int e, const T* factors, V* sums) const {
        const Triples<T>& t = center.triples;
        const V weight = factors[t.j] * (t.wanted * t.of_k(factors)) * t.between[e];
        for (int p = 0; p < f.n_parts; ++p) sums[p] += weight * t.parts[p];
    }

    void add_changes(const Family& f, int e, const T* factors, const T* slopes, V* sums) const {
        const Triples<T>& t = center.triples;
        const V factor_k = t.wanted * t.of_k(factors), slope_k = t.wanted * t.of_k(slopes);
        const V both = factors[t.j] * factor_k;
        const V of_both = slopes[t.j] * rates.of_j * factor_k + factors[t.j] * slope_k * rates.of_k;
        const V change = of_both * t.between[e] + both * t.between_slopes[e] * rates.of_jk;
        const V turn = both * t.between[e] * rates.of_c;
        for (int p = 0; p < f.n_parts; ++p) sums[p] += change * t.parts[p] + turn * t.part_slopes[p];
    }

    const SymmetryFunctions& g;
    Center<T> center;
    Rates<T> rates;
    const T* direction;
};

// Derivatives by the pair vectors of a sum of functions with weights, the adjoints of the functions.
template <class T>
class Pullback {
    using V = Vector<T>;

  public:
    Pullback(const SymmetryFunctions& g, const Pairs<T>& pairs) : g(g), center(g, pairs) {}

    void write(int64_t atom, const T* row, T* gradient) {
        const int64_t* starts = center.pairs.starts;
        std::fill(gradient + 3 * starts[atom], gradient + 3 * starts[atom + 1], T(0));
        center.for_pairs(atom, [&](int64_t pair, T r, T cut, T cut_slope, int64_t column) {
            const T *v = center.pairs.vectors + 3 * pair, sum = slope(r, cut, cut_slope, row + column);
            for (int x = 0; x < 3; ++x) gradient[3 * pair + x] = sum * v[x] / r;
        });
        if (g.families.empty()) return;
        center.move_to(atom, nullptr);
        center.for_families([&](size_t k, int a, int b, int column) {
            const Family& f = g.families[k];
            if (!f.series) return add_triples(k, a, b, row + column);
            for (int i = 0; i < f.n_functions; ++i)
                center.moments[k]->add_bar(f.radial_factor(i), f.part(i), a, b, row[column + i]);
        });
        for (size_t k = 0; k < center.moments.size(); ++k)
            if (center.moments[k])
                center.moments[k]->pull_back(center.n, center.radial.values[k].data(), center.radial.slopes[k].data());
        center.n.add_gradients_to(gradient);
    }

  private:
    // By r of what a neighbour contributes.
    T slope(T r, T cut, T cut_slope, const T* of) const {
        T sum = 0;
        if (g.g1) sum += *of++ * cut_slope;
        for (int f = 0; f < g.n_g2; ++f) {
            const T eta = T(g.eta[f]), d = r - T(g.r_s[f]);
            sum += of[f] * exponential(-eta * d * d) * (cut_slope - 2 * eta * d * cut);
        }
        for (int f = 0; f < g.n_g3; ++f) {
            const T kappa = T(g.kappa[f]);
            sum += of[g.n_g2 + f] * (std::cos(kappa * r) * cut_slope - kappa * std::sin(kappa * r) * cut);
        }
        return sum;
    }

    void add_triples(size_t k, int a, int b, const T* column) {
        const Family& f = g.families[k];
        const T *factors = center.radial.values[k].data(), *slopes = center.radial.slopes[k].data();
        T weights[MOST * MOST];
        std::fill(weights, weights + f.n_radial * f.n_parts, T(0));
        for (int i = 0; i < f.n_functions; ++i) weights[f.grid[i]] += column[i];
        center.for_triples(f, a, b, true, [&] {
            const size_t m = center.n.r.size();
            By by = {};
            for (int e = 0; e < f.n_radial; ++e)
                add_factor(f, e, factors + e * m, slopes + e * m, weights + e * f.n_parts, by);
            turn(by);
        });
    }

    // Derivatives by r_ij, r_ik, r_jk and c.
    struct By {
        V j, k, jk, c;
    };

    void add_factor(const Family& f, int e, const T* factors, const T* slopes, const T* weights, By& by) const {
        const Triples<T>& t = center.triples;
        V sum = {}, slope_sum = {};
        for (int p = 0; p < f.n_parts; ++p) {
            sum += weights[p] * t.parts[p];
            slope_sum += weights[p] * t.part_slopes[p];
        }
        const V factor_k = t.wanted * t.of_k(factors), slope_k = t.wanted * t.of_k(slopes);
        const V with_between = t.between[e] * sum, both = factors[t.j] * factor_k;
        by.j += slopes[t.j] * factor_k * with_between;
        by.k += factors[t.j] * slope_k * with_between;
        by.c += both * t.between[e] * slope_sum;
        by.jk += both * t.between_slopes[e] * sum;
    }

    // From derivatives by distances and the cosine to those by vectors, 0 for what only fills up.
    void turn(const By& by) {
        const Triples<T>& t = center.triples;
        Neighbors<T>& n = center.n;
        const int j = t.j;
        const T x = n.x[j], y = n.y[j], z = n.z[j];
        const V turn_j = by.c * (1 / n.r[j]), turn_k = by.c / t.r, along = by.jk / t.r_jk;
        n.gradient_x[j] += sum_of_lanes<T>(by.j * x + turn_j * (t.x - t.c * x) + along * t.v_x);
        n.gradient_y[j] += sum_of_lanes<T>(by.j * y + turn_j * (t.y - t.c * y) + along * t.v_y);
        n.gradient_z[j] += sum_of_lanes<T>(by.j * z + turn_j * (t.z - t.c * z) + along * t.v_z);
        const V of_x = by.k * t.x + turn_k * (x - t.c * t.x) - along * t.v_x;
        const V of_y = by.k * t.y + turn_k * (y - t.c * t.y) - along * t.v_y;
        const V of_z = by.k * t.z + turn_k * (z - t.c * t.z) - along * t.v_z;
        for (int w = 0; w < LANES<T>; ++w) {
            n.gradient_x[t.k[w]] += of_x[w];
            n.gradient_y[t.k[w]] += of_y[w];
            n.gradient_z[t.k[w]] += of_z[w];
        }
    }

    const SymmetryFunctions& g;
    Center<T> center;
};

// Reads the functions, then calls work(functions, pairs, first, last) for parts of the centres with numbers of the
// right size.
template <class Work>
int for_centers(NNPOT_ACSF, Work work) {
    return with_numbers(bytes, [&](auto zero) -> int {
        using T = decltype(zero);
        SymmetryFunctions g;
        const Pairs<T> pairs{n_centers, n_pairs, n_atoms, static_cast<const T*>(vectors), starts, neighbors, species};
        const Answer read_so_far = read(sizes, n_sizes, numbers, n_numbers, g);
        if (read_so_far != DONE) return read_so_far;
        if (g.columns() != n_functions) return WRONG_SIZES;
        const Answer answer = checked(pairs, g.n_elements);
        if (answer != DONE) return answer;
        parallel(n_centers, threads, [&](int64_t first, int64_t last) { work(g, pairs, first, last); });
        return DONE;
    });
}

}  // namespace

// They answer NOT_COMPILED if they have no room for the functions.

#define ARGUMENTS                                                                                                \
    bytes, threads, n_centers, n_pairs, n_atoms, n_sizes, n_numbers, vectors, starts, neighbors, species, sizes, \
        numbers, n_functions

extern "C" int nnpot_acsf_tangent(NNPOT_ACSF, const void* direction, void* out) {
    return for_centers(ARGUMENTS, [&](const SymmetryFunctions& g, const auto& pairs, int64_t first, int64_t last) {
        using T = std::decay_t<decltype(*pairs.vectors)>;
        Values<T> values(g, pairs, static_cast<const T*>(direction));
        for (int64_t atom = first; atom < last; ++atom) values.write(atom, static_cast<T*>(out) + atom * n_functions);
    });
}

extern "C" int nnpot_acsf(NNPOT_ACSF, void* out) { return nnpot_acsf_tangent(ARGUMENTS, nullptr, out); }

extern "C" int nnpot_acsf_pullback(NNPOT_ACSF, const void* bar, void* gradient) {
    return for_centers(ARGUMENTS, [&](const SymmetryFunctions& g, const auto& pairs, int64_t first, int64_t last) {
        using T = std::decay_t<decltype(*pairs.vectors)>;
        Pullback<T> pullback(g, pairs);
        for (int64_t atom = first; atom < last; ++atom)
            pullback.write(atom, static_cast<const T*>(bar) + atom * n_functions, static_cast<T*>(gradient));
    });
}
