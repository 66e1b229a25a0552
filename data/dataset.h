/* dataset: files in, token sequences out. Everything is read, checked, tokenised and filtered in
 * dataset_open; after that the set is immutable, lives in three flat arrays and is read in O(1).
 *
 *     container            format               tokenizer              filter, pack
 *     JSONL JSON CSV  ->   what the row     ->  ids, labels       ->   items 0 .. size-1
 *     TSV text (gzip)      means (TRL 1.5)      (TRL's order)          (TRL's rules)
 *
 * An *item* is what one place of a batch holds:
 *     DATASET_SFT         one row, or one packed row of several sequences; ids and labels
 *     DATASET_PREFERENCE  one pair: chosen, rejected, margin
 *     DATASET_PROMPT      one prompt: ids, its text, and the row itself for reward functions
 *
 * Semantics are TRL's (1.9): EOS is appended as text to non-conversational rows unless already
 * there; a completion starts after as many tokens as the prompt alone has; labels first, then
 * truncation to max_length; SFT rows without a label left are dropped; preference pairs with a side
 * longer than max_length are dropped, never truncated, and so are prompts. Every drop is counted
 * (DatasetCounts).
 *
 * The result is a pure function of the files and the options: rows are tokenised in parallel, but
 * neither order nor bits depend on the number of threads.
 */
#ifndef HONE_DATA_DATASET_H
#define HONE_DATA_DATASET_H

#include "core/status.h"
#include "data/pack.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;       /* data/tokenizer/tokenizer.h */
typedef struct ChatTemplate ChatTemplate; /* data/template.h */

typedef enum DatasetKind { DATASET_SFT, DATASET_PREFERENCE, DATASET_PROMPT } DatasetKind;
typedef enum DatasetBadRow { DATASET_BAD_ERROR, DATASET_BAD_SKIP } DatasetBadRow;
/* How a plain text file becomes rows (`sample_by` of the datasets library). Blank ones are no rows.
 */
typedef enum DatasetTextBy {
    DATASET_TEXT_LINE,
    DATASET_TEXT_PARAGRAPH, /* separated by blank lines */
    DATASET_TEXT_DOCUMENT,  /* the whole file */
} DatasetTextBy;

/* A question that the data may answer itself. */
typedef enum DatasetTri { DATASET_NULL = -1, DATASET_FALSE = 0, DATASET_TRUE = 1 } DatasetTri;

/* One entry of a column map: the format's `name` is read from the file's `column`. */
typedef struct DatasetColumn {
    const char *name;
    const char *column;
} DatasetColumn;

/* One file, glob or folder. Zero is a usable default for everything but `path`. */
typedef struct DatasetSource {
    const char *
        path; /* file, glob, or folder that holds <split>.<ext> (or <split>/..., <split>-*.<ext>) */
    const char
        *format;       /* a name of dataset_format_names(); NULL or "auto": told by the first row */
    const char *split; /* which file of a folder; NULL: "train" */
    const DatasetColumn *columns; /* [n_columns]; columns named #1, #2, ... tell that a CSV or TSV
                                     file has no header line */
    int64_t n_columns;
    double weight; /* times each row is seen in an epoch: 1 (and 0, unset) once, 0.5 half of the
                      rows (chosen by the seed), 2 each row twice */
    /* "Q: {question}\nA:" fills `prompt` from the row's columns; {{ and }} are braces. NULL: the
     * format's own. */
    const char *prompt_template;
    const char *completion_template;
    const char *promptsource; /* a templates.yaml of promptsource, applied to the rows; or NULL */
    const char *promptsource_name; /* which of its templates; NULL: the only one */
} DatasetSource;

/* TRL's names. Start from dataset_options_default(kind); borrowed pointers must outlive
 * dataset_open, tokenizer too. */
typedef struct DatasetOptions {
    DatasetKind kind;
    const DatasetSource *sources; /* [n_sources] */
    int64_t n_sources;
    const char *root; /* NULL, or where a relative path is looked for after the working folder */

    const Tokenizer *tokenizer;
    const ChatTemplate *chat_template; /* NULL: conversational rows are an error that says so */
    bool parse_special;                /* strings of special tokens inside messages become tokens */

    int64_t max_length;              /* tokens; 0: no limit. SFT truncates, the others drop */
    bool truncation_keep_end;        /* truncation_mode: keep_end */
    DatasetTri completion_only_loss; /* null: true where rows have a prompt and a completion */
    bool assistant_only_loss;        /* loss on the template's {% generation %} spans only */
    bool append_eos;                 /* default true; prompts never get one */
    const char *eos_token;           /* NULL: the tokenizer's */
    const char *dataset_text_field;  /* "text" */
    DatasetTextBy text_by;

    /* For an encoder-decoder: the prompt goes to the encoder, the completion to the decoder, each
     * tokenised alone, ended by EOS and cut to max_length. In an item one follows the other, and
     * labels begin where the completion does. Only rows with both, and no packing. */
    bool encoder_decoder;

    bool packing;
    PackStrategy packing_strategy; /* bfd */
    int64_t packing_batch_size;    /* rows packed together; 0: TRL's 1000 */

    /* Where tokens are kept for the next time (dataset_cache.h); NULL: nowhere. A kept set is
     * mapped: it is not in memory. */
    const char *cache_dir;

    DatasetBadRow on_bad_row;
    double max_bad_fraction; /* with skip: more bad rows than this share is an error; default 1 */
    uint64_t seed;           /* picks the rows of a fractional weight, and of the test part */

    /* Of all rows that give an example, a share (below 1, rounded up) or a number is set apart,
     * drawn by the seed; 0: none. The set is those, or the others. */
    double test_split_size;
    bool test_part;
} DatasetOptions;

