// Wide angular functions through moments of the neighbour density, at a cost linear in the number of neighbours:
//
//     sum_(j<k) R_j R_k 2^(1-zeta) (1 + lambda u_j.u_k)^zeta
//         = 2^(1-zeta) sum_n binomial(zeta, n) lambda^n sum_(j<k) R_j R_k (u_j.u_k)^n,
//     sum_jk R_j R_k (u_j.u_k)^n = sum_(a+b+c=n) n!/(a! b! c!) [sum_j R_j x_j^a y_j^b z_j^c]^2,
//
// the moments in square brackets; where j and k are of one element half of that, without j = k.  zeta is an integer.
#pragma once

#include "lanes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

constexpr int MAX_POWER = 4;  // zeta; higher powers lose digits
constexpr int MAX_MONOMIALS = 35;

// x^a y^b z^c with a + b + c <= MAX_POWER, by degree.
struct Monomials {
    int degree[MAX_MONOMIALS], exponent[MAX_MONOMIALS][3];
    int lower[MAX_MONOMIALS][3];  // the monomial of one power of an axis less
    double multiplicity[MAX_MONOMIALS];
    int ends[MAX_POWER + 1];  // number of monomials up to a degree

    Monomials() {
        int count = 0;
        const auto factorial = [](int n) { return std::tgamma(n + 1.0); };
        const auto find = [&](int a, int b, int c) {
            for (int q = 0; q < count; ++q)
                if (exponent[q][0] == a && exponent[q][1] == b && exponent[q][2] == c) return q;
            return 0;  // stands for an exponent below 0, whose factor is 0
        };
        for (int n = 0; n <= MAX_POWER; ++n) {
            for (int a = n; a >= 0; --a)
                for (int b = n - a; b >= 0; --b) {
                    const int c = n - a - b, here[3] = {a, b, c};
                    degree[count] = n;
                    multiplicity[count] = std::round(factorial(n) / (factorial(a) * factorial(b) * factorial(c)));
                    for (int axis = 0; axis < 3; ++axis) {
                        exponent[count][axis] = here[axis];
                        lower[count][axis] = find(a - (axis == 0), b - (axis == 1), c - (axis == 2));
                    }
                    ++count;
                }
            ends[n] = count;
        }
    }

    // Of the directions in every lane.
    template <class V>
    void evaluate(int count, const V (&u)[3], V* values) const {
        values[0] = V{} + 1;
        for (int q = 1; q < count; ++q) {
            const int axis = exponent[q][0] > 0 ? 0 : exponent[q][1] > 0 ? 1 : 2;
            values[q] = values[lower[q][axis]] * u[axis];
        }
    }
};

inline const Monomials& monomials() {
    static const Monomials all;
    return all;
}

// The angular parts of a family: 2^(1-zeta) binomial(zeta, n) lambda^n, and their sum over n for lambda, which j = k
// has.
struct PowerSeries {
    int highest = 0;
    std::vector<double> coefficients, itself;  // (part, n); (part)

    PowerSeries(int n_parts, const double* zeta, const double* sign) {
        for (int p = 0; p < n_parts; ++p) highest = std::max(highest, int(zeta[p]));
        coefficients.assign(n_parts * (MAX_POWER + 1), 0.0);
        for (int p = 0; p < n_parts; ++p) {
            double binomial = std::pow(2.0, 1 - zeta[p]);
            for (int n = 0; n <= int(zeta[p]); ++n) {
                coefficients[p * (MAX_POWER + 1) + n] = binomial;
                binomial *= sign[p] * (zeta[p] - n) / (n + 1);
            }
            itself.push_back(std::pow(2.0, 1 - zeta[p]) * std::pow(1 + sign[p], zeta[p]));
        }
    }
    const double* of(int part) const { return coefficients.data() + part * (MAX_POWER + 1); }

    static bool serves(int n_parts, const double* zeta) {
        return std::all_of(zeta, zeta + n_parts, [](double z) { return z == std::floor(z) && z <= MAX_POWER; });
    }
};

