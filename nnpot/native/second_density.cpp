// A second density whose neighbours are weighted by a network, its derivatives, and the derivatives of those by the weights.
//
//     D_lm,c  = sum_n A_lm,n P_l,nc                    projections, weights P, U, V of the element of the atom
//     u_l,c   = sum_m D_lm,c Y_lm                      the density in the direction of a neighbour
//     z       = U [e_q R_k; u; 1],  e of the element of the neighbour
//     a       = silu(z),  g = V [a; 1],  w = f_c g
//     A'_lm,c = sum_j Y_lm w_c
//
// What u contributes to z is linear in Y: sum_lm F_lm Y_lm with F_lm = sum_c D_lm,c U_lc, which is calculated once for an atom.
//
// All of it is written for dual numbers: every quantity may carry its change along a direction (the tangent network of
// B. A. Pearlmutter, Neural Computation 6, 147 (1994)); index 0 is a value, 1 its change; of adjoints: that of the value, that
// of the change.
//
// The same formulas are in nnpot/descriptors/second_density.py, with which the tests compare these.  A block of neighbours
// is a matrix, one row each: columns are filled up to whole registers.

#include "activations.h"
#include "api.h"
#include "checks.h"
#include "neighborhoods.h"
#include "parallel.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t LEAST = 16;  // atoms that are worth a thread

template <class T> using Registers = std::vector<Vector<T>>;

struct Shape {
    int n_elements, n_weights;  // s, q
    Basis basis;
    int n_seen, n_channels, n_units;  // n, c, h
    int n_degrees() const { return basis.l_max + 1; }
    int n_harmonics() const { return n_degrees() * n_degrees(); }
    int n_in() const { return n_weights * basis.n_radial; }
    int n_inputs() const { return n_in() + n_degrees() * n_channels; }
    int64_t projection_size() const { return int64_t(n_degrees()) * n_seen * n_channels; }
    int64_t hidden_size() const { return int64_t(n_units) * (n_inputs() + 1); }
    int64_t outer_size() const { return int64_t(n_channels) * (n_units + 1); }
};

// Numbers of registers that a row of so many numbers fills.
template <class T>
struct Widths {
    static constexpr int of(int n) { return (n + LANES<T> - 1) / LANES<T>; }
    explicit Widths(const Shape& s)
        : channels(of(s.n_channels)), units(of(s.n_units)), seen(of(s.n_seen)), directions(s.n_degrees() * channels) {}
    int channels, units, seen, directions;
    // Where column x of u stands in a filled-up row.
    int place(const Shape& s, int x) const { return x / s.n_channels * channels * LANES<T> + x % s.n_channels; }
};

// A matrix of numbers a[row * i + column * j].
template <class T>
struct Matrix {
    const T* at;
    int row, column;
};
template <class T>
Matrix<T> transposed(const Matrix<T>& a) { return {a.at, a.column, a.row}; }

constexpr int MOST_SUMS = HAS_FEW_REGISTERS ? 12 : 20;  // of a product, in registers

// Calls work with a number from 1 to MOST as a constant.
template <int MOST, class Work>
inline void with_constant(int n, Work work) {
    if constexpr (MOST > 0) {
        if (n == MOST) return work(Constant<MOST>());
        with_constant<MOST - 1>(n, work);
    }
}

// Few sums at a time would wait for each other: then there are several of each.
template <class T, int R, int N>
inline void add_block(int inner, const Matrix<T>& a, const Vector<T>* b, int step_b, Vector<T>* c, int step_c) {
    constexpr int PARTS = R * N >= 8 ? 1 : R * N >= 4 ? 2 : 4;
    Vector<T> sums[PARTS][R][N] = {};
    const auto add = [&](int i, int part) {
        for (int n = 0; n < N; ++n) {
            const Vector<T> of_b = b[i * step_b + n];
            for (int r = 0; r < R; ++r) sums[part][r][n] += a.at[r * a.row + i * a.column] * of_b;
        }
    };
    int i = 0;
    for (; i + PARTS <= inner; i += PARTS)
        for (int part = 0; part < PARTS; ++part) add(i + part, part);
    for (; i < inner; ++i) add(i, 0);
    for (int r = 0; r < R; ++r)
        for (int n = 0; n < N; ++n) {
            for (int part = 1; part < PARTS; ++part) sums[0][r][n] += sums[part][r][n];
            c[r * step_c + n] += sums[0][r][n];
        }
}