DatasetOptions dataset_options_default(DatasetKind kind);

/* What became of the rows and of the examples in them. Items (after packing and weights) are
 * dataset_size. */
typedef struct DatasetCounts {
    int64_t rows;            /* read, all sources together */
    int64_t bad;             /* skipped by on_bad_row: skip */
    int64_t over_long;       /* dropped: a pair or prompt above max_length */
    int64_t truncated;       /* kept, but cut to max_length */
    int64_t empty;           /* dropped: no token at all, or nothing by a promptsource template */
    int64_t no_label;        /* dropped: nothing left to learn after masking and truncation */
    int64_t identical;       /* dropped: chosen equals rejected */
    int64_t prefix_mismatch; /* kept: the prompt's tokens are no prefix of prompt + completion's */
    int64_t barren;          /* rows that hold no example: a tree without ranked answers */
    int64_t kept;            /* examples that became part of an item; rows mostly hold one */
    int64_t tokens;          /* of all items */
    int64_t targets;         /* rows of all items that carry a loss (SFT) */
    char first_bad[512];     /* the first bad row's line of text, "" when none */
} DatasetCounts;

/* One item, borrowed from the data set until dataset_close. Arrays not named for the kind are NULL.
 */
typedef struct DatasetExample {
    /* SFT, and PROMPT (which has neither labels nor more than one sequence) */
    const int32_t *ids;       /* [n_ids] */
    const int32_t *labels;    /* [n_ids] unshifted as in TRL: the id itself, or ROWS_NO_TARGET */
    const int64_t *seq_start; /* [n_seqs+1] sequence q is ids[seq_start[q] - seq_start[0]] ... */
    int64_t n_ids, n_seqs;
    /* PREFERENCE */
    const int32_t *chosen, *rejected; /* [n_chosen], [n_rejected] */
    int64_t n_chosen, n_rejected;
    double margin; /* 0 where the row has none */
    /* PROMPT: for reward functions and printed samples; NUL-terminated */
    const char *prompt; /* the text, or the rendered conversation */
    const char *row;    /* the whole row as one line of JSON */
    /* where it came from (a packed item: its first row) */
    const char *path;
    int64_t line;   /* of the file, from 1 */
    int64_t seq_id; /* data-set-wide number of its first sequence; the others follow */
} DatasetExample;

typedef struct Dataset Dataset;

/* ERR_INPUT: no such file; ERR_DATA: bad row (`path:line:col: ...`), unknown format, a row that the
 * kind cannot use, or nothing left (the message names the filter that took the rows); ERR_CONFIG:
 * an option that contradicts another. */
Status dataset_open(Dataset **out, const DatasetOptions *options);
void dataset_close(Dataset *d);

DatasetKind dataset_kind(const Dataset *d);
int64_t dataset_size(const Dataset *d); /* items of an epoch, >= 1 */
DatasetExample dataset_get(const Dataset *d, int64_t index);
const DatasetCounts *dataset_counts(const Dataset *d);
int64_t dataset_item_tokens(const Dataset *d, int64_t index); /* both sides of a pair */
int64_t dataset_item_targets(const Dataset *d,
                             int64_t index); /* rows that carry a loss once shifted */
int64_t dataset_sequences(const Dataset *d); /* all sequences: seq_id < this */
bool dataset_has_margin(const Dataset *d);

/* SHA-256 over every token, label, margin, prompt and the order of items: equal digests mean equal
 * training data, whatever the files were called. */
void dataset_digest(const Dataset *d, char hex[65]);

/* Logs a line a source (its format), a line a file that has columns which its format does not use,
 * and one line: rows, items, tokens, and whatever was dropped, cut or skipped, with the reason. */
void dataset_log(const Dataset *d, const char *name);

/* NULL-terminated, sorted: for help, the config schema and did-you-mean. */
const char *const *dataset_format_names(void);

#endif
