// Atom-centred symmetry functions, the transpose of their derivative, and their derivative along given changes of the pair
// vectors, straight from the pair list.  The last two are transposes of each other.
//
// Radial functions (G1, G2, G3) are sums over neighbours j of one element.  Angular ones (G4 narrow, G5 wide) are, for all
// radial factors e = (eta, r_s) and angular parts p = (zeta, lambda) of a family at once, sums over pairs of neighbours
//
//     G_ep = sum_(j<k) R_e(r_ij) R_e(r_ik) Q_e(r_jk) P_p(c),   c the cosine of the angle at i,
//     R_e(r) = exp[-eta (r - r_s)^2] f_c(r),   Q = R (narrow) or 1 (wide),   P_p(c) = 2^(1-zeta) (1 + lambda c)^zeta.
//
// With Gbar = dE/dG and S_e = sum_p Gbar_ep P_p the derivatives of a pair's share of E are
//
//     by r_ij  sum_e R'_e(r_ij) R_e(r_ik) Q_e S_e,   by r_jk  sum_e R_e(r_ij) R_e(r_ik) Q'_e S_e,
//     by c     sum_e R_e(r_ij) R_e(r_ik) Q_e sum_p Gbar_ep P'_p.
//
// The same formulas are in nnpot/descriptors/acsf.py and nnpot/functional/angular.py, with which the tests compare these.
// For one neighbour j, neighbours k stand side by side in a vector register.  Wide functions whose zeta are small integers need
// no pairs of neighbours (moments.h).

#include "api.h"
#include "checks.h"
#include "elementary.h"
#include "lanes.h"
#include "moments.h"
#include "pairs.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

