/* A tokenizer as the metadata of a GGUF file (tokenizer_write_gguf in tokenizer.h). llama.cpp knows
 * two kinds of ours: SentencePiece's BPE, whose pieces have scores, and byte-level BPE, whose way
 * to split text goes by a name. What fits neither is refused. */
#include "core/log.h"
#include "core/mem.h"
#include "data/tokenizer/gguf_pre.h"
#include "data/tokenizer/tokenizer_parts.h"
#include "data/tokenizer/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."
#define SPACE "\xE2\x96\x81"

/* The numbers are those of SentencePiece. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

static Status refuse(const char *what) {
    return status_fail(ERR_DATA, "the tokenizer %s, which GGUF has no word for; export to hf",
                       what);
}

/* ---- tokens and their types ---- */

static bool is_byte(const Tokenizer *t, int32_t id) {
    for (int i = 0; t->bpe.byte_fallback && i < 256; i++)
        if (t->bpe.byte_id[i] == id) return true;
    return false;
}

static int32_t type_of(const Tokenizer *t, int32_t id) {
    if (!tokenizer_token(t, id)) return TYPE_UNUSED;
    if (id == t->unk && (t->sentencepiece || t->bpe.byte_fallback)) return TYPE_UNKNOWN;
    if (t->special[id]) return TYPE_CONTROL;
    if (t->is_added[id / 8] >> (id % 8) & 1) return TYPE_USER_DEFINED;
    return is_byte(t, id) ? TYPE_BYTE : TYPE_NORMAL;
}

/* Rows of the model's table without a token get names that nobody writes. */
static void write_tokens(GgufMeta *out, const Tokenizer *t, int64_t n_rows) {
    const char **texts = mem_zalloc((size_t)n_rows, sizeof *texts);
    char(*fill)[16] = mem_zalloc((size_t)n_rows, sizeof *fill);
    int32_t *types = mem_zalloc((size_t)n_rows, sizeof *types);
    for (int32_t id = 0; id < n_rows; id++) {
        bool known = id < t->vocab.size;
        snprintf(fill[id], sizeof fill[id], "[PAD%d]", (int)id);
        texts[id] = known ? tokenizer_token(t, id) : NULL;
        types[id] = known ? type_of(t, id) : TYPE_UNUSED;
        if (!texts[id]) texts[id] = fill[id];
    }
    gguf_meta_strings(out, KEY "tokens", texts, n_rows);
    gguf_meta_i32s(out, KEY "token_type", types, n_rows);
    mem_free(texts);
    mem_free(fill);
    mem_free(types);
}

/* ---- merges ---- */

static int by_rank(const void *a, const void *b) {
    const BpePair *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

/* In the order of their ranks; bpe.n_pairs of them, the caller mem_free's it. */
static BpePair *sorted_pairs(const Bpe *b) {
    BpePair *pairs = mem_zalloc(b->n_pairs, sizeof *pairs);
    size_t n = 0;
    for (size_t i = 0; i < b->n_slots; i++)
        if (b->pairs[i].rank != UINT32_MAX) pairs[n++] = b->pairs[i];
    if (n > 1) qsort(pairs, n, sizeof *pairs, by_rank);
    return pairs;
}

static const char *text_at(const Tokenizer *t, uint64_t id) {
    return vocab_text(&t->vocab, (int32_t)id, NULL);
}

static Status write_merges(GgufMeta *out, const Tokenizer *t) {
    size_t n = t->bpe.n_pairs;
    BpePair *pairs = sorted_pairs(&t->bpe);
    char **lines = mem_zalloc(n, sizeof *lines);
    bool shared = false;
    for (size_t i = 0; i < n; i++) {
        shared = shared || (i > 0 && pairs[i].rank == pairs[i - 1].rank);
        lines[i] = str_format("%s %s", text_at(t, pairs[i].key >> 32),
                              text_at(t, pairs[i].key & UINT32_MAX));
    }
    if (!shared) gguf_meta_strings(out, KEY "merges", (const char *const *)lines, (int64_t)n);
    for (size_t i = 0; i < n; i++) mem_free(lines[i]);
    mem_free(lines);
    mem_free(pairs);
    return shared ? refuse("has merges of equal rank (a file of tiktoken's)") : OK;
}

/* ---- byte-level BPE: which of the names splits text the same way ---- */

static const char probe[] =
    "\n \n\n  \t\t \r\nI've SAID \"it's\" THEY'LL'd HeLLo wOrld_x camelCase XMLHttp\n"
    "1 12 123 1234 12345 1234567 3.14 1,000 ... !!?? a.b (c) --- ==> $5 #6 /path/to/\n\n"
    "na\xC3\xAFve caf\x65\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96 \xD0\x9F\xD1\x80\xD0\xB8 "
    "\xD9\xA1\xD9\xA2\xD9\xA3 \xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7 \xF0\x9F\x98\x80\xE2\x80\x8D"
    "\xF0\x9F\x8E\x89 \xC7\x85 \xE2\x85\xA7 x\xC2\xB2 \xC2\xA0 \xE3\x80\x80"
    "end. 'S 'Re  ";

static Status split(Pieces *pieces, Tagged *text, const Pretokenizer *p) {
    PretokenizeScratch w = {0};
    RegexScratch rw = {0};
    *text = (Tagged){.uniform = true};
    tagged_append(text, probe, sizeof probe - 1, 0);
    pieces_push(pieces, (Piece){.n = sizeof probe - 1, .token = -1, .first = true});
    Status st = pretokenizer_apply(p, &w, &rw, text, pieces);
    pretokenize_scratch_free(&w);
    regex_scratch_free(&rw);
    return st;
}

static bool same_pieces(const Pieces *a, const Tagged *x, const Pieces *b, const Tagged *y) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->piece[i].n != b->piece[i].n ||
            memcmp(x->text.data + a->piece[i].at, y->text.data + b->piece[i].at, a->piece[i].n) !=
                0)
            return false;
    return true;
}

