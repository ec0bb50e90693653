// Products of small matrices, in vector registers:
//
//     multiply:          y_mc  = sum_k x_mk u_kc        x, y are registers, u are numbers
//     add_product:       y_mc += sum_k x_mk u_kc
//     add_left_product:  c_in += sum_k a_ik b_kn        b, c are registers, a are numbers
//     add_outer_product: s_ij += sum_m <x_mi, y_mj>     x, y are registers, s are numbers; <,> sums over the lanes
//
// If a register holds one number of many atoms, x u is the product of each atom's own x by a matrix that all of them
// share.  If it holds many numbers of a row, n counts the registers of a row, and a b is the product of two matrices as
// they are usually written down.  Both are sums of registers times numbers, one transposed the other.
//
// As many sums are made at once as fit into the registers of the processor, M rows and C columns of them; a larger
// product is cut into such blocks.  Few sums would wait for each other: then each is made in several parts.
#pragma once

#include "lanes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

// Entries of rows i and columns j: at[i * row + j * column].
template <class Entry>
struct View {
    Entry* at;
    int64_t row, column;

    Entry& operator()(int64_t i, int64_t j) const { return at[i * row + j * column]; }
    View from(int64_t i, int64_t j) const { return {&(*this)(i, j), row, column}; }
    View transposed() const { return {at, column, row}; }
    operator View<const Entry>() const { return {at, row, column}; }
};

template <class T> using Registers = View<Vector<T>>;
template <class T> using ConstRegisters = View<const Vector<T>>;
template <class T> using Numbers = View<const T>;

// Beside the sums a row or a column of factors has to be kept.
constexpr int MAX_SUMS = HAS_FEW_REGISTERS ? 12 : 24, MAX_ROWS = 4, MAX_COLUMNS = 9;

// Sums stay in registers if no loop over them and no call that takes them is left.
#define NNPOT_INLINE inline __attribute__((always_inline))
#define NNPOT_UNROLL _Pragma("GCC unroll 16")

// Calls work with a number from 1 to MAX as a constant.
template <int MAX, class Work>
NNPOT_INLINE void with_constant(int n, Work work) {
    if constexpr (MAX > 0) {
        if (n == MAX) return work(std::integral_constant<int, MAX>());
        with_constant<MAX - 1>(n, work);
    }
}

// Cuts n things into parts of about the same size, none larger than MAX: calls work(first, size), size a constant.
template <int MAX, class Work>
NNPOT_INLINE void in_parts(int n, Work work) {
    for (unsigned left = n, parts = (n + MAX - 1) / MAX; parts > 0; --parts) {
        const int size = parts == 1 ? left : (left + parts - 1) / parts;
        with_constant<MAX>(size, [&](auto constant) __attribute__((always_inline)) { work(n - int(left), constant); });
        left -= size;
    }
}

// sums += the product of a column of x, M registers, and a row of u, C numbers; the fewer of them are kept.
template <class T, int M, int C>
NNPOT_INLINE void add_term(const ConstRegisters<T>& x, const Numbers<T>& u, Vector<T> (&sums)[M][C]) {
    if constexpr (M <= C) {
        Vector<T> column[M];
        NNPOT_UNROLL
        for (int m = 0; m < M; ++m) column[m] = x(m, 0);
        NNPOT_UNROLL
        for (int c = 0; c < C; ++c) {
            const T factor = u(0, c);
            NNPOT_UNROLL
            for (int m = 0; m < M; ++m) sums[m][c] += column[m] * factor;
        }
    } else {
        T row[C];
        NNPOT_UNROLL
        for (int c = 0; c < C; ++c) row[c] = u(0, c);
        NNPOT_UNROLL
        for (int m = 0; m < M; ++m) {
            const Vector<T> factor = x(m, 0);
            NNPOT_UNROLL
            for (int c = 0; c < C; ++c) sums[m][c] += factor * row[c];
        }
    }
}

// Calls work(m, c) for M rows and C columns.
template <int M, int C, class Work>
NNPOT_INLINE void for_block(Work work) {
    NNPOT_UNROLL
    for (int m = 0; m < M; ++m) {
        NNPOT_UNROLL
        for (int c = 0; c < C; ++c) work(m, c);
    }
}

// What all blocks of a product have in common.
struct Strides {
    int64_t x_row, x_column, u_row, u_column, y_row, y_column;
    int inner;
    bool add;
};