namespace {

constexpr int MOST = 16;  // of radial factors or angular parts in a family

enum Switch { COSINE = 0, TANH3, POLYNOMIAL, HARD, SCALED_TANH3, EXPONENTIAL, CUBIC, SEPTIC, NONIC };

// f_c and its derivative by r, both 0 at and beyond the cutoff; flat up to the inner radius
template <int KIND, class T>
inline void cutoff_function(T r, T cutoff, T inner, T& value, T& slope) {
    const T width = cutoff - inner, scaled = r > inner ? (r - inner) / width : T(0), x = scaled < 1 ? scaled : T(1), y = 1 - x;
    if constexpr (KIND == COSINE) {
        T sine, cosine;
        sine_and_cosine(x, sine, cosine);
        value = T(0.5) * (1 + cosine);
        slope = T(-0.5) * T(M_PI) * sine;
    } else if constexpr (KIND == TANH3 || KIND == SCALED_TANH3) {
        const T e = exponential(-2 * y), t = (1 - e) / (1 + e);
        constexpr T factor = T(KIND == TANH3 ? 1 : 2.2637537952253513);  // 1 / tanh(1)^3
        value = factor * t * t * t;
        slope = factor * -3 * t * t * (1 - t * t);
    } else if constexpr (KIND == POLYNOMIAL) {
        value = 1 + x * x * x * (-10 + x * (15 - 6 * x));
        slope = -30 * x * x * y * y;
    } else if constexpr (KIND == HARD) {
        value = 1;
        slope = 0;
    } else if constexpr (KIND == EXPONENTIAL) {
        const T below = 1 - x * x, held = below > T(1e-3) ? below : T(1e-3);  // e^-999 is 0: no division by 0
        value = exponential(1 - 1 / held);
        slope = -2 * x * value / (held * held);
    } else if constexpr (KIND == CUBIC) {
        value = y * y * (1 + 2 * x);
        slope = -6 * x * y;
    } else if constexpr (KIND == SEPTIC) {
        value = y * y * y * y * (1 + x * (4 + x * (10 + 20 * x)));
        slope = -140 * x * x * x * y * y * y;
    } else {
        value = y * y * y * y * y * (1 + x * (5 + x * (15 + x * (35 + 70 * x))));
        slope = -630 * x * x * x * x * y * y * y * y;
    }
    const T inside = T(r < cutoff);
    value *= inside;
    slope *= inside * (1 / width);
}

struct Family {
    int narrow, n_radial, n_parts, n_functions;
    const double *eta, *r_s, *zeta, *sign;
    const int64_t* grid;  // place of each function in the table (radial factor, angular part)
    std::shared_ptr<const PowerSeries> series;  // of a family that is calculated through moments
    double norm[MOST];    // 2^(1-zeta)
    int power[MOST];      // zeta - 1 if zeta is an integer, else -1
};

struct Functions {
    int g1, n_g2, n_g3, n_elements, kind;
    double cutoff, angular_cutoff, inner;  // the last as a fraction of the others
    const double *eta, *r_s, *kappa;  // of G2 (eta, r_s) and G3
    std::vector<Family> families;
    int n_radial() const { return g1 + n_g2 + n_g3; }
    int columns() const {
        int of_pair = 0;
        for (const auto& f : families) of_pair += f.n_functions;
        return n_elements * n_radial() + n_elements * (n_elements + 1) / 2 * of_pair;
    }
};

template <int KIND, class T>
void cutoff_functions(const T* r, size_t n, T cutoff, T inner, T* values, T* slopes) {
    for (size_t k = 0; k < n; ++k) {
        T value, slope;
        cutoff_function<KIND>(r[k], cutoff, inner, value, slope);
        values[k] = value;
        slopes[k] = slope;
    }
}

template <class T>
inline void cutoff_functions(const Functions& g, const T* r, size_t n, double cutoff, T* values, T* slopes) {
    const T r_c = T(cutoff), r_i = T(g.inner * cutoff);
    switch (g.kind) {
        case COSINE: return cutoff_functions<COSINE>(r, n, r_c, r_i, values, slopes);
        case TANH3: return cutoff_functions<TANH3>(r, n, r_c, r_i, values, slopes);
        case POLYNOMIAL: return cutoff_functions<POLYNOMIAL>(r, n, r_c, r_i, values, slopes);
        case HARD: return cutoff_functions<HARD>(r, n, r_c, r_i, values, slopes);
        case SCALED_TANH3: return cutoff_functions<SCALED_TANH3>(r, n, r_c, r_i, values, slopes);
        case EXPONENTIAL: return cutoff_functions<EXPONENTIAL>(r, n, r_c, r_i, values, slopes);
        case CUBIC: return cutoff_functions<CUBIC>(r, n, r_c, r_i, values, slopes);
        case SEPTIC: return cutoff_functions<SEPTIC>(r, n, r_c, r_i, values, slopes);
        default: return cutoff_functions<NONIC>(r, n, r_c, r_i, values, slopes);
    }
}

// Neighbours within the angular cutoff, those of one element together.
template <class T>
struct Neighbors {
    std::vector<int> starts;  // of each element, and the end
    std::vector<int64_t> pair;
    std::vector<T> r, x, y, z;
    std::vector<T> gradient_x, gradient_y, gradient_z;  // dE/dr_ij, or the change of r_ij
    std::vector<T> squares;                             // of distances from one of them

    void resize(size_t n) {
        pair.resize(n);
        for (auto* v : {&r, &x, &y, &z}) v->resize(n);
        for (auto* g : {&gradient_x, &gradient_y, &gradient_z}) g->assign(n, T(0));
    }
};

template <class T>
void gather(const Pairs<T>& p, int64_t atom, int n_elements, T cutoff, Neighbors<T>& n) {
    std::vector<int> counts(n_elements, 0);
    const auto near = [&](int64_t pair) {
        const T* v = p.vectors + 3 * pair;
        return v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < cutoff * cutoff;
    };
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair)
        if (near(pair)) ++counts[p.species[p.neighbors[pair]]];
    n.starts.assign(1, 0);
    for (int c : counts) n.starts.push_back(n.starts.back() + c);
    n.resize(n.starts.back());
    std::vector<int> next(n.starts.begin(), n.starts.end() - 1);
    for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
        if (!near(pair)) continue;
        const T* v = p.vectors + 3 * pair;
        const int m = next[p.species[p.neighbors[pair]]]++;
        n.pair[m] = pair;
        n.r[m] = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        n.x[m] = v[0] / n.r[m];
        n.y[m] = v[1] / n.r[m];
        n.z[m] = v[2] / n.r[m];
    }
}