static Status splits_as(bool *same, const Tokenizer *t, const char *section) {
    Json *json = NULL;
    Pretokenizer p = {0};
    Pieces ours = {0}, theirs = {0};
    Tagged x = {0}, y = {0};
    Status st = OK;
    TRY_GOTO(json_parse(&json, section, strlen(section), "pre", 1), st, out);
    TRY_GOTO(pretokenizer_read(&p, json, "pre"), st, out);
    TRY_GOTO(split(&theirs, &y, &p), st, out);
    TRY_GOTO(split(&ours, &x, &t->pretokenizer), st, out);
    *same = same_pieces(&ours, &x, &theirs, &y);
out:
    pieces_free(&ours);
    pieces_free(&theirs);
    tagged_free(&x);
    tagged_free(&y);
    pretokenizer_free(&p);
    json_free(json);
    return st;
}

static bool is_nfc(const Normalizer *z) {
    return z->n == 1 && z->step[0].kind == NORMALIZE_FORM && z->step[0].form == UNICODE_NFC;
}

static Status find_pre(const GgufPre **out, const Tokenizer *t) {
    bool nfc = is_nfc(&t->normalizer);
    *out = NULL;
    if (!nfc && t->normalizer.n > 0) return refuse("normalizes text");
    for (size_t i = 0; gguf_pre_at(i) && !*out; i++) {
        const GgufPre *pre = gguf_pre_at(i);
        bool same = false;
        if (nfc != (pre->normalizer != NULL) || pre->ignore_merges != t->bpe.ignore_merges)
            continue;
        TRY(splits_as(&same, t, pre->pre_tokenizer));
        if (same) *out = pre;
    }
    return *out ? OK : refuse("splits text in a way of its own");
}

static Status write_gpt2(GgufMeta *out, const Tokenizer *t, int64_t n_rows) {
    const GgufPre *pre = NULL;
    TRY(find_pre(&pre, t));
    gguf_meta_str(out, KEY "model", "gpt2");
    gguf_meta_str(out, KEY "pre", pre->name);
    write_tokens(out, t, n_rows);
    return write_merges(out, t);
}

/* ---- SentencePiece ---- */

#define NO_RANK UINT32_MAX

/* Runs of the sign for a blank: Llama's have one score, and merge to the same runs in any order. */
static bool is_run(const char *text, size_t n) {
    for (size_t i = 0; i < n; i += strlen(SPACE))
        if (n - i < strlen(SPACE) || memcmp(text + i, SPACE, strlen(SPACE)) != 0) return false;
    return true;
}

/* Two neighbours merge there whenever their text together is a piece, and all merges into a piece
 * come at its score: are these merges such ones? *rank: the first of the piece's. */
static bool check_piece(const Tokenizer *t, int32_t id, uint32_t *rank) {
    size_t n;
    uint32_t most = 0, count = 0;
    const char *text = vocab_text(&t->vocab, id, &n);
    *rank = NO_RANK;
    if (memchr(text, ' ', n)) return true; /* all blanks are signs by then */
    for (size_t cut = unicode_length((unsigned char)text[0]); cut < n;
         cut += unicode_length((unsigned char)text[cut])) {
        int32_t left = vocab_find(&t->vocab, text, cut);
        int32_t right = vocab_find(&t->vocab, text + cut, n - cut);
        if (left < 0 || right < 0 || type_of(t, left) != TYPE_NORMAL ||
            type_of(t, right) != TYPE_NORMAL)
            continue;
        const BpePair *pair = bpe_find_merge(&t->bpe, left, right);
        if (!pair) return false;
        if (pair->rank < *rank) *rank = pair->rank;
        if (pair->rank > most) most = pair->rank;
        count++;
    }
    return count == 0 || most - *rank < count || is_run(text, n);
}