// N columns of c += a b, rows in groups of about the same size.
template <class T, int N>
void add_columns(int rows, int inner, Matrix<T> a, const Vector<T>* b, int step_b, Vector<T>* c, int step_c) {
    constexpr int MOST_ROWS = std::min(MOST_SUMS / N, 9);
    for (int groups = (rows + MOST_ROWS - 1) / MOST_ROWS; groups > 0; --groups) {
        const int count = (rows + groups - 1) / groups;
        with_constant<MOST_ROWS>(count, [&](auto R) { add_block<T, R.value, N>(inner, a, b, step_b, c, step_c); });
        rows -= count;
        a.at += count * a.row;
        c += count * step_c;
    }
}

// c += a b: rows of `width` registers, those of b and c `step_b` and `step_c` registers apart.
template <class T>
void add_product(int rows, int inner, int width, Matrix<T> a, const Vector<T>* b, int step_b, Vector<T>* c, int step_c) {
    int n = 0;
    for (; n + 4 <= width; n += 4) add_columns<T, 4>(rows, inner, a, b + n, step_b, c + n, step_c);
    switch (width - n) {
        case 3: return add_columns<T, 3>(rows, inner, a, b + n, step_b, c + n, step_c);
        case 2: return add_columns<T, 2>(rows, inner, a, b + n, step_b, c + n, step_c);
        case 1: return add_columns<T, 1>(rows, inner, a, b + n, step_b, c + n, step_c);
    }
}

// Rows of a table of numbers as they are given, filled up to whole registers; and back, added.
template <class T>
void fill(const T* from, int rows, int n, Vector<T>* to, int width) {
    T* numbers = reinterpret_cast<T*>(to);
    for (int r = 0; r < rows; ++r) std::copy_n(from + r * n, n, numbers + r * width * LANES<T>);
}
template <class T>
void add_filled(const Vector<T>* from, int width, int rows, int n, T* to) {
    const T* numbers = reinterpret_cast<const T*>(from);
    for (int r = 0; r < rows; ++r)
        for (int k = 0; k < n; ++k) to[r * n + k] += numbers[r * width * LANES<T> + k];
}

// P, U and V of one element, or the sums for their gradients: rows for what comes in, filled up; biases apart.  U is there
// for R_k of a neighbour of every element, sum_q e_q U_(q k), and for u.
template <class T>
struct Weights {
    Registers<T> projection, radial, hidden, hidden_bias, outer, outer_bias;
    Weights(const Shape& s, const Widths<T>& w)
        : projection(s.n_degrees() * s.n_seen * w.channels),
          radial(s.n_elements * s.basis.n_radial * w.units),
          hidden(w.directions * LANES<T> * w.units),
          hidden_bias(w.units),
          outer(w.units * LANES<T> * w.channels),
          outer_bias(w.channels) {}

    const Vector<T>* radial_of(const Shape& s, const Widths<T>& w, int64_t element) const {
        return &radial[element * s.basis.n_radial * w.units];
    }

    // Calls work(factor, number given, number kept) for all of U and V.
    template <class Given, class Work>
    void for_layers(const Shape& s, const Widths<T>& w, const T* element_weights, Given* u, Given* v, Work work) {
        const auto kept = [](Registers<T>& rows, int width, int row, int column) -> T& {
            return reinterpret_cast<T*>(rows.data())[row * width * LANES<T> + column];
        };
        const int K = s.basis.n_radial, n_directions = s.n_inputs() - s.n_in();
        for (int h = 0; h < s.n_units; ++h, ++u) {
            for (int q = 0; q < s.n_weights; ++q, u += K)
                for (int element = 0; element < s.n_elements; ++element) {
                    const T factor = element_weights[element * s.n_weights + q];
                    if (factor == 0) continue;
                    for (int k = 0; k < K; ++k) work(factor, u[k], kept(radial, w.units, element * K + k, h));
                }
            for (int x = 0; x < n_directions; ++x) work(T(1), *u++, kept(hidden, w.units, w.place(s, x), h));
            work(T(1), *u, kept(hidden_bias, w.units, 0, h));
        }
        for (int c = 0; c < s.n_channels; ++c, ++v) {
            for (int h = 0; h < s.n_units; ++h) work(T(1), *v++, kept(outer, w.channels, h, c));
            work(T(1), *v, kept(outer_bias, w.channels, 0, c));
        }
    }
};

