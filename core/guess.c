#include "core/guess.h"

#include <stdio.h>
#include <string.h>

static char folded(char c) {
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

static int min3(int a, int b, int c) {
    int m = a < b ? a : b;
    return m < c ? m : c;
}

#define NAME_MAX_LEN 64

/* Letters inserted, left out, changed or swapped with their neighbour ("optimal string alignment").
 * Case and - against _ do not count. */
static int edit_distance(const char *a, const char *b) {
    int d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN) return n + m;
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            char x = folded(a[i - 1]), y = folded(b[j - 1]);
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (x != y));
            bool swapped = i > 1 && j > 1 && x == folded(b[j - 2]) && folded(a[i - 2]) == y;
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j]) d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[n][m];
}

Guess guess_start(const char *name) {
    size_t n = strlen(name);
    return (Guess){.name = name, .distance = (n > 8 ? (int)n / 3 : n > 3 ? 2 : (int)n / 2) + 1};
}

void guess_try(Guess *g, const char *name, const char *shown) {
    int d = edit_distance(g->name, name);
    size_t common = 0;
    while (g->name[common] && folded(g->name[common]) == folded(name[common])) common++;
    bool better = d < g->distance || (d == g->distance && g->best[0] && common > g->common);
    if (!better) return;
    g->distance = d;
    g->common = common;
    snprintf(g->best, sizeof g->best, "%s", shown);
}
