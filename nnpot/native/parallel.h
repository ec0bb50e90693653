// A loop over atoms (or other things), cut into one contiguous part for each thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

// How many threads are worth it if each has `least` things to do.
inline int64_t worthwhile(int64_t n, int64_t threads, int64_t least) {
    return std::max<int64_t>(1, std::min<int64_t>(threads, n / least));
}

// With OpenMP its threads are those of PyTorch, which may wait awake for their next loop: threads of one's own would
// have to share the processor with them.  An exception must not leave a thread: it would end the process.  All that
// work throws means that there is no memory, which is thrown again here.
template <class Work>
void parallel(int64_t n, int64_t threads, Work work, int64_t least = 64) {
    const int64_t parts = worthwhile(n, threads, least);
    if (parts == 1) return work(0, n);
    std::atomic<bool> failed(false);
    const auto run = [&](int64_t k) noexcept {
        try {
            work(n * k / parts, n * (k + 1) / parts);
        } catch (...) {
            failed = true;
        }
    };
#ifdef _OPENMP
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int64_t k = 0; k < parts; ++k) run(k);
#else
    std::vector<std::thread> others;
    others.reserve(parts);
    int64_t started = 1;
    try {
        for (; started < parts; ++started) others.emplace_back(run, started);
    } catch (const std::exception&) {  // no more threads are to be had: this one does what is left
    }
    run(0);
    for (int64_t k = started; k < parts; ++k) run(k);
    for (auto& thread : others) thread.join();
#endif
    if (failed) throw std::bad_alloc();
}
