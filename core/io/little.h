/* little: numbers as files hold them, least significant byte first, at any address. */
#ifndef HONE_CORE_IO_LITTLE_H
#define HONE_CORE_IO_LITTLE_H

#include <stddef.h>
#include <stdint.h>

/* The number that p[0..n) holds, n <= 8. */
static inline uint64_t little_load(const unsigned char *p, size_t n) {
    uint64_t x = 0;
    for (size_t i = n; i > 0; i--) x = x << 8 | p[i - 1];
    return x;
}
static inline uint16_t little_u16(const unsigned char *p) {
    return (uint16_t)little_load(p, 2);
}
static inline uint32_t little_u32(const unsigned char *p) {
    return (uint32_t)little_load(p, 4);
}
static inline uint64_t little_u64(const unsigned char *p) {
    return little_load(p, 8);
}

#endif