// Moments of the neighbours of one atom, for every radial factor e and element s, their changes and their adjoints.
template <class T>
class Moments {
    using V = Vector<T>;
    static constexpr int W = LANES<T>;

  public:
    Moments(const PowerSeries& series, int n_radial, int n_elements)
        : series(series), n_radial(n_radial), n_elements(n_elements), count(monomials().ends[series.highest]) {
        for (auto* v : {&moments, &changes, &bars}) v->resize(size_t(n_radial) * n_elements * count);
        for (auto* v : {&squares, &square_changes, &square_bars}) v->resize(size_t(n_radial) * n_elements);
    }

    // From neighbours sorted by element, R_e and dR_e/dr in tables (e, neighbour); `along`: their gradients are changes
    // of r_ij.
    template <class Neighbors>
    void evaluate(const Neighbors& n, const T* factors, const T* slopes, bool along) {
        const size_t m = n.r.size();
        for (auto* v : {&bars, &square_bars}) std::fill(v->begin(), v->end(), T(0));
        std::vector<V> sums(n_radial * count), change_sums(n_radial * count), square(n_radial), square_change(n_radial);
        for (int s = 0; s < n_elements; ++s) {
            for (auto* v : {&sums, &change_sums, &square, &square_change}) std::fill(v->begin(), v->end(), V{});
            for (int first = n.starts[s]; first < n.starts[s + 1]; first += W) {
                const Lanes lanes(n, first, n.starts[s + 1], along);
                V powers[MAX_MONOMIALS], rates[MAX_MONOMIALS];
                monomials().evaluate(count, lanes.u, powers);
                if (along) lanes.rates_of(count, powers, rates);
                for (int e = 0; e < n_radial; ++e) {
                    const V factor = lanes.of(factors + e * m);
                    for (int q = 0; q < count; ++q) sums[e * count + q] += factor * powers[q];
                    square[e] += factor * factor;
                    if (!along) continue;
                    const V change = lanes.of(slopes + e * m) * lanes.rate;
                    for (int q = 0; q < count; ++q)
                        change_sums[e * count + q] += change * powers[q] + factor * rates[q];
                    square_change[e] += 2 * factor * change;
                }
            }
            for (int e = 0; e < n_radial; ++e) {
                for (int q = 0; q < count; ++q) {
                    moments[place(e, s) + q] = sum_of_lanes<T>(sums[e * count + q]);
                    changes[place(e, s) + q] = sum_of_lanes<T>(change_sums[e * count + q]);
                }
                squares[e * n_elements + s] = sum_of_lanes<T>(square[e]);
                square_changes[e * n_elements + s] = sum_of_lanes<T>(square_change[e]);
            }
        }
    }

    // The function of radial factor e and angular part p for neighbours of elements a and b, or its change.
    T value(int e, int p, int a, int b, bool change) const {
        const T *of_a = moments.data() + place(e, a), *of_b = moments.data() + place(e, b);
        const T *d_a = changes.data() + place(e, a), *d_b = changes.data() + place(e, b);
        const double* c = series.of(p);
        T sum = 0;
        for (int q = 0; q < count; ++q) {
            const T weight = T(c[monomials().degree[q]] * monomials().multiplicity[q]);
            sum += weight * (change ? d_a[q] * of_b[q] + of_a[q] * d_b[q] : of_a[q] * of_b[q]);
        }
        if (a != b) return sum;
        const int k = e * n_elements + a;
        return T(0.5) * (sum - T(series.itself[p]) * (change ? square_changes[k] : squares[k]));
    }

    // Adds to the adjoints what the adjoint of such a function gives.
    void add_bar(int e, int p, int a, int b, T bar) {
        const T *of_a = moments.data() + place(e, a), *of_b = moments.data() + place(e, b);
        T *bar_a = bars.data() + place(e, a), *bar_b = bars.data() + place(e, b);
        const double* c = series.of(p);
        const T half = a == b ? T(0.5) * bar : bar;
        for (int q = 0; q < count; ++q) {
            const T weight = half * T(c[monomials().degree[q]] * monomials().multiplicity[q]);
            bar_a[q] += weight * of_b[q];
            bar_b[q] += weight * of_a[q];
        }
        if (a == b) square_bars[e * n_elements + a] -= half * T(series.itself[p]);
    }

