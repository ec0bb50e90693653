// The pairs around some atoms as a package takes them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace nnpot {

constexpr int64_t MIN_SIZE = 2;  // smallest size of an input of a package

// The inputs of a package, see nnpot/formats/aot.py.
struct Inputs {
    std::vector<double> vectors, filled, filled_asked;
    std::vector<int64_t> i, j, centers, order, place, asked;

    void clear() { vectors.clear(), i.clear(), j.clear(), centers.clear(); }

    void add_pair(int64_t center, int64_t neighbor, const double* r) {
        i.push_back(center), j.push_back(neighbor), vectors.insert(vectors.end(), r, r + 3);
    }

    // Fills sizes up to the smallest with atoms of the first element and pairs beyond the cutoff; sorts by element.
    void complete(int64_t n_elements, double cutoff) {
        const double far[3] = {2 * cutoff, 0, 0};
        while (int64_t(centers.size()) < MIN_SIZE) centers.push_back(0);
        while (int64_t(i.size()) < MIN_SIZE) add_pair(int64_t(centers.size()) - 1, 0, far);
        std::vector<int64_t> count(n_elements, 0);
        for (int64_t element : centers) ++count[element];
        const int64_t width = std::max(MIN_SIZE, *std::max_element(count.begin(), count.end()));
        order.assign(n_elements * width, 0), filled.assign(n_elements * width, 0), place.resize(centers.size());
        std::fill(count.begin(), count.end(), 0);
        for (size_t center = 0; center < centers.size(); ++center) {
            const int64_t row = centers[center] * width + count[centers[center]]++;
            order[row] = int64_t(center), filled[row] = 1, place[center] = row;
        }
    }

    // Asks what is unknown of all centres, or of none.
    void ask(bool of_all, int64_t n_elements) {
        if (of_all) {
            asked = order, filled_asked = filled;
            return;
        }
        asked.assign(n_elements * MIN_SIZE, 0), filled_asked.assign(n_elements * MIN_SIZE, 0);
    }
};

}  // namespace nnpot
