// The network of weighted densities for one atom after the other, see weighted_density.cpp for the formulas and their
// names.
#pragma once

#include "activations.h"
#include "gemm.h"
#include "neighborhoods.h"
#include "weighted_density_weights.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace weighted_density {

// The neighbours of an atom, block after block: D = 1 values alone, D = 2 values and changes.
template <class T, int D>
class Network {
    static constexpr int W = LANES<T>;
    using V = Vector<T>;
    using Tables = std::array<Table<T>, D>;

  public:
    explicit Network(const Given<T>& given)
        : all(given), s(given.shape), w(given.widths), L(s.n_harmonics()), near(s.n_elements) {
        for (int d = 0; d < D; ++d) {
            for (Table<T>* t : {&projected[d], &projected_bar[d], &bar[d]}) *t = Table<T>(L, w.channels);
            for (Table<T>* t : {&field[d], &field_bar[d]}) *t = Table<T>(L, w.units);
            for (Table<T>* t : {&z[d], &a[d], &z_bar[d]}) *t = Table<T>(W, w.units);
            for (Table<T>* t : {&g[d], &weighted[d], &g_bar[d], &weighted_bar[d]}) *t = Table<T>(W, w.channels);
        }
        for (Table<T>* t : {&slope, &curvature, &along_radius}) *t = Table<T>(W, w.units);
        sums = Table<T>(L, w.channels);
        density_bar = Table<T>(L, w.seen);
    }

    // A', shape (L, C), of one atom.
    void write_density(int64_t atom, T* out) {
        project(atom, nullptr);
        sums.clear();
        for_blocks_of(atom, [&](Block<T>& b) {
            forward(atom, b, nullptr);
            add_density(b, 0, 0);
        });
        write_rows(atom, sums, s.n_channels, out);
    }

    // Derivatives by the vectors and by the density of one atom from the adjoint of A'.
    void write_pullback(int64_t atom, const T* second_bar, T* vectors_bar, T* out) {
        static_assert(D == 1);
        project(atom, nullptr);
        take_bars(atom, {second_bar});
        for_blocks_of(atom, [&](Block<T>& b) {
            forward(atom, b, nullptr);
            backward(b, weights(atom));
            write_vectors_bar(b, weights(atom), vectors_bar);
        });
        add_projected_bar(weights(atom));
        write_density_bar(atom, out);
    }

    // Writes the gradient by the density, and adds those by the weights, of sum A'bar A' of one atom; with D = 2 of sum
    // A'bar (change of A'), and writes that change, which comes from those of the vectors and of the density.
    void add_gradients(int64_t atom, const T* second_bar, const T* vectors_change, const T* density_change, T* change,
                       T* by_density, Weights<T>& sum) {
        project(atom, density_change);
        std::array<const T*, D> given = {};
        given[D - 1] = second_bar;
        take_bars(atom, given);
        sums.clear();
        for_blocks_of(atom, [&](Block<T>& b) {
            forward(atom, b, vectors_change);
            if constexpr (D == 2) {
                add_density(b, 1, 0);
                add_density(b, 0, 1);
            }
            backward(b, weights(atom));
            add_gradients_of_layers(b, sum);
        });
        add_projected_bar(weights(atom));
        write_density_bar(atom, by_density);
        if constexpr (D == 2) write_rows(atom, sums, s.n_channels, change);
        add_gradients_of_fields(atom, density_change, sum);
    }

  private:
    const BothWays<T>& weights(int64_t atom) const { return all.weights[all.centers[atom]]; }
    // A of one degree, or its change: a row for every m.
    Numbers<T> density(int d, int64_t atom, int l, const T* change) const {
        return {(d == 0 ? all.density : change) + (atom * L + l * l) * s.n_seen, s.n_seen, 1};
    }
    // A row for every neighbour of a block.
    Numbers<T> harmonics(int d) const { return {d == 0 ? functions.harmonics[0] : changes[0], 1, W}; }

