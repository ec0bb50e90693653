// Invariants of the atomic cluster expansion, their derivatives, and the derivatives of those by the weights.
//
//     B_lm = A_lm W_l                     channels, W of the element of the atom
//     P_lm = B_lm U_l                     pair_l     = mean_m B_lm P_lm
//     V_lm = B_lm U'_l,  T = B * V        triple_l   = mean_m T_lm B_lm    * the product on the sphere, gaunt_product.h
//     R_lm = T_lm U''_l                   quadruple_l = mean_m T_lm R_lm
//     features: B_00, then pair, triple, quadruple for every l, as far as the body order goes
//
// All of it is written for dual numbers: every quantity x may carry its change x' along a direction (the tangent
// network of B. A. Pearlmutter, Neural Computation 6, 147 (1994)).  Backpropagation through the changes is that of the
// values with the same seeds, so that the adjoint of x' comes for free with what the gradient of a force loss needs.
//
// The same formulas are in nnpot/descriptors/ace.py, with which the tests compare these.  What stands here for one atom
// is calculated for a tile of them.

#include "api.h"
#include "checks.h"
#include "gaunt_product.h"
#include "gemm.h"
#include "harmonics.h"
#include "tiles.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace {

struct Shape {
    int n_elements, n_in, n_channels, body_order, n_degrees;
    int n_harmonics() const { return n_degrees * n_degrees; }
    int n_features() const { return n_channels * (1 + (body_order - 2) * n_degrees); }
    int n_mixings() const { return body_order - 2; }  // U, U', U''
    int64_t mixing_size() const { return int64_t(n_degrees) * n_channels * n_channels; }
    int64_t channel_size() const { return int64_t(n_degrees) * n_in * n_channels; }
};

// W of an element and U, U', U'', or what is added up for their gradients; one matrix for every degree.
template <class Number>
struct Matrices {
    Number *channels, *pair, *product, *product_pair;
};

// The quantities of one tile: D = 1 values alone, D = 2 values and changes (of adjoints: those of values and of
// changes).  Of every channel c (or radial function k) the harmonics lm stand side by side, except in the density as it
// is given.
template <class T, int D>
class Network {
    using V = Vector<T>;
    using Field = std::array<std::vector<V>, D>;
    using Rows = std::array<Registers<T>, D>;  // of one degree: m = -l ... l

  public:
    Network(const Shape& shape, const Matrices<const T>& weights)
        : shape(shape), weights(weights), C(shape.n_channels), K(shape.n_in), L(shape.n_harmonics()) {
        with_harmonics(shape.n_degrees - 1, [&](auto n) {
            add_one = add_gaunt_product<T, n.value, false>;
            add_two = add_gaunt_product<T, n.value, true>;
        });
        resize(a, L * K);
        for (Field* f : {&b, &v, &t, &b_bar, &v_bar, &t_bar}) resize(*f, L * C);
        for (Field* f : {&mixed, &mixed_bar}) resize(*f, (2 * shape.n_degrees - 1) * C);
        resize(seeds, shape.n_features());
    }

    // B, V, T from the density A, shape (N, L, K), and with D = 2 their changes from that of A.
    void forward(const Tile& tile, const std::array<const T*, D>& density) {
        for (int d = 0; d < D; ++d) gather(tile, density[d], L * K, a[d].data());
        for (int l = 0; l < shape.n_degrees; ++l) {
            mix(l, of_density(l), K, channels(tile, l), rows(b, l));
            if (shape.body_order >= 4) mix(l, rows(b, l), C, mixing(weights.product, l), rows(v, l));
        }
        if (shape.body_order < 4) return;
        clear(t);
        add_products(b[0], v[0], t[0]);
        if constexpr (D == 2) add_products(b[1], v[0], b[0], v[1], t[1]);
    }

    // The features, or with D = 2 their changes, after `forward`.
    void write_features(const Tile& tile, T* to) {
        V* out = seeds[0].data();
        for (int c = 0; c < C; ++c) out[c] = b[D - 1][c * L];
        for (int l = 0; l < shape.n_degrees; ++l) {
            const Rows m = of_degree(mixed, l);
            if (shape.body_order >= 3) {
                mix(l, rows(b, l), C, mixing(weights.pair, l), m);
                mean(l, rows(b, l), m, out + place(0, l));
            }
            if (shape.body_order >= 4) mean(l, rows(t, l), rows(b, l), out + place(1, l));
            if (shape.body_order >= 5) {
                mix(l, rows(t, l), C, mixing(weights.product_pair, l), m);
                mean(l, rows(t, l), m, out + place(2, l));
            }
        }
        scatter(tile, out, shape.n_features(), to);
    }

