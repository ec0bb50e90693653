// Written by scripts/write_operators.py from the table of operators, nnpot/native/table.py: all compiled functions.
// They take the bytes of a number (float or double), the number of threads, sizes, then the arguments of their operator
// and the result; `void` stands for such numbers.  They say what became of it: one of `Answer` in checks.h.  How many
// numbers the arrays hold is up to the caller; of pullbacks by pair vectors and of forces the result is 0 beforehand.
#pragma once

#include <cstdint>

constexpr int NNPOT_MOST_N_RADIAL = 32;
constexpr int NNPOT_MOST_L_MAX = 4;
constexpr int NNPOT_MOST_LINEAR = 1;
constexpr int NNPOT_MOST_BODY_ORDER = 5;

#define NNPOT_GRADIENTS                                                                                                \
    const int32_t* places, const double* coefficients, int64_t n_entries

#define NNPOT_DENSITY                                                                                                  \
    int64_t bytes, int64_t threads, int64_t n_centers, int64_t n_pairs, int64_t n_atoms, const void* vectors,          \
    const int64_t* starts, const int64_t* neighbors, const int64_t* species, const void* weights,                      \
    int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max

#define NNPOT_ACSF                                                                                                     \
    int64_t bytes, int64_t threads, int64_t n_centers, int64_t n_pairs, int64_t n_atoms, int64_t n_sizes,              \
    int64_t n_numbers, const void* vectors, const int64_t* starts, const int64_t* neighbors, const int64_t* species,   \
    const int64_t* sizes, const double* numbers, int64_t n_functions

#define NNPOT_NETWORKS                                                                                                 \
    int64_t bytes, int64_t threads, int64_t n_atoms, int64_t n_features, int64_t n_weights, const void* features,      \
    const int64_t* species, const void* mean, const void* inverse, const void* weights, const int64_t* sizes,          \
    const int64_t* functions, int64_t n_elements, int64_t n_layers, int64_t linear

#define NNPOT_UNCERTAINTY                                                                                              \
    int64_t bytes, int64_t threads, int64_t n_atoms, int64_t width, const void* hidden, const int64_t* species,        \
    const void* table, int64_t n_elements, int64_t clusters, int64_t directions

#define NNPOT_INVARIANTS                                                                                               \
    int64_t bytes, int64_t threads, int64_t n_atoms, const void* values, const int64_t* species,                       \
    const void* channels, const void* pair, const void* product, const void* product_pair, int64_t n_elements,         \
    int64_t n_in, int64_t n_channels, int64_t body_order, int64_t l_max

#define NNPOT_WEIGHTED_DENSITY                                                                                         \
    int64_t bytes, int64_t threads, int64_t n_centers, int64_t n_pairs, int64_t n_atoms, const void* vectors,          \
    const int64_t* starts, const int64_t* neighbors, const int64_t* species, const int64_t* centers,                   \
    const void* element_weights, const void* density_of_atoms, const void* projection, const void* hidden,             \
    const void* outer, int64_t n_elements, int64_t n_weights, double cutoff, int64_t n_radial, int64_t l_max,          \
    int64_t n_seen, int64_t n_channels, int64_t n_units, const int32_t* places, const double* coefficients,            \
    int64_t n_entries

#define NNPOT_FORCES                                                                                                   \
    int64_t bytes, int64_t threads, int64_t n_pairs, const void* gradient, const int64_t* i, const int64_t* j,         \
    int64_t n_atoms

#define NNPOT_CORE                                                                                                     \
    int64_t bytes, int64_t threads, int64_t n_centers, int64_t n_pairs, int64_t n_atoms, const void* vectors,          \
    const int64_t* starts, const int64_t* neighbors, const int64_t* species, const int64_t* centers,                   \
    const double* table, int64_t n_elements

extern "C" {
const char* nnpot_meaning(int64_t answer);  // a sentence that begins with a small letter
int nnpot_density(NNPOT_DENSITY, void* out);
int nnpot_density_tangent(NNPOT_DENSITY, NNPOT_GRADIENTS, const void* direction, void* out);
int nnpot_density_pullback(NNPOT_DENSITY, NNPOT_GRADIENTS, const void* bar, void* out);
int nnpot_acsf(NNPOT_ACSF, void* out);
int nnpot_acsf_tangent(NNPOT_ACSF, const void* direction, void* out);
int nnpot_acsf_pullback(NNPOT_ACSF, const void* bar, void* out);
int nnpot_networks(NNPOT_NETWORKS, void* out);
int nnpot_networks_with_hidden(NNPOT_NETWORKS, int64_t n_hidden, void* out);
int nnpot_networks_gradient(NNPOT_NETWORKS, const void* h_bar, const void* direction, void* out);
int nnpot_uncertainty(NNPOT_UNCERTAINTY, void* out);
int nnpot_invariants(NNPOT_INVARIANTS, void* out);
int nnpot_invariants_tangent(NNPOT_INVARIANTS, const void* direction, void* out);
int nnpot_invariants_pullback(NNPOT_INVARIANTS, const void* features_bar, void* out);
int nnpot_invariants_gradient(
    NNPOT_INVARIANTS, int64_t with_values, const void* direction, const void* features_bar, const void* tangent_bar,
    void* out);
int nnpot_weighted_density(NNPOT_WEIGHTED_DENSITY, void* out);
int nnpot_weighted_density_pullback(NNPOT_WEIGHTED_DENSITY, const void* bar, void* out);
int nnpot_weighted_density_gradient(NNPOT_WEIGHTED_DENSITY, const void* bar, void* out);
int nnpot_weighted_density_pullback_gradient(
    NNPOT_WEIGHTED_DENSITY, const void* bar, const void* vectors_change, const void* density_change, void* out);
int nnpot_forces(NNPOT_FORCES, void* out);
int nnpot_core(NNPOT_CORE, void* out);
int nnpot_core_reach(NNPOT_CORE, void* out);
int nnpot_core_tangent(NNPOT_CORE, const void* direction, void* out);
int nnpot_core_pullback(NNPOT_CORE, const void* bar, void* out);
}
