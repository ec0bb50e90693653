// A loop over atoms (or other things), cut into one contiguous part for each thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

// Functions of the OpenMP that PyTorch runs on, by GNU's names, which those of LLVM and Intel have too; null where it
// has none. They are asked for when the library is loaded (system.cpp): linked with an OpenMP, it might bring a second
// one.
struct OpenMP {
    void (*parallel)(void (*work)(void*), void* given, unsigned threads, unsigned flags);  // GOMP_parallel
    int (*thread)();                                                                       // omp_get_thread_num
    int (*threads)();                                                                      // omp_get_num_threads
};
extern OpenMP openmp;

// How many threads are worth it if each has `least` things to do.
inline int64_t count_parts(int64_t n, int64_t threads, int64_t least) {
    return std::max<int64_t>(1, std::min<int64_t>(threads, n / least));
}

// A team may have fewer threads than parts.
template <class Part>
void share_among_team(int64_t parts, Part& part) {
    struct Team {
        Part& work_on;
        int64_t parts;
    } team{part, parts};
    auto share = [](void* given) {
        const Team& team = *static_cast<Team*>(given);
        for (int64_t k = openmp.thread(); k < team.parts; k += openmp.threads()) team.work_on(k);
    };
    openmp.parallel(share, &team, unsigned(parts), 0);
}

// Parts for which no thread is to be had are done by this one.
template <class Part>
void share_among_threads(int64_t parts, Part& part) {
    std::vector<std::thread> others;
    int64_t started = 1;
    try {
        for (; started < parts; ++started) others.emplace_back([&part, k = started] { part(k); });
    } catch (const std::exception&) {
    }
    part(0);
    for (int64_t k = started; k < parts; ++k) part(k);
    for (auto& thread : others) thread.join();
}

// PyTorch's threads may wait awake for their next loop: threads of one's own would have to share the processor with
// them. An exception that leaves a thread would end the process.  All that work throws means that there is no memory,
// which is thrown again here.
template <class Work>
void parallel(int64_t n, int64_t threads, Work work, int64_t least = 64) {
    const int64_t parts = count_parts(n, threads, least);
    if (parts == 1) return work(0, n);
    std::atomic<bool> failed(false);
    auto part = [&](int64_t k) noexcept {
        try {
            work(n * k / parts, n * (k + 1) / parts);
        } catch (...) {
            failed = true;
        }
    };
    if (openmp.parallel)
        share_among_team(parts, part);
    else
        share_among_threads(parts, part);
    if (failed) throw std::bad_alloc();
}