    template <class Work>
    void for_blocks_of(int64_t atom, Work work) {
        for_sorted_blocks(all.pairs, T(s.basis.cutoff), atom, near, work);
    }
    int64_t element(const Block<T>& b, int m) const { return all.pairs.species[all.pairs.neighbors[b.pair[m]]]; }
    // Calls work(first, count, element) for neighbours of a block that are of one element.
    template <class Work>
    void for_runs(const Block<T>& b, Work work) const {
        for (int first = 0, m = 1; first < b.count; first = m++) {
            while (m < b.count && element(b, m) == element(b, first)) ++m;
            work(first, m - first, int(element(b, first)));
        }
    }

    // D and F of an atom.
    void project(int64_t atom, const T* density_change) {
        const BothWays<T>& of = weights(atom);
        for (int d = 0; d < D; ++d) {
            for (Table<T>* t : {&projected[d], &projected_bar[d], &field[d], &field_bar[d]}) t->clear();
            for (int l = 0; l < s.n_degrees(); ++l) {
                add_left_product<T>(2 * l + 1, s.n_seen, w.channels, density(d, atom, l, density_change),
                                    of.projection.from(l * s.n_seen), projected[d].from(l * l));
                add_left_product<T>(2 * l + 1, s.n_channels, w.units, projected[d].numbers_from(l * l),
                                    of.hidden.from(l * w.channels * W), field[d].from(l * l));
            }
        }
    }

    // Adjoint of D from that of F, after all blocks.
    void add_projected_bar(const BothWays<T>& of) {
        for (int d = 0; d < D; ++d)
            for (int l = 0; l < s.n_degrees(); ++l)
                add_left_product<T>(2 * l + 1, s.n_units, w.channels, field_bar[d].numbers_from(l * l),
                                    of.hidden_back.from(0, l * w.channels), projected_bar[d].from(l * l));
    }

    // Adjoint of A from that of D.
    void write_density_bar(int64_t atom, T* out) {
        density_bar.clear();
        for (int l = 0; l < s.n_degrees(); ++l)
            add_left_product<T>(2 * l + 1, s.n_channels, w.seen, projected_bar[0].numbers_from(l * l),
                                weights(atom).projection_back.from(l * s.n_channels), density_bar.from(l * l));
        write_rows(atom, density_bar, s.n_seen, out);
    }

    // sums += what the harmonics and the weighted neighbours of a block, or their changes, contribute to A'
    void add_density(const Block<T>& b, int of_harmonics, int of_weights) {
        add_left_product<T>(L, b.count, w.channels, harmonics(of_harmonics).transposed(), weighted[of_weights].from(0),
                            sums.from(0));
    }

    // What belongs to one atom: a row of n numbers for each of its harmonics.
    void write_rows(int64_t atom, const Table<T>& rows, int n, T* out) const {
        std::fill_n(out + atom * L * n, L * n, T(0));
        rows.add_to(out + atom * L * n, L, n);
    }

    // Adjoints of A' and of its change; one that is not given is 0.
    void take_bars(int64_t atom, const std::array<const T*, D>& given) {
        for (int d = 0; d < D; ++d)
            if (given[d]) bar[d].fill(given[d] + atom * L * s.n_channels, L, s.n_channels);
    }

    // rows += what R_k of the neighbours of a block contribute to z, or their changes
    void add_radial(const Block<T>& b, const BothWays<T>& of, int d, Table<T>& rows) const {
        for_runs(b, [&](int first, int count, int element) {
            add_left_product<T>(count, s.basis.n_radial, w.units, radial(d, first).transposed(),
                                of.radial.from(element * s.basis.n_radial), rows.from(first));
        });
    }
    // R_k of the neighbours of a block from the first on, a row for each k, or their changes.
    Numbers<T> radial(int d, int first) const {
        return {(d == 0 ? functions.radial : functions.slopes)[0] + first, W, 1};
    }