// R_e and dR_e/dr of every neighbour, tables (e, neighbour) for each family.
template <class T>
struct RadialFactors {
    std::vector<std::vector<T>> values, slopes;

    void evaluate(const Functions& g, const Neighbors<T>& n) {
        const size_t m = n.r.size();
        values.resize(g.families.size());
        slopes.resize(g.families.size());
        std::vector<T> cut(m), cut_slope(m);
        cutoff_functions(g, n.r.data(), m, g.angular_cutoff, cut.data(), cut_slope.data());
        for (size_t i = 0; i < g.families.size(); ++i) {
            const Family& f = g.families[i];
            values[i].resize(f.n_radial * m);
            slopes[i].resize(f.n_radial * m);
            for (int e = 0; e < f.n_radial; ++e) {
                const T eta = T(f.eta[e]), r_s = T(f.r_s[e]);
                T *value = values[i].data() + e * m, *slope = slopes[i].data() + e * m;
                for (size_t k = 0; k < m; ++k) {
                    const T d = n.r[k] - r_s, gauss = exponential(-eta * d * d);
                    value[k] = gauss * cut[k];
                    slope[k] = gauss * (cut_slope[k] - 2 * eta * d * cut[k]);
                }
            }
        }
    }
};

// One neighbour j beside a register of neighbours k, some of which may only fill it up.
template <class T>
struct Triples {
    static constexpr int W = LANES<T>;
    int k[W];
    T wanted[W];                   // 1, or 0 for what only fills up
    T x[W], y[W], z[W], r[W];      // of k
    T c[W], v_x[W], v_y[W], v_z[W], r_jk[W];
    T between[MOST][W], between_slope[MOST][W];  // Q_e and dQ_e/dr_jk
    T parts[MOST][W], part_slopes[MOST][W];      // P_p and dP_p/dc

    void gather(const Neighbors<T>& n, const int* chosen, int count) {
        for (int w = 0; w < W; ++w) k[w] = chosen[std::min(w, count - 1)];
        for (int w = 0; w < W; ++w) wanted[w] = T(w < count);
        for (int w = 0; w < W; ++w) x[w] = n.x[k[w]], y[w] = n.y[k[w]], z[w] = n.z[k[w]], r[w] = n.r[k[w]];
    }

    void evaluate(const Functions& g, const Family& f, const Neighbors<T>& n, int j, bool with_slopes) {
        const T x_j = n.x[j], y_j = n.y[j], z_j = n.z[j], r_j = n.r[j];
        for (int w = 0; w < W; ++w) c[w] = x_j * x[w] + y_j * y[w] + z_j * z[w];
        if (f.narrow) {
            T cut[W], cut_slope[W];
            for (int w = 0; w < W; ++w) {
                v_x[w] = r_j * x_j - r[w] * x[w];
                v_y[w] = r_j * y_j - r[w] * y[w];
                v_z[w] = r_j * z_j - r[w] * z[w];
                r_jk[w] = std::sqrt(std::max(v_x[w] * v_x[w] + v_y[w] * v_y[w] + v_z[w] * v_z[w], T(1e-20)));
            }
            cutoff_functions(g, r_jk, W, g.angular_cutoff, cut, cut_slope);
            for (int e = 0; e < f.n_radial; ++e) {
                const T eta = T(f.eta[e]), r_s = T(f.r_s[e]);
                T gauss[W];
                for (int w = 0; w < W; ++w) gauss[w] = exponential(-eta * (r_jk[w] - r_s) * (r_jk[w] - r_s));
                for (int w = 0; w < W; ++w) {
                    between[e][w] = gauss[w] * cut[w];
                    between_slope[e][w] = gauss[w] * (cut_slope[w] - 2 * eta * (r_jk[w] - r_s) * cut[w]);
                }
            }
        } else {
            for (int e = 0; e < f.n_radial; ++e)
                for (int w = 0; w < W; ++w) between[e][w] = 1, between_slope[e][w] = 0;
        }
        for (int p = 0; p < f.n_parts; ++p) {
            const T sign = T(f.sign[p]), zeta = T(f.zeta[p]), norm = T(f.norm[p]);
            T base[W], power[W];  // 1 + lambda c, and that to zeta - 1
            for (int w = 0; w < W; ++w) {
                base[w] = std::max(1 + sign * c[w], T(0));
                power[w] = 1;
            }
            if (f.power[p] >= 0) {
                T square[W];
                for (int w = 0; w < W; ++w) square[w] = base[w];
                for (int n_left = f.power[p]; n_left > 0; n_left /= 2) {
                    if (n_left % 2)
                        for (int w = 0; w < W; ++w) power[w] *= square[w];
                    for (int w = 0; w < W; ++w) square[w] *= square[w];
                }
            } else {
                for (int w = 0; w < W; ++w) power[w] = std::pow(base[w], zeta - 1);
            }
            for (int w = 0; w < W; ++w) parts[p][w] = norm * power[w] * base[w];
            if (with_slopes)
                for (int w = 0; w < W; ++w) part_slopes[p][w] = norm * zeta * sign * power[w];
        }
    }
};

