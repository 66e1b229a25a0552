/* tokenizer: text to token ids and back.
 *
 *     tokenizer_open(&tok, "models/base");
 *     TokenIds ids = {0};
 *     tokenizer_encode(tok, &ids, text, n, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL);
 *     tokenizer_decode(tok, &bytes, ids.id, ids.n, 0);
 *
 * An open Tokenizer never changes: any number of threads may encode and decode with one at the same
 * time. Text is UTF-8; text that is not is refused (ERR_DATA), never repaired.
 * Ids are those of Hugging Face's `tokenizers` library on the same files.
 */
#ifndef HONE_DATA_TOKENIZER_TOKENIZER_H
#define HONE_DATA_TOKENIZER_TOKENIZER_H

#include "core/io/gguf_save.h"
#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;

#define TOKEN_NONE (-1) /* "no such token" wherever an id is expected */

/* A growable list of ids. Start with {0}; calls append. */
typedef struct TokenIds {
    int32_t *id;   /* [n] */
    uint8_t *mask; /* [n] or NULL: 1 where the token touches a segment marked SEGMENT_MASK */
    size_t n, cap;
    bool want_mask; /* set by the caller before the first append */
} TokenIds;

void token_ids_push(TokenIds *ids, int32_t id, bool mask);
void token_ids_clear(TokenIds *ids); /* n = 0, memory is kept */
void token_ids_free(TokenIds *ids);  /* {0} again, except want_mask */

/* `path` is one of: the folder of a Hugging Face model (tokenizer.json, else tokenizer.model, else
 * vocab.json + merges.txt; beside it tokenizer_config.json, special_tokens_map.json,
 * generation_config.json, config.json and chat_template.jinja are read where they exist), a file
 * `tokenizer.json`, a file `tokenizer.model` (SentencePiece BPE, or tiktoken's lines of ranks as
 * Llama 3 has them), a GGUF file (*.gguf), or the word "bytes" (tokenizer_open_bytes).
 * ERR_INPUT: nothing there, the message says which files were looked for. ERR_DATA: damaged,
 * hostile, or of a kind that is not read, the message says which. */
Status tokenizer_open(Tokenizer **out, const char *path);

/* Raw bytes for tests and byte-level models: id = byte, 256 = <bos>, 257 = <eos>, 258 = <pad>. */
Status tokenizer_open_bytes(Tokenizer **out);

void tokenizer_close(Tokenizer *t);

/* Number of ids: highest id + 1. A model's table may have more rows (padding), never fewer. */
int32_t tokenizer_vocab_size(const Tokenizer *t);

/* TOKEN_NONE when the tokenizer has none. */
int32_t tokenizer_bos(const Tokenizer *t);
int32_t tokenizer_eos(const Tokenizer *t);
int32_t tokenizer_pad(const Tokenizer *t);
int32_t tokenizer_unk(const Tokenizer *t);

/* All ids that end a generation: eos_token_id of generation_config.json (number or list), else of
 * config.json, else the tokenizer's; eos itself always among them. *ids is borrowed. */
size_t tokenizer_eos_list(const Tokenizer *t, const int32_t **ids);
/* Right after opening: those of another folder too, of the model that the tokenizer of an adapter's
 * folder belongs to. ERR_DATA as tokenizer_open. */
Status tokenizer_add_eos_list(Tokenizer *t, const char *folder);

/* model_max_length of tokenizer_config.json; 0 when unknown or meaningless (1e30). */
int64_t tokenizer_max_length(const Tokenizer *t);

/* The token as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"), NUL-terminated, borrowed; NULL
 * for an id without a token. */
const char *tokenizer_token(const Tokenizer *t, int32_t id);
/* The reverse; TOKEN_NONE when the text is no token. */
int32_t tokenizer_id(const Tokenizer *t, const char *token);
/* Is it a special (control) token: bos, eos, <|im_start|>, ...? */
bool tokenizer_is_special(const Tokenizer *t, int32_t id);

/* Flags of encoding. */
#define TOKENIZER_ADD_SPECIAL 1u /* what the tokenizer adds by itself: BOS in Llama, EOS in T5 */
#define TOKENIZER_PARSE_SPECIAL                                                \
    2u /* "<|im_start|>" in the text becomes the special token; without it the \
          text is text (added tokens that are not special are found in any case) */

/* Appends the ids of text[0..n). */
Status tokenizer_encode(const Tokenizer *t, TokenIds *ids, const char *text, size_t n,
                        unsigned flags);

