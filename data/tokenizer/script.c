#include "data/tokenizer/script.h"

#include <stddef.h>

typedef struct ScriptRange {
    uint32_t first; /* up to the next one's */
    uint8_t script;
} ScriptRange;

/* Made by tests/oracle/make_scripts.py. */
static const ScriptRange RANGES[] = {
#include "data/tokenizer/script_ranges.inc"
};

uint8_t script_of(uint32_t c) {
    size_t low = 0,
           high = sizeof RANGES / sizeof *RANGES; /* the last range that begins at or before c */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (RANGES[middle].first <= c)
            low = middle;
        else
            high = middle;
    }
    return RANGES[low].script;
}
