// The compiled functions of descriptors as operators of PyTorch, for programs without Python: the same names and arguments
// as in nnpot/native/operators.py, as far as packages call them.

#include "../../native/api.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <string>

namespace {

using at::Tensor;

const int64_t* integers(const Tensor& x) { return x.const_data_ptr<int64_t>(); }

void check(int answer) { TORCH_CHECK(answer == 1, "nnpot: ", nnpot_meaning(answer)); }

// Calls function(bytes, threads, sizes, pairs, ...), and complains if something is wrong with what it is given.
template <class Function, class... Arguments>
void call(Function function, const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
          Arguments... arguments) {
    check(function(vectors.element_size(), at::get_num_threads(), starts.size(0) - 1, neighbors.size(0), species.size(0),
                   vectors.const_data_ptr(), integers(starts), integers(neighbors), integers(species), arguments...));
}

Tensor density(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
               const Tensor& weights, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial,
               int64_t l_max) {
    auto out = at::empty({starts.size(0) - 1, (l_max + 1) * (l_max + 1), n_weights * n_radial}, vectors.options());
    call(nnpot_density, vectors, starts, neighbors, species, weights.const_data_ptr(), n_elements, n_weights, cutoff,
         n_radial, l_max, out.mutable_data_ptr());
    return out;
}

Tensor density_pullback(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
                        const Tensor& weights, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial,
                        int64_t l_max, const Tensor& places, const Tensor& coefficients, int64_t n_entries,
                        const Tensor& bar) {
    auto out = at::zeros_like(vectors);
    call(nnpot_density_pullback, vectors, starts, neighbors, species, weights.const_data_ptr(), n_elements, n_weights,
         cutoff, n_radial, l_max, places.const_data_ptr<int32_t>(), coefficients.const_data_ptr<double>(), n_entries,
         bar.const_data_ptr(), out.mutable_data_ptr());
    return out;
}

Tensor acsf(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
            const Tensor& sizes, const Tensor& numbers, int64_t n_functions) {
    auto out = at::empty({starts.size(0) - 1, n_functions}, vectors.options());
    check(nnpot_acsf(vectors.element_size(), at::get_num_threads(), starts.size(0) - 1, neighbors.size(0), species.size(0),
                     sizes.size(0), numbers.size(0), vectors.const_data_ptr(), integers(starts), integers(neighbors),
                     integers(species), integers(sizes), numbers.const_data_ptr<double>(), n_functions,
                     out.mutable_data_ptr()));
    return out;
}

Tensor acsf_pullback(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
                     const Tensor& sizes, const Tensor& numbers, int64_t n_functions, const Tensor& bar) {
    auto out = at::zeros_like(vectors);
    check(nnpot_acsf_pullback(vectors.element_size(), at::get_num_threads(), starts.size(0) - 1, neighbors.size(0),
                              species.size(0), sizes.size(0), numbers.size(0), vectors.const_data_ptr(), integers(starts),
                              integers(neighbors), integers(species), integers(sizes), numbers.const_data_ptr<double>(),
                              n_functions, bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor networks(const Tensor& features, const Tensor& species, const Tensor& mean, const Tensor& inverse,
                const Tensor& weights, const Tensor& sizes, const Tensor& functions, int64_t n_elements, int64_t n_layers,
                int64_t linear) {
    auto out = at::empty({features.size(0) * (features.size(1) + 1)}, features.options());
    check(nnpot_networks(features.element_size(), at::get_num_threads(), features.size(0), features.size(1), weights.numel(),
                         features.const_data_ptr(), integers(species), mean.const_data_ptr(), inverse.const_data_ptr(),
                         weights.const_data_ptr(), integers(sizes), integers(functions), n_elements, n_layers, linear,
                         out.mutable_data_ptr()));
    return out;
}

Tensor invariants(const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair,
                  const Tensor& product, const Tensor& product_pair, int64_t n_elements, int64_t n_in, int64_t n_channels,
                  int64_t body_order, int64_t l_max) {
    auto out = at::empty({values.size(0), n_channels * (1 + (body_order - 2) * (l_max + 1))}, values.options());
    check(nnpot_invariants(values.element_size(), at::get_num_threads(), values.size(0), values.const_data_ptr(),
                           integers(species), channels.const_data_ptr(), pair.const_data_ptr(), product.const_data_ptr(),
                           product_pair.const_data_ptr(), n_elements, n_in, n_channels, body_order, l_max,
                           out.mutable_data_ptr()));
    return out;
}

Tensor invariants_pullback(const Tensor& values, const Tensor& species, const Tensor& channels, const Tensor& pair,
                           const Tensor& product, const Tensor& product_pair, int64_t n_elements, int64_t n_in,
                           int64_t n_channels, int64_t body_order, int64_t l_max, const Tensor& features_bar) {
    auto out = at::empty_like(values);
    check(nnpot_invariants_pullback(
        values.element_size(), at::get_num_threads(), values.size(0), values.const_data_ptr(), integers(species),
        channels.const_data_ptr(), pair.const_data_ptr(), product.const_data_ptr(), product_pair.const_data_ptr(),
        n_elements, n_in, n_channels, body_order, l_max, features_bar.const_data_ptr(), out.mutable_data_ptr()));
    return out;
}

Tensor second_density(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
                      const Tensor& centers, const Tensor& element_weights, const Tensor& density, const Tensor& projection,
                      const Tensor& hidden, const Tensor& outer, int64_t n_elements, int64_t n_weights, double cutoff,
                      int64_t n_radial, int64_t l_max, int64_t n_seen, int64_t n_channels, int64_t n_units,
                      const Tensor& places, const Tensor& coefficients, int64_t n_entries) {
    auto out = at::empty({starts.size(0) - 1, (l_max + 1) * (l_max + 1), n_channels}, vectors.options());
    call(nnpot_second_density, vectors, starts, neighbors, species, integers(centers), element_weights.const_data_ptr(),
         density.const_data_ptr(), projection.const_data_ptr(), hidden.const_data_ptr(), outer.const_data_ptr(), n_elements,
         n_weights, cutoff, n_radial, l_max, n_seen, n_channels, n_units, places.const_data_ptr<int32_t>(),
         coefficients.const_data_ptr<double>(), n_entries, out.mutable_data_ptr());
    return out;
}

Tensor second_density_pullback(const Tensor& vectors, const Tensor& starts, const Tensor& neighbors, const Tensor& species,
                               const Tensor& centers, const Tensor& element_weights, const Tensor& density,
                               const Tensor& projection, const Tensor& hidden, const Tensor& outer, int64_t n_elements,
                               int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max, int64_t n_seen,
                               int64_t n_channels, int64_t n_units, const Tensor& places, const Tensor& coefficients,
                               int64_t n_entries, const Tensor& bar) {
    auto out = at::zeros({vectors.numel() + density.numel()}, vectors.options());
    call(nnpot_second_density_pullback, vectors, starts, neighbors, species, integers(centers),
         element_weights.const_data_ptr(), density.const_data_ptr(), projection.const_data_ptr(), hidden.const_data_ptr(),
         outer.const_data_ptr(), n_elements, n_weights, cutoff, n_radial, l_max, n_seen, n_channels, n_units,
         places.const_data_ptr<int32_t>(), coefficients.const_data_ptr<double>(), n_entries, bar.const_data_ptr(),
         out.mutable_data_ptr());
    return out;
}

#define PAIRS "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species"
#define DENSITY "Tensor weights, int n_elements, int n_weights, float cutoff, int n_radial, int l_max"
#define GRADIENTS "Tensor places, Tensor coefficients, int n_entries"
#define FUNCTIONS "Tensor sizes, Tensor numbers, int n_functions"
#define ATOMS                                                                                                     \
    "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "          \
    "int n_elements, int n_in, int n_channels, int body_order, int l_max"

#define NETWORKS                                                                                                  \
    "Tensor features, Tensor species, Tensor mean, Tensor inverse, Tensor weights, Tensor sizes, Tensor functions, " \
    "int n_elements, int n_layers, int linear"

#define SECOND                                                                                                    \
    "Tensor centers, Tensor element_weights, Tensor density, Tensor projection, Tensor hidden, Tensor outer, "     \
    "int n_elements, int n_weights, float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units"

// Unless Python has nnpot loaded in this process: then they are there already.
template <class Function>
void define(torch::Library& library, const char* name, const std::string& arguments, Function function) {
    if (c10::Dispatcher::singleton().findSchema({std::string("nnpot::") + name, ""})) return;
    library.def((name + ("(" + arguments + ") -> Tensor")).c_str(), torch::dispatch(c10::DispatchKey::CPU, function));
}

const bool defined = [] {
    static torch::Library library(torch::Library::FRAGMENT, "nnpot", std::nullopt, __FILE__, __LINE__);
    define(library, "density", PAIRS ", " DENSITY, density);
    define(library, "density_pullback", PAIRS ", " DENSITY ", " GRADIENTS ", Tensor bar", density_pullback);
    define(library, "acsf", PAIRS ", " FUNCTIONS, acsf);
    define(library, "acsf_pullback", PAIRS ", " FUNCTIONS ", Tensor bar", acsf_pullback);
    define(library, "networks", NETWORKS, networks);
    define(library, "invariants", ATOMS, invariants);
    define(library, "invariants_pullback", ATOMS ", Tensor features_bar", invariants_pullback);
    define(library, "second_density", PAIRS ", " SECOND ", " GRADIENTS, second_density);
    define(library, "second_density_pullback", PAIRS ", " SECOND ", " GRADIENTS ", Tensor bar", second_density_pullback);
    return true;
}();

}  // namespace