    // Everything up to the weighted neighbours of a block.
    void forward(int64_t atom, Block<T>& b, const T* vectors_change) {
        const BothWays<T>& of = weights(atom);
        evaluate(b, functions, s.basis, true);
        if constexpr (D == 2) change_functions(b, vectors_change);
        for (int d = 0; d < D; ++d) {
            z[d].clear(b.count);
            g[d].clear(b.count);
        }
        for (int m = 0; m < b.count; ++m) {
            std::copy_n(of.hidden_bias.row(0), w.units, z[0].row(m));
            std::copy_n(of.outer_bias.row(0), w.channels, g[0].row(m));
        }
        const auto add_field = [&](int of_y, int of_f, int to) {
            add_left_product<T>(b.count, L, w.units, harmonics(of_y), field[of_f].from(0), z[to].from(0));
        };
        add_field(0, 0, 0);
        if constexpr (D == 2) add_field(1, 0, 1), add_field(0, 1, 1);
        for (int d = 0; d < D; ++d) add_radial(b, of, d, z[d]);
        activate(SILU, b.count * w.units * W, z[0].numbers(), a[0].numbers(), slope.numbers(), curvature.numbers());
        if constexpr (D == 2)
            for (int k = 0; k < b.count * w.units; ++k) a[1].registers[k] = slope.registers[k] * z[1].registers[k];
        for (int d = 0; d < D; ++d)
            add_left_product<T>(b.count, s.n_units, w.channels, a[d].numbers_from(0), of.outer.from(0), g[d].from(0));
        weigh(b);
    }

    // Changes of the functions of the neighbours of a block.
    void change_functions(const Block<T>& b, const T* vectors_change) {
        for (int m = 0; m < b.count; ++m) {
            const T* v = vectors_change + 3 * b.pair[m];
            cut_change[m] = functions.cut_slope[m] * (b.x[m] * v[0] + b.y[m] * v[1] + b.z[m] * v[2]);
        }
        along(b, functions, s.basis, all.entries, vectors_change, changes);
    }

    // w = f_c g, and its change.
    void weigh(const Block<T>& b) {
        for (int m = 0; m < b.count; ++m)
            for (int n = 0; n < w.channels; ++n) {
                weighted[0].row(m)[n] = functions.cut[m] * g[0].row(m)[n];
                if constexpr (D == 2)
                    weighted[1].row(m)[n] = functions.cut[m] * g[1].row(m)[n] + cut_change[m] * g[0].row(m)[n];
            }
    }

    // Adjoints from `bar` down to z, after `forward`, and what the block contributes to that of F.
    void backward(const Block<T>& b, const BothWays<T>& of) {
        const auto add_bar = [&](int of_y, int of_bar, int to) {
            add_left_product<T>(b.count, L, w.channels, harmonics(of_y), bar[of_bar].from(0), weighted_bar[to].from(0));
        };
        for (int d = 0; d < D; ++d) {
            weighted_bar[d].clear(b.count);
            add_bar(0, d, d);
        }
        if constexpr (D == 2) add_bar(1, 1, 0);
        weigh_back(b);
        for (int d = 0; d < D; ++d) {
            z_bar[d].clear(b.count);
            add_left_product<T>(b.count, s.n_channels, w.units, g_bar[d].numbers_from(0), of.outer_back.from(0),
                                z_bar[d].from(0));
        }
        for (int k = 0; k < b.count * w.units; ++k) {
            V& of_value = z_bar[0].registers[k];
            of_value *= slope.registers[k];
            if constexpr (D == 2) {
                of_value += curvature.registers[k] * z[1].registers[k] * z_bar[1].registers[k];
                z_bar[1].registers[k] *= slope.registers[k];
            }
        }
        const auto add_field_bar = [&](int of_y, int of_z, int to) {
            add_left_product<T>(L, b.count, w.units, harmonics(of_y).transposed(), z_bar[of_z].from(0),
                                field_bar[to].from(0));
        };
        for (int d = 0; d < D; ++d) add_field_bar(0, d, d);
        if constexpr (D == 2) add_field_bar(1, 1, 0);
    }

    // Adjoint of g from that of w = f_c g.
    void weigh_back(const Block<T>& b) {
        for (int m = 0; m < b.count; ++m)
            for (int n = 0; n < w.channels; ++n) {
                g_bar[0].row(m)[n] = functions.cut[m] * weighted_bar[0].row(m)[n];
                if constexpr (D == 2) {
                    g_bar[0].row(m)[n] += cut_change[m] * weighted_bar[1].row(m)[n];
                    g_bar[1].row(m)[n] = functions.cut[m] * weighted_bar[1].row(m)[n];
                }
            }
    }

