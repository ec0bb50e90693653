// Written by scripts/write_operators.py from the table of operators, nnpot/native/table.py: the compiled functions as
// operators of PyTorch for programs without Python, with the names, arguments and checks that they have in Python.

#include "../../native/api.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <string>

namespace {

using at::Tensor;

void check(const char* name, int answer) { TORCH_CHECK(answer == 1, "nnpot: ", name, ": ", nnpot_meaning(answer)); }

// Complains about a tensor that C would read as something else.
void expect(const char* name, const Tensor& x, at::ScalarType type, at::IntArrayRef shape) {
    TORCH_CHECK(x.scalar_type() == type, "nnpot: ", name, " must be ", type, ", got ", x.scalar_type());
    TORCH_CHECK(x.sizes() == shape, "nnpot: ", name, " must be of shape ", shape, ", got ", x.sizes());
    TORCH_CHECK(x.is_contiguous() && x.is_cpu(), "nnpot: ", name, " must be contiguous and on the CPU");
}

int64_t size(const Tensor& x, int64_t dimension) { return x.dim() > dimension ? x.size(dimension) : -1; }

at::ScalarType checked(const char* name, at::ScalarType real) {
    TORCH_CHECK(real == at::kFloat || real == at::kDouble, "nnpot: ", name, " is not compiled for ", real);
    return real;
}

Tensor density(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& weights, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max) {
    const at::ScalarType real = checked("density", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("density: vectors", vectors, real, {n_pairs, 3});
    expect("density: starts", starts, at::kLong, {n_centers + 1});
    expect("density: neighbors", neighbors, at::kLong, {n_pairs});
    expect("density: species", species, at::kLong, {n_atoms});
    expect("density: weights", weights, real, {n_elements, n_weights});
    TORCH_CHECK(0 < cutoff, "nnpot: density: cutoff must be positive, got ", cutoff);
    auto out = at::empty({n_centers, (l_max + 1) * (l_max + 1), n_weights * n_radial}, vectors.options());
    check("density", nnpot_density(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        weights.const_data_ptr(), n_elements, n_weights, cutoff, n_radial, l_max, out.mutable_data_ptr()));
    return out;
}

Tensor density_tangent(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& weights, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max,
    const Tensor& places, const Tensor& coefficients, int64_t n_entries, const Tensor& direction) {
    const at::ScalarType real = checked("density_tangent", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("density_tangent: vectors", vectors, real, {n_pairs, 3});
    expect("density_tangent: starts", starts, at::kLong, {n_centers + 1});
    expect("density_tangent: neighbors", neighbors, at::kLong, {n_pairs});
    expect("density_tangent: species", species, at::kLong, {n_atoms});
    expect("density_tangent: weights", weights, real, {n_elements, n_weights});
    TORCH_CHECK(0 < cutoff, "nnpot: density_tangent: cutoff must be positive, got ", cutoff);
    expect("density_tangent: places", places, at::kInt, {n_entries, 3});
    expect("density_tangent: coefficients", coefficients, at::kDouble, {n_entries});
    expect("density_tangent: direction", direction, real, {n_pairs, 3});
    auto out = at::empty({n_centers, (l_max + 1) * (l_max + 1), n_weights * n_radial}, vectors.options());
    check("density_tangent", nnpot_density_tangent(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        weights.const_data_ptr(), n_elements, n_weights, cutoff, n_radial, l_max, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, direction.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor density_pullback(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& weights, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max,
    const Tensor& places, const Tensor& coefficients, int64_t n_entries, const Tensor& bar) {
    const at::ScalarType real = checked("density_pullback", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("density_pullback: vectors", vectors, real, {n_pairs, 3});
    expect("density_pullback: starts", starts, at::kLong, {n_centers + 1});
    expect("density_pullback: neighbors", neighbors, at::kLong, {n_pairs});
    expect("density_pullback: species", species, at::kLong, {n_atoms});
    expect("density_pullback: weights", weights, real, {n_elements, n_weights});
    TORCH_CHECK(0 < cutoff, "nnpot: density_pullback: cutoff must be positive, got ", cutoff);
    expect("density_pullback: places", places, at::kInt, {n_entries, 3});
    expect("density_pullback: coefficients", coefficients, at::kDouble, {n_entries});
    expect("density_pullback: bar", bar, real, {n_centers, (l_max + 1) * (l_max + 1), n_weights * n_radial});
    auto out = at::zeros({n_pairs, 3}, vectors.options());
    check("density_pullback", nnpot_density_pullback(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        weights.const_data_ptr(), n_elements, n_weights, cutoff, n_radial, l_max, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor acsf(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& sizes, const Tensor& numbers, int64_t n_functions) {
    const at::ScalarType real = checked("acsf", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    const int64_t n_sizes = size(sizes, 0);
    const int64_t n_numbers = size(numbers, 0);
    expect("acsf: vectors", vectors, real, {n_pairs, 3});
    expect("acsf: starts", starts, at::kLong, {n_centers + 1});
    expect("acsf: neighbors", neighbors, at::kLong, {n_pairs});
    expect("acsf: species", species, at::kLong, {n_atoms});
    expect("acsf: sizes", sizes, at::kLong, {n_sizes});
    expect("acsf: numbers", numbers, at::kDouble, {n_numbers});
    auto out = at::empty({n_centers, n_functions}, vectors.options());
    check("acsf", nnpot_acsf(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, n_sizes, n_numbers,
        vectors.const_data_ptr(), starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(),
        species.const_data_ptr<int64_t>(), sizes.const_data_ptr<int64_t>(), numbers.const_data_ptr<double>(),
        n_functions, out.mutable_data_ptr()));
    return out;
}

Tensor acsf_tangent(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& sizes, const Tensor& numbers, int64_t n_functions, const Tensor& direction) {
    const at::ScalarType real = checked("acsf_tangent", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    const int64_t n_sizes = size(sizes, 0);
    const int64_t n_numbers = size(numbers, 0);
    expect("acsf_tangent: vectors", vectors, real, {n_pairs, 3});
    expect("acsf_tangent: starts", starts, at::kLong, {n_centers + 1});
    expect("acsf_tangent: neighbors", neighbors, at::kLong, {n_pairs});
    expect("acsf_tangent: species", species, at::kLong, {n_atoms});
    expect("acsf_tangent: sizes", sizes, at::kLong, {n_sizes});
    expect("acsf_tangent: numbers", numbers, at::kDouble, {n_numbers});
    expect("acsf_tangent: direction", direction, real, {n_pairs, 3});
    auto out = at::empty({n_centers, n_functions}, vectors.options());
    check("acsf_tangent", nnpot_acsf_tangent(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, n_sizes, n_numbers,
        vectors.const_data_ptr(), starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(),
        species.const_data_ptr<int64_t>(), sizes.const_data_ptr<int64_t>(), numbers.const_data_ptr<double>(),
        n_functions, direction.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor acsf_pullback(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& sizes, const Tensor& numbers, int64_t n_functions, const Tensor& bar) {
    const at::ScalarType real = checked("acsf_pullback", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    const int64_t n_sizes = size(sizes, 0);
    const int64_t n_numbers = size(numbers, 0);
    expect("acsf_pullback: vectors", vectors, real, {n_pairs, 3});
    expect("acsf_pullback: starts", starts, at::kLong, {n_centers + 1});
    expect("acsf_pullback: neighbors", neighbors, at::kLong, {n_pairs});
    expect("acsf_pullback: species", species, at::kLong, {n_atoms});
    expect("acsf_pullback: sizes", sizes, at::kLong, {n_sizes});
    expect("acsf_pullback: numbers", numbers, at::kDouble, {n_numbers});
    expect("acsf_pullback: bar", bar, real, {n_centers, n_functions});
    auto out = at::zeros({n_pairs, 3}, vectors.options());
    check("acsf_pullback", nnpot_acsf_pullback(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, n_sizes, n_numbers,
        vectors.const_data_ptr(), starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(),
        species.const_data_ptr<int64_t>(), sizes.const_data_ptr<int64_t>(), numbers.const_data_ptr<double>(),
        n_functions, bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor networks(
    const Tensor& features, const Tensor& species, const Tensor& mean, const Tensor& inverse, const Tensor& weights,
    const Tensor& sizes, const Tensor& functions, int64_t n_elements, int64_t n_layers, int64_t linear) {
    const at::ScalarType real = checked("networks", features.scalar_type());
    const int64_t n_atoms = size(features, 0);
    const int64_t n_features = size(features, 1);
    const int64_t n_weights = size(weights, 0);
    expect("networks: features", features, real, {n_atoms, n_features});
    expect("networks: species", species, at::kLong, {n_atoms});
    expect("networks: mean", mean, real, {n_elements, n_features});
    expect("networks: inverse", inverse, real, {n_elements, n_features});
    expect("networks: weights", weights, real, {n_weights});
    expect("networks: sizes", sizes, at::kLong, {n_layers + 1});
    expect("networks: functions", functions, at::kLong, {n_layers - 1});
    auto out = at::empty({n_atoms * (n_features + 1)}, features.options());
    check("networks", nnpot_networks(
        features.element_size(), at::get_num_threads(), n_atoms, n_features, n_weights, features.const_data_ptr(),
        species.const_data_ptr<int64_t>(), mean.const_data_ptr(), inverse.const_data_ptr(),
        weights.const_data_ptr(), sizes.const_data_ptr<int64_t>(), functions.const_data_ptr<int64_t>(), n_elements,
        n_layers, linear, out.mutable_data_ptr()));
    return out;
}

Tensor networks_with_hidden(
    const Tensor& features, const Tensor& species, const Tensor& mean, const Tensor& inverse, const Tensor& weights,
    const Tensor& sizes, const Tensor& functions, int64_t n_elements, int64_t n_layers, int64_t linear,
    int64_t n_hidden) {
    const at::ScalarType real = checked("networks_with_hidden", features.scalar_type());
    const int64_t n_atoms = size(features, 0);
    const int64_t n_features = size(features, 1);
    const int64_t n_weights = size(weights, 0);
    expect("networks_with_hidden: features", features, real, {n_atoms, n_features});
    expect("networks_with_hidden: species", species, at::kLong, {n_atoms});
    expect("networks_with_hidden: mean", mean, real, {n_elements, n_features});
    expect("networks_with_hidden: inverse", inverse, real, {n_elements, n_features});
    expect("networks_with_hidden: weights", weights, real, {n_weights});
    expect("networks_with_hidden: sizes", sizes, at::kLong, {n_layers + 1});
    expect("networks_with_hidden: functions", functions, at::kLong, {n_layers - 1});
    auto out = at::empty({n_atoms * (n_features + 1 + n_hidden)}, features.options());
    check("networks_with_hidden", nnpot_networks_with_hidden(
        features.element_size(), at::get_num_threads(), n_atoms, n_features, n_weights, features.const_data_ptr(),
        species.const_data_ptr<int64_t>(), mean.const_data_ptr(), inverse.const_data_ptr(),
        weights.const_data_ptr(), sizes.const_data_ptr<int64_t>(), functions.const_data_ptr<int64_t>(), n_elements,
        n_layers, linear, n_hidden, out.mutable_data_ptr()));
    return out;
}

Tensor networks_gradient(
    const Tensor& features, const Tensor& species, const Tensor& mean, const Tensor& inverse, const Tensor& weights,
    const Tensor& sizes, const Tensor& functions, int64_t n_elements, int64_t n_layers, int64_t linear,
    const Tensor& h_bar, const Tensor& direction) {
    const at::ScalarType real = checked("networks_gradient", features.scalar_type());
    const int64_t n_atoms = size(features, 0);
    const int64_t n_features = size(features, 1);
    const int64_t n_weights = size(weights, 0);
    expect("networks_gradient: features", features, real, {n_atoms, n_features});
    expect("networks_gradient: species", species, at::kLong, {n_atoms});
    expect("networks_gradient: mean", mean, real, {n_elements, n_features});
    expect("networks_gradient: inverse", inverse, real, {n_elements, n_features});
    expect("networks_gradient: weights", weights, real, {n_weights});
    expect("networks_gradient: sizes", sizes, at::kLong, {n_layers + 1});
    expect("networks_gradient: functions", functions, at::kLong, {n_layers - 1});
    expect("networks_gradient: h_bar", h_bar, real, {n_atoms});
    expect("networks_gradient: direction", direction, real, {n_atoms, n_features});
    auto out = at::empty({n_atoms * n_features + n_weights}, features.options());
    check("networks_gradient", nnpot_networks_gradient(
        features.element_size(), at::get_num_threads(), n_atoms, n_features, n_weights, features.const_data_ptr(),
        species.const_data_ptr<int64_t>(), mean.const_data_ptr(), inverse.const_data_ptr(),
        weights.const_data_ptr(), sizes.const_data_ptr<int64_t>(), functions.const_data_ptr<int64_t>(), n_elements,
        n_layers, linear, h_bar.const_data_ptr(), direction.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor uncertainty(
    const Tensor& hidden, const Tensor& species, const Tensor& table, int64_t n_elements, int64_t clusters,
    int64_t directions) {
    const at::ScalarType real = checked("uncertainty", hidden.scalar_type());
    const int64_t n_atoms = size(hidden, 0);
    const int64_t width = size(hidden, 1);
    expect("uncertainty: hidden", hidden, real, {n_atoms, width});
    expect("uncertainty: species", species, at::kLong, {n_atoms});
    expect("uncertainty: table", table, real, {n_elements, width + 1, clusters * directions + width + 1});
    auto out = at::empty({n_atoms * (width + 3)}, hidden.options());
    check("uncertainty", nnpot_uncertainty(
        hidden.element_size(), at::get_num_threads(), n_atoms, width, hidden.const_data_ptr(),
        species.const_data_ptr<int64_t>(), table.const_data_ptr(), n_elements, clusters, directions,
        out.mutable_data_ptr()));
    return out;
}

Tensor invariants(
    const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair, const Tensor& product,
    const Tensor& product_pair, int64_t n_elements, int64_t n_in, int64_t n_channels, int64_t body_order,
    int64_t l_max) {
    const at::ScalarType real = checked("invariants", values.scalar_type());
    const int64_t n_atoms = size(values, 0);
    expect("invariants: values", values, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    expect("invariants: species", species, at::kLong, {n_atoms});
    expect("invariants: channels", channels, real, {n_elements, l_max + 1, n_in, n_channels});
    expect("invariants: pair", pair, real, {(body_order > 2) * (l_max + 1), n_channels, n_channels});
    expect("invariants: product", product, real, {(body_order > 3) * (l_max + 1), n_channels, n_channels});
    expect("invariants: product_pair", product_pair, real, {(body_order > 4) * (l_max + 1), n_channels, n_channels});
    auto out = at::empty({n_atoms, n_channels * (1 + (body_order - 2) * (l_max + 1))}, values.options());
    check("invariants", nnpot_invariants(
        values.element_size(), at::get_num_threads(), n_atoms, values.const_data_ptr(),
        species.const_data_ptr<int64_t>(), channels.const_data_ptr(), pair.const_data_ptr(),
        product.const_data_ptr(), product_pair.const_data_ptr(), n_elements, n_in, n_channels, body_order, l_max,
        out.mutable_data_ptr()));
    return out;
}

Tensor invariants_tangent(
    const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair, const Tensor& product,
    const Tensor& product_pair, int64_t n_elements, int64_t n_in, int64_t n_channels, int64_t body_order,
    int64_t l_max, const Tensor& direction) {
    const at::ScalarType real = checked("invariants_tangent", values.scalar_type());
    const int64_t n_atoms = size(values, 0);
    expect("invariants_tangent: values", values, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    expect("invariants_tangent: species", species, at::kLong, {n_atoms});
    expect("invariants_tangent: channels", channels, real, {n_elements, l_max + 1, n_in, n_channels});
    expect("invariants_tangent: pair", pair, real, {(body_order > 2) * (l_max + 1), n_channels, n_channels});
    expect("invariants_tangent: product", product, real, {(body_order > 3) * (l_max + 1), n_channels, n_channels});
    expect(
        "invariants_tangent: product_pair", product_pair, real, {(body_order > 4) * (l_max + 1), n_channels,
        n_channels});
    expect("invariants_tangent: direction", direction, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    auto out = at::empty({n_atoms, n_channels * (1 + (body_order - 2) * (l_max + 1))}, values.options());
    check("invariants_tangent", nnpot_invariants_tangent(
        values.element_size(), at::get_num_threads(), n_atoms, values.const_data_ptr(),
        species.const_data_ptr<int64_t>(), channels.const_data_ptr(), pair.const_data_ptr(),
        product.const_data_ptr(), product_pair.const_data_ptr(), n_elements, n_in, n_channels, body_order, l_max,
        direction.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor invariants_pullback(
    const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair, const Tensor& product,
    const Tensor& product_pair, int64_t n_elements, int64_t n_in, int64_t n_channels, int64_t body_order,
    int64_t l_max, const Tensor& features_bar) {
    const at::ScalarType real = checked("invariants_pullback", values.scalar_type());
    const int64_t n_atoms = size(values, 0);
    expect("invariants_pullback: values", values, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    expect("invariants_pullback: species", species, at::kLong, {n_atoms});
    expect("invariants_pullback: channels", channels, real, {n_elements, l_max + 1, n_in, n_channels});
    expect("invariants_pullback: pair", pair, real, {(body_order > 2) * (l_max + 1), n_channels, n_channels});
    expect("invariants_pullback: product", product, real, {(body_order > 3) * (l_max + 1), n_channels, n_channels});
    expect(
        "invariants_pullback: product_pair", product_pair, real, {(body_order > 4) * (l_max + 1), n_channels,
        n_channels});
    expect(
        "invariants_pullback: features_bar", features_bar, real, {n_atoms,
        n_channels * (1 + (body_order - 2) * (l_max + 1))});
    auto out = at::empty({n_atoms, (l_max + 1) * (l_max + 1), n_in}, values.options());
    check("invariants_pullback", nnpot_invariants_pullback(
        values.element_size(), at::get_num_threads(), n_atoms, values.const_data_ptr(),
        species.const_data_ptr<int64_t>(), channels.const_data_ptr(), pair.const_data_ptr(),
        product.const_data_ptr(), product_pair.const_data_ptr(), n_elements, n_in, n_channels, body_order, l_max,
        features_bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor invariants_gradient(
    const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair, const Tensor& product,
    const Tensor& product_pair, int64_t n_elements, int64_t n_in, int64_t n_channels, int64_t body_order,
    int64_t l_max, int64_t with_values, const Tensor& direction, const Tensor& features_bar,
    const Tensor& tangent_bar) {
    const at::ScalarType real = checked("invariants_gradient", values.scalar_type());
    const int64_t n_atoms = size(values, 0);
    expect("invariants_gradient: values", values, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    expect("invariants_gradient: species", species, at::kLong, {n_atoms});
    expect("invariants_gradient: channels", channels, real, {n_elements, l_max + 1, n_in, n_channels});
    expect("invariants_gradient: pair", pair, real, {(body_order > 2) * (l_max + 1), n_channels, n_channels});
    expect("invariants_gradient: product", product, real, {(body_order > 3) * (l_max + 1), n_channels, n_channels});
    expect(
        "invariants_gradient: product_pair", product_pair, real, {(body_order > 4) * (l_max + 1), n_channels,
        n_channels});
    expect("invariants_gradient: direction", direction, real, {n_atoms, (l_max + 1) * (l_max + 1), n_in});
    expect(
        "invariants_gradient: features_bar", features_bar, real, {n_atoms,
        n_channels * (1 + (body_order - 2) * (l_max + 1))});
    expect(
        "invariants_gradient: tangent_bar", tangent_bar, real, {n_atoms,
        n_channels * (1 + (body_order - 2) * (l_max + 1))});
    auto out = at::empty(
        {(l_max + 1) * n_channels * (n_elements * n_in + (body_order - 2) * n_channels) + (with_values != 0) * n_atoms * (l_max + 1) * (l_max + 1) * n_in},
        values.options());
    check("invariants_gradient", nnpot_invariants_gradient(
        values.element_size(), at::get_num_threads(), n_atoms, values.const_data_ptr(),
        species.const_data_ptr<int64_t>(), channels.const_data_ptr(), pair.const_data_ptr(),
        product.const_data_ptr(), product_pair.const_data_ptr(), n_elements, n_in, n_channels, body_order, l_max,
        with_values, direction.const_data_ptr(), features_bar.const_data_ptr(), tangent_bar.const_data_ptr(),
        out.mutable_data_ptr()));
    return out;
}

Tensor weighted_density(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& element_weights, const Tensor& density_of_atoms, const Tensor& projection,
    const Tensor& hidden, const Tensor& outer, int64_t n_elements, int64_t n_weights, double cutoff,
    int64_t n_radial, int64_t l_max, int64_t n_seen, int64_t n_channels, int64_t n_units, const Tensor& places,
    const Tensor& coefficients, int64_t n_entries) {
    const at::ScalarType real = checked("weighted_density", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("weighted_density: vectors", vectors, real, {n_pairs, 3});
    expect("weighted_density: starts", starts, at::kLong, {n_centers + 1});
    expect("weighted_density: neighbors", neighbors, at::kLong, {n_pairs});
    expect("weighted_density: species", species, at::kLong, {n_atoms});
    expect("weighted_density: centers", centers, at::kLong, {n_centers});
    expect("weighted_density: element_weights", element_weights, real, {n_elements, n_weights});
    expect(
        "weighted_density: density_of_atoms", density_of_atoms, real, {n_centers, (l_max + 1) * (l_max + 1),
        n_seen});
    expect("weighted_density: projection", projection, real, {n_elements, l_max + 1, n_seen, n_channels});
    expect(
        "weighted_density: hidden", hidden, real, {n_elements, n_units,
        n_weights * n_radial + (l_max + 1) * n_channels + 1});
    expect("weighted_density: outer", outer, real, {n_elements, n_channels, n_units + 1});
    TORCH_CHECK(0 < cutoff, "nnpot: weighted_density: cutoff must be positive, got ", cutoff);
    expect("weighted_density: places", places, at::kInt, {n_entries, 3});
    expect("weighted_density: coefficients", coefficients, at::kDouble, {n_entries});
    auto out = at::empty({n_centers, (l_max + 1) * (l_max + 1), n_channels}, vectors.options());
    check("weighted_density", nnpot_weighted_density(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), element_weights.const_data_ptr(), density_of_atoms.const_data_ptr(),
        projection.const_data_ptr(), hidden.const_data_ptr(), outer.const_data_ptr(), n_elements, n_weights, cutoff,
        n_radial, l_max, n_seen, n_channels, n_units, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, out.mutable_data_ptr()));
    return out;
}

Tensor weighted_density_pullback(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& element_weights, const Tensor& density_of_atoms, const Tensor& projection,
    const Tensor& hidden, const Tensor& outer, int64_t n_elements, int64_t n_weights, double cutoff,
    int64_t n_radial, int64_t l_max, int64_t n_seen, int64_t n_channels, int64_t n_units, const Tensor& places,
    const Tensor& coefficients, int64_t n_entries, const Tensor& bar) {
    const at::ScalarType real = checked("weighted_density_pullback", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("weighted_density_pullback: vectors", vectors, real, {n_pairs, 3});
    expect("weighted_density_pullback: starts", starts, at::kLong, {n_centers + 1});
    expect("weighted_density_pullback: neighbors", neighbors, at::kLong, {n_pairs});
    expect("weighted_density_pullback: species", species, at::kLong, {n_atoms});
    expect("weighted_density_pullback: centers", centers, at::kLong, {n_centers});
    expect("weighted_density_pullback: element_weights", element_weights, real, {n_elements, n_weights});
    expect(
        "weighted_density_pullback: density_of_atoms", density_of_atoms, real, {n_centers,
        (l_max + 1) * (l_max + 1), n_seen});
    expect("weighted_density_pullback: projection", projection, real, {n_elements, l_max + 1, n_seen, n_channels});
    expect(
        "weighted_density_pullback: hidden", hidden, real, {n_elements, n_units,
        n_weights * n_radial + (l_max + 1) * n_channels + 1});
    expect("weighted_density_pullback: outer", outer, real, {n_elements, n_channels, n_units + 1});
    TORCH_CHECK(0 < cutoff, "nnpot: weighted_density_pullback: cutoff must be positive, got ", cutoff);
    expect("weighted_density_pullback: places", places, at::kInt, {n_entries, 3});
    expect("weighted_density_pullback: coefficients", coefficients, at::kDouble, {n_entries});
    expect("weighted_density_pullback: bar", bar, real, {n_centers, (l_max + 1) * (l_max + 1), n_channels});
    auto out = at::zeros({3 * n_pairs + n_centers * (l_max + 1) * (l_max + 1) * n_seen}, vectors.options());
    check("weighted_density_pullback", nnpot_weighted_density_pullback(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), element_weights.const_data_ptr(), density_of_atoms.const_data_ptr(),
        projection.const_data_ptr(), hidden.const_data_ptr(), outer.const_data_ptr(), n_elements, n_weights, cutoff,
        n_radial, l_max, n_seen, n_channels, n_units, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor weighted_density_gradient(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& element_weights, const Tensor& density_of_atoms, const Tensor& projection,
    const Tensor& hidden, const Tensor& outer, int64_t n_elements, int64_t n_weights, double cutoff,
    int64_t n_radial, int64_t l_max, int64_t n_seen, int64_t n_channels, int64_t n_units, const Tensor& places,
    const Tensor& coefficients, int64_t n_entries, const Tensor& bar) {
    const at::ScalarType real = checked("weighted_density_gradient", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("weighted_density_gradient: vectors", vectors, real, {n_pairs, 3});
    expect("weighted_density_gradient: starts", starts, at::kLong, {n_centers + 1});
    expect("weighted_density_gradient: neighbors", neighbors, at::kLong, {n_pairs});
    expect("weighted_density_gradient: species", species, at::kLong, {n_atoms});
    expect("weighted_density_gradient: centers", centers, at::kLong, {n_centers});
    expect("weighted_density_gradient: element_weights", element_weights, real, {n_elements, n_weights});
    expect(
        "weighted_density_gradient: density_of_atoms", density_of_atoms, real, {n_centers,
        (l_max + 1) * (l_max + 1), n_seen});
    expect("weighted_density_gradient: projection", projection, real, {n_elements, l_max + 1, n_seen, n_channels});
    expect(
        "weighted_density_gradient: hidden", hidden, real, {n_elements, n_units,
        n_weights * n_radial + (l_max + 1) * n_channels + 1});
    expect("weighted_density_gradient: outer", outer, real, {n_elements, n_channels, n_units + 1});
    TORCH_CHECK(0 < cutoff, "nnpot: weighted_density_gradient: cutoff must be positive, got ", cutoff);
    expect("weighted_density_gradient: places", places, at::kInt, {n_entries, 3});
    expect("weighted_density_gradient: coefficients", coefficients, at::kDouble, {n_entries});
    expect("weighted_density_gradient: bar", bar, real, {n_centers, (l_max + 1) * (l_max + 1), n_channels});
    auto out = at::empty(
        {n_centers * (l_max + 1) * (l_max + 1) * n_seen + n_elements * ((l_max + 1) * n_seen * n_channels + n_units * (n_weights * n_radial + (l_max + 1) * n_channels + 1) + n_channels * (n_units + 1))},
        vectors.options());
    check("weighted_density_gradient", nnpot_weighted_density_gradient(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), element_weights.const_data_ptr(), density_of_atoms.const_data_ptr(),
        projection.const_data_ptr(), hidden.const_data_ptr(), outer.const_data_ptr(), n_elements, n_weights, cutoff,
        n_radial, l_max, n_seen, n_channels, n_units, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor weighted_density_pullback_gradient(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& element_weights, const Tensor& density_of_atoms, const Tensor& projection,
    const Tensor& hidden, const Tensor& outer, int64_t n_elements, int64_t n_weights, double cutoff,
    int64_t n_radial, int64_t l_max, int64_t n_seen, int64_t n_channels, int64_t n_units, const Tensor& places,
    const Tensor& coefficients, int64_t n_entries, const Tensor& bar, const Tensor& vectors_change,
    const Tensor& density_change) {
    const at::ScalarType real = checked("weighted_density_pullback_gradient", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("weighted_density_pullback_gradient: vectors", vectors, real, {n_pairs, 3});
    expect("weighted_density_pullback_gradient: starts", starts, at::kLong, {n_centers + 1});
    expect("weighted_density_pullback_gradient: neighbors", neighbors, at::kLong, {n_pairs});
    expect("weighted_density_pullback_gradient: species", species, at::kLong, {n_atoms});
    expect("weighted_density_pullback_gradient: centers", centers, at::kLong, {n_centers});
    expect("weighted_density_pullback_gradient: element_weights", element_weights, real, {n_elements, n_weights});
    expect(
        "weighted_density_pullback_gradient: density_of_atoms", density_of_atoms, real, {n_centers,
        (l_max + 1) * (l_max + 1), n_seen});
    expect(
        "weighted_density_pullback_gradient: projection", projection, real, {n_elements, l_max + 1, n_seen,
        n_channels});
    expect(
        "weighted_density_pullback_gradient: hidden", hidden, real, {n_elements, n_units,
        n_weights * n_radial + (l_max + 1) * n_channels + 1});
    expect("weighted_density_pullback_gradient: outer", outer, real, {n_elements, n_channels, n_units + 1});
    TORCH_CHECK(0 < cutoff, "nnpot: weighted_density_pullback_gradient: cutoff must be positive, got ", cutoff);
    expect("weighted_density_pullback_gradient: places", places, at::kInt, {n_entries, 3});
    expect("weighted_density_pullback_gradient: coefficients", coefficients, at::kDouble, {n_entries});
    expect("weighted_density_pullback_gradient: bar", bar, real, {n_centers, (l_max + 1) * (l_max + 1), n_channels});
    expect("weighted_density_pullback_gradient: vectors_change", vectors_change, real, {n_pairs, 3});
    expect(
        "weighted_density_pullback_gradient: density_change", density_change, real, {n_centers,
        (l_max + 1) * (l_max + 1), n_seen});
    auto out = at::empty(
        {n_centers * (l_max + 1) * (l_max + 1) * n_channels + n_centers * (l_max + 1) * (l_max + 1) * n_seen + n_elements * ((l_max + 1) * n_seen * n_channels + n_units * (n_weights * n_radial + (l_max + 1) * n_channels + 1) + n_channels * (n_units + 1))},
        vectors.options());
    check("weighted_density_pullback_gradient", nnpot_weighted_density_pullback_gradient(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), element_weights.const_data_ptr(), density_of_atoms.const_data_ptr(),
        projection.const_data_ptr(), hidden.const_data_ptr(), outer.const_data_ptr(), n_elements, n_weights, cutoff,
        n_radial, l_max, n_seen, n_channels, n_units, places.const_data_ptr<int32_t>(),
        coefficients.const_data_ptr<double>(), n_entries, bar.const_data_ptr(), vectors_change.const_data_ptr(),
        density_change.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor forces(const Tensor& gradient, const Tensor& i, const Tensor& j, int64_t n_atoms) {
    const at::ScalarType real = checked("forces", gradient.scalar_type());
    const int64_t n_pairs = size(gradient, 0);
    expect("forces: gradient", gradient, real, {n_pairs, 3});
    expect("forces: i", i, at::kLong, {n_pairs});
    expect("forces: j", j, at::kLong, {n_pairs});
    auto out = at::zeros({n_atoms, 3}, gradient.options());
    check("forces", nnpot_forces(
        gradient.element_size(), at::get_num_threads(), n_pairs, gradient.const_data_ptr(),
        i.const_data_ptr<int64_t>(), j.const_data_ptr<int64_t>(), n_atoms, out.mutable_data_ptr()));
    return out;
}

Tensor core(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& table, int64_t n_elements) {
    const at::ScalarType real = checked("core", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("core: vectors", vectors, real, {n_pairs, 3});
    expect("core: starts", starts, at::kLong, {n_centers + 1});
    expect("core: neighbors", neighbors, at::kLong, {n_pairs});
    expect("core: species", species, at::kLong, {n_atoms});
    expect("core: centers", centers, at::kLong, {n_centers});
    expect("core: table", table, at::kDouble, {3, n_elements, n_elements});
    auto out = at::empty({3 * n_pairs + n_centers}, vectors.options());
    check("core", nnpot_core(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), table.const_data_ptr<double>(), n_elements, out.mutable_data_ptr()));
    return out;
}

Tensor core_reach(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& table, int64_t n_elements) {
    const at::ScalarType real = checked("core_reach", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("core_reach: vectors", vectors, real, {n_pairs, 3});
    expect("core_reach: starts", starts, at::kLong, {n_centers + 1});
    expect("core_reach: neighbors", neighbors, at::kLong, {n_pairs});
    expect("core_reach: species", species, at::kLong, {n_atoms});
    expect("core_reach: centers", centers, at::kLong, {n_centers});
    expect("core_reach: table", table, at::kDouble, {3, n_elements, n_elements});
    auto out = at::empty({1}, vectors.options());
    check("core_reach", nnpot_core_reach(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), table.const_data_ptr<double>(), n_elements, out.mutable_data_ptr()));
    return out;
}

Tensor core_tangent(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& table, int64_t n_elements, const Tensor& direction) {
    const at::ScalarType real = checked("core_tangent", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("core_tangent: vectors", vectors, real, {n_pairs, 3});
    expect("core_tangent: starts", starts, at::kLong, {n_centers + 1});
    expect("core_tangent: neighbors", neighbors, at::kLong, {n_pairs});
    expect("core_tangent: species", species, at::kLong, {n_atoms});
    expect("core_tangent: centers", centers, at::kLong, {n_centers});
    expect("core_tangent: table", table, at::kDouble, {3, n_elements, n_elements});
    expect("core_tangent: direction", direction, real, {n_pairs, 3});
    auto out = at::empty({3 * n_pairs + n_centers}, vectors.options());
    check("core_tangent", nnpot_core_tangent(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), table.const_data_ptr<double>(), n_elements, direction.const_data_ptr(),
        out.mutable_data_ptr()));
    return out;
}

Tensor core_pullback(
    const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
    const Tensor& centers, const Tensor& table, int64_t n_elements, const Tensor& bar) {
    const at::ScalarType real = checked("core_pullback", vectors.scalar_type());
    const int64_t n_centers = size(starts, 0) - 1;
    const int64_t n_pairs = size(vectors, 0);
    const int64_t n_atoms = size(species, 0);
    expect("core_pullback: vectors", vectors, real, {n_pairs, 3});
    expect("core_pullback: starts", starts, at::kLong, {n_centers + 1});
    expect("core_pullback: neighbors", neighbors, at::kLong, {n_pairs});
    expect("core_pullback: species", species, at::kLong, {n_atoms});
    expect("core_pullback: centers", centers, at::kLong, {n_centers});
    expect("core_pullback: table", table, at::kDouble, {3, n_elements, n_elements});
    expect("core_pullback: bar", bar, real, {3 * n_pairs + n_centers});
    auto out = at::empty({n_pairs, 3}, vectors.options());
    check("core_pullback", nnpot_core_pullback(
        vectors.element_size(), at::get_num_threads(), n_centers, n_pairs, n_atoms, vectors.const_data_ptr(),
        starts.const_data_ptr<int64_t>(), neighbors.const_data_ptr<int64_t>(), species.const_data_ptr<int64_t>(),
        centers.const_data_ptr<int64_t>(), table.const_data_ptr<double>(), n_elements, bar.const_data_ptr(),
        out.mutable_data_ptr()));
    return out;
}

// Unless Python has nnpot loaded in this process: then they are there already.
template <class Function>
void define(torch::Library& library, const char* name, const char* arguments, Function function) {
    if (c10::Dispatcher::singleton().findSchema({std::string("nnpot::") + name, ""})) return;
    const std::string schema = std::string(name) + "(" + arguments + ") -> Tensor";
    library.def(schema.c_str(), torch::dispatch(c10::DispatchKey::CPU, function));
}

const bool defined = [] {
    static torch::Library library(torch::Library::FRAGMENT, "nnpot", std::nullopt, __FILE__, __LINE__);
    define(library, "density",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor weights, int n_elements, "
           "int n_weights, float cutoff, int n_radial, int l_max",
           density);
    define(library, "density_tangent",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor weights, int n_elements, "
           "int n_weights, float cutoff, int n_radial, int l_max, Tensor places, Tensor coefficients, int n_entries, "
           "Tensor direction",
           density_tangent);
    define(library, "density_pullback",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor weights, int n_elements, "
           "int n_weights, float cutoff, int n_radial, int l_max, Tensor places, Tensor coefficients, int n_entries, "
           "Tensor bar",
           density_pullback);
    define(library, "acsf",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor sizes, Tensor numbers, "
           "int n_functions",
           acsf);
    define(library, "acsf_tangent",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor sizes, Tensor numbers, "
           "int n_functions, Tensor direction",
           acsf_tangent);
    define(library, "acsf_pullback",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor sizes, Tensor numbers, "
           "int n_functions, Tensor bar",
           acsf_pullback);
    define(library, "networks",
           "Tensor features, Tensor species, Tensor mean, Tensor inverse, Tensor weights, Tensor sizes, "
           "Tensor functions, int n_elements, int n_layers, int linear",
           networks);
    define(library, "networks_with_hidden",
           "Tensor features, Tensor species, Tensor mean, Tensor inverse, Tensor weights, Tensor sizes, "
           "Tensor functions, int n_elements, int n_layers, int linear, int n_hidden",
           networks_with_hidden);
    define(library, "networks_gradient",
           "Tensor features, Tensor species, Tensor mean, Tensor inverse, Tensor weights, Tensor sizes, "
           "Tensor functions, int n_elements, int n_layers, int linear, Tensor h_bar, Tensor direction",
           networks_gradient);
    define(library, "uncertainty",
           "Tensor hidden, Tensor species, Tensor table, int n_elements, int clusters, int directions",
           uncertainty);
    define(library, "invariants",
           "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "
           "int n_elements, int n_in, int n_channels, int body_order, int l_max",
           invariants);
    define(library, "invariants_tangent",
           "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "
           "int n_elements, int n_in, int n_channels, int body_order, int l_max, Tensor direction",
           invariants_tangent);
    define(library, "invariants_pullback",
           "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "
           "int n_elements, int n_in, int n_channels, int body_order, int l_max, Tensor features_bar",
           invariants_pullback);
    define(library, "invariants_gradient",
           "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "
           "int n_elements, int n_in, int n_channels, int body_order, int l_max, int with_values, Tensor direction, "
           "Tensor features_bar, Tensor tangent_bar",
           invariants_gradient);
    define(library, "weighted_density",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor element_weights, "
           "Tensor density_of_atoms, Tensor projection, Tensor hidden, Tensor outer, int n_elements, int n_weights, "
           "float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units, Tensor places, "
           "Tensor coefficients, int n_entries",
           weighted_density);
    define(library, "weighted_density_pullback",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor element_weights, "
           "Tensor density_of_atoms, Tensor projection, Tensor hidden, Tensor outer, int n_elements, int n_weights, "
           "float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units, Tensor places, "
           "Tensor coefficients, int n_entries, Tensor bar",
           weighted_density_pullback);
    define(library, "weighted_density_gradient",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor element_weights, "
           "Tensor density_of_atoms, Tensor projection, Tensor hidden, Tensor outer, int n_elements, int n_weights, "
           "float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units, Tensor places, "
           "Tensor coefficients, int n_entries, Tensor bar",
           weighted_density_gradient);
    define(library, "weighted_density_pullback_gradient",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor element_weights, "
           "Tensor density_of_atoms, Tensor projection, Tensor hidden, Tensor outer, int n_elements, int n_weights, "
           "float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units, Tensor places, "
           "Tensor coefficients, int n_entries, Tensor bar, Tensor vectors_change, Tensor density_change",
           weighted_density_pullback_gradient);
    define(library, "forces",
           "Tensor gradient, Tensor i, Tensor j, int n_atoms",
           forces);
    define(library, "core",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor table, "
           "int n_elements",
           core);
    define(library, "core_reach",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor table, "
           "int n_elements",
           core_reach);
    define(library, "core_tangent",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor table, "
           "int n_elements, Tensor direction",
           core_tangent);
    define(library, "core_pullback",
           "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species, Tensor centers, Tensor table, "
           "int n_elements, Tensor bar",
           core_pullback);
    return true;
}();

}  // namespace
