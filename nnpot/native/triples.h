// Pairs of neighbours j, k of one centre, and what angular functions are made of.  For one neighbour j, neighbours k
// stand side by side in a vector register.
#pragma once

#include "cutoffs.h"
#include "lanes.h"
#include "pairs.h"
#include "symmetry_functions.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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

    void gather(const Pairs<T>& p, int64_t atom, int n_elements, T cutoff) {
        std::vector<int> counts(n_elements, 0);
        const auto near = [&](int64_t pair) { return square_of(p.vectors + 3 * pair) < cutoff * cutoff; };
        for (int64_t k = p.starts[atom]; k < p.starts[atom + 1]; ++k)
            if (near(k)) ++counts[p.species[p.neighbors[k]]];
        starts.assign(1, 0);
        for (int c : counts) starts.push_back(starts.back() + c);
        resize(starts.back());
        std::vector<int> next(starts.begin(), starts.end() - 1);
        for (int64_t k = p.starts[atom]; k < p.starts[atom + 1]; ++k) {
            if (!near(k)) continue;
            const T* v = p.vectors + 3 * k;
            const int m = next[p.species[p.neighbors[k]]]++;
            pair[m] = k;
            r[m] = std::sqrt(square_of(v));
            x[m] = v[0] / r[m];
            y[m] = v[1] / r[m];
            z[m] = v[2] / r[m];
        }
    }

    void set_changes(const T* direction) {
        for (size_t k = 0; k < r.size(); ++k) {
            gradient_x[k] = direction[3 * pair[k]];
            gradient_y[k] = direction[3 * pair[k] + 1];
            gradient_z[k] = direction[3 * pair[k] + 2];
        }
    }

    void add_gradients_to(T* gradient) const {
        for (size_t k = 0; k < r.size(); ++k) {
            T* result = gradient + 3 * pair[k];
            result[0] += gradient_x[k];
            result[1] += gradient_y[k];
            result[2] += gradient_z[k];
        }
    }
};

// R_e and dR_e/dr of every neighbour, tables (e, neighbour) for each family.
template <class T>
struct RadialFactors {
    std::vector<std::vector<T>> values, slopes;
    std::vector<T> cut, cut_slope;

    void evaluate(const SymmetryFunctions& g, const Neighbors<T>& n) {
        const size_t m = n.r.size();
        values.resize(g.families.size());
        slopes.resize(g.families.size());
        for (auto* v : {&cut, &cut_slope}) v->resize(m);
        cutoff_functions(g.angular, n.r.data(), m, cut.data(), cut_slope.data());
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
    using V = Vector<T>;
    static constexpr int W = LANES<T>;
    int j, k[W];
    V wanted;                               // 1, or 0 for what only fills up
    V x, y, z, r;                           // of k
    V c, v_x, v_y, v_z, r_jk;               // the cosine; r_j - r_k, for narrow families only
    V between[MOST], between_slopes[MOST];  // Q_e and dQ_e/dr_jk
    V parts[MOST], part_slopes[MOST];       // P_p and dP_p/dc

    void gather(const Neighbors<T>& n, int j, const int* chosen, int count) {
        this->j = j;
        for (int w = 0; w < W; ++w) k[w] = chosen[std::min(w, count - 1)];
        wanted = lane_by_lane<T>([&](int w) { return T(w < count); });
        x = of_k(n.x.data()), y = of_k(n.y.data()), z = of_k(n.z.data()), r = of_k(n.r.data());
        c = n.x[j] * x + n.y[j] * y + n.z[j] * z;
    }

    V of_k(const T* of) const {
        return lane_by_lane<T>([&](int w) { return of[k[w]]; });
    }

    void evaluate(const SymmetryFunctions& g, const Family& f, const Neighbors<T>& n, bool with_slopes) {
        if (f.narrow) {
            evaluate_between(g, f, n);
        } else {
            v_x = v_y = v_z = V{};
            r_jk = V{} + 1;
            for (int e = 0; e < f.n_radial; ++e) between[e] = V{} + 1, between_slopes[e] = V{};
        }
        for (int p = 0; p < f.n_parts; ++p) {
            const T sign = T(f.sign[p]), zeta = T(f.zeta[p]), norm = T(f.norm[p]);
            const V above = 1 + sign * c, base = above > 0 ? above : V{};
            const V power = f.power[p] >= 0 ? power_of(base, f.power[p]) : power_of(base, zeta - 1);
            parts[p] = norm * power * base;
            if (with_slopes) part_slopes[p] = norm * zeta * sign * power;
        }
    }

  private:
    void evaluate_between(const SymmetryFunctions& g, const Family& f, const Neighbors<T>& n) {
        const T x_j = n.r[j] * n.x[j], y_j = n.r[j] * n.y[j], z_j = n.r[j] * n.z[j];
        v_x = x_j - r * x;
        v_y = y_j - r * y;
        v_z = z_j - r * z;
        const V square = v_x * v_x + v_y * v_y + v_z * v_z;
        r_jk = lane_by_lane<T>([&](int w) { return std::sqrt(std::max(square[w], T(1e-20))); });
        V cut, cut_slope;
        cutoff_functions(g.angular, &r_jk, 1, &cut, &cut_slope);
        for (int e = 0; e < f.n_radial; ++e) {
            const T eta = T(f.eta[e]);
            const V d = r_jk - T(f.r_s[e]), gauss = exponential(-eta * d * d);
            between[e] = gauss * cut;
            between_slopes[e] = gauss * (cut_slope - 2 * eta * d * cut);
        }
    }

    static V power_of(V square, int n) {
        V power = V{} + 1;
        for (; n > 0; n /= 2, square *= square)
            if (n % 2) power *= square;
        return power;
    }

    static V power_of(const V& base, T exponent) {
        return lane_by_lane<T>([&](int w) { return std::pow(base[w], exponent); });
    }
};

// Calls work() for every j of element a and a register of k of element b in `t`, each pair of neighbours once, without
// those whose distance is beyond a cutoff.
template <class T, class Work>
void for_triples(Neighbors<T>& n, int a, int b, T cutoff, std::vector<int>& chosen, Triples<T>& t, Work work) {
    chosen.resize(n.starts[b + 1] + 1);
    std::vector<T>& squares = n.squares;
    squares.resize(n.starts[b + 1]);
    const T largest = cutoff * cutoff;
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
            t.gather(n, j, chosen.data() + first, std::min(count - first, LANES<T>));
            work();
        }
    }
}

// Rates of change of r_ij, r_ik, r_jk and c.
template <class T>
struct Rates {
    using V = Vector<T>;
    T of_j;
    V of_k, of_jk, of_c;

    void evaluate(const Neighbors<T>& n, const Triples<T>& t) {
        const int j = t.j;
        const T x = n.x[j], y = n.y[j], z = n.z[j];
        const T d_x = n.gradient_x[j], d_y = n.gradient_y[j], d_z = n.gradient_z[j];
        const V e_x = t.of_k(n.gradient_x.data()), e_y = t.of_k(n.gradient_y.data()), e_z = t.of_k(n.gradient_z.data());
        of_j = x * d_x + y * d_y + z * d_z;
        of_k = t.x * e_x + t.y * e_y + t.z * e_z;
        const V across_j = t.x * d_x + t.y * d_y + t.z * d_z, across_k = x * e_x + y * e_y + z * e_z;
        of_c = (across_j - t.c * of_j) / n.r[j] + (across_k - t.c * of_k) / t.r;
        of_jk = (t.v_x * (d_x - e_x) + t.v_y * (d_y - e_y) + t.v_z * (d_z - e_z)) / t.r_jk;
    }
};