    // Adjoints of B, T, V from those of the features, shape (N, D), and of their changes, after `forward`; adds what
    // the tile contributes to the gradients of the weights.
    void backward(const Tile& tile, const std::array<const T*, D>& features_bar, const Matrices<T>* gradients) {
        for (int d = 0; d < D; ++d) gather(tile, features_bar[d], shape.n_features(), seeds[d].data());
        clear(b_bar);
        for (int d = 0; d < D; ++d)
            for (int c = 0; c < C; ++c) b_bar[d][c * L] = seeds[d][c];
        for (int l = 0; l < shape.n_degrees && shape.body_order >= 3; ++l)
            back_through_square(l, 0, b, weights.pair, b_bar, gradients ? gradients->pair : nullptr);
        if (shape.body_order >= 4) {
            clear(t_bar);
            for (int l = 0; l < shape.n_degrees; ++l) {
                back_through_mean(l, 1, rows(b, l), rows(t_bar, l));
                back_through_mean(l, 1, rows(t, l), rows(b_bar, l));
                if (shape.body_order >= 5)
                    back_through_square(l, 2, t, weights.product_pair, t_bar,
                                        gradients ? gradients->product_pair : nullptr);
            }
            clear(v_bar);
            back_through_product(v, b_bar);
            back_through_product(b, v_bar);
            for (int l = 0; l < shape.n_degrees; ++l) {
                if (gradients) add_gradient(l, rows(b, l), C, rows(v_bar, l), gradients->product + l * C * C);
                back_through_mixing(l, rows(v_bar, l), mixing(weights.product, l), rows(b_bar, l));
            }
        }
        if (!gradients) return;
        T* of_element = gradients->channels + tile.element * shape.channel_size();
        for (int l = 0; l < shape.n_degrees; ++l)
            add_gradient(l, of_density(l), K, rows(b_bar, l), of_element + l * K * C);
    }

    // The adjoint of the density, shape (N, L, K), after `backward`.
    void write_density_bar(const Tile& tile, T* to) {
        for (int l = 0; l < shape.n_degrees; ++l)
            multiply<T>(2 * l + 1, C, K, rows(b_bar, l)[0], {channels(tile, l), 1, C}, of_density(l)[0]);
        scatter(tile, a[0].data(), L * K, to);
    }

  private:
    static void resize(Field& f, int n) {
        for (auto& of_d : f) of_d.resize(n);
    }
    static void clear(Field& f) {
        for (auto& of_d : f) std::fill(of_d.begin(), of_d.end(), V{});
    }
    static Rows views(Field& f, int first, int row, int column) {
        Rows r;
        for (int d = 0; d < D; ++d) r[d] = {f[d].data() + first, row, column};
        return r;
    }
    Rows rows(Field& f, int l) const { return views(f, l * l, 1, L); }
    Rows of_density(int l) { return views(a, l * l * K, K, 1); }
    Rows of_degree(Field& f, int l) const { return views(f, 0, 1, 2 * l + 1); }
    const T* mixing(const T* of_all, int l) const { return of_all + l * C * C; }
    const T* channels(const Tile& tile, int l) const {
        return weights.channels + tile.element * shape.channel_size() + l * K * C;
    }
    int place(int kind, int l) const { return C * (1 + kind * shape.n_degrees + l); }  // of means among the features

    // y = x u
    void mix(int l, const Rows& x, int width, const T* u, const Rows& y) {
        for (int d = 0; d < D; ++d) multiply<T>(2 * l + 1, width, C, x[d], {u, C, 1}, y[d]);
    }

    // x_bar += y_bar u^T
    void back_through_mixing(int l, const Rows& y_bar, const T* u, const Rows& x_bar) {
        for (int d = 0; d < D; ++d) add_product<T>(2 * l + 1, C, C, y_bar[d], {u, 1, C}, x_bar[d]);
    }

