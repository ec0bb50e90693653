// Atoms of one element taken together, one in each lane of a register: what is written for one atom is calculated for a
// whole tile of them.
#pragma once

#include "lanes.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

// Up to a register of atoms of one element.
struct Tile {
    int64_t element;
    const int64_t* atoms;
    int count;
};

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
    Tiles(int64_t n_atoms, const int64_t* species, int n_elements, int64_t threads)
        : all(tiles_of(n_atoms, species, n_elements, LANES<T>, sorted)), parts(worthwhile(all.size(), threads, 4)) {}

    Tiles(const Tiles&) = delete;  // `all` points into `sorted`

    int64_t n_parts() const { return parts; }

    // Calls work(scratch, tile, part) for every tile, with make() as the scratch of each part; which tiles make up a part
    // depends on the number of threads alone.
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

// Where numbers of a row m and a column c are: at[m * row + c * column].
template <class T>
struct View {
    Vector<T>* at;
    int row, column;
};

// Of a product by a matrix: 24 sums in registers, or 12.
constexpr int ROWS_AT_ONCE = 2;
constexpr int columns_at_once(int rows) { return HAS_FEW_REGISTERS ? 12 / rows : 12; }

// R rows and J columns of y = x u, or y += x u; rows and columns of u are `step` and `next` apart.
template <class T, int R, int J, bool ADD>
inline void block(int n, const View<T>& x, const T* u, int step, int next, const View<T>& y) {
    Vector<T> sums[R][J];
    for (int r = 0; r < R; ++r)
        for (int j = 0; j < J; ++j) sums[r][j] = ADD ? y.at[r * y.row + j * y.column] : Vector<T>{};
    for (int k = 0; k < n; ++k)
        for (int j = 0; j < J; ++j)
            for (int r = 0; r < R; ++r) sums[r][j] += x.at[r * x.row + k * x.column] * u[k * step + j * next];
    for (int r = 0; r < R; ++r)
        for (int j = 0; j < J; ++j) y.at[r * y.row + j * y.column] = sums[r][j];
}

template <class T, int R, bool ADD>
inline void block_of_rows(int n, int width, const View<T>& x, const T* u, int step, int next, const View<T>& y) {
    int j = 0;
    const auto from = [&](int first) { return View<T>{y.at + first * y.column, y.row, y.column}; };
    constexpr int MANY = columns_at_once(R);
    for (; j + MANY <= width; j += MANY) block<T, R, MANY, ADD>(n, x, u + j * next, step, next, from(j));
    for (; j + 4 <= width; j += 4) block<T, R, 4, ADD>(n, x, u + j * next, step, next, from(j));
    for (; j < width; ++j) block<T, R, 1, ADD>(n, x, u + j * next, step, next, from(j));
}

// y = x u, or y += x u; x has n columns, y has `width`.
template <class T, bool ADD>
void times(int rows, int n, int width, View<T> x, const T* u, int step, int next, View<T> y) {
    const auto next_rows = [](View<T>& v, int count) { v.at += count * v.row; };
    for (; rows >= ROWS_AT_ONCE; rows -= ROWS_AT_ONCE) {
        block_of_rows<T, ROWS_AT_ONCE, ADD>(n, width, x, u, step, next, y);
        next_rows(x, ROWS_AT_ONCE);
        next_rows(y, ROWS_AT_ONCE);
    }
    for (; rows > 0; --rows) {
        block_of_rows<T, 1, ADD>(n, width, x, u, step, next, y);
        next_rows(x, 1);
        next_rows(y, 1);
    }
}

