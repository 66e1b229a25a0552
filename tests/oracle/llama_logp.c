/* llama_logp MODEL.gguf: for each line of ids on the standard input, a line of the log-probs of each
 * id but the first, by llama.cpp; for a line that begins with `text `, the ids of the rest. */
#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 512

static void silent(enum ggml_log_level level, const char *text, void *ctx) {
    (void)ctx;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static double log_prob(const float *logits, int vocab, int id) {
    double most = logits[0], sum = 0.0;
    for (int i = 1; i < vocab; i++) most = fmax(most, (double)logits[i]);
    for (int i = 0; i < vocab; i++) sum += exp((double)logits[i] - most);
    return (double)logits[id] - most - log(sum);
}

static int score(struct llama_context *c, int vocab, const int *ids, int n) {
    struct llama_batch b = llama_batch_init(MOST, 0, 1);
    for (int i = 0; i < n; i++) {
        b.token[i] = ids[i];
        b.pos[i] = i;
        b.n_seq_id[i] = 1;
        b.seq_id[i][0] = 0;
        b.logits[i] = 1;
    }
    b.n_tokens = n;
    llama_memory_clear(llama_get_memory(c), true);
    int bad = llama_decode(c, b);
    for (int i = 0; i + 1 < n && !bad; i++)
        printf("%.7g ", log_prob(llama_get_logits_ith(c, i), vocab, ids[i + 1]));
    printf("\n");
    llama_batch_free(b);
    return bad;
}

static void tokenize(const struct llama_vocab *v, char *text) {
    llama_token ids[MOST];
    text[strcspn(text, "\n")] = '\0';
    int n = llama_tokenize(v, text, (int)strlen(text), ids, MOST, true, true);
    for (int i = 0; i < n; i++) printf("%d ", ids[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    static char line[1 << 16];
    if (argc != 2) return 2;
    llama_log_set(silent, NULL);
    llama_backend_init();
    struct llama_model *m = llama_model_load_from_file(argv[1], llama_model_default_params());
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = MOST;
    p.type_k = p.type_v = GGML_TYPE_F32;
    p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    p.n_threads = p.n_threads_batch = 1;
    struct llama_context *c = m ? llama_init_from_model(m, p) : NULL;
    if (!c) return 1;
    const struct llama_vocab *v = llama_model_get_vocab(m);
    while (fgets(line, sizeof line, stdin)) {
        int ids[MOST], n = 0;
        if (strncmp(line, "text ", 5) == 0) {
            tokenize(v, line + 5);
            continue;
        }
        for (char *at = line, *end; n < MOST; at = end) {
            long id = strtol(at, &end, 10);
            if (end == at) break;
            ids[n++] = (int)id;
        }
        if (score(c, llama_vocab_n_tokens(v), ids, n)) return 1;
    }
    return 0;
}
