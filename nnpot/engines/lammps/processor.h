// What the processor of this machine has of what a package needs.

#pragma once

#include <sys/utsname.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace nnpot {

inline std::vector<std::string> words_of(const std::string& text) {
    std::istringstream words(text);
    return {std::istream_iterator<std::string>(words), {}};
}

// What the processor has not of what a package needs: its kind, or sets of instructions by Linux's names for them, as
// in nnpot/machine/processor.py; nothing on systems that do not tell.
inline std::string lacking(const std::string& machine, const std::string& instructions) {
    utsname system{};
    uname(&system);
    if (machine != system.machine) return ' ' + machine;
    std::set<std::string> there;
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; there.empty() && std::getline(cpuinfo, line);)
        if (line.rfind("flags", 0) == 0 || line.rfind("Features", 0) == 0)
            for (const auto& word : words_of(line.substr(line.find(':') + 1))) there.insert(word);
    std::string names;
    for (const auto& word : words_of(instructions))
        if (!there.empty() && !there.count(word)) names += ' ' + word;
    return names;
}

}  // namespace nnpot
