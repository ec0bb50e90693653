// One network for each element, its derivative, and the derivatives of both with respect to the weights:
//
//     x = (G - mean) / scale,   a^0 = x,   z^l = W^l [a^(l-1); 1],   a^l = f(z^l),   h = z^L + w [x; 1]
//
// with the recursion  delta^(l-1) = f'(z^(l-1)) W^l^T delta^l  from delta^L = 1 for dh/dx (Kofke, CE 500, Lecture 22).
//
// The gradient of a loss of h and dh/dx is backpropagation through the network and its tangent network z'^l = W^l
// [a'^(l-1); 0],  a'^l = f'(z^l) z'^l  (B. A. Pearlmutter, Neural Computation 6, 147 (1994)); the adjoint of z'^l is
// delta^l.  The same formulas are in nnpot/functional and nnpot/reference, with which the tests compare these.

#include "activations.h"
#include "api.h"
#include "checks.h"
#include "gemm.h"
#include "tiles.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

struct Shape {
    int n_elements, n_layers;
    const int64_t* sizes;      // of the inputs and of each layer
    const int64_t* functions;  // of each hidden layer
    bool linear;

    int n_in(int layer) const { return int(sizes[layer]); }
    int n_out(int layer) const { return int(sizes[layer + 1]); }
    int64_t size(int layer) const { return int64_t(n_out(layer)) * (n_in(layer) + 1); }
    int64_t place(int layer) const { return layer == 0 ? 0 : place(layer - 1) + size(layer - 1); }
    int64_t of_element() const {
        return place(n_layers) + (linear ? n_in(0) + 1 : 0);
    }  // numbers, the linear term last
};

template <class T>
int registers_of(int n) {
    return (n + LANES<T> - 1) / LANES<T>;
}

// Gradients of the weights of one element: a row for every output, filled up to whole registers.
template <class T>
class Gradients {
  public:
    explicit Gradients(const Shape& shape) : shape(shape) {
        for (int l = 0; l < shape.n_layers; ++l)
            of_layers.emplace_back(shape.n_out(l) * registers_of<T>(shape.n_in(l) + 1));
        if (shape.linear) of_layers.emplace_back(registers_of<T>(shape.n_in(0) + 1));
    }
    Registers<T> of_layer(int l) { return {of_layers[l].data(), registers_of<T>(shape.n_in(l) + 1), 1}; }
    Registers<T> of_linear() { return {of_layers.back().data(), registers_of<T>(shape.n_in(0) + 1), 1}; }

    void add_to(T* out) const {
        for (int l = 0; l < int(of_layers.size()); ++l) {
            const int n_in = l < shape.n_layers ? shape.n_in(l) + 1 : shape.n_in(0) + 1;
            const int n_out = l < shape.n_layers ? shape.n_out(l) : 1;
            const T* row = reinterpret_cast<const T*>(of_layers[l].data());
            for (int j = 0; j < n_out; ++j, row += registers_of<T>(n_in) * LANES<T>, out += n_in)
                for (int k = 0; k < n_in; ++k) out[k] += row[k];
        }
    }

  private:
    const Shape& shape;
    std::vector<std::vector<Vector<T>>> of_layers;
};

// Registers of atoms in a tile, 64 bytes: every weight that is read from memory is used for all of them.
constexpr int TILE_REGISTERS = std::max(1, 64 / REGISTER);

// The quantities of one tile: D = 1 values alone, D = 2 values and changes (of adjoints: those of values and of
// changes).  There is a row for every register of atoms, first those of all values, then those of the changes.
template <class T, int D>
class Network {
    using V = Vector<T>;
    using Field = std::vector<V>;