// The same as given, and transposed.
template <class T>
struct BothWays : Weights<T> {
    Registers<T> projection_back, hidden_back, outer_back;
    BothWays(const Shape& s, const Widths<T>& w, const T* element_weights, const T* p, const T* u, const T* v)
        : Weights<T>(s, w),
          projection_back(s.n_degrees() * s.n_channels * w.seen),
          hidden_back(s.n_units * w.directions),
          outer_back(s.n_channels * w.units) {
        fill(p, s.n_degrees() * s.n_seen, s.n_channels, this->projection.data(), w.channels);
        this->for_layers(s, w, element_weights, u, v, [](T factor, const T& given, T& kept) { kept += factor * given; });
        for (int l = 0; l < s.n_degrees(); ++l)
            turn(&this->projection[l * s.n_seen * w.channels], w.channels, s.n_seen, s.n_channels,
                 &projection_back[l * s.n_channels * w.seen], w.seen);
        turn(this->hidden.data(), w.units, w.directions * LANES<T>, s.n_units, hidden_back.data(), w.directions);
        turn(this->outer.data(), w.channels, s.n_units, s.n_channels, outer_back.data(), w.units);
    }

    static void turn(const Vector<T>* from, int width, int rows, int columns, Vector<T>* to, int to_width) {
        const T* a = reinterpret_cast<const T*>(from);
        T* b = reinterpret_cast<T*>(to);
        for (int r = 0; r < rows; ++r)
            for (int c = 0; c < columns; ++c) b[c * to_width * LANES<T> + r] = a[r * width * LANES<T> + c];
    }
};

// What all functions here are given.
template <class T>
struct Given {
    Shape shape;
    Entries entries;
    Pairs<T> pairs;
    const int64_t* centers;     // element of each
    const T* element_weights;   // e, (s, q)
    const T* density;           // A, (N, L, n)
    Widths<T> widths;
    std::vector<BothWays<T>> weights;  // of each element
};

// One atom after the other, its neighbours block after block: D = 1 values alone, D = 2 values and changes.
template <class T, int D>
class Network {
    static constexpr int W = LANES<T>;
    using V = Vector<T>;
    using Rows = std::array<Registers<T>, D>;

  public:
    explicit Network(const Given<T>& given)
        : all(given), s(given.shape), w(given.widths), L(s.n_harmonics()), near(s.n_elements) {
        for (int d = 0; d < D; ++d) {
            for (Registers<T>* r : {&projected[d], &projected_bar[d]}) r->resize(L * w.channels);
            for (Registers<T>* r : {&field[d], &field_bar[d]}) r->resize(L * w.units);
            for (Registers<T>* r : {&z[d], &a[d], &z_bar[d]}) r->resize(W * w.units);
            for (Registers<T>* r : {&g[d], &weighted[d], &g_bar[d], &weighted_bar[d]}) r->resize(W * w.channels);
            bar[d].resize(L * w.channels);
        }
        for (Registers<T>* r : {&slope, &curvature, &along_radius}) r->resize(W * w.units);
        sums.resize(L * w.channels);
        density_bar.resize(L * w.seen);
    }

    // A', shape (L, C), of one atom.
    void write_density(int64_t atom, T* out) {
        project(atom, nullptr);
        std::fill(sums.begin(), sums.end(), V{});
        for_sorted_blocks(all.pairs, T(s.basis.cutoff), atom, near, [&](Block<T>& b) {
            forward(atom, b, nullptr);
            add_density(b, 0, 0);
        });
        write_sums(atom, out);
    }

