// Prints the checksum of what it reads.

#include "sha256.h"

#include <iostream>
#include <iterator>

int main() {
    const std::string content{std::istreambuf_iterator<char>(std::cin), {}};
    std::cout << nnpot::sha256(content.data(), content.size());
}