/* Text in pieces of different origin. Pieces are tokenised as the one text they make together, so
 * that merges cross their borders, but a special token is found only where all of its bytes come
 * from pieces marked SEGMENT_SPECIAL. */
#define SEGMENT_SPECIAL 1u /* may hold special tokens: template text, never a user's */
#define SEGMENT_MASK 2u    /* its tokens get mask 1 */
typedef struct TokenSegment {
    const char *text; /* [n] */
    size_t n;
    unsigned flags;
} TokenSegment;

/* `flags`: TOKENIZER_ADD_SPECIAL or 0 (a chat template writes its own BOS). */
Status tokenizer_encode_segments(const Tokenizer *t, TokenIds *ids, const TokenSegment *segments,
                                 size_t n_segments, unsigned flags);

/* Flags of decoding. */
#define TOKENIZER_SKIP_SPECIAL 1u /* leave special tokens out */

/* Appends the text of ids[0..n). Always valid UTF-8: bytes that are not become U+FFFD.
 * An id without a token gives nothing: a model's table may have
 * more rows than the vocabulary. ERR_DATA for an id that no table can have. */
Status tokenizer_decode(const Tokenizer *t, Str *text, const int32_t *ids, size_t n,
                        unsigned flags);

/* Decoding token by token, for streaming. What is appended in all calls together is what
 * tokenizer_decode gives for all ids; a character is held back until it is complete. */
typedef struct TokenStream {
    const Tokenizer *tokenizer;
    unsigned flags;
    bool started;     /* a token has been seen */
    bool begun;       /* and one that gave text */
    const char *last; /* [last_n] the token before, borrowed from the tokenizer; NULL: none */
    size_t last_n;
    Str held; /* bytes of a character that is not complete */
} TokenStream;

void token_stream_init(TokenStream *s, const Tokenizer *t, unsigned flags);
Status token_stream_push(TokenStream *s, Str *text, int32_t id);
void token_stream_finish(TokenStream *s, Str *text); /* appends what is held; init again or drop */

/* The chat template's source: chat_template.jinja, else `chat_template` of tokenizer_config.json
 * (of a list of named ones "default"). NULL when there is none. Borrowed, NUL-terminated. */
const char *tokenizer_chat_template(const Tokenizer *t);
/* A special token by its name in the config ("bos_token", "eos_token", "pad_token", ...): its text,
 * or NULL. */
const char *tokenizer_special_text(const Tokenizer *t, const char *name);
/* i-th name and text of those, in file order; false after the last. */
bool tokenizer_special_at(const Tokenizer *t, size_t i, const char **name, const char **text);

/* SHA-256 over the bytes of the files that decide ids and templates, as 64 hex digits: for caches
 * and manifests. */
const char *tokenizer_digest(const Tokenizer *t);

/* Copies the tokenizer's files, byte for byte, into `folder`, which exists. */
Status tokenizer_export(const Tokenizer *t, const char *folder);

/* Appends the tokenizer as the metadata of a GGUF file for a model whose table has n_rows rows.
 * Byte-level BPE and SentencePiece's BPE; ERR_DATA says what of another kind has no place there. */
Status tokenizer_write_gguf(const Tokenizer *t, int64_t n_rows, GgufMeta *out);

/* Byte-level BPE learned from text (GPT-2's splitting), the same for the same input. */
typedef struct TokenizerTraining {
    int32_t vocab_size;         /* special tokens and the 256 bytes included */
    int64_t min_frequency;      /* a pair is merged only if it occurs this often; at least 1 */
    const char *const *special; /* [n_special] get the first ids, in this order */
    size_t n_special;
    const char *bos, *eos, *pad,
        *unk;                  /* NULL or one of `special`: written to tokenizer_config.json */
    bool add_bos;              /* encoding with TOKENIZER_ADD_SPECIAL begins with bos */
    const char *chat_template; /* NULL or the template to write */
} TokenizerTraining;

/* Trains on `texts` and writes tokenizer.json and tokenizer_config.json into `folder`, which
 * exists. A vocabulary that the text cannot fill comes out smaller, with a warning. */
typedef struct TokenizerInput {
    const char *text;
    size_t n;
} TokenizerInput;
Status tokenizer_train_bpe(const char *folder, const TokenizerTraining *how,
                           const TokenizerInput *texts, size_t n_texts);

#endif