    // Derivatives by the vectors and by the density of one atom from the adjoint of A'.
    void write_pullback(int64_t atom, const T* second_bar, T* vectors_bar, T* out) {
        static_assert(D == 1);
        const BothWays<T>& of = weights(atom);
        project(atom, nullptr);
        take_bars(atom, {second_bar});
        for_sorted_blocks(all.pairs, T(s.basis.cutoff), atom, near, [&](Block<T>& b) {
            forward(atom, b, nullptr);
            backward(b, of);
            write_vectors_bar(b, of, vectors_bar);
        });
        add_projected_bar(of);
        write_density_bar(atom, of, out);
    }

    // Writes the gradient by the density, and adds those by the weights, of sum A'bar A' of one atom; with D = 2 of sum A'bar
    // (change of A'), and writes that change, which comes from those of the vectors and of the density.
    void add_gradients(int64_t atom, const T* second_bar, const T* vectors_change, const T* density_change, T* change,
                       T* by_density, Weights<T>& sum) {
        const BothWays<T>& of = weights(atom);
        project(atom, density_change);
        std::array<const T*, D> given = {};
        given[D - 1] = second_bar;
        take_bars(atom, given);
        std::fill(sums.begin(), sums.end(), V{});
        for_sorted_blocks(all.pairs, T(s.basis.cutoff), atom, near, [&](Block<T>& b) {
            forward(atom, b, vectors_change);
            if constexpr (D == 2) {
                add_density(b, 1, 0);
                add_density(b, 0, 1);
            }
            backward(b, of);
            for (int m = 0; m < b.count; ++m) {
                for (int k = 0; k < w.channels; ++k) sum.outer_bias[k] += g_bar[0][m * w.channels + k];
                for (int k = 0; k < w.units; ++k) sum.hidden_bias[k] += z_bar[0][m * w.units + k];
            }
            for (int d = 0; d < D; ++d) {
                add_product(s.n_units, b.count, w.channels, transposed(numbers(a[d], w.units)), g_bar[d].data(), w.channels,
                            sum.outer.data(), w.channels);
                for_runs(b, [&](int first, int count, int64_t element) {
                    add_product(s.basis.n_radial, count, w.units, Matrix<T>{radial(d) + first, W, 1}, &z_bar[d][first * w.units],
                                w.units, &sum.radial[element * s.basis.n_radial * w.units], w.units);
                });
            }
        });
        add_projected_bar(of);
        write_density_bar(atom, of, by_density);
        if constexpr (D == 2) write_sums(atom, change);
        for (int l = 0; l < s.n_degrees(); ++l)
            for (int d = 0; d < D; ++d) {
                add_product(s.n_channels, 2 * l + 1, w.units, transposed(of_degree(projected[d], w.channels, l)),
                            &field_bar[d][l * l * w.units], w.units, &sum.hidden[l * w.channels * W * w.units], w.units);
                add_product(s.n_seen, 2 * l + 1, w.channels, transposed(density(d, atom, l, density_change)),
                            &projected_bar[d][l * l * w.channels], w.channels, &sum.projection[l * s.n_seen * w.channels], w.channels);
            }
    }

  private:
    const BothWays<T>& weights(int64_t atom) const { return all.weights[all.centers[atom]]; }
    static void clear(Rows& rows, int n) {
        for (auto& of_d : rows) std::fill_n(of_d.begin(), n, V{});
    }
    static Matrix<T> numbers(const Registers<T>& rows, int width, int first = 0) {
        return {reinterpret_cast<const T*>(rows.data() + first), width * W, 1};
    }
    // A of one degree, or its change: a row for every m.
    Matrix<T> density(int d, int64_t atom, int l, const T* change) const {
        return {(d == 0 ? all.density : change) + (atom * L + l * l) * s.n_seen, s.n_seen, 1};
    }
    // A row for every neighbour of a block.
    Matrix<T> harmonics(int d) const { return {d == 0 ? functions.harmonics[0] : changes[0], 1, W}; }
    static Matrix<T> of_degree(const Registers<T>& rows, int width, int l) { return numbers(rows, width, l * l * width); }

