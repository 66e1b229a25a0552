#include "core/sha256.h"

#include "core/file.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define HAVE_SHA_NI 1
#endif

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64
 * primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotr(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static uint32_t load_big(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress_portable(uint32_t state[8], const unsigned char *p, size_t n_blocks) {
    for (; n_blocks > 0; n_blocks--, p += 64) {
        uint32_t w[64], v[8];
        for (int t = 0; t < 16; t++) w[t] = load_big(p + 4 * t);
        for (int t = 16; t < 64; t++) {
            uint32_t a = w[t - 15], b = w[t - 2];
            uint32_t s0 = rotr(a, 7) ^ rotr(a, 18) ^ a >> 3;
            uint32_t s1 = rotr(b, 17) ^ rotr(b, 19) ^ b >> 10;
            w[t] = w[t - 16] + s0 + w[t - 7] + s1;
        }
        memcpy(v, state, sizeof v);
        for (int t = 0; t < 64; t++) {
            uint32_t a = v[0], e = v[4];
            uint32_t t1 = v[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) +
                          ((e & v[5]) ^ (~e & v[6])) + K[t] + w[t];
            uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) +
                          ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t1;
            v[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++) state[i] += v[i];
    }
}

#ifdef HAVE_SHA_NI
/* The instructions keep the eight words as (a,b,e,f) and (c,d,g,h) and do two rounds at a time. */
__attribute__((target("sha,sse4.1"))) static void
compress_sha_ni(uint32_t state[8], const unsigned char *p, size_t n_blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    for (; n_blocks > 0; n_blocks--, p += 64) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];
        for (int g = 0; g < 16; g++) { /* four rounds each */
            if (g < 4) {
                w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * g)), swap);
            } else { /* w[t-16] + s0(w[t-15]) + w[t-7] + s1(w[t-2]) */
                __m128i w16 = w[g & 3], w12 = w[(g + 1) & 3], w8 = w[(g + 2) & 3],
                        w4 = w[(g + 3) & 3];
                __m128i sum =
                    _mm_add_epi32(_mm_sha256msg1_epu32(w16, w12), _mm_alignr_epi8(w4, w8, 4));
                w[g & 3] = _mm_sha256msg2_epu32(sum, w4);
            }
            __m128i k = _mm_loadu_si128((const __m128i *)(K + 4 * g));
            __m128i wk = _mm_add_epi32(w[g & 3], k);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static bool cpu_has_sha(void) {
    unsigned a, b, c, d;
    const unsigned sha_bit = 1U << 29;
    const char *forced = getenv("HONE_ISA");
    return !(forced && strcmp(forced, "portable") == 0) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha_bit) &&
           __builtin_cpu_supports("sse4.1");
}
#endif

static void compress(uint32_t state[8], const unsigned char *p, size_t n_blocks) {
#ifdef HAVE_SHA_NI
    enum { UNKNOWN, NO, YES };
    static atomic_int sha_ni =
        UNKNOWN; /* asking costs more than a block where a hypervisor traps it */
    if (sha_ni == UNKNOWN) sha_ni = cpu_has_sha() ? YES : NO;
    if (sha_ni == YES) {
        compress_sha_ni(state, p, n_blocks);
        return;
    }
#endif
    compress_portable(state, p, n_blocks);
}

void sha256_init(Sha256 *s) {
    *s = (Sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                            0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(Sha256 *s, const void *data, size_t n) {
    const unsigned char *p = data;
    size_t held = s->bytes % 64;
    s->bytes += n;
    if (held > 0) {
        size_t take = n < 64 - held ? n : 64 - held;
        memcpy(s->block + held, p, take);
        p += take, n -= take;
        if (held + take < 64) return;
        compress(s->state, s->block, 1);
    }
    if (n >= 64) compress(s->state, p, n / 64);
    if (n % 64 > 0) memcpy(s->block, p + n / 64 * 64, n % 64);
}

static void store_big64(unsigned char *p, uint64_t x) {
    for (int i = 7; i >= 0; i--, x >>= 8) p[i] = (unsigned char)x;
}

void sha256_final(Sha256 *s, unsigned char digest[32]) {
    unsigned char tail[72] = {0x80};
    size_t held = s->bytes % 64;
    size_t pad = (held < 56 ? 56 : 120) - held;
    store_big64(tail + pad, s->bytes * 8);
    sha256_update(s, tail, pad + 8);
    for (int i = 0; i < 32; i++) digest[i] = (unsigned char)(s->state[i / 4] >> (24 - i % 4 * 8));
}

void sha256_bytes(unsigned char digest[32], const void *data, size_t n) {
    Sha256 s;
    sha256_init(&s);
    sha256_update(&s, data, n);
    sha256_final(&s, digest);
}

void sha256_to_hex(char hex[SHA256_HEX], const unsigned char digest[32]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void sha256_hex(char hex[SHA256_HEX], const void *data, size_t n) {
    unsigned char digest[32];
    sha256_bytes(digest, data, n);
    sha256_to_hex(hex, digest);
}

Status sha256_file(char hex[SHA256_HEX], const char *path) {
    FileMap map;
    TRY(file_map(&map, path));
    sha256_hex(hex, map.data, map.size);
    file_unmap(&map);
    return OK;
}