    // Of U and V by a block, but for what U makes of u.
    void add_gradients_of_layers(const Block<T>& b, Weights<T>& sum) const {
        for (int m = 0; m < b.count; ++m) {
            for (int k = 0; k < w.channels; ++k) sum.outer_bias.registers[k] += g_bar[0].row(m)[k];
            for (int k = 0; k < w.units; ++k) sum.hidden_bias.registers[k] += z_bar[0].row(m)[k];
        }
        for (int d = 0; d < D; ++d) {
            add_left_product<T>(s.n_units, b.count, w.channels, a[d].numbers_from(0).transposed(), g_bar[d].from(0),
                                sum.outer.from(0));
            for_runs(b, [&](int first, int count, int element) {
                add_left_product<T>(s.basis.n_radial, count, w.units, radial(d, first), z_bar[d].from(first),
                                    sum.radial.from(element * s.basis.n_radial));
            });
        }
    }

    // Of P, and of U for u, after all blocks.
    void add_gradients_of_fields(int64_t atom, const T* density_change, Weights<T>& sum) const {
        for (int l = 0; l < s.n_degrees(); ++l)
            for (int d = 0; d < D; ++d) {
                add_left_product<T>(s.n_channels, 2 * l + 1, w.units, projected[d].numbers_from(l * l).transposed(),
                                    field_bar[d].from(l * l), sum.hidden.from(l * w.channels * W));
                add_left_product<T>(s.n_seen, 2 * l + 1, w.channels, density(d, atom, l, density_change).transposed(),
                                    projected_bar[d].from(l * l), sum.projection.from(l * s.n_seen));
            }
    }

    // Columns of the rows of a block, a neighbour in each lane.
    static void transpose_rows(const Table<T>& rows, int count, int column, V* to) {
        for (int m = 0; m < W; ++m) to[m] = m < count ? rows.row(m)[column] : V{};
        transpose<T>(to);
    }

    void write_vectors_bar(const Block<T>& b, const BothWays<T>& of, T* vectors_bar) {
        V harmonics_bar[MAX_HARMONICS] = {}, envelope_bar = {}, of_weighted[W], of_g[W], of_bar[W], of_z[W];
        const auto add_harmonics_bar = [&](int n_columns, const Table<T>& of_harmonics, int n, const V* columns) {
            add_left_product<T>(L, n_columns, 1, of_harmonics.numbers_from(0, n), {columns, 1, 1},
                                {harmonics_bar, 1, 1});
        };
        for (int n = 0; n < w.channels; ++n) {
            const int count = std::min(W, s.n_channels - n * W);
            transpose_rows(weighted[0], b.count, n, of_weighted);
            transpose_rows(g[0], b.count, n, of_g);
            transpose_rows(weighted_bar[0], b.count, n, of_bar);
            for (int c = 0; c < count; ++c) envelope_bar += of_g[c] * of_bar[c];
            add_harmonics_bar(count, bar[0], n, of_weighted);
        }
        for (int n = 0; n < w.units; ++n) {
            transpose_rows(z_bar[0], b.count, n, of_z);
            add_harmonics_bar(std::min(W, s.n_units - n * W), field[0], n, of_z);
        }
        V by_distance[W] = {};  // of each neighbour, to be summed over the lanes
        along_radius.clear(b.count);
        add_radial(b, of, 1, along_radius);  // changes of z
        for (int m = 0; m < b.count; ++m)
            for (int k = 0; k < w.units; ++k) by_distance[m] += along_radius.row(m)[k] * z_bar[0].row(m)[k];
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
    Tables projected, field, z, a, g, weighted;                        // D, F, z, a, g, w
    Tables bar, projected_bar, field_bar, z_bar, g_bar, weighted_bar;  // adjoints; `bar` of A'
    Table<T> slope, curvature, along_radius, sums, density_bar;
};

}  // namespace weighted_density