// M rows and C columns of y = x u, or y += x u; ROW is the distance between the rows of x and y if it is known, else 0.
template <class T, int M, int C, int ROW>
__attribute__((noinline)) void multiply_block(const Vector<T>* x_at, const T* u_at, Vector<T>* y_at,
                                              const Strides& strides) {
    constexpr int PARTS = M * C > 6 ? 1 : M * C > 3 ? 2 : 4;
    ConstRegisters<T> x = {x_at, ROW ? ROW : strides.x_row, strides.x_column};
    Numbers<T> u = {u_at, strides.u_row, strides.u_column};
    const Registers<T> y = {y_at, ROW ? ROW : strides.y_row, strides.y_column};
    const int inner = strides.inner;
    const bool add = strides.add;
    Vector<T> sums[PARTS][M][C];
    NNPOT_UNROLL
    for (auto& part : sums) for_block<M, C>([&](int m, int c) { part[m][c] = Vector<T>{}; });
    const auto add_to = [&](Vector<T>(&part)[M][C]) __attribute__((always_inline)) {
        add_term<T, M, C>(x, u, part);
        x.at += x.column;
        u.at += u.row;
    };
    int k = 0;
    for (; k + PARTS <= inner; k += PARTS) {
        NNPOT_UNROLL
        for (auto& part : sums) add_to(part);
    }
    if constexpr (PARTS > 1)
        for (; k < inner; ++k) add_to(sums[0]);
    NNPOT_UNROLL
    for (int p = 1; p < PARTS; ++p) for_block<M, C>([&](int m, int c) { sums[0][m][c] += sums[p][m][c]; });
    if (add) for_block<M, C>([&](int m, int c) { sums[0][m][c] += y(m, c); });
    for_block<M, C>([&](int m, int c) { y(m, c) = sums[0][m][c]; });
}

// All blocks.
template <class T, int ROW>
void multiply_blocks(bool add, int rows, int inner, int columns, ConstRegisters<T> x, Numbers<T> u, Registers<T> y) {
    const Strides strides = {x.row, x.column, u.row, u.column, y.row, y.column, inner, add};
    in_parts<MAX_ROWS>(rows, [&](int m, auto M) __attribute__((always_inline)) {
        constexpr int MAX = std::min(MAX_COLUMNS, MAX_SUMS / M.value);
        in_parts<MAX>(columns, [&](int c, auto C) __attribute__((always_inline)) {
            multiply_block<T, M.value, C.value, ROW>(&x(m, 0), &u(0, c), &y(m, c), strides);
        });
    });
}

// Of so many rows and columns of y; x has `inner` columns.
template <class T>
void multiply(int rows, int inner, int columns, ConstRegisters<T> x, Numbers<T> u, Registers<T> y) {
    multiply_blocks<T, 0>(false, rows, inner, columns, x, u, y);
}

template <class T>
void add_product(int rows, int inner, int columns, ConstRegisters<T> x, Numbers<T> u, Registers<T> y) {
    multiply_blocks<T, 0>(true, rows, inner, columns, x, u, y);
}

// Of so many rows and columns of c; a has `inner` columns.  The registers of a row of b, and of c, stand side by side.
template <class T>
void add_left_product(int rows, int inner, int columns, Numbers<T> a, ConstRegisters<T> b, Registers<T> c) {
    multiply_blocks<T, 1>(true, columns, inner, rows, b.transposed(), a.transposed(), c.transposed());
}

// Sums over lanes that are made side by side.
template <class T> constexpr int OUTER_SUMS = std::max(LANES<T>, 8);

// X columns of x and Y columns of y.
template <class T, int X, int Y, size_t D>
NNPOT_INLINE void add_outer_block(int rows, const std::array<ConstRegisters<T>, D>& x,
                                  const std::array<ConstRegisters<T>, D>& y, int first_x, int first_y, View<T> s) {
    constexpr int W = LANES<T>;
    Vector<T> sums[(X * Y + W - 1) / W * W] = {};
    for (size_t d = 0; d < D; ++d) {
        const ConstRegisters<T> x_d = x[d].from(0, first_x), y_d = y[d].from(0, first_y);
        for (int m = 0; m < rows; ++m) for_block<X, Y>([&](int i, int j) { sums[i * Y + j] += x_d(m, i) * y_d(m, j); });
    }
    for (int k = 0; k < X * Y; k += W) sums[k] = sums_over_lanes<T>(sums + k);
    for_block<X, Y>([&](int i, int j) { s(first_x + i, first_y + j) += sums[(i * Y + j) / W * W][(i * Y + j) % W]; });
}

// Y columns of y with all of x: they stay in the cache meanwhile.
template <class T, int Y, size_t D>
void add_outer_columns(int rows, const std::array<ConstRegisters<T>, D>& x, int n_x,
                       const std::array<ConstRegisters<T>, D>& y, int first_y, View<T> s) {
    constexpr int X = OUTER_SUMS<T> / Y;
    int i = 0;
    for (; i + X <= n_x; i += X) add_outer_block<T, X, Y>(rows, x, y, i, first_y, s);
    for (; i < n_x; ++i) add_outer_block<T, 1, Y>(rows, x, y, i, first_y, s);
}

// The sum over D pairs of x, of n_x columns, and y, of n_y.
template <class T, size_t D>
void add_outer_product(int rows, const std::array<ConstRegisters<T>, D>& x, int n_x,
                       const std::array<ConstRegisters<T>, D>& y, int n_y, View<T> s) {
    constexpr int MANY = OUTER_SUMS<T> / 2, FEW = OUTER_SUMS<T> / 4;
    int j = 0;
    for (; j + MANY <= n_y; j += MANY) add_outer_columns<T, MANY>(rows, x, n_x, y, j, s);
    for (; j + FEW <= n_y; j += FEW) add_outer_columns<T, FEW>(rows, x, n_x, y, j, s);
    for (; j < n_y; ++j) add_outer_columns<T, 1>(rows, x, n_x, y, j, s);
}
