/* sha256: FIPS 180-4, with the CPU's SHA instructions where it has them. */
#ifndef HONE_CORE_SHA256_H
#define HONE_CORE_SHA256_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX 65 /* 64 digits and a NUL */

typedef struct Sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} Sha256;

void sha256_init(Sha256 *s);
void sha256_update(Sha256 *s, const void *data, size_t n);
void sha256_final(Sha256 *s, unsigned char digest[32]);

void sha256_bytes(unsigned char digest[32], const void *data, size_t n);
void sha256_to_hex(char hex[SHA256_HEX], const unsigned char digest[32]);
/* One-shot, as lower-case hex. */
void sha256_hex(char hex[SHA256_HEX], const void *data, size_t n);
/* Of a whole file, as lower-case hex. ERR_INPUT when missing, ERR_IO when it cannot be read. */
Status sha256_file(char hex[SHA256_HEX], const char *path);

#endif