  public:
    Network(const Shape& shape, const T* weights, const T* mean, const T* inverse)
        : shape(shape), weights(weights), mean(mean), inverse(inverse) {
        constexpr int ROWS = D * TILE_REGISTERS;
        int widest = 0;
        for (int l = 0; l < shape.n_layers; ++l) {
            a.emplace_back(ROWS * (shape.n_in(l) + 1));
            z.emplace_back(ROWS * shape.n_out(l));
            slopes.emplace_back(TILE_REGISTERS * shape.n_out(l));
            curvatures.emplace_back(TILE_REGISTERS * shape.n_out(l));
            widest = std::max({widest, shape.n_in(l) + 1, shape.n_out(l)});
        }
        for (Field* f : {&bar, &before}) f->resize(ROWS * widest);
        for (Field* f : {&atoms_x, &atoms_y}) f->resize(ROWS * LANES<T> * registers_of<T>(widest));
        seeds.resize(ROWS);
    }

    // From features and, with D = 2, changes of the features.
    void forward(const Tile& tile, const T* const (&rows)[D]) {
        const int n = shape.n_in(0), G = registers_of<T>(tile.count);
        for (int r = 0; r < D * G; ++r) {
            V* x = a[0].data() + r * (n + 1);
            gather(part_of<T>(tile, r % G), rows[r / G], n, x);
            const T *of_mean = mean + tile.element * n, *of_inverse = inverse + tile.element * n;
            for (int k = 0; k < n; ++k) x[k] = (r < G ? x[k] - of_mean[k] : x[k]) * of_inverse[k];
            x[n] = V{} + T(r < G ? 1 : 0);
        }
        for (int l = 0; l < shape.n_layers; ++l) {
            const int n_in = shape.n_in(l), n_out = shape.n_out(l);
            multiply<T>(D * G, n_in + 1, n_out, {a[l].data(), n_in + 1, 1}, {matrix(tile, l), 1, n_in + 1},
                        {z[l].data(), n_out, 1});
            if (l + 1 < shape.n_layers) activate_rows(l, G);
        }
    }

    // h of every atom, after `forward`.
    void write_outputs(const Tile& tile, T* to) const {
        const int n = shape.n_in(0);
        for (int q = 0; q < registers_of<T>(tile.count); ++q) {
            const Tile part = part_of<T>(tile, q);
            V h = z.back()[q];
            if (shape.linear)
                for (int k = 0; k <= n; ++k) h += linear(tile)[k] * a[0][q * (n + 1) + k];
            for (int w = 0; w < part.count; ++w) to[part.atoms[w]] = h[w];
        }
    }

    // What goes into the last layer, after `forward`.
    void write_hidden(const Tile& tile, T* to) const {
        const int n = shape.n_in(shape.n_layers - 1);
        for (int q = 0; q < registers_of<T>(tile.count); ++q)
            scatter(part_of<T>(tile, q), a.back().data() + q * (n + 1), n, to);
    }

    // The adjoint of the features from those of h and, with D = 2, of its change, 1 if not given, after `forward`; adds
    // up gradients.
    void backward(const Tile& tile, const T* const (&of_h)[D], Gradients<T>* gradients, T* features_bar) {
        const int n = shape.n_in(0), G = registers_of<T>(tile.count);
        for (int r = 0; r < D * G; ++r) seeds[r] = bar[r] = of_lanes(part_of<T>(tile, r % G), of_h[r / G]);
        for (int l = shape.n_layers - 1; l >= 0; --l) {
            const int n_in = shape.n_in(l), n_out = shape.n_out(l);
            if (gradients) {
                keep_atoms(tile, a[l], n_in + 1, atoms_x);
                keep_atoms(tile, bar, n_out, atoms_y);
                add_outer(tile, n_in + 1, n_out, gradients->of_layer(l));
            }
            if (gradients && l == 0 && shape.linear) {
                keep_atoms(tile, seeds, 1, atoms_y);
                add_outer(tile, n_in + 1, 1, gradients->of_linear());
            }
            multiply<T>(D * G, n_out, n_in, {bar.data(), n_out, 1}, {matrix(tile, l), n_in + 1, 1},
                        {before.data(), n_in, 1});
            std::swap(bar, before);
            if (l > 0) back_through_activation(l - 1, G);
        }
        for (int q = 0; q < G; ++q) {
            V* of_x = bar.data() + q * n;
            for (int k = 0; k < n; ++k) {
                if (shape.linear) of_x[k] += linear(tile)[k] * seeds[q];
                of_x[k] *= inverse[tile.element * n + k];
            }
            scatter(part_of<T>(tile, q), of_x, n, features_bar);
        }
    }

