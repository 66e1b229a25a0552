#include "data/tokenizer/charsmap.h"

#include "core/mem.h"
#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct Charsmap {
    uint32_t *unit; /* [n_units] */
    size_t n_units;
    Str text; /* the replacements */
};

/* ---- a unit of the double array ---- */

static bool has_leaf(uint32_t unit) {
    return unit >> 8 & 1;
}

static uint32_t value_of(uint32_t unit) {
    return unit & 0x7FFFFFFFu;
}

static uint32_t label_of(uint32_t unit) {
    return unit & 0x800000FFu;
}

static uint32_t offset_of(uint32_t unit) {
    return (unit >> 10) << ((unit & 0x200u) >> 6);
}

/* ---- opening ---- */

static uint32_t read_u32(const char *bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

Status charsmap_open(Charsmap **out, const char *bytes, size_t n, const char *where) {
    *out = NULL;
    size_t trie = n < 4 ? 0 : read_u32(bytes);
    if (n < 4 || trie == 0 || trie % 4 != 0 || trie > n - 4) {
        return status_fail(ERR_DATA, "%s: damaged character map: %zu bytes, its trie has %zu",
                           where, n, trie);
    }
    size_t bad = 0;
    if (!str_utf8_valid(bytes + 4 + trie, n - 4 - trie, &bad)) {
        return status_fail(ERR_DATA, "%s: damaged character map: no UTF-8 at byte %zu", where,
                           4 + trie + bad);
    }
    Charsmap *c = mem_zalloc(1, sizeof *c);
    c->n_units = trie / 4;
    c->unit = mem_alloc(trie);
    for (size_t i = 0; i < c->n_units; i++) c->unit[i] = read_u32(bytes + 4 + 4 * i);
    str_append_n(&c->text, bytes + 4 + trie, n - 4 - trie);
    str_append_char(&c->text, '\0');
    *out = c;
    return OK;
}

void charsmap_close(Charsmap *c) {
    if (c == NULL) return;
    mem_free(c->unit);
    str_free(&c->text);
    mem_free(c);
}

/* ---- looking up ---- */

/* NULL when the offset is outside or inside a character, which only a damaged map has. */
static const char *text_at(const Charsmap *c, uint32_t offset) {
    if (offset >= c->text.len) return NULL;
    const char *text = c->text.data + offset;
    return ((unsigned char)*text & 0xC0) == 0x80 ? NULL : text;
}

/* A rule that ends inside a character would leave the rest of it behind; only a damaged map has
 * one. */
static bool ends_inside(const char *text, size_t n, size_t end) {
    return end < n && ((unsigned char)text[end] & 0xC0) == 0x80;
}

size_t charsmap_find(const Charsmap *c, CharsmapMatch match, const char *text, size_t n,
                     const char **replacement) {
    size_t taken = 0;
    uint32_t node = offset_of(c->unit[0]);
    for (size_t i = 0; i < n && text[i] != '\0'; i++) {
        node ^= (unsigned char)text[i];
        if (node >= c->n_units) break;
        uint32_t unit = c->unit[node];
        if (label_of(unit) != (unsigned char)text[i]) break;
        node ^= offset_of(unit);
        if (!has_leaf(unit) || ends_inside(text, n, i + 1)) continue;
        const char *found = node < c->n_units ? text_at(c, value_of(c->unit[node])) : NULL;
        if (found == NULL) break;
        *replacement = found;
        taken = i + 1;
        if (match == CHARSMAP_SHORTEST) break;
    }
    return taken;
}
