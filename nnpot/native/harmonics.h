// The number L = (l_max + 1)^2 of spherical harmonics as a constant.
#pragma once

#include "api.h"

#include <type_traits>

constexpr int MAX_HARMONICS = (NNPOT_MOST_L_MAX + 1) * (NNPOT_MOST_L_MAX + 1);

template <int N>
using Constant = std::integral_constant<int, N>;

// Calls work with the number of harmonics as a constant; false if it is not compiled for so many degrees.
template <class Work>
bool with_harmonics(int l_max, Work work) {
    switch (l_max) {
        case 0: return work(Constant<1>()), true;
        case 1: return work(Constant<4>()), true;
        case 2: return work(Constant<9>()), true;
        case 3: return work(Constant<16>()), true;
        case 4: return work(Constant<25>()), true;
        default: return false;
    }
}
