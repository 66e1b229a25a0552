/* trie: byte strings and their numbers, walked byte by byte. A double array: the child of `node`
 * under `byte` is the unit base[node] + byte, if that unit says that it belongs to `node`.
 *
 *     uint32_t node = TRIE_ROOT;
 *     for (i = 0; i < n && (node = trie_step(&trie, node, text[i])) != TRIE_NONE; i++)
 *         if (trie_value(&trie, node) >= 0) ... text[0..i] is a key
 */
#ifndef HONE_DATA_TOKENIZER_TRIE_H
#define HONE_DATA_TOKENIZER_TRIE_H

#include <stddef.h>
#include <stdint.h>

#define TRIE_ROOT 0u
#define TRIE_NONE 0u /* the root is nobody's child */

typedef struct TrieKey {
    const char *text; /* [n] not empty */
    size_t n;
    int32_t value; /* >= 0 */
} TrieKey;

typedef struct TrieUnit {
    uint32_t base, owner; /* owner UINT32_MAX: free */
    int32_t value;        /* -1: no key ends here */
} TrieUnit;

typedef struct Trie {
    TrieUnit *unit; /* [n] always 256 more than the last one in use */
    size_t n;
} Trie;

/* Sorts `keys`. Of equal ones that with the highest value counts. */
void trie_build(Trie *t, TrieKey *keys, size_t n);
void trie_free(Trie *t);

static inline uint32_t trie_step(const Trie *t, uint32_t node, unsigned char byte) {
    uint32_t next = t->unit[node].base + byte;
    return t->unit[next].owner == node ? next : TRIE_NONE;
}

static inline int32_t trie_value(const Trie *t, uint32_t node) {
    return t->unit[node].value;
}

#endif