// Calls work(j) for every j of element a and a register of k of element b, each pair of neighbours once; in a narrow family
// without those whose distance is beyond the cutoff.
template <class T, class Work>
void for_triples(Neighbors<T>& n, int a, int b, T narrow_cutoff, Triples<T>& t, std::vector<int>& chosen, Work work) {
    chosen.resize(n.starts[b + 1] + 1);
    std::vector<T>& squares = n.squares;
    squares.resize(n.starts[b + 1]);
    const T largest = narrow_cutoff * narrow_cutoff;
    for (int j = n.starts[a]; j < n.starts[a + 1]; ++j) {
        const T x = n.r[j] * n.x[j], y = n.r[j] * n.y[j], z = n.r[j] * n.z[j];
        const int k_first = a == b ? j + 1 : n.starts[b], k_end = n.starts[b + 1];
        for (int k = k_first; k < k_end; ++k) {
            const T v_x = x - n.r[k] * n.x[k], v_y = y - n.r[k] * n.y[k], v_z = z - n.r[k] * n.z[k];
            squares[k] = v_x * v_x + v_y * v_y + v_z * v_z;
        }
        int count = 0;
        for (int k = k_first; k < k_end; ++k) {
            chosen[count] = k;
            count += squares[k] < largest;
        }
        for (int first = 0; first < count; first += LANES<T>) {
            t.gather(n, chosen.data() + first, std::min(count - first, LANES<T>));
            work(j);
        }
    }
}

// Rates of change of r_ij, r_ik, r_jk and c.
template <class T>
struct Rates {
    static constexpr int W = LANES<T>;
    T of_j, of_k[W], of_jk[W], of_c[W];

    void evaluate(const Neighbors<T>& n, const Triples<T>& t, bool narrow, int j) {
        const T x = n.x[j], y = n.y[j], z = n.z[j];
        const T d_x = n.gradient_x[j], d_y = n.gradient_y[j], d_z = n.gradient_z[j];
        of_j = x * d_x + y * d_y + z * d_z;
        T e_x[W], e_y[W], e_z[W];
        for (int w = 0; w < W; ++w) {
            const int m = t.k[w];
            e_x[w] = n.gradient_x[m], e_y[w] = n.gradient_y[m], e_z[w] = n.gradient_z[m];
        }
        for (int w = 0; w < W; ++w) {
            of_k[w] = t.x[w] * e_x[w] + t.y[w] * e_y[w] + t.z[w] * e_z[w];
            const T across_j = t.x[w] * d_x + t.y[w] * d_y + t.z[w] * d_z, across_k = x * e_x[w] + y * e_y[w] + z * e_z[w];
            of_c[w] = (across_j - t.c[w] * of_j) / n.r[j] + (across_k - t.c[w] * of_k[w]) / t.r[w];
        }
        if (narrow)
            for (int w = 0; w < W; ++w)
                of_jk[w] = (t.v_x[w] * (d_x - e_x[w]) + t.v_y[w] * (d_y - e_y[w]) + t.v_z[w] * (d_z - e_z[w])) / t.r_jk[w];
        else
            for (int w = 0; w < W; ++w) of_jk[w] = 0;
    }
};

