/* format: the table of what rows can mean. A new format is one function in a format_<family>.c and
 * one line in format.c; help, did-you-mean and auto-detection read the same table. */
#ifndef HONE_DATA_FORMATS_FORMAT_H
#define HONE_DATA_FORMATS_FORMAT_H

#include "data/formats/record.h"

typedef struct Format {
    const char *name;
    const char *columns;               /* for messages: "`prompt` and `completion`" */
    DatasetKind kind;                  /* what it was made for: tried first by auto */
    bool any_kind;                     /* made for all of them */
    bool (*matches)(const RowView *v); /* may this row be one? Looks at keys and their types */
    Status (*read)(const RowView *v,
                   Record *out); /* on failure the record is still freed by the caller */
    /* How many records a row gives, of which read gives the one numbered v->part; NULL: one. */
    int64_t (*count)(const RowView *v);
} Format;

#define FORMAT_MOST_RECORDS 4096 /* of one row */

/* A source with a template of promptsource is read by it. name NULL or "auto": told by the row `v`.
 * ERR_DATA: no format fits (the message lists the row's columns); ERR_CONFIG: unknown name, with a
 * suggestion. */
Status format_find(const Format **out, const char *name, const RowView *v, DatasetKind kind);

/* NULL-terminated, in the table's order. */
const char *const *format_names(void);

/* ---- shared by the format_*.c files ---- */

/* The prompt by the source's prompt_template where there is one, else the member `name`. */
Status format_prompt(const RowView *v, Record *r, const char *name, Part *out);
Status format_completion(const RowView *v, Record *r, const char *name, Part *out);
bool format_has_prompt(const RowView *v, const char *name);
bool format_has_completion(const RowView *v, const char *name);

/* format_text.c */
bool text_matches(const RowView *v);
Status text_read(const RowView *v, Record *r);
bool prompt_matches(const RowView *v);
Status prompt_read(const RowView *v, Record *r);
bool prompt_completion_matches(const RowView *v);
Status prompt_completion_read(const RowView *v, Record *r);
bool messages_matches(const RowView *v);
Status messages_read(const RowView *v, Record *r);
bool tokenized_matches(const RowView *v);
Status tokenized_read(const RowView *v, Record *r);

/* format_instruct.c */
bool alpaca_matches(const RowView *v);
Status alpaca_read(const RowView *v, Record *r);
Status alpaca_prompt(const RowView *v, Record *r, Part *out); /* from instruction and input */
bool dolly_matches(const RowView *v);
Status dolly_read(const RowView *v, Record *r);
bool p3_matches(const RowView *v);
Status p3_read(const RowView *v, Record *r);
bool flan_matches(const RowView *v);
Status flan_read(const RowView *v, Record *r);
bool natural_instructions_matches(const RowView *v);
Status natural_instructions_read(const RowView *v, Record *r);

/* format_pairs.c */
bool preference_matches(const RowView *v);
Status preference_read(const RowView *v, Record *r);
bool hh_rlhf_matches(const RowView *v);
Status hh_rlhf_read(const RowView *v, Record *r);
bool stack_exchange_matches(const RowView *v);
Status stack_exchange_read(const RowView *v, Record *r);

/* format_votes.c */
bool tldr_matches(const RowView *v);
Status tldr_read(const RowView *v, Record *r);
bool shp_matches(const RowView *v);
Status shp_read(const RowView *v, Record *r);
bool alpaca_farm_matches(const RowView *v);
Status alpaca_farm_read(const RowView *v, Record *r);

/* format_several.c */
bool ranked_matches(const RowView *v);
Status ranked_read(const RowView *v, Record *r);
int64_t ranked_count(const RowView *v);
bool self_instruct_matches(const RowView *v);
Status self_instruct_read(const RowView *v, Record *r);
int64_t self_instruct_count(const RowView *v);
bool ultrafeedback_matches(const RowView *v);
Status ultrafeedback_read(const RowView *v, Record *r);
bool guanaco_matches(const RowView *v);
Status guanaco_read(const RowView *v, Record *r);

/* promptsource.c */
Status promptsource_read(const RowView *v, Record *r);

/* format_oasst.c */
bool oasst_matches(const RowView *v);
Status oasst_read(const RowView *v, Record *r);
int64_t oasst_count(const RowView *v);

/* TRL's extract_prompt for a pair that holds its prompt twice: the longest common prefix; a space
 * before the first difference belongs to the answers. Sets r->prompt and cuts chosen and rejected.
 */
void pair_extract_prompt(Record *r);

#endif
