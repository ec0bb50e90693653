// What a model does not know of atoms, as it tells it to LAMMPS.

#pragma once

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace nnpot {

// What is unknown of atoms, see nnpot/uncertainty.py: for `fix pair` as it is asked for, and of the whole system.
struct Unknown {
    static constexpr int N = 3;
    static constexpr double WIDEST = 2;  // error bars of energies are widened by gamma, at most so
    static constexpr const char* NAMES[N] = {"gamma", "energy_uncertainty", "forces_uncertainty"};
    int flags[N] = {};
    std::vector<double> of_atoms[N];
    std::vector<double> sums;  // of deviations of energies, for each element
    double largest = 0, beyond = 0;
    double told[N] = {};  // of the whole system

    bool is_asked() const {
        return std::any_of(flags, flags + N, [](int flag) { return flag != 0; });
    }

    static int place_of(const std::string& name) { return int(std::find(NAMES, NAMES + N, name) - NAMES); }

    void begin(int n_atoms) {
        for (auto& values : of_atoms) values.assign(n_atoms, 0);
        sums.clear(), largest = beyond = 0;
    }

    void add(int atom, double gamma, const double* deviations, int64_t width, double force, double* sum) {
        double square = 0;
        const double wide = std::clamp(gamma, 1.0, WIDEST);
        for (int64_t k = 0; k < width; ++k) square += deviations[k] * deviations[k], sum[k] += wide * deviations[k];
        of_atoms[0][atom] = gamma, of_atoms[1][atom] = wide * std::sqrt(square), of_atoms[2][atom] = force;
        largest = std::max(largest, gamma), beyond += gamma > 1;
    }

    // Adds up over all ranks; only the first one tells it, as `compute pair` adds up again.
    void finish(int size, MPI_Comm world) {
        sums.resize(size);
        int rank;
        MPI_Comm_rank(world, &rank);
        std::vector<double> all(size);
        double largest_of_all = 0, beyond_of_all = 0;
        MPI_Reduce(sums.data(), all.data(), size, MPI_DOUBLE, MPI_SUM, 0, world);
        MPI_Reduce(&largest, &largest_of_all, 1, MPI_DOUBLE, MPI_MAX, 0, world);
        MPI_Reduce(&beyond, &beyond_of_all, 1, MPI_DOUBLE, MPI_SUM, 0, world);
        double square = 0;
        for (double x : all) square += x * x;
        told[0] = rank ? 0 : std::sqrt(square), told[1] = rank ? 0 : largest_of_all, told[2] = rank ? 0 : beyond_of_all;
    }
};

}  // namespace nnpot