    // Calls work(first, count, element) for neighbours of a block that are of one element.
    template <class Work>
    void for_runs(const Block<T>& b, Work work) const {
        for (int first = 0, m = 1; first < b.count; first = m++) {
            while (m < b.count && element(b, m) == element(b, first)) ++m;
            work(first, m - first, element(b, first));
        }
    }

    // D and F of an atom.
    void project(int64_t atom, const T* density_change) {
        const BothWays<T>& of = weights(atom);
        for (Rows* rows : {&projected, &projected_bar}) clear(*rows, L * w.channels);
        for (Rows* rows : {&field, &field_bar}) clear(*rows, L * w.units);
        for (int d = 0; d < D; ++d)
            for (int l = 0; l < s.n_degrees(); ++l) {
                add_product(2 * l + 1, s.n_seen, w.channels, density(d, atom, l, density_change),
                            &of.projection[l * s.n_seen * w.channels], w.channels, &projected[d][l * l * w.channels], w.channels);
                add_product(2 * l + 1, s.n_channels, w.units, of_degree(projected[d], w.channels, l),
                            &of.hidden[l * w.channels * W * w.units], w.units, &field[d][l * l * w.units], w.units);
            }
    }

    // Adjoint of D from that of F, after all blocks.
    void add_projected_bar(const BothWays<T>& of) {
        for (int d = 0; d < D; ++d)
            for (int l = 0; l < s.n_degrees(); ++l)
                add_product(2 * l + 1, s.n_units, w.channels, of_degree(field_bar[d], w.units, l), &of.hidden_back[l * w.channels],
                            w.directions, &projected_bar[d][l * l * w.channels], w.channels);
    }

    // Adjoint of A from that of D.
    void write_density_bar(int64_t atom, const BothWays<T>& of, T* out) {
        std::fill(density_bar.begin(), density_bar.end(), V{});
        for (int l = 0; l < s.n_degrees(); ++l)
            add_product(2 * l + 1, s.n_channels, w.seen, of_degree(projected_bar[0], w.channels, l),
                        &of.projection_back[l * s.n_channels * w.seen], w.seen, &density_bar[l * l * w.seen], w.seen);
        write_rows(atom, density_bar, w.seen, s.n_seen, out);
    }

    // sums += what the harmonics and the weighted neighbours of a block, or their changes, contribute to A'
    void add_density(const Block<T>& b, int of_harmonics, int of_weights) {
        add_product(L, b.count, w.channels, transposed(harmonics(of_harmonics)), weighted[of_weights].data(), w.channels,
                    sums.data(), w.channels);
    }

    // What belongs to one atom: a row of n numbers for each of its harmonics.
    void write_rows(int64_t atom, const Registers<T>& rows, int width, int n, T* out) const {
        std::fill_n(out + atom * L * n, L * n, T(0));
        add_filled(rows.data(), width, L, n, out + atom * L * n);
    }
    void write_sums(int64_t atom, T* out) const { write_rows(atom, sums, w.channels, s.n_channels, out); }

    // Adjoints of A' and of its change; one that is not given is 0.
    void take_bars(int64_t atom, const std::array<const T*, D>& given) {
        for (int d = 0; d < D; ++d)
            if (given[d]) fill(given[d] + atom * L * s.n_channels, L, s.n_channels, bar[d].data(), w.channels);
    }

    int64_t element(const Block<T>& b, int m) const { return all.pairs.species[all.pairs.neighbors[b.pair[m]]]; }
    // R_k of the neighbours of a block, a row for each k, or their changes.
    const T* radial(int d) const { return (d == 0 ? functions.radial : functions.slopes)[0]; }

    // rows += what R_k of the neighbours of a block contribute to z, or their changes
    void add_radial(const Block<T>& b, const BothWays<T>& of, int d, Registers<T>& rows) const {
        for_runs(b, [&](int first, int count, int64_t element) {
            add_product(count, s.basis.n_radial, w.units, Matrix<T>{radial(d) + first, 1, W}, of.radial_of(s, w, element), w.units,
                        &rows[first * w.units], w.units);
        });
    }