  private:
    static T* numbers(Field& f) { return reinterpret_cast<T*>(f.data()); }
    const T* matrix(const Tile& tile, int l) const {
        return weights + tile.element * shape.of_element() + shape.place(l);
    }
    const T* linear(const Tile& tile) const { return matrix(tile, shape.n_layers); }

    // Lanes that hold an atom: of these the value of a row, or 1.
    static V of_lanes(const Tile& tile, const T* row) {
        V lanes = {};
        for (int w = 0; w < tile.count; ++w) lanes[w] = row ? row[tile.atoms[w]] : T(1);
        return lanes;
    }

    // a^(l+1) from z^l, f' and f''.
    void activate_rows(int l, int G) {
        const int n = shape.n_out(l), W = LANES<T>;
        for (int q = 0; q < G; ++q) {
            activate(shape.functions[l], n * W, numbers(z[l]) + q * n * W, numbers(a[l + 1]) + q * (n + 1) * W,
                     numbers(slopes[l]) + q * n * W, numbers(curvatures[l]) + q * n * W);
            a[l + 1][q * (n + 1) + n] = V{} + T(1);
            if constexpr (D == 2) {
                V* change = a[l + 1].data() + (G + q) * (n + 1);
                for (int k = 0; k < n; ++k) change[k] = slopes[l][q * n + k] * z[l][(G + q) * n + k];
                change[n] = V{};
            }
        }
    }

    // Adjoint of z^l from that of a^(l+1), in place.
    void back_through_activation(int l, int G) {
        const int values = G * shape.n_out(l);
        for (int k = 0; k < values; ++k) {
            bar[k] *= slopes[l][k];
            if constexpr (D == 2) {
                bar[k] += curvatures[l][k] * z[l][values + k] * bar[values + k];
                bar[values + k] *= slopes[l][k];
            }
        }
    }

    // Numbers of a field, a row of registers for each atom; first all values, then all changes.
    void keep_atoms(const Tile& tile, const Field& field, int n, Field& atoms) {
        constexpr int W = LANES<T>;
        const int width = registers_of<T>(n), G = registers_of<T>(tile.count);
        for (int r = 0; r < D * G; ++r)
            for (int k = 0; k < width; ++k) {
                V square[W] = {};
                std::copy_n(field.data() + r * n + k * W, std::min(W, n - k * W), square);
                transpose<T>(square);
                const int first = r / G * tile.count + r % G * W, count = part_of<T>(tile, r % G).count;
                for (int w = 0; w < count; ++w) atoms[(first + w) * width + k] = square[w];
            }
    }

    // sums += y^T x over the kept atoms.
    void add_outer(const Tile& tile, int n_x, int n_y, const Registers<T>& sums) {
        const int width = registers_of<T>(n_x);
        const Numbers<T> y = {numbers(atoms_y), registers_of<T>(n_y) * LANES<T>, 1};
        add_left_product<T>(n_y, D * tile.count, width, y.transposed(), {atoms_x.data(), width, 1}, sums);
    }

    const Shape& shape;
    const T *weights, *mean, *inverse;
    std::vector<Field> a, z, slopes, curvatures;
    Field bar, before, seeds, atoms_x, atoms_y;
};

// What all functions here are given.
template <class T>
struct Atoms {
    Shape shape;
    const T *weights, *mean, *inverse, *features;
    int64_t n_atoms;
    Tiles<T> tiles;

    template <int D, class Work>
    void for_tiles(Work work) const {
        tiles.for_each([&] { return Network<T, D>(shape, weights, mean, inverse); }, work);
    }
};

// h of all atoms, then dh/dG, then, unless it is null, what goes into the last layer.
template <class T>
void evaluate(const Atoms<T>& atoms, T* out, T* hidden) {
    atoms.template for_tiles<1>([&](auto& network, const Tile& tile, int64_t) {
        network.forward(tile, {atoms.features});
        network.write_outputs(tile, out);
        if (hidden) network.write_hidden(tile, hidden);
        network.backward(tile, {nullptr}, nullptr, out + atoms.n_atoms);
    });
}

