// The weights of weighted densities as they are kept: rows filled up to whole registers, as given and transposed.
#pragma once

#include "gemm.h"
#include "neighborhoods.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weighted_density {

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

// Rows of numbers, filled up to `width` registers; zeros in the beginning.
template <class T>
class Table {
    using V = Vector<T>;

  public:
    Table() = default;
    Table(int rows, int width) : width(width), registers(rows * width) {}

    V* row(int i) { return registers.data() + i * width; }
    const V* row(int i) const { return registers.data() + i * width; }
    T* numbers(int i = 0) { return reinterpret_cast<T*>(row(i)); }
    const T* numbers(int i = 0) const { return reinterpret_cast<const T*>(row(i)); }

    // From row i and register n on.
    Registers<T> from(int i, int n = 0) { return {row(i) + n, width, 1}; }
    ConstRegisters<T> from(int i, int n = 0) const { return {row(i) + n, width, 1}; }
    Numbers<T> numbers_from(int i, int n = 0) const { return {numbers(i) + n * LANES<T>, width * LANES<T>, 1}; }

    void clear() { clear(int(registers.size() / width)); }
    void clear(int rows) { std::fill_n(registers.begin(), rows * width, V{}); }

    // n numbers of each of the first rows as they are given; and back, added.
    void fill(const T* given, int rows, int n) {
        for (int i = 0; i < rows; ++i) std::copy_n(given + i * n, n, numbers(i));
    }
    void add_to(T* out, int rows, int n) const {
        for (int i = 0; i < rows; ++i)
            for (int k = 0; k < n; ++k) out[i * n + k] += numbers(i)[k];
    }

    // Rows of n numbers, as columns of another table.
    void transpose_to(Table& to, int rows, int n, int from_row = 0, int to_row = 0) const {
        for (int i = 0; i < rows; ++i)
            for (int k = 0; k < n; ++k) to.numbers(to_row + k)[i] = numbers(from_row + i)[k];
    }

    int width = 0;
    std::vector<V> registers;
};

// P, U and V of one element, or the sums for their gradients: rows for what comes in; biases apart.  U is there for R_k
// of a neighbour of every element, sum_q e_q U_(q k), and for u.
template <class T>
struct Weights {
    Table<T> projection, radial, hidden, hidden_bias, outer, outer_bias;
    Weights(const Shape& s, const Widths<T>& w)
        : projection(s.n_degrees() * s.n_seen, w.channels),
          radial(s.n_elements * s.basis.n_radial, w.units),
          hidden(w.directions * LANES<T>, w.units),
          hidden_bias(1, w.units),
          outer(w.units * LANES<T>, w.channels),
          outer_bias(1, w.channels) {}

    // Calls work(factor, number given, number kept) for all of U and V.
    template <class Given, class Work>
    void for_layers(const Shape& s, const Widths<T>& w, const T* element_weights, Given* u, Given* v, Work work) {
        const int K = s.basis.n_radial, n_directions = s.n_inputs() - s.n_in();
        for (int h = 0; h < s.n_units; ++h, ++u) {
            for (int q = 0; q < s.n_weights; ++q, u += K)
                for (int element = 0; element < s.n_elements; ++element) {
                    const T factor = element_weights[element * s.n_weights + q];
                    if (factor == 0) continue;
                    for (int k = 0; k < K; ++k) work(factor, u[k], radial.numbers(element * K + k)[h]);
                }
            for (int x = 0; x < n_directions; ++x) work(T(1), *u++, hidden.numbers(w.place(s, x))[h]);
            work(T(1), *u, hidden_bias.numbers()[h]);
        }
        for (int c = 0; c < s.n_channels; ++c, ++v) {
            for (int h = 0; h < s.n_units; ++h) work(T(1), *v++, outer.numbers(h)[c]);
            work(T(1), *v, outer_bias.numbers()[c]);
        }
    }
};

// The same as given, and transposed.
template <class T>
struct BothWays : Weights<T> {
    Table<T> projection_back, hidden_back, outer_back;
    BothWays(const Shape& s, const Widths<T>& w, const T* element_weights, const T* p, const T* u, const T* v)
        : Weights<T>(s, w),
          projection_back(s.n_degrees() * s.n_channels, w.seen),
          hidden_back(s.n_units, w.directions),
          outer_back(s.n_channels, w.units) {
        this->projection.fill(p, s.n_degrees() * s.n_seen, s.n_channels);
        this->for_layers(s, w, element_weights, u, v,
                         [](T factor, const T& given, T& kept) { kept += factor * given; });
        for (int l = 0; l < s.n_degrees(); ++l)
            this->projection.transpose_to(projection_back, s.n_seen, s.n_channels, l * s.n_seen, l * s.n_channels);
        this->hidden.transpose_to(hidden_back, w.directions * LANES<T>, s.n_units);
        this->outer.transpose_to(outer_back, s.n_units, s.n_channels);
    }
};

// What all functions of weighted densities are given.
template <class T>
struct Given {
    int64_t threads;
    Shape shape;
    Entries entries;
    Pairs<T> pairs;
    const int64_t* centers;    // element of each
    const T* element_weights;  // e, (s, q)
    const T* density;          // A, (N, L, n)
    Widths<T> widths;
    std::vector<BothWays<T>> weights;  // of each element
};

}  // namespace weighted_density