    // Everything up to the weighted neighbours of a block.
    void forward(int64_t atom, Block<T>& b, const T* vectors_change) {
        const BothWays<T>& of = weights(atom);
        evaluate(b, functions, s.basis, true);
        if constexpr (D == 2) {
            for (int m = 0; m < b.count; ++m) {
                const T* v = vectors_change + 3 * b.pair[m];
                cut_change[m] = functions.cut_slope[m] * (b.x[m] * v[0] + b.y[m] * v[1] + b.z[m] * v[2]);
            }
            along(b, functions, s.basis, all.entries, vectors_change, changes);
        }
        clear(z, b.count * w.units);
        clear(g, b.count * w.channels);
        for (int m = 0; m < b.count; ++m) {
            std::copy_n(of.hidden_bias.begin(), w.units, &z[0][m * w.units]);
            std::copy_n(of.outer_bias.begin(), w.channels, &g[0][m * w.channels]);
        }
        const auto add_field = [&](int of_y, int of_f, int to) {
            add_product(b.count, L, w.units, harmonics(of_y), field[of_f].data(), w.units, z[to].data(), w.units);
        };
        add_field(0, 0, 0);
        if constexpr (D == 2) add_field(1, 0, 1), add_field(0, 1, 1);
        for (int d = 0; d < D; ++d) add_radial(b, of, d, z[d]);
        const auto flat = [](Registers<T>& r) { return reinterpret_cast<T*>(r.data()); };
        activate(SILU, b.count * w.units * W, flat(z[0]), flat(a[0]), flat(slope), flat(curvature));
        if constexpr (D == 2)
            for (int k = 0; k < b.count * w.units; ++k) a[1][k] = slope[k] * z[1][k];
        for (int d = 0; d < D; ++d)
            add_product(b.count, s.n_units, w.channels, numbers(a[d], w.units), of.outer.data(), w.channels, g[d].data(), w.channels);
        for (int m = 0, k = 0; m < b.count; ++m)
            for (int n = 0; n < w.channels; ++n, ++k) {
                weighted[0][k] = functions.cut[m] * g[0][k];
                if constexpr (D == 2) weighted[1][k] = functions.cut[m] * g[1][k] + cut_change[m] * g[0][k];
            }
    }

    // Adjoints from `bar` down to z, after `forward`, and what the block contributes to that of F.
    void backward(const Block<T>& b, const BothWays<T>& of) {
        clear(weighted_bar, b.count * w.channels);
        add_product(b.count, L, w.channels, harmonics(0), bar[0].data(), w.channels, weighted_bar[0].data(), w.channels);
        if constexpr (D == 2) {
            add_product(b.count, L, w.channels, harmonics(1), bar[1].data(), w.channels, weighted_bar[0].data(), w.channels);
            add_product(b.count, L, w.channels, harmonics(0), bar[1].data(), w.channels, weighted_bar[1].data(), w.channels);
        }
        for (int m = 0, k = 0; m < b.count; ++m)
            for (int n = 0; n < w.channels; ++n, ++k) {
                g_bar[0][k] = functions.cut[m] * weighted_bar[0][k];
                if constexpr (D == 2) {
                    g_bar[0][k] += cut_change[m] * weighted_bar[1][k];
                    g_bar[1][k] = functions.cut[m] * weighted_bar[1][k];
                }
            }
        clear(z_bar, b.count * w.units);
        for (int d = 0; d < D; ++d)
            add_product(b.count, s.n_channels, w.units, numbers(g_bar[d], w.channels), of.outer_back.data(), w.units,
                        z_bar[d].data(), w.units);
        for (int k = 0; k < b.count * w.units; ++k) {
            if constexpr (D == 2) {
                z_bar[0][k] = slope[k] * z_bar[0][k] + curvature[k] * z[1][k] * z_bar[1][k];
                z_bar[1][k] *= slope[k];
            } else {
                z_bar[0][k] *= slope[k];
            }
        }
        const auto add_field_bar = [&](int of_y, int of_z, int to) {
            add_product(L, b.count, w.units, transposed(harmonics(of_y)), z_bar[of_z].data(), w.units, field_bar[to].data(), w.units);
        };
        for (int d = 0; d < D; ++d) add_field_bar(0, d, d);
        if constexpr (D == 2) add_field_bar(1, 1, 0);
    }