    // u_bar += x^T y_bar
    void add_gradient(int l, const Rows& x, int width, const Rows& y_bar, T* u_bar) {
        add_outer_product<T, D>(2 * l + 1, constant(x), width, constant(y_bar), C, {u_bar, C, 1});
    }
    static std::array<ConstRegisters<T>, D> constant(const Rows& rows) {
        std::array<ConstRegisters<T>, D> views;
        std::copy(rows.begin(), rows.end(), views.begin());
        return views;
    }

    // Mean over m of x y, with D = 2 its change.
    void mean(int l, const Rows& x, const Rows& y, V* to) {
        const T weight = T(1) / (2 * l + 1);
        for (int c = 0; c < C; ++c) {
            const auto of = [&](const Registers<T>& z, int m) { return z.at[m + c * z.column]; };
            V sum = {};
            for (int m = 0; m < 2 * l + 1; ++m) {
                sum += of(x[D - 1], m) * of(y[0], m);
                if constexpr (D == 2) sum += of(x[0], m) * of(y[1], m);
            }
            to[c] = weight * sum;
        }
    }

    // x_bar += what the mean over m of x y, and its change, give for the seeds of one kind
    void back_through_mean(int l, int kind, const Rows& y, const Rows& x_bar) {
        const T weight = T(1) / (2 * l + 1);
        for (int c = 0; c < C; ++c) {
            const auto of = [&](const Registers<T>& z, int m) -> V& { return z.at[m + c * z.column]; };
            V seed[D];
            for (int d = 0; d < D; ++d) seed[d] = weight * seeds[d][place(kind, l) + c];
            for (int m = 0; m < 2 * l + 1; ++m) {
                of(x_bar[0], m) += seed[0] * of(y[0], m);
                if constexpr (D == 2) {
                    of(x_bar[0], m) += seed[1] * of(y[1], m);
                    of(x_bar[1], m) += seed[1] * of(y[0], m);
                }
            }
        }
    }

    // The same for mean_m x (x u); gradients of u as well.
    void back_through_square(int l, int kind, Field& x, const T* matrices, Field& x_bar, T* gradients) {
        const T* u = mixing(matrices, l);
        const Rows of_l = rows(x, l), y = of_degree(mixed, l), y_bar = of_degree(mixed_bar, l);
        mix(l, of_l, C, u, y);
        for (auto& of_d : mixed_bar) std::fill_n(of_d.begin(), (2 * l + 1) * C, V{});
        back_through_mean(l, kind, y, rows(x_bar, l));
        back_through_mean(l, kind, of_l, y_bar);
        if (gradients) add_gradient(l, of_l, C, y_bar, gradients + l * C * C);
        back_through_mixing(l, y_bar, u, rows(x_bar, l));
    }

    // x_bar += what T = x * y, and its change, give for their adjoints
    void back_through_product(const Field& y, Field& x_bar) {
        if constexpr (D == 1) {
            add_products(t_bar[0], y[0], x_bar[0]);
        } else {
            add_products(t_bar[0], y[0], t_bar[1], y[1], x_bar[0]);
            add_products(t_bar[1], y[0], x_bar[1]);
        }
    }

    using Numbers = std::vector<V>;
    void add_products(const Numbers& f, const Numbers& g, Numbers& out) {
        for (int k = 0; k < C * L; k += L) add_one(&f[k], &g[k], nullptr, nullptr, &out[k]);
    }
    void add_products(const Numbers& f, const Numbers& g, const Numbers& f2, const Numbers& g2, Numbers& out) {
        for (int k = 0; k < C * L; k += L) add_two(&f[k], &g[k], &f2[k], &g2[k], &out[k]);
    }

    const Shape& shape;
    const Matrices<const T>& weights;
    const int C, K, L;
    void (*add_one)(const V*, const V*, const V*, const V*, V*) = nullptr;
    void (*add_two)(const V*, const V*, const V*, const V*, V*) = nullptr;
    Field a, b, v, t, b_bar, v_bar, t_bar;
    Field mixed, mixed_bar;  // of one degree
    Field seeds;             // adjoints of the features, or the features
};

// What all functions here are given.
template <class T>
struct Atoms {
    Shape shape;
    Matrices<const T> weights;
    const T* values;
    Tiles<T> tiles;

    template <int D, class Work>
    void for_tiles(Work work) const {
        tiles.for_each([&] { return Network<T, D>(shape, weights); }, work);
    }
};

