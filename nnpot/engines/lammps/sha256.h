// The checksum SHA-256 (FIPS 180-4), by which the pair style knows a package that has changed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace nnpot {

namespace sha {

using State = std::array<uint32_t, 8>;
constexpr size_t BLOCK = 64;

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t K[BLOCK] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

inline uint32_t rotated(uint32_t x, int n) { return x >> n | x << (32 - n); }

inline void add_block(State& state, const unsigned char* block) {
    uint32_t w[BLOCK];
    for (int t = 0; t < 16; ++t)
        w[t] = uint32_t(block[4 * t]) << 24 | uint32_t(block[4 * t + 1]) << 16 | uint32_t(block[4 * t + 2]) << 8 |
               uint32_t(block[4 * t + 3]);
    for (int t = 16; t < 64; ++t) {
        const uint32_t s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3;
        const uint32_t s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int t = 0; t < 64; ++t) {
        const uint32_t s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25), choice = (e & f) ^ (~e & g);
        const uint32_t s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
        const uint32_t first = h + s1 + choice + K[t] + w[t], second = s0 + majority;
        h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const State words{a, b, c, d, e, f, g, h};
    for (int k = 0; k < 8; ++k) state[k] += words[k];
}

}  // namespace sha

// In hexadecimal digits.
inline std::string sha256(const char* data, size_t n) {
    sha::State state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const auto* bytes = reinterpret_cast<const unsigned char*>(data);
    const size_t whole = n / sha::BLOCK * sha::BLOCK;
    for (size_t k = 0; k < whole; k += sha::BLOCK) sha::add_block(state, bytes + k);
    // the rest, a one, zeros, and the number of bits in the last eight bytes
    std::string rest(data + whole, n - whole);
    rest += char(0x80);
    while (rest.size() % sha::BLOCK != sha::BLOCK - 8) rest += char(0);
    for (int shift = 56; shift >= 0; shift -= 8) rest += char(uint64_t(n) * 8 >> shift & 0xff);
    for (size_t k = 0; k < rest.size(); k += sha::BLOCK)
        sha::add_block(state, reinterpret_cast<const unsigned char*>(rest.data()) + k);
    std::string digits;
    for (uint32_t word : state)
        for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 0xf];
    return digits;
}

}  // namespace nnpot
