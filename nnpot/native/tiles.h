// Atoms of one element taken together, one in each lane of a register: what is written for one atom is calculated for a
// whole tile of them.
#pragma once

#include "lanes.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

// Up to a register of atoms of one element, or up to some registers.
struct Tile {
    int64_t element;
    const int64_t* atoms;
    int count;
};

// The atoms of one of its registers.
template <class T>
Tile part_of(const Tile& tile, int part) {
    constexpr int W = LANES<T>;
    return {tile.element, tile.atoms + part * W, std::min(W, tile.count - part * W)};
}

inline std::vector<Tile> tiles_of(int64_t n_atoms, const int64_t* species, int n_elements, int width,
                                  std::vector<int64_t>& sorted) {
    std::vector<int64_t> ends(n_elements + 1, 0);
    for (int64_t i = 0; i < n_atoms; ++i) ++ends[species[i] + 1];
    for (int s = 0; s < n_elements; ++s) ends[s + 1] += ends[s];
    const std::vector<int64_t> starts = ends;
    sorted.resize(n_atoms);
    for (int64_t i = 0; i < n_atoms; ++i) sorted[ends[species[i]]++] = i;
    std::vector<Tile> tiles;
    for (int s = 0; s < n_elements; ++s)
        for (int64_t first = starts[s]; first < starts[s + 1]; first += width)
            tiles.push_back({s, sorted.data() + first, int(std::min<int64_t>(width, starts[s + 1] - first))});
    return tiles;
}

// Rows of n numbers, one for each atom, as n registers with an atom in each lane; idle lanes are 0.
template <class T>
void gather(const Tile& tile, const T* rows, int n, Vector<T>* to) {
    constexpr int W = LANES<T>;
    for (int k = 0; k < n; k += W) {
        Vector<T> square[W] = {};
        const int width = std::min(W, n - k);
        for (int w = 0; w < tile.count; ++w) {
            const T* row = rows + tile.atoms[w] * n + k;
            if (width == W)
                square[w] = load(row);
            else
                std::memcpy(&square[w], row, width * sizeof(T));
        }
        transpose<T>(square);
        std::copy_n(square, width, to + k);
    }
}

template <class T>
void scatter(const Tile& tile, const Vector<T>* from, int n, T* rows) {
    constexpr int W = LANES<T>;
    for (int k = 0; k < n; k += W) {
        Vector<T> square[W] = {};
        const int width = std::min(W, n - k);
        std::copy_n(from + k, width, square);
        transpose<T>(square);
        for (int w = 0; w < tile.count; ++w) {
            T* row = rows + tile.atoms[w] * n + k;
            if (width == W)
                store(row, square[w]);
            else
                std::memcpy(row, &square[w], width * sizeof(T));
        }
    }
}

// The tiles of all atoms, and the loop over them.
template <class T>
class Tiles {
  public:
    // Of so many registers each, or less.
    Tiles(int64_t n_atoms, const int64_t* species, int n_elements, int64_t threads, int registers = 1)
        : all(tiles_of(n_atoms, species, n_elements, registers * LANES<T>, sorted)),
          parts(count_parts(all.size(), threads, 4)) {}

    Tiles(const Tiles&) = delete;  // `all` points into `sorted`

    int64_t n_parts() const { return parts; }

    // Calls work(scratch, tile, part) for every tile, with make() as the scratch of each part; which tiles make up a
    // part depends on the number of threads alone.
    template <class Make, class Work>
    void for_each(Make make, Work work) const {
        const int64_t n = all.size();
        const auto of_parts = [&](int64_t first, int64_t last) {
            for (int64_t part = first; part < last; ++part) {
                auto scratch = make();
                for (int64_t k = n * part / parts; k < n * (part + 1) / parts; ++k) work(scratch, all[k], part);
            }
        };
        parallel(parts, parts, of_parts, 1);
    }

  private:
    std::vector<int64_t> sorted;
    std::vector<Tile> all;
    int64_t parts;
};