// Moments for the families that are calculated through them, null for the others.
template <class T>
std::vector<std::unique_ptr<Moments<T>>> moments_of(const Functions& g) {
    std::vector<std::unique_ptr<Moments<T>>> all;
    for (const Family& f : g.families)
        all.push_back(f.series ? std::make_unique<Moments<T>>(*f.series, f.n_radial, g.n_elements) : nullptr);
    return all;
}

// The functions, or with a direction their derivative along that.
template <class T>
void values(const Functions& g, const Pairs<T>& p, const void* along, void* out, int64_t first, int64_t last) {
    constexpr int W = LANES<T>;
    const T* direction = static_cast<const T*>(along);
    Neighbors<T> n;
    Triples<T> t;
    Rates<T> rates;
    RadialFactors<T> radial;
    std::vector<int> chosen;
    const auto moments = moments_of<T>(g);
    const int n_radial = g.n_radial(), columns = g.columns();
    for (int64_t atom = first; atom < last; ++atom) {
        T* row = static_cast<T*>(out) + atom * columns;
        std::fill(row, row + columns, T(0));
        for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
            const T *v = p.vectors + 3 * pair, r = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            if (!(r < T(g.cutoff))) continue;
            T *sums = row + p.species[p.neighbors[pair]] * n_radial, cut, cut_slope;
            cutoff_functions(g, &r, 1, g.cutoff, &cut, &cut_slope);
            // each function is f(r) cut(r); along a direction f and cut change by their slopes times the rate of r
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
        if (g.families.empty()) continue;
        gather(p, atom, g.n_elements, T(g.angular_cutoff), n);
        radial.evaluate(g, n);
        T* column = row + g.n_elements * n_radial;
        const size_t m = n.r.size();
        for (size_t k = 0; k < m && direction; ++k) {
            n.gradient_x[k] = direction[3 * n.pair[k]];
            n.gradient_y[k] = direction[3 * n.pair[k] + 1];
            n.gradient_z[k] = direction[3 * n.pair[k] + 2];
        }
        for (size_t i = 0; i < moments.size(); ++i)
            if (moments[i]) moments[i]->evaluate(n, radial.values[i].data(), radial.slopes[i].data(), direction != nullptr);
        for (int a = 0; a < g.n_elements; ++a)
            for (int b = a; b < g.n_elements; ++b)
                for (size_t i_family = 0; i_family < g.families.size(); ++i_family) {
                    const Family& f = g.families[i_family];
                    if (f.series) {
                        for (int i = 0; i < f.n_functions; ++i) {
                            const int e = int(f.grid[i]) / f.n_parts, part = int(f.grid[i]) % f.n_parts;
                            *column++ = moments[i_family]->value(e, part, a, b, direction != nullptr);
                        }
                        continue;
                    }
                    const T *factor = radial.values[i_family].data(), *slope = radial.slopes[i_family].data();
                    T sums[MOST * MOST][W] = {};
                    for_triples(n, a, b, T(f.narrow ? g.angular_cutoff : HUGE_VAL), t, chosen, [&](int j) {
                        t.evaluate(g, f, n, j, direction != nullptr);
                        if (direction) rates.evaluate(n, t, f.narrow, j);
                        for (int e = 0; e < f.n_radial; ++e) {
                            T weight[W], change[W], factor_k[W], slope_k[W];
                            const T factor_j = factor[e * m + j], slope_j = slope[e * m + j];
                            for (int w = 0; w < W; ++w) factor_k[w] = t.wanted[w] * factor[e * m + t.k[w]];
                            for (int w = 0; w < W; ++w) weight[w] = factor_j * factor_k[w] * t.between[e][w];
                            if (!direction) {
                                for (int q = 0; q < f.n_parts; ++q)
                                    for (int w = 0; w < W; ++w) sums[e * f.n_parts + q][w] += weight[w] * t.parts[q][w];
                                continue;
                            }
                            for (int w = 0; w < W; ++w) slope_k[w] = t.wanted[w] * slope[e * m + t.k[w]];
                            for (int w = 0; w < W; ++w) {
                                const T of_both = slope_j * rates.of_j * factor_k[w] + factor_j * slope_k[w] * rates.of_k[w];
                                const T of_between = factor_j * factor_k[w] * t.between_slope[e][w] * rates.of_jk[w];
                                change[w] = of_both * t.between[e][w] + of_between;
                            }
                            for (int q = 0; q < f.n_parts; ++q)
                                for (int w = 0; w < W; ++w)
                                    sums[e * f.n_parts + q][w] +=
                                        change[w] * t.parts[q][w] + weight[w] * t.part_slopes[q][w] * rates.of_c[w];
                        }
                    });
                    for (int i = 0; i < f.n_functions; ++i) {
                        T total = 0;
                        for (int w = 0; w < W; ++w) total += sums[f.grid[i]][w];
                        *column++ = total;
                    }
                }
    }
}

