// What the library is made for, and the threads that it runs on.

#include "lanes.h"
#include "parallel.h"

#define NNPOT_TEXT(x) #x
#define NNPOT_TEXT_OF(x) NNPOT_TEXT(x)

OpenMP openmp{};

extern "C" {

int nnpot_register() { return REGISTER; }  // bytes

const char* nnpot_compiler() {
#ifdef __clang__
    return "clang++ " NNPOT_TEXT_OF(__clang_major__) "." NNPOT_TEXT_OF(__clang_minor__) "." NNPOT_TEXT_OF(
        __clang_patchlevel__);
#else
    return "g++ " NNPOT_TEXT_OF(__GNUC__) "." NNPOT_TEXT_OF(__GNUC_MINOR__) "." NNPOT_TEXT_OF(__GNUC_PATCHLEVEL__);
#endif
}

// From then on loops run on these threads.
void nnpot_use_openmp(void* parallel, void* thread, void* threads) {
    openmp = {reinterpret_cast<decltype(OpenMP::parallel)>(parallel), reinterpret_cast<int (*)()>(thread),
              reinterpret_cast<int (*)()>(threads)};
}
}
