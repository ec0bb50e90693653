// Compares every product of gemm.h with plain loops in double precision, at all sizes of rows and columns from 1 to 40;
// the third size and the layout of the arrays change from one to the next.  Prints what is wrong, nothing if all is
// well.

#include "gemm.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

namespace {

constexpr int MOST = 40, MARGIN = 5;
constexpr double UNTOUCHED = 12345;  // between and around the entries of an array
std::mt19937 generator(1);
int n_wrong = 0;

// A matrix within a larger array, its entries numbers or whole registers; those of a row, or of a column, side by side
// or not.
template <class T, class Entry>
struct Array {
    static constexpr int LANES = sizeof(Entry) / sizeof(T);
    int rows, columns, row, column;
    std::vector<Entry> all;

    Array(int rows, int columns, int layout) : rows(rows), columns(columns) {
        const int steps[4][2] = {{columns, 1}, {1, rows}, {columns + 3, 1}, {2, 2 * rows + 1}};
        row = steps[layout % 4][0];
        column = steps[layout % 4][1];
        all.resize((rows - 1) * row + (columns - 1) * column + 1 + 2 * MARGIN);
        for (int k = 0; k < size(); ++k) numbers()[k] = T(UNTOUCHED);
        std::uniform_real_distribution<double> uniform(-1, 1);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j)
                for (int w = 0; w < LANES; ++w) (*this)(i, j, w) = T(uniform(generator));
    }
    View<Entry> view() { return {all.data() + MARGIN, row, column}; }
    View<const Entry> constant() { return view(); }
    T* numbers() { return reinterpret_cast<T*>(all.data()); }
    int size() const { return int(all.size()) * LANES; }
    T& operator()(int i, int j, int w = 0) { return reinterpret_cast<T*>(&view()(i, j))[w]; }
};

// Whether the entries of y are sums of terms, and of what was there if they were added, to rounding, and all else
// untouched.
template <class T, class Entry, class Terms>
void compare(const char* what, Array<T, Entry> y, Array<T, Entry> before, bool added, int n_terms, Terms terms) {
    int wrong = 0, touched = 0;
    for (int i = 0; i < y.rows; ++i)
        for (int j = 0; j < y.columns; ++j)
            for (int w = 0; w < y.LANES; ++w) {
                double sum = added ? double(before(i, j, w)) : 0, size = std::abs(sum);
                terms(i, j, w, [&](double term) { sum += term, size += std::abs(term); });
                const double bound = (n_terms + 2) * double(std::numeric_limits<T>::epsilon()) * size;
                wrong += !(std::abs(y(i, j, w) - sum) <= bound);
                y(i, j, w) = T(UNTOUCHED);
            }
    for (int k = 0; k < y.size(); ++k) touched += y.numbers()[k] != T(UNTOUCHED);
    if (wrong + touched == 0) return;
    ++n_wrong;
    std::printf("%s, %zu bytes, %d x %d, %d terms: %d wrong numbers, %d beside the target\n", what, sizeof(T), y.rows,
                y.columns, n_terms, wrong, touched);
}

template <class T>
void test_products(int rows, int inner, int columns, int layout, bool add) {
    using V = Vector<T>;
    Array<T, V> x(rows, inner, layout), y(rows, columns, layout / 4), before = y;
    Array<T, T> u(inner, columns, layout / 16);
    (add ? add_product<T> : multiply<T>)(rows, inner, columns, x.constant(), u.constant(), y.view());
    compare(add ? "add_product" : "multiply", y, before, add, inner, [&](int i, int j, int w, auto work) {
        for (int k = 0; k < inner; ++k) work(double(x(i, k, w)) * double(u(k, j)));
    });
}

template <class T>
void test_left_product(int rows, int inner, int columns, int layout) {
    using V = Vector<T>;
    Array<T, T> a(rows, inner, layout);
    Array<T, V> b(inner, columns, layout & 2), c(rows, columns, layout / 2 & 2),
        before = c;  // registers of a row side by side
    add_left_product<T>(rows, inner, columns, a.constant(), b.constant(), c.view());
    compare("add_left_product", c, before, true, inner, [&](int i, int j, int w, auto work) {
        for (int k = 0; k < inner; ++k) work(double(a(i, k)) * double(b(k, j, w)));
    });
}

template <class T, size_t D>
void test_outer_product(int rows, int n_x, int n_y, int layout) {
    using V = Vector<T>;
    std::vector<Array<T, V>> x, y;
    std::array<ConstRegisters<T>, D> xs, ys;
    for (size_t d = 0; d < D; ++d) {
        x.emplace_back(rows, n_x, layout);
        y.emplace_back(rows, n_y, layout / 4);
    }
    for (size_t d = 0; d < D; ++d) {
        xs[d] = x[d].constant();
        ys[d] = y[d].constant();
    }
    Array<T, T> s(n_x, n_y, layout / 16), before = s;
    add_outer_product<T, D>(rows, xs, n_x, ys, n_y, s.view());
    compare("add_outer_product", s, before, true, int(D) * rows * LANES<T>, [&](int i, int j, int, auto work) {
        for (size_t d = 0; d < D; ++d)
            for (int m = 0; m < rows; ++m)
                for (int w = 0; w < LANES<T>; ++w) work(double(x[d](m, i, w)) * double(y[d](m, j, w)));
    });
}

template <class T>
void test_all() {
    for (int rows = 1; rows <= MOST; ++rows)
        for (int columns = 1; columns <= MOST; ++columns) {
            const int inner = 1 + (17 * rows + 7 * columns) % MOST, layout = int(generator() % 64);
            test_products<T>(rows, inner, columns, layout, layout % 3 == 0);
            test_left_product<T>(rows, inner, columns, layout);
            if (layout % 4 == 0) test_outer_product<T, 1>(1 + inner % 9, rows, columns, layout / 2);
            if (layout % 4 == 1) test_outer_product<T, 2>(1 + inner % 9, rows, columns, layout / 2);
        }
    for (int inner = 0; inner <= MOST; ++inner)  // no terms: y = 0, or y as it was
        for (int size = 1; size <= 9; ++size) {
            test_products<T>(size, inner, 10 - size, inner, size % 2);
            test_left_product<T>(size, inner, 10 - size, inner);
        }
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    return n_wrong > 0;
}
