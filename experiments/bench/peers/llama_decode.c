/* llama_decode MODEL.gguf NEW TIMES: seconds of greedy decoding of one row by llama.cpp, behind a
 * prompt of 16 tokens, as a JSON line. Threads: OMP_NUM_THREADS. */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define PROMPT 16

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void silent(enum ggml_log_level level, const char *text, void *ctx) {
    (void)level, (void)text, (void)ctx;
}

static llama_token best(struct llama_context *c, int vocab) {
    const float *logits = llama_get_logits_ith(c, -1);
    llama_token top = 0;
    for (llama_token i = 1; i < vocab; i++)
        if (logits[i] > logits[top]) top = i;
    return top;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int new_tokens = atoi(argv[2]), times = atoi(argv[3]);
    llama_log_set(silent, NULL);
    llama_backend_init();
    struct llama_model *m = llama_model_load_from_file(argv[1], llama_model_default_params());
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = 512;
    p.n_threads = p.n_threads_batch = atoi(getenv("OMP_NUM_THREADS"));
    struct llama_context *c = m ? llama_init_from_model(m, p) : NULL;
    if (!c) return 1;
    int vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    printf("{\"times\": [");
    for (int k = 0; k <= times; k++) { /* the first one warms up */
        llama_token prompt[PROMPT];
        for (int i = 0; i < PROMPT; i++) prompt[i] = 300 + 97 * i;
        llama_memory_clear(llama_get_memory(c), true);
        double start = now();
        if (llama_decode(c, llama_batch_get_one(prompt, PROMPT))) return 1;
        for (int i = 0; i < new_tokens; i++) {
            llama_token next = best(c, vocab);
            if (i + 1 < new_tokens && llama_decode(c, llama_batch_get_one(&next, 1))) return 1;
        }
        if (k > 0) printf("%s%.6f", k > 1 ? ", " : "", now() - start);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("], \"peak_bytes\": %ld}\n", usage.ru_maxrss * 1024L);
    return 0;
}
