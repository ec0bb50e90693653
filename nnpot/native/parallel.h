// A loop over atoms (or other things), cut into one contiguous part for each thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

// How many threads are worth it if each has `least` things to do.
inline int64_t worthwhile(int64_t n, int64_t threads, int64_t least) {
    return std::max<int64_t>(1, std::min<int64_t>(threads, n / least));
}

// With OpenMP its threads are those of PyTorch, which may wait awake for their next loop: threads of one's own would have to
// share the processor with them.
template <class Work>
void parallel(int64_t n, int64_t threads, Work work, int64_t least = 64) {
    const int64_t parts = worthwhile(n, threads, least);
    if (parts == 1) return work(0, n);
#ifdef _OPENMP
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int64_t k = 0; k < parts; ++k) work(n * k / parts, n * (k + 1) / parts);
#else
    std::vector<std::thread> others;
    for (int64_t k = 1; k < parts; ++k) others.emplace_back([=] { work(n * k / parts, n * (k + 1) / parts); });
    work(0, n / parts);
    for (auto& thread : others) thread.join();
#endif
}