static Status write_scores(GgufMeta *out, const Tokenizer *t, int64_t n_rows) {
    float *scores = mem_zalloc((size_t)n_rows, sizeof *scores);
    bool good = true;
    for (int32_t id = 0; id < t->vocab.size && good; id++) {
        uint32_t rank;
        if (type_of(t, id) != TYPE_NORMAL) continue;
        good = check_piece(t, id, &rank);
        scores[id] = rank == NO_RANK ? -1e7F : -(float)rank; /* the last: nothing merges into it */
    }
    if (good) gguf_meta_f32s(out, KEY "scores", scores, n_rows);
    mem_free(scores);
    return good ? OK : refuse("has merges that are not SentencePiece's");
}

static bool prepends_space(const Tokenizer *t) {
    for (size_t i = 0; i < t->normalizer.n; i++)
        if (t->normalizer.step[i].kind == NORMALIZE_PREPEND) return true;
    for (size_t i = 0; i < t->pretokenizer.n; i++)
        if (t->pretokenizer.step[i].kind == PRETOKENIZE_METASPACE)
            return t->pretokenizer.step[i].prepend != PREPEND_NEVER;
    return false;
}

/* Blanks become signs, and little else happens. */
static bool is_sentencepiece(const Tokenizer *t) {
    bool blanks = false, other = false;
    for (size_t i = 0; i < t->normalizer.n; i++) {
        const NormalizeStep *s = &t->normalizer.step[i];
        bool sign = s->kind == NORMALIZE_REPLACE && !s->regex && str_equal(s->from, " ") &&
                    str_equal(s->to, SPACE);
        blanks = blanks || sign;
        other = other || !(sign || (s->kind == NORMALIZE_PREPEND && str_equal(s->to, SPACE)));
    }
    for (size_t i = 0; i < t->pretokenizer.n; i++) {
        const PretokenizeStep *s = &t->pretokenizer.step[i];
        bool sign = s->kind == PRETOKENIZE_METASPACE;
        blanks = blanks || sign;
        /* Gemma's cuts at blanks, of which none is left. */
        other = other || !(sign || (s->kind == PRETOKENIZE_SPLIT && str_equal(s->literal, " ")));
    }
    return blanks && !other;
}

static Status write_llama(GgufMeta *out, const Tokenizer *t, int64_t n_rows) {
    if (!t->bpe.byte_fallback)
        log_warn(
            "the tokenizer has no tokens of bytes; llama.cpp fails at characters without a token");
    gguf_meta_str(out, KEY "model", "llama");
    gguf_meta_str(out, KEY "pre", "default");
    write_tokens(out, t, n_rows);
    TRY(write_scores(out, t, n_rows));
    gguf_meta_bool(out, KEY "add_space_prefix", prepends_space(t));
    if (t->unk >= 0) gguf_meta_u32(out, KEY "unknown_token_id", t->unk);
    return OK;
}

/* ---- what both kinds have ---- */

/* Around a text stand BOS and EOS or nothing. */
static Status write_around(GgufMeta *out, const Tokenizer *t) {
    bool bos = t->before.n == 1 && t->before.id[0] == t->bos;
    bool eos = t->after.n == 1 && t->after.id[0] == t->eos;
    if ((t->before.n > 0 && !bos) || (t->after.n > 0 && !eos))
        return refuse("puts other tokens than BOS and EOS around a text");
    gguf_meta_bool(out, KEY "add_bos_token", bos);
    gguf_meta_bool(out, KEY "add_eos_token", eos);
    return OK;
}

static void write_names(GgufMeta *out, const Tokenizer *t) {
    if (t->bos >= 0) gguf_meta_u32(out, KEY "bos_token_id", t->bos);
    if (t->eos >= 0) gguf_meta_u32(out, KEY "eos_token_id", t->eos);
    if (t->pad >= 0) gguf_meta_u32(out, KEY "padding_token_id", t->pad);
    for (size_t i = 0; i < t->eos_list.n; i++)
        if (t->eos_list.id[i] != t->eos && t->eos_list.id[i] < t->vocab.size) {
            gguf_meta_u32(out, KEY "eot_token_id", t->eos_list.id[i]);
            break;
        }
    if (t->chat_template) gguf_meta_str(out, "tokenizer.chat_template", t->chat_template);
}

Status tokenizer_write_gguf(const Tokenizer *t, int64_t n_rows, GgufMeta *out) {
    if (n_rows < t->vocab.size)
        return status_fail(ERR_DATA, "the tokenizer has %d ids, the model %lld", t->vocab.size,
                           (long long)n_rows);
    if (t->model != MODEL_BPE || t->bpe.prefix || t->bpe.suffix)
        return refuse("is no byte-level BPE and no SentencePiece BPE");
    bool llama = is_sentencepiece(t);
    TRY(llama ? write_llama(out, t, n_rows) : write_gpt2(out, t, n_rows));
    TRY(write_around(out, t));
    write_names(out, t);
    return OK;
}
