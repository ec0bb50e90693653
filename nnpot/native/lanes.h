// Vector registers: what is written once for one number is calculated for all lanes of a register.
#pragma once

#include <cstring>

constexpr int REGISTER = 64;  // bytes

template <class T> constexpr int LANES = REGISTER / sizeof(T);  // numbers in a register

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(REGISTER)));
};
template <class T> using Vector = typename VectorOf<T>::type;

template <class T>
inline Vector<T> load(const T* from) {
    Vector<T> v;
    std::memcpy(&v, from, REGISTER);
    return v;
}

template <class T>
inline void store(T* to, const Vector<T>& v) {
    std::memcpy(to, &v, REGISTER);
}
