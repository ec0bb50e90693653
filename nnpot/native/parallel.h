// A loop over atoms, cut into one contiguous part for each thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

template <class Work>
void parallel(int64_t n, int64_t threads, Work work) {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, n / 64));
    std::vector<std::thread> others;
    for (int64_t k = 1; k < parts; ++k) others.emplace_back([=] { work(n * k / parts, n * (k + 1) / parts); });
    work(0, n / parts);
    for (auto& thread : others) thread.join();
}