template <class T>
void pullback(const Functions& g, const Pairs<T>& p, const void* bar, void* gradient, int64_t first, int64_t last) {
    constexpr int W = LANES<T>;
    Neighbors<T> n;
    Triples<T> t;
    RadialFactors<T> radial;
    std::vector<int> chosen;
    const auto moments = moments_of<T>(g);
    const int n_radial = g.n_radial(), columns = g.columns();
    for (int64_t atom = first; atom < last; ++atom) {
        const T* row = static_cast<const T*>(bar) + atom * columns;
        for (int64_t pair = p.starts[atom]; pair < p.starts[atom + 1]; ++pair) {
            const T *v = p.vectors + 3 * pair, r = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            T* result = static_cast<T*>(gradient) + 3 * pair;
            result[0] = result[1] = result[2] = 0;
            if (!(r < T(g.cutoff))) continue;
            const T* of = row + p.species[p.neighbors[pair]] * n_radial;
            T cut, cut_slope, sum = 0;
            cutoff_functions(g, &r, 1, g.cutoff, &cut, &cut_slope);
            if (g.g1) sum += *of++ * cut_slope;
            for (int f = 0; f < g.n_g2; ++f) {
                const T eta = T(g.eta[f]), d = r - T(g.r_s[f]);
                sum += of[f] * exponential(-eta * d * d) * (cut_slope - 2 * eta * d * cut);
            }
            for (int f = 0; f < g.n_g3; ++f) {
                const T kappa = T(g.kappa[f]);
                sum += of[g.n_g2 + f] * (std::cos(kappa * r) * cut_slope - kappa * std::sin(kappa * r) * cut);
            }
            for (int x = 0; x < 3; ++x) result[x] = sum * v[x] / r;
        }
        if (g.families.empty()) continue;
        gather(p, atom, g.n_elements, T(g.angular_cutoff), n);
        radial.evaluate(g, n);
        const T* column = row + g.n_elements * n_radial;
        const size_t m = n.r.size();
        for (size_t i = 0; i < moments.size(); ++i)
            if (moments[i]) moments[i]->evaluate(n, radial.values[i].data(), radial.slopes[i].data(), false);
        for (int a = 0; a < g.n_elements; ++a)
            for (int b = a; b < g.n_elements; ++b)
                for (size_t i_family = 0; i_family < g.families.size(); ++i_family) {
                    const Family& f = g.families[i_family];
                    if (f.series) {
                        for (int i = 0; i < f.n_functions; ++i) {
                            const int e = int(f.grid[i]) / f.n_parts, part = int(f.grid[i]) % f.n_parts;
                            moments[i_family]->add_bar(e, part, a, b, *column++);
                        }
                        continue;
                    }
                    const T *factor = radial.values[i_family].data(), *slope = radial.slopes[i_family].data();
                    T weights[MOST][MOST] = {};
                    for (int i = 0; i < f.n_functions; ++i)
                        weights[f.grid[i] / f.n_parts][f.grid[i] % f.n_parts] += *column++;
                    for_triples(n, a, b, T(f.narrow ? g.angular_cutoff : HUGE_VAL), t, chosen, [&](int j) {
                        t.evaluate(g, f, n, j, true);
                        T by_j[W] = {}, by_k[W] = {}, by_jk[W] = {}, by_c[W] = {};
                        for (int e = 0; e < f.n_radial; ++e) {
                            T sum[W] = {}, slope_sum[W] = {};
                            for (int q = 0; q < f.n_parts; ++q)
                                for (int w = 0; w < W; ++w) {
                                    sum[w] += weights[e][q] * t.parts[q][w];
                                    slope_sum[w] += weights[e][q] * t.part_slopes[q][w];
                                }
                            const T factor_j = factor[e * m + j], slope_j = slope[e * m + j];
                            T factor_k[W], slope_k[W];
                            for (int w = 0; w < W; ++w) factor_k[w] = t.wanted[w] * factor[e * m + t.k[w]];
                            for (int w = 0; w < W; ++w) slope_k[w] = t.wanted[w] * slope[e * m + t.k[w]];
                            for (int w = 0; w < W; ++w) {
                                const T q_sum = t.between[e][w] * sum[w], both = factor_j * factor_k[w];
                                by_j[w] += slope_j * factor_k[w] * q_sum;
                                by_k[w] += factor_j * slope_k[w] * q_sum;
                                by_c[w] += both * t.between[e][w] * slope_sum[w];
                                by_jk[w] += both * t.between_slope[e][w] * sum[w];
                            }
                        }
                        T total_x = 0, total_y = 0, total_z = 0;
                        const T x = n.x[j], y = n.y[j], z = n.z[j], inverse = 1 / n.r[j];
                        T along_jk[W] = {}, of_x[W], of_y[W], of_z[W];
                        if (f.narrow)
                            for (int w = 0; w < W; ++w) along_jk[w] = by_jk[w] / t.r_jk[w];
                        else
                            for (int w = 0; w < W; ++w) t.v_x[w] = t.v_y[w] = t.v_z[w] = 0;
                        for (int w = 0; w < W; ++w) {
                            const T c = t.c[w], turn_j = by_c[w] * inverse, turn_k = by_c[w] / t.r[w], along = along_jk[w];
                            total_x += by_j[w] * x + turn_j * (t.x[w] - c * x) + along * t.v_x[w];
                            total_y += by_j[w] * y + turn_j * (t.y[w] - c * y) + along * t.v_y[w];
                            total_z += by_j[w] * z + turn_j * (t.z[w] - c * z) + along * t.v_z[w];
                            of_x[w] = by_k[w] * t.x[w] + turn_k * (x - c * t.x[w]) - along * t.v_x[w];
                            of_y[w] = by_k[w] * t.y[w] + turn_k * (y - c * t.y[w]) - along * t.v_y[w];
                            of_z[w] = by_k[w] * t.z[w] + turn_k * (z - c * t.z[w]) - along * t.v_z[w];
                        }
                        for (int w = 0; w < W; ++w) {  // 0 for what only fills up
                            n.gradient_x[t.k[w]] += of_x[w];
                            n.gradient_y[t.k[w]] += of_y[w];
                            n.gradient_z[t.k[w]] += of_z[w];
                        }
                        n.gradient_x[j] += total_x;
                        n.gradient_y[j] += total_y;
                        n.gradient_z[j] += total_z;
                    });
                }
        for (size_t i = 0; i < moments.size(); ++i)
            if (moments[i]) moments[i]->pull_back(n, radial.values[i].data(), radial.slopes[i].data());
        for (size_t k = 0; k < m; ++k) {
            T* result = static_cast<T*>(gradient) + 3 * n.pair[k];
            result[0] += n.gradient_x[k];
            result[1] += n.gradient_y[k];
            result[2] += n.gradient_z[k];
        }
    }
}

