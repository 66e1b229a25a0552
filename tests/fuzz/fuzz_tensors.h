/* What holds of every file of weights that was accepted, worked out again here: a check that a
 * parser lacks shows, also where what it lets through harms nothing yet. */
#ifndef HONE_TESTS_FUZZ_TENSORS_H
#define HONE_TESTS_FUZZ_TENSORS_H

#include "fuzz.h"

#include "core/io/gguf_blocks.h"
#include "core/io/tensor_entry.h"

/* A small model to read weights for. */
#define FUZZ_LLAMA                                                                        \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 8, \"hidden_size\": 8, " \
    "\"intermediate_size\": 8, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "    \
    "\"max_position_embeddings\": 16}"

/* Elements of the shape; one that overflows is no shape. */
static inline size_t fuzz_elements(const char *name, const int64_t *shape, int rank) {
    size_t n = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        CHECK(shape[i] >= 0, "`%s`: axis %d has %lld", name, i, (long long)shape[i]);
        CHECK(!__builtin_mul_overflow(n, (size_t)shape[i] + (shape[i] == 0), &n),
              "`%s`: its shape overflows", name);
        empty |= shape[i] == 0;
    }
    return empty ? 0 : n;
}

static inline const unsigned char *fuzz_entry_bytes(const TensorEntry *e) {
    return e->stored ? e->stored : e->data;
}

static inline unsigned fuzz_entry_sum(const TensorEntry *e, size_t n) {
    unsigned sum = 0;
    for (size_t i = 0; i < e->bytes; i++) sum += fuzz_entry_bytes(e)[i];
    if (e->dtype == DTYPE_NONE) return sum;
    void *made;
    const unsigned char *values = tensor_entry_values(e, &made);
    for (size_t i = 0; i < n * dtype_size(e->dtype); i++) sum += values[i];
    mem_free(made);
    return sum;
}

/* Every byte is read, so that one outside of the file shows. */
static inline void fuzz_entry(const TensorEntry *e) {
    volatile unsigned sum = 0;
    (void)sum;
    CHECK(e->name[0] && strlen(e->name) <= 1024 && str_utf8_valid(e->name, strlen(e->name), NULL),
          "`%s` is no name", e->name);
    CHECK(e->rank >= 0 && e->rank <= TENSOR_ENTRY_MAX_RANK, "`%s`: rank %d", e->name, e->rank);
    size_t n = fuzz_elements(e->name, e->shape, e->rank), bytes = e->bytes;
    if (e->blocks) {
        size_t values = (size_t)e->blocks->values;
        CHECK(n % values == 0, "`%s`: half a block", e->name);
        CHECK(!__builtin_mul_overflow(n / values, e->blocks->bytes, &bytes), "its bytes overflow");
    } else if (e->dtype != DTYPE_NONE) {
        CHECK(!__builtin_mul_overflow(n, dtype_size(e->dtype), &bytes), "its bytes overflow");
    }
    CHECK(bytes == e->bytes, "`%s`: %zu bytes, not %zu", e->name, e->bytes, bytes);
    sum += fuzz_entry_sum(e, n);
}

/* All of one file, by name. `apart`: no byte belongs to two of them. */
static inline void fuzz_entries(const TensorEntry *entries, int64_t n, size_t file_bytes,
                                bool apart) {
    size_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        const TensorEntry *e = &entries[i];
        fuzz_entry(e);
        CHECK(i == 0 || strcmp(entries[i - 1].name, e->name) < 0, "`%s` is there twice", e->name);
        CHECK(tensor_entries_find(entries, n, e->name) == e, "`%s` is not found", e->name);
        CHECK(e->bytes <= file_bytes, "`%s` is larger than the file", e->name);
        bytes += e->bytes;
    }
    if (!apart) return;
    CHECK(bytes <= file_bytes, "%zu bytes in a file of %zu", bytes, file_bytes);
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            const unsigned char *a = fuzz_entry_bytes(&entries[i]),
                                *b = fuzz_entry_bytes(&entries[k]);
            CHECK(a + entries[i].bytes <= b || b + entries[k].bytes <= a, "`%s` overlaps `%s`",
                  entries[i].name, entries[k].name);
        }
}

#endif