    // Columns of the rows of a block, a neighbour in each lane.
    void turn(const Registers<T>& rows, int width, int count, int column, V* to) const {
        for (int m = 0; m < W; ++m) to[m] = m < count ? rows[m * width + column] : V{};
        transpose<T>(to);
    }

    void write_vectors_bar(const Block<T>& b, const BothWays<T>& of, T* vectors_bar) {
        V harmonics_bar[MAX_HARMONICS] = {}, envelope_bar = {}, of_weighted[W], of_g[W], of_bar[W], of_z[W];
        for (int n = 0; n < w.channels; ++n) {
            const int count = std::min(W, s.n_channels - n * W);
            turn(weighted[0], w.channels, b.count, n, of_weighted);
            turn(g[0], w.channels, b.count, n, of_g);
            turn(weighted_bar[0], w.channels, b.count, n, of_bar);
            for (int c = 0; c < count; ++c) envelope_bar += of_g[c] * of_bar[c];
            add_product(L, count, 1, numbers(bar[0], w.channels, n), of_weighted, 1, harmonics_bar, 1);
        }
        for (int n = 0; n < w.units; ++n) {
            turn(z_bar[0], w.units, b.count, n, of_z);
            add_product(L, std::min(W, s.n_units - n * W), 1, numbers(field[0], w.units, n), of_z, 1, harmonics_bar, 1);
        }
        V by_distance[W] = {};  // of each neighbour, to be summed over the lanes
        std::fill_n(along_radius.begin(), b.count * w.units, V{});
        add_radial(b, of, 1, along_radius);  // changes of z
        for (int m = 0; m < b.count; ++m)
            for (int k = 0; k < w.units; ++k) by_distance[m] += along_radius[m * w.units + k] * z_bar[0][m * w.units + k];
        const V distances_bar = envelope_bar * load(functions.cut_slope) + sums_over_lanes<T>(by_distance);
        write_gradient(b, functions, s.basis, all.entries, harmonics_bar, distances_bar, vectors_bar);
    }

    const Given<T>& all;
    const Shape& s;
    const Widths<T>& w;
    const int L;
    std::vector<std::vector<int64_t>> near;  // pairs by element of the neighbour
    Functions<T> functions;
    alignas(REGISTER) T changes[MAX_HARMONICS][W];
    T cut_change[W];
    Rows projected, field, z, a, g, weighted;                      // rows of D, F, z, a, g, w
    Rows bar, projected_bar, field_bar, z_bar, g_bar, weighted_bar;  // adjoints; `bar` of A'
    Registers<T> slope, curvature, along_radius, sums, density_bar;
};

template <class T>
void density(const Given<T>& given, int64_t threads, T* out) {
    parallel(given.pairs.n_centers, threads, [&](int64_t first, int64_t last) {
        Network<T, 1> network(given);
        for (int64_t atom = first; atom < last; ++atom) network.write_density(atom, out);
    }, LEAST);
}

// Derivatives by the vectors, then those by the density.
template <class T>
void pullback(const Given<T>& given, int64_t threads, const T* second_bar, T* out) {
    T* by_density = out + 3 * given.pairs.n_pairs;
    parallel(given.pairs.n_centers, threads, [&](int64_t first, int64_t last) {
        Network<T, 1> network(given);
        for (int64_t atom = first; atom < last; ++atom) network.write_pullback(atom, second_bar, out, by_density);
    }, LEAST);
}