// Gradients with respect to the features of all atoms, then to the weights.
template <class T>
void gradient(const Atoms<T>& atoms, const T* h_bar, const T* direction, T* out) {
    const Shape& shape = atoms.shape;
    const std::vector<Gradients<T>> none(shape.n_elements, Gradients<T>(shape));
    std::vector<std::vector<Gradients<T>>> sums(atoms.tiles.n_parts(), none);
    atoms.template for_tiles<2>([&](auto& network, const Tile& tile, int64_t part) {
        network.forward(tile, {atoms.features, direction});
        network.backward(tile, {h_bar, nullptr}, &sums[part][tile.element], out);
    });
    T* of_weights = out + atoms.n_atoms * shape.n_in(0);
    std::fill_n(of_weights, shape.n_elements * shape.of_element(), T(0));
    for (const auto& of_part : sums)
        for (int s = 0; s < shape.n_elements; ++s) of_part[s].add_to(of_weights + s * shape.of_element());
}

Answer checked(const Shape& shape, int64_t n_atoms, int64_t n_features, int64_t n_weights, const int64_t* species) {
    if (shape.n_layers < 1 || shape.sizes[0] != n_features || shape.sizes[shape.n_layers] != 1) return WRONG_SIZES;
    if (!are_below<int64_t>(1 << 20, shape.sizes, shape.n_layers + 1)) return WRONG_SIZES;
    if (shape.n_elements * shape.of_element() != n_weights) return WRONG_SIZES;
    if (!are_below<int64_t>(shape.n_elements, species, n_atoms)) return WRONG_SPECIES;
    return are_below<int64_t>(RELU + 1, shape.functions, shape.n_layers - 1) ? DONE : WRONG_ACTIVATION;
}

// Calls work(atoms, number) with what the arguments say, `number` a zero of their type.
template <class Work>
int with_atoms(NNPOT_NETWORKS, Work work) {
    const Shape shape{int(n_elements), int(n_layers), sizes, functions, linear != 0};
    const Answer answer = checked(shape, n_atoms, n_features, n_weights, species);
    if (answer != DONE) return answer;
    const auto run = [&](auto zero) {
        using T = decltype(zero);
        const auto typed = [](const void* p) { return static_cast<const T*>(p); };
        work(Atoms<T>{shape,
                      typed(weights),
                      typed(mean),
                      typed(inverse),
                      typed(features),
                      n_atoms,
                      {n_atoms, species, shape.n_elements, threads, TILE_REGISTERS}},
             zero);
        return DONE;
    };
    return with_numbers(bytes, run);
}

}  // namespace

// They answer NOT_COMPILED if an activation is not.

#define ARGUMENTS                                                                                                \
    bytes, threads, n_atoms, n_features, n_weights, features, species, mean, inverse, weights, sizes, functions, \
        n_elements, n_layers, linear

extern "C" int nnpot_networks(NNPOT_NETWORKS, void* out) {
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        evaluate<decltype(zero)>(atoms, static_cast<decltype(zero)*>(out), nullptr);
    });
}

extern "C" int nnpot_networks_with_hidden(NNPOT_NETWORKS, int64_t n_hidden, void* out) {
    if (n_layers < 1 || sizes[n_layers - 1] != n_hidden) return WRONG_SIZES;
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        auto* const to = static_cast<decltype(zero)*>(out);
        evaluate(atoms, to, to + n_atoms * (n_features + 1));
    });
}

extern "C" int nnpot_networks_gradient(NNPOT_NETWORKS, const void* h_bar, const void* direction, void* out) {
    return with_atoms(ARGUMENTS, [&](const auto& atoms, auto zero) {
        using T = decltype(zero);
        gradient(atoms, static_cast<const T*>(h_bar), static_cast<const T*>(direction), static_cast<T*>(out));
    });
}
