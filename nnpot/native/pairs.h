// Neighbour pairs sorted by centre, as the descriptors hand them over.
#pragma once

#include <cstdint>

template <class T>
struct Pairs {
    int64_t n_centers, n_pairs, n_atoms;
    const T* vectors;          // r_ij, three numbers each
    const int64_t* starts;     // first pair of each centre, and the number of pairs
    const int64_t* neighbors;  // atom j of each pair
    const int64_t* species;    // element of each atom
};

template <class T>
inline T square_of(const T* v) {
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
}
