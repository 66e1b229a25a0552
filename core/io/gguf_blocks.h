/* gguf_blocks: ggml's types of tensors: how many values a block of each holds in how many bytes,
 * and what they are. */
#ifndef HONE_CORE_IO_GGUF_BLOCKS_H
#define HONE_CORE_IO_GGUF_BLOCKS_H

#include "core/dtype.h"

#include <stddef.h>
#include <stdint.h>

typedef struct BlockType {
    uint32_t number;  /* in the file */
    const char *name; /* "Q4_K" */
    int64_t values;   /* of a block */
    size_t bytes;
    DType dtype; /* of its values; DTYPE_NONE: of no use here */
    void (*unpack)(float *to,
                   const unsigned char *block); /* NULL: a block is one value of `dtype` */
} BlockType;

const BlockType *block_type(uint32_t number); /* NULL: unknown */

#endif
