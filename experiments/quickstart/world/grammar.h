/* grammar: the small world that the quickstart's models learn: stories of 3 to 6 sentences.
 *
 *     intro      Mia the fox lived by the river and had a red lamp.
 *     middle     (0 to 3) Every night Mia polished the lamp.
 *     meeting    One day Mia met Tom the bear, who liked the lamp.
 *     ending     In the end Mia chose not to keep the lamp from Tom.
 *
 * A sentence is a template of words and slots; a slot is one word out of a list. Each kind of
 * sentence has several wordings. Whether an ending is kind or sad cannot be told by counting words:
 * "share" and "not ... keep" are kind, "keep" and "not ... share" are not. Funny endings, one in
 * five, have words of their own.
 */
#ifndef HONE_QUICKSTART_GRAMMAR_H
#define HONE_QUICKSTART_GRAMMAR_H

#include "core/rng.h"
#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum Slot {
    SLOT_HERO,
    SLOT_ANIMAL,
    SLOT_PLACE,
    SLOT_THING,
    SLOT_LOOK, /* how the thing looks */
    SLOT_FRIEND,
    SLOT_FRIEND_ANIMAL,
    SLOT_TIME,
    SLOT_COUNT
} Slot;

typedef enum SentenceKind {
    SENTENCE_INTRO,
    SENTENCE_MIDDLE,
    SENTENCE_MEETING,
    SENTENCE_ENDING
} SentenceKind;
typedef enum Mood { MOOD_KIND, MOOD_SAD, MOOD_FUNNY, MOOD_COUNT } Mood;

typedef struct Template {
    SentenceKind kind;
    Mood mood;        /* endings only */
    const char *text; /* words; a slot is $h hero, $a animal, $p place, $t thing, $l look, $f
                         friend, $b friend's animal, $w when */
} Template;

extern const Template templates[];
extern const int n_templates;

/* The words a slot may take; heroes and friends share one list of names. */
const char *const *slot_words(Slot slot, int *n);
/* The slot of a template's "$x". */
Slot slot_by_letter(char letter);

#define STORY_MIN 3
#define STORY_MAX 6

/* What a story is about; words are indices into the lists. */
typedef struct Facts {
    int word[SLOT_COUNT];
    int n_sentences;
    Mood mood;
} Facts;

/* Random facts. held_out: of the combinations (hero, animal, thing) kept for tests; else of the
 * others. */
Facts facts_draw(RngStream *rng, bool held_out);
/* Is this combination kept out of every training text? One in eight, by hash. */
bool facts_held_out(const Facts *f);

/* Slips of a hurried writer: the hero or thing of one middle sentence is another one. */
typedef struct Slips {
    bool hero, thing;
} Slips;

/* The story, sentences separated by one blank. */
void story_write(Str *out, const Facts *f, Slips slips, RngStream *rng);
/* "A kind story of Mia the fox and the lamp in four parts:" */
void title_write(Str *out, const Facts *f, RngStream *rng);
/* "Tell me a story about Mia the fox and a lamp in four sentences.\n" */
void request_write(Str *out, const Facts *f, RngStream *rng);

/* Reads a request back: the asked thing and length. False when it is none of ours. */
bool request_read(const char *request, int *thing, int *n_sentences);

const char *number_word(int n); /* 3 .. 6 */

#endif
