/* tokenizer_parts: what an open Tokenizer is made of. For the files of this folder only.
 *
 *     text -> added tokens (raw) -> normalizer -> added tokens (normalised) -> pre-tokenizer
 *          -> model, piece by piece -> ids, between what the post-processor puts around them
 *
 * A reader of a file format fills in a zeroed Tokenizer and calls tokenizer_finish once.
 */
#ifndef HONE_DATA_TOKENIZER_TOKENIZER_PARTS_H
#define HONE_DATA_TOKENIZER_TOKENIZER_PARTS_H

#include "core/io/json.h"
#include "core/sha256.h"
#include "data/tokenizer/added.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/detokenize.h"
#include "data/tokenizer/normalize.h"
#include "data/tokenizer/pretokenize.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unigram.h"
#include "data/tokenizer/vocab.h"
#include "data/tokenizer/wordpiece.h"

#include <pthread.h>

#define TOKENIZER_MAX_FILE ((size_t)64 << 20) /* bytes of a tokenizer.json or tokenizer.model */

/* One thread's working memory; kept in a list between calls, because caches are worth keeping. */
typedef struct TokenizerWorker {
    struct TokenizerWorker *next;
    BpeScratch bpe;
    UnigramScratch unigram;
    RegexScratch regex;
    NormalizeScratch normalize;
    PretokenizeScratch pretokenize;
    Tagged raw, text;
    Pieces raw_pieces, pieces;
    Spans spans;
} TokenizerWorker;

typedef struct TokenizerName { /* "eos_token" -> "</s>" */
    char *name, *text;
} TokenizerName;

typedef struct TokenizerFile { /* one that the tokenizer was read from, or would be written to */
    char *name;
    Str bytes;
} TokenizerFile;

typedef enum ModelKind { MODEL_BPE, MODEL_UNIGRAM, MODEL_WORDPIECE } ModelKind;

struct Tokenizer {
    Vocab vocab; /* the model's tokens and the added ones */
    ModelKind model;
    Bpe bpe;
    Unigram unigram;
    WordPiece wordpiece;

    AddedToken *added; /* [n_added] */
    size_t n_added, added_cap;
    uint8_t *is_added; /* [VOCAB_MAX_ID / 8] bits */
    AddedSet added_raw, added_normalized;
    bool *special; /* [vocab.size] */
    bool *hidden;  /* [vocab.size] what the model must not give: special, or unknown to it */

    Normalizer normalizer;
    Pretokenizer pretokenizer;
    Detokenizer detokenizer;
    bool has_post_processor; /* the file itself says what goes around a text */
    bool sentencepiece;      /* read from a tokenizer.model: the config's `legacy` counts */
    TokenIds before, after;  /* what TOKENIZER_ADD_SPECIAL puts around the text */

    TokenizerName *names; /* [n_names] special tokens by their name in the config */
    size_t n_names, names_cap;
    int32_t bos, eos, pad, unk;
    TokenIds eos_list;
    int64_t max_length;
    char *chat_template;

    TokenizerFile *files; /* [n_files] */
    size_t n_files, files_cap;
    char digest[SHA256_HEX];

    pthread_mutex_t lock; /* of `idle` */
    TokenizerWorker *idle;
};

/* Adds a token that is found before the model. Its text may be in the vocabulary already (then that
 * id counts). ERR_DATA when the id is another token's, or out of range, or the text is empty. */
Status tokenizer_add_token(Tokenizer *t, const char *text, size_t n, AddedToken token,
                           const char *where);

/* Remembers a name of a special token; the first one counts. */
void tokenizer_set_name(Tokenizer *t, const char *name, const char *text);

/* Builds what follows from the rest: special, hidden, tries, tables. ERR_DATA when an added token
 * vanishes under the normalizer. */
Status tokenizer_finish(Tokenizer *t, const char *where);

/* What the model gives for text that it has no token for; TOKEN_NONE: nothing. */
int32_t tokenizer_model_unk(const Tokenizer *t);

/* The readers. Each fills in vocabulary, model, steps; none calls tokenizer_finish. */
Status tokenizer_json_read(Tokenizer *t, const Json *root, const char *where);
Status tokenizer_model_read(Tokenizer *t, const Json *model, const char *where); /* part of it */
Status sentencepiece_read(Tokenizer *t, const unsigned char *bytes, size_t n, const char *where);
Status tiktoken_read(Tokenizer *t, const char *text, size_t n, const char *where);
Status tokenizer_gpt2_read(Tokenizer *t,
                           const char *path); /* vocab.json, with merges.txt beside it */

Status tokenizer_gguf_read(Tokenizer *t, const char *path); /* names and template too */

/* {"text": id, ...} */
Status tokenizer_add_vocab(Tokenizer *t, const Json *vocab, const char *where);
/* A merge of two tokens by their texts. ERR_DATA when a part or the whole is not in the vocabulary.
 */
Status tokenizer_add_merge(Tokenizer *t, const char *left, size_t left_n, const char *right,
                           size_t right_n, uint32_t rank, const char *where);
/* The same from a line "a b", as merges.txt has them. */
Status tokenizer_add_merge_line(Tokenizer *t, const char *line, size_t n, uint32_t rank,
                                const char *where);

/* tokenizer_config.json, special_tokens_map.json, generation_config.json, config.json and
 * chat_template.jinja of the folder. */
Status tokenizer_config_read(Tokenizer *t, const char *folder);
/* What a tokenizer_config.json of that content says, when it stands alone. */
Status tokenizer_config_apply(Tokenizer *t, const Json *config, const char *where);
/* One more id that ends a generation; ids that cannot be are left out. */
void tokenizer_push_eos(Tokenizer *t, int64_t id);
/* Looks the names up: bos, eos, pad, unk. */
void tokenizer_settle_names(Tokenizer *t);

/* Remembers a file of the tokenizer, for the digest and for tokenizer_export. */
void tokenizer_keep_file(Tokenizer *t, const char *name, const Str *bytes);

#endif