template <class T>
void features(const Atoms<T>& atoms, T* out) {
    atoms.template for_tiles<1>([&](auto& network, const Tile& tile, int64_t) {
        network.forward(tile, {atoms.values});
        network.write_features(tile, out);
    });
}

template <class T>
void tangent(const Atoms<T>& atoms, const T* direction, T* out) {
    atoms.template for_tiles<2>([&](auto& network, const Tile& tile, int64_t) {
        network.forward(tile, {atoms.values, direction});
        network.write_features(tile, out);
    });
}

template <class T>
void pullback(const Atoms<T>& atoms, const T* features_bar, T* out) {
    atoms.template for_tiles<1>([&](auto& network, const Tile& tile, int64_t) {
        network.forward(tile, {atoms.values});
        network.backward(tile, {features_bar}, nullptr);
        network.write_density_bar(tile, out);
    });
}

// Gradients of W, U, U', U'', one behind the other, and then that of the density if it is wanted.
template <class T>
void gradient(const Atoms<T>& atoms, bool with_values, const T* direction, const T* features_bar, const T* tangent_bar,
              T* out) {
    const Shape& shape = atoms.shape;
    const int64_t of_channels = shape.n_elements * shape.channel_size(), mixing = shape.mixing_size();
    const int64_t size = of_channels + shape.n_mixings() * mixing;
    std::vector<std::vector<T>> sums(atoms.tiles.n_parts(), std::vector<T>(size, T(0)));
    atoms.template for_tiles<2>([&](auto& network, const Tile& tile, int64_t part) {
        T* s = sums[part].data();
        const Matrices<T> gradients{s, s + of_channels, s + of_channels + mixing, s + of_channels + 2 * mixing};
        network.forward(tile, {atoms.values, direction});
        network.backward(tile, {features_bar, tangent_bar}, &gradients);
        if (with_values) network.write_density_bar(tile, out + size);
    });
    std::fill_n(out, size, T(0));
    for (const auto& of_part : sums)
        for (int64_t k = 0; k < size; ++k) out[k] += of_part[k];
}

// Calls work(atoms, number) with what the arguments say, `number` a zero of their type.
template <class Work>
int with_atoms(NNPOT_INVARIANTS, Work work) {
    const Shape shape{int(n_elements), int(n_in), int(n_channels), int(body_order), int(l_max) + 1};
    if (l_max < 0 || shape.n_harmonics() > MAX_HARMONICS || body_order < 2 || body_order > 5) return NOT_COMPILED;
    if (!are_below(n_elements, species, n_atoms)) return WRONG_SPECIES;
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        const Matrices<const T> weights{typed(channels), typed(pair), typed(product), typed(product_pair)};
        work(Atoms<T>{shape, weights, typed(values), {n_atoms, species, shape.n_elements, threads}}, zero);
        return DONE;
    };
    return with_numbers(bytes, run);
}

}  // namespace

// They answer NOT_COMPILED for so many degrees or such a body order.

#define ARGUMENTS                                                                                                  \
    bytes, threads, n_atoms, values, species, channels, pair, product, product_pair, n_elements, n_in, n_channels, \
        body_order, l_max

extern "C" int nnpot_invariants(NNPOT_INVARIANTS, void* out) {
    return with_atoms(ARGUMENTS,
                      [&](const auto& atoms, auto zero) { features(atoms, static_cast<decltype(zero)*>(out)); });
}

extern "C" int nnpot_invariants_tangent(NNPOT_INVARIANTS, const void* direction, void* out) {
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        using T = decltype(zero);
        tangent(atoms, static_cast<const T*>(direction), static_cast<T*>(out));
    });
}

extern "C" int nnpot_invariants_pullback(NNPOT_INVARIANTS, const void* features_bar, void* out) {
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        using T = decltype(zero);
        pullback(atoms, static_cast<const T*>(features_bar), static_cast<T*>(out));
    });
}

extern "C" int nnpot_invariants_gradient(NNPOT_INVARIANTS, int64_t with_values, const void* direction,
                                         const void* features_bar, const void* tangent_bar, void* out) {
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        using T = decltype(zero);
        gradient(atoms, with_values != 0, static_cast<const T*>(direction), static_cast<const T*>(features_bar),
                 static_cast<const T*>(tangent_bar), static_cast<T*>(out));
    });
}