// With D = 2 the change of A', then the gradients by A and by P, U, V of all elements, one behind the other.
template <class T, int D>
void gradient(const Given<T>& given, int64_t threads, const T* second_bar, const T* vectors_change,
              const T* density_change, T* out) {
    const Shape& s = given.shape;
    const int64_t n = given.pairs.n_centers, parts = worthwhile(n, threads, LEAST);
    T* by_density = D == 2 ? out + n * s.n_harmonics() * s.n_channels : out;
    std::vector<std::vector<Weights<T>>> sums(parts, std::vector<Weights<T>>(s.n_elements, Weights<T>(s, given.widths)));
    parallel(parts, parts, [&](int64_t first, int64_t last) {
        for (int64_t part = first; part < last; ++part) {
            Network<T, D> network(given);
            for (int64_t atom = n * part / parts; atom < n * (part + 1) / parts; ++atom)
                network.add_gradients(atom, second_bar, vectors_change, density_change, out, by_density,
                                      sums[part][given.centers[atom]]);
        }
    }, 1);
    out = by_density + n * s.n_harmonics() * s.n_seen;
    T *u = out + s.n_elements * s.projection_size(), *v = u + s.n_elements * s.hidden_size();
    std::fill_n(out, s.n_elements * (s.projection_size() + s.hidden_size() + s.outer_size()), T(0));
    for (auto& of_part : sums)
        for (int element = 0; element < s.n_elements; ++element) {
            Weights<T>& sum = of_part[element];
            add_filled(sum.projection.data(), given.widths.channels, s.n_degrees() * s.n_seen, s.n_channels,
                       out + element * s.projection_size());
            sum.for_layers(s, given.widths, given.element_weights, u + element * s.hidden_size(), v + element * s.outer_size(),
                           [](T factor, T& total, const T& part) { total += factor * part; });
        }
}

// Calls work(given, number) with what the arguments say, `number` a zero of their type.
template <class Work>
int with_given(NNPOT_SECOND_DENSITY, Work work) {
    (void)threads;  // what `work` has
    const Shape s{int(n_elements), int(n_weights), {int(n_radial), int(l_max), cutoff}, int(n_seen), int(n_channels), int(n_units)};
    if (l_max < 0 || s.n_harmonics() > MAX_HARMONICS || n_radial > MAX_RADIAL) return NOT_COMPILED;
    if (!are_below(n_elements, centers, n_centers)) return WRONG_CENTERS;
    const Entries entries{int(n_entries), places, coefficients};
    static_cast<void>(threads);
    const auto run = [&](auto zero) -> int {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        const Pairs<T> pairs{n_centers, n_pairs, n_atoms, typed(vectors), starts, neighbors, species};
        const Answer answer = std::min(checked(pairs, n_elements), checked(entries, l_max));
        if (answer != DONE) return answer;
        Given<T> given{s, entries, pairs, centers, typed(element_weights), typed(density_of_atoms), Widths<T>(s), {}};
        for (int element = 0; element < s.n_elements; ++element)
            given.weights.emplace_back(s, given.widths, given.element_weights, typed(projection) + element * s.projection_size(),
                                       typed(hidden) + element * s.hidden_size(), typed(outer) + element * s.outer_size());
        work(given, zero);
        return DONE;
    };
    return with_numbers(bytes, run);
}

}  // namespace

// They answer NOT_COMPILED for so many radial functions or degrees.

#define THESE                                                                                                              \
    bytes, threads, n_centers, n_pairs, n_atoms, vectors, starts, neighbors, species, centers, element_weights, density_of_atoms, \
        projection, hidden, outer, n_elements, n_weights, cutoff, n_radial, l_max, n_seen, n_channels, n_units, places,    \
        coefficients, n_entries

extern "C" int nnpot_second_density(NNPOT_SECOND_DENSITY, void* out) {
    return with_given(THESE, [&](const auto& given, auto zero) {
        density(given, threads, static_cast<decltype(zero)*>(out));
    });
}

extern "C" int nnpot_second_density_pullback(NNPOT_SECOND_DENSITY, const void* second_bar, void* out) {
    return with_given(THESE, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        pullback(given, threads, static_cast<const T*>(second_bar), static_cast<T*>(out));
    });
}

extern "C" int nnpot_second_density_gradient(NNPOT_SECOND_DENSITY, const void* second_bar, void* out) {
    return with_given(THESE, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        gradient<T, 1>(given, threads, static_cast<const T*>(second_bar), nullptr, nullptr, static_cast<T*>(out));
    });
}

extern "C" int nnpot_second_density_pullback_gradient(NNPOT_SECOND_DENSITY, const void* second_bar, const void* vectors_change,
                                                      const void* density_change, void* out) {
    return with_given(THESE, [&](const auto& given, auto zero) {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        gradient<T, 2>(given, threads, typed(second_bar), typed(vectors_change), typed(density_change),
                       static_cast<T*>(out));
    });
}