    // Adds the derivative by r_ij to the gradients of the neighbours.
    template <class Neighbors>
    void pull_back(Neighbors& n, const T* factors, const T* slopes) const {
        const size_t m = n.r.size();
        const Monomials& all = monomials();
        for (int s = 0; s < n_elements; ++s)
            for (int first = n.starts[s]; first < n.starts[s + 1]; first += W) {
                const Lanes lanes(n, first, n.starts[s + 1], false);
                V powers[MAX_MONOMIALS], powers_bar[MAX_MONOMIALS] = {}, by_r = {}, u_bar[3] = {};
                all.evaluate(count, lanes.u, powers);
                for (int e = 0; e < n_radial; ++e) {
                    const V factor = lanes.of(factors + e * m);
                    const T* bar = bars.data() + place(e, s);
                    V factor_bar = 2 * square_bars[e * n_elements + s] * factor;
                    for (int q = 0; q < count; ++q) {
                        factor_bar += bar[q] * powers[q];
                        powers_bar[q] += bar[q] * factor;
                    }
                    by_r += factor_bar * lanes.of(slopes + e * m);
                }
                for (int q = 1; q < count; ++q)
                    for (int axis = 0; axis < 3; ++axis)
                        if (all.exponent[q][axis] > 0)
                            u_bar[axis] += T(all.exponent[q][axis]) * powers_bar[q] * powers[all.lower[q][axis]];
                const V outward = lanes.u[0] * u_bar[0] + lanes.u[1] * u_bar[1] + lanes.u[2] * u_bar[2];
                for (int axis = 0; axis < 3; ++axis) {
                    auto& gradient = axis == 0 ? n.gradient_x : axis == 1 ? n.gradient_y : n.gradient_z;
                    const V share = by_r * lanes.u[axis] + (u_bar[axis] - outward * lanes.u[axis]) * lanes.inverse;
                    for (int w = 0; w < lanes.width; ++w) gradient[first + w] += share[w];
                }
            }
    }

  private:
    // A register of neighbours; idle lanes are 0 but for 1/r = 1.
    struct Lanes {
        int first, width;
        V u[3] = {}, inverse = V{} + 1, rate = {}, turn[3] = {};  // rates of r and of u

        template <class Neighbors>
        Lanes(const Neighbors& n, int first, int end, bool along) : first(first), width(std::min(W, end - first)) {
            V d[3] = {};
            for (int w = 0; w < width; ++w) {
                const int k = first + w;
                u[0][w] = n.x[k], u[1][w] = n.y[k], u[2][w] = n.z[k], inverse[w] = 1 / n.r[k];
                d[0][w] = n.gradient_x[k], d[1][w] = n.gradient_y[k], d[2][w] = n.gradient_z[k];
            }
            if (!along) return;
            rate = u[0] * d[0] + u[1] * d[1] + u[2] * d[2];
            for (int axis = 0; axis < 3; ++axis) turn[axis] = (d[axis] - rate * u[axis]) * inverse;
        }
        V of(const T* row) const {
            V lanes = {};
            std::memcpy(&lanes, row + first, width * sizeof(T));
            return lanes;
        }
        void rates_of(int count, const V* powers, V* rates) const {
            for (int q = 0; q < count; ++q) {
                rates[q] = V{};
                for (int axis = 0; axis < 3; ++axis)
                    if (monomials().exponent[q][axis] > 0)
                        rates[q] += T(monomials().exponent[q][axis]) * turn[axis] * powers[monomials().lower[q][axis]];
            }
        }
    };

    size_t place(int e, int s) const { return (size_t(e) * n_elements + s) * count; }

    const PowerSeries& series;
    const int n_radial, n_elements, count;
    std::vector<T> moments, changes, bars;                // (e, s, monomial)
    std::vector<T> squares, square_changes, square_bars;  // (e, s): sum_j R_e^2
};
