// What is unknown of atoms, from the last hidden layer h of their networks: nnpot/uncertainty.py has the formulas.
//
//     (d_1, ..., d_C, e) = [h; 1]^T table_s,   gamma = min_c |d_c|
//
// s is the element of an atom, d_c its deviation from a cluster of training atoms, e that of its energy.

#include "api.h"
#include "checks.h"
#include "gemm.h"
#include "tiles.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// Registers of atoms in a tile, 64 bytes: every number of a table that is read is used for all of them.
constexpr int TILE_REGISTERS = std::max(1, 64 / REGISTER);

template <class T>
struct Scratch {
    std::vector<Vector<T>> x, y;
};

template <class T>
struct Unknown {
    int width, clusters, directions;
    const T *hidden, *table;

    int n_columns() const { return clusters * directions + width + 1; }

    Scratch<T> scratch() const {
        return {std::vector<Vector<T>>(TILE_REGISTERS * (width + 1)),
                std::vector<Vector<T>>(TILE_REGISTERS * n_columns())};
    }

    // gamma, |e| and e of the atoms of a tile, a number of the first two and a row of the last for each.
    void tell(Scratch<T>& scratch, const Tile& tile, T* gamma, T* norms, T* deviations) const {
        const int n_in = width + 1, n_out = n_columns(), parts = (tile.count + LANES<T> - 1) / LANES<T>;
        for (int q = 0; q < parts; ++q) {
            gather(part_of<T>(tile, q), hidden, width, scratch.x.data() + q * n_in);
            scratch.x[q * n_in + width] = Vector<T>{} + T(1);
        }
        multiply<T>(parts, n_in, n_out, {scratch.x.data(), n_in, 1}, {table + tile.element * n_in * n_out, n_out, 1},
                    {scratch.y.data(), n_out, 1});
        for (int q = 0; q < parts; ++q) {
            const Tile part = part_of<T>(tile, q);
            const Vector<T>*d = scratch.y.data() + q * n_out, *e = d + clusters * directions;
            write_root(part, square_of_nearest(d), gamma);
            write_root(part, square(e, n_in), norms);
            scatter(part, e, n_in, deviations);
        }
    }

    // |d_c|^2 of the cluster that is nearest.
    Vector<T> square_of_nearest(const Vector<T>* d) const {
        Vector<T> nearest = square(d, directions);
        for (int c = 1; c < clusters; ++c) {
            const Vector<T> next = square(d + c * directions, directions);
            nearest = nearest < next ? nearest : next;
        }
        return nearest;
    }

    static Vector<T> square(const Vector<T>* x, int n) {
        Vector<T> sum = {};
        for (int k = 0; k < n; ++k) sum += x[k] * x[k];
        return sum;
    }

    static void write_root(const Tile& tile, const Vector<T>& squares, T* to) {
        for (int w = 0; w < tile.count; ++w) to[tile.atoms[w]] = std::sqrt(squares[w]);
    }
};

}  // namespace

extern "C" int nnpot_uncertainty(NNPOT_UNCERTAINTY, void* out) {
    if (n_elements < 1 || clusters < 1 || directions < 1) return WRONG_SIZES;
    if (!are_below<int64_t>(n_elements, species, n_atoms)) return WRONG_SPECIES;
    return with_numbers(bytes, [&](auto zero) {
        using T = decltype(zero);
        const Unknown<T> unknown{int(width), int(clusters), int(directions), static_cast<const T*>(hidden),
                                 static_cast<const T*>(table)};
        const Tiles<T> tiles(n_atoms, species, n_elements, threads, TILE_REGISTERS);
        T* const gamma = static_cast<T*>(out);
        tiles.for_each([&] { return unknown.scratch(); }, [&](auto& scratch, const Tile& tile, int64_t) {
            unknown.tell(scratch, tile, gamma, gamma + n_atoms, gamma + 2 * n_atoms);
        });
        return DONE;
    });
}