// From flat arrays: `sizes` holds g1, n_g2, n_g3, n_elements, kind, number of families, then for each family narrow,
// n_radial, n_parts, n_functions and the grid; `numbers` holds both cutoffs, the inner fraction of them, eta and r_s of G2,
// kappa of G3, then for each family eta, r_s, zeta and lambda.
Answer read(const int64_t* sizes, int64_t n_sizes, const double* numbers, int64_t n_numbers, Functions& g) {
    constexpr int64_t MANY = 1 << 20;  // so that sums of them have room
    if (n_sizes < 6 || !are_below(MANY, sizes, n_sizes)) return WRONG_SIZES;
    g.g1 = int(sizes[0]), g.n_g2 = int(sizes[1]), g.n_g3 = int(sizes[2]), g.n_elements = int(sizes[3]), g.kind = int(sizes[4]);
    if (3 + 2 * g.n_g2 + g.n_g3 > n_numbers) return WRONG_SIZES;
    g.cutoff = numbers[0], g.angular_cutoff = numbers[1], g.inner = numbers[2];
    g.eta = numbers + 3, g.r_s = g.eta + g.n_g2, g.kappa = g.r_s + g.n_g2;
    const int64_t* s = sizes + 6;
    const double* x = g.kappa + g.n_g3;
    for (int64_t k = 0; k < sizes[5]; ++k) {
        if (sizes + n_sizes - s < 4 || sizes + n_sizes - s < 4 + s[3] || numbers + n_numbers - x < 2 * (s[1] + s[2]))
            return WRONG_SIZES;
        Family f{int(s[0]), int(s[1]), int(s[2]), int(s[3]), x, x + s[1], x + 2 * s[1], x + 2 * s[1] + s[2], s + 4, {}, {}, {}};
        if (f.n_radial > MOST || f.n_parts > MOST) return NOT_COMPILED;
        if (!are_below(int64_t(f.n_radial) * f.n_parts, f.grid, f.n_functions)) return WRONG_SIZES;
        for (int p = 0; p < f.n_parts; ++p) {
            f.norm[p] = std::pow(2.0, 1 - f.zeta[p]);
            f.power[p] = f.zeta[p] == std::floor(f.zeta[p]) && f.zeta[p] < 1e4 ? int(f.zeta[p]) - 1 : -1;
        }
        if (!f.narrow && PowerSeries::serves(f.n_parts, f.zeta))
            f.series = std::make_shared<const PowerSeries>(f.n_parts, f.zeta, f.sign);
        s += 4 + f.n_functions;
        x += 2 * f.n_radial + 2 * f.n_parts;
        g.families.push_back(f);
    }
    return DONE;
}

