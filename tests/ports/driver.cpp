// Calls compiled functions with arguments out of a file, and writes what they answer: how kernels are tested on a processor, or
// by a compiler, that runs no Python.  `driver CALLS RESULTS`; recorded_calls.py writes the one and reads the other.
//
// CALLS holds for each call the length of the function's name, the name, and then every argument in the order of C: numbers
// as they are (8 bytes), arrays as their length in bytes and these.  RESULTS holds for each call the answer and the last array,
// which is the only one that a function writes to.

#include "api.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

namespace {

using Bytes = std::unique_ptr<char[]>;

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "driver: %s\n", why.c_str());
    std::exit(2);
}

struct Calls {
    FILE* file;

    void bytes(void* to, size_t n) {
        if (std::fread(to, 1, n, file) != n) stop("the file of calls ends within a call");
    }

    template <class T>
    T number() {
        static_assert(sizeof(T) == 8, "numbers in the file have 8 bytes");
        T x;
        bytes(&x, sizeof(T));
        return x;
    }
};

// Arrays of a call, each in memory of its own and just as long as it is: what reads beyond one reads what is not its own.
struct Arrays {
    std::vector<std::pair<Bytes, size_t>> all;

    void* next(Calls& calls) {
        const auto n = size_t(calls.number<int64_t>());
        all.emplace_back(Bytes(new char[n]), n);
        calls.bytes(all.back().first.get(), n);
        return all.back().first.get();
    }
};

template <class Argument>
Argument next(Calls& calls, Arrays& arrays) {
    if constexpr (std::is_pointer_v<Argument>)
        return static_cast<Argument>(arrays.next(calls));
    else
        return calls.number<Argument>();
}

template <class... Arguments>
void call(int (*function)(Arguments...), Calls& calls, FILE* results) {
    Arrays arrays;
    const std::tuple<Arguments...> arguments{next<Arguments>(calls, arrays)...};  // in braces: one after the other
    const int64_t answer = std::apply(function, arguments);
    const auto& [result, n] = arrays.all.back();
    std::fwrite(&answer, sizeof(answer), 1, results);
    std::fwrite(result.get(), 1, n, results);
}

void call(const std::string& name, Calls& calls, FILE* results) {
#define NNPOT_CALL(function)                                                                     \
    if (name == #function) return call(nnpot_##function, calls, results);
    NNPOT_OPERATORS  // NNPOT_CALL(density) NNPOT_CALL(acsf) … of all, by the command that compiles this
#undef NNPOT_CALL
    stop("there is no function " + name);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) stop("usage: driver CALLS RESULTS");
    Calls calls{std::fopen(arguments[1], "rb")};
    FILE* results = std::fopen(arguments[2], "wb");
    if (!calls.file || !results) stop("a file cannot be opened");
    int64_t length;
    while (std::fread(&length, sizeof(length), 1, calls.file) == 1) {
        std::string name(size_t(length), ' ');
        calls.bytes(&name[0], name.size());
        call(name, calls, results);
    }
    return std::fclose(results) == 0 ? 0 : 1;
}
