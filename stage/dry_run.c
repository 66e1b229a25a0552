#include "stage/dry_run.h"

#include "core/progress.h"
#include "core/str.h"

#include <stdio.h>

/* A token's text with control characters made visible. */
static void show_token(Str *out, const Tokenizer *tok, int32_t id) {
    Str text = {0};
    str_clear(out);
    if (tokenizer_decode(tok, &text, &id, 1, 0) != OK) str_printf(out, "<%d>", (int)id);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n')
            str_append(out, "\\n");
        else if (c == '\t')
            str_append(out, "\\t");
        else if (c < 32 || c == 127)
            str_printf(out, "\\x%02x", c);
        else
            str_append_char(out, (char)c);
    }
    str_free(&text);
}

static const char *what_is_learned(const Rows *rows, const int32_t *scored, int64_t s, int32_t i) {
    bool asked = rows->targets && i > rows->seq_start[s] && rows->targets[i - 1] != ROWS_NO_TARGET;
    return scored && scored[s] == i ? "score" : asked ? "yes" : "-";
}

void dry_run_rows(const Rows *rows, const Tokenizer *tok, const int32_t *scored,
                  int64_t max_tokens) {
    Str text = {0};
    int64_t learned = scored ? rows->n_seqs : rows->targets ? rows_count_targets(rows) : 0;
    printf("first batch: %lld sequences, %lld tokens, %lld with a loss\n", (long long)rows->n_seqs,
           (long long)rows->n_rows, (long long)learned);
    printf("%8s %8s %8s  %-6s %s\n", "sequence", "position", "id", "loss", "token");
    int64_t shown = 0;
    for (int64_t s = 0; s < rows->n_seqs && shown < max_tokens; s++) {
        for (int32_t i = rows->seq_start[s]; i < rows->seq_start[s + 1] && shown < max_tokens;
             i++, shown++) {
            show_token(&text, tok, rows->ids[i]);
            printf("%8lld %8d %8d  %-6s |%s|\n", (long long)s, (int)rows->positions[i],
                   (int)rows->ids[i], what_is_learned(rows, scored, s, i), str_text(&text));
        }
    }
    if (shown < rows->n_rows) printf("... %lld tokens more\n", (long long)(rows->n_rows - shown));
    str_free(&text);
}

void dry_run_estimate(double seconds, int64_t tried, int64_t total_steps) {
    char text[32];
    double each = tried > 0 ? seconds / (double)tried : 0.0;
    printf("about %s for %lld steps (%.3g s each, measured on %lld), evaluations not counted\n",
           progress_duration(text, sizeof text, each * (double)total_steps), (long long)total_steps,
           each, (long long)tried);
}