// Reads the functions, then calls work(functions, pairs, first, last) for parts of the centres with numbers of the right size.
template <class Work>
int for_centers(NNPOT_ACSF, Work work) {
    Functions g;
    const Answer answer = read(sizes, n_sizes, numbers, n_numbers, g);
    if (answer != DONE) return answer;
    if (g.columns() != n_functions) return WRONG_SIZES;
    const auto run = [&](auto zero) -> int {
        using T = decltype(zero);
        const Pairs<T> pairs{n_centers, n_pairs, n_atoms, static_cast<const T*>(vectors), starts, neighbors, species};
        const Answer answer = checked(pairs, g.n_elements);
        if (answer != DONE) return answer;
        parallel(n_centers, threads, [&](int64_t first, int64_t last) { work(g, pairs, first, last); });
        return DONE;
    };
    return bytes == 4 ? run(0.0f) : run(0.0);
}

}  // namespace

// They answer NOT_COMPILED if they have no room for the functions.

#define THESE                                                                                                              \
    bytes, threads, n_centers, n_pairs, n_atoms, n_sizes, n_numbers, vectors, starts, neighbors, species, sizes, numbers, n_functions

extern "C" int nnpot_acsf_tangent(NNPOT_ACSF, const void* direction, void* out) {
    return for_centers(THESE, [&](const Functions& g, const auto& pairs, int64_t first, int64_t last) {
        values(g, pairs, direction, out, first, last);
    });
}

extern "C" int nnpot_acsf(NNPOT_ACSF, void* out) { return nnpot_acsf_tangent(THESE, nullptr, out); }

extern "C" int nnpot_acsf_pullback(NNPOT_ACSF, const void* bar, void* gradient) {
    return for_centers(THESE, [&](const Functions& g, const auto& pairs, int64_t first, int64_t last) {
        pullback(g, pairs, bar, gradient, first, last);
    });
}
