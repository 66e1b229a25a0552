/* judge: an exact parser of stories. It sees nothing but the request and the text. */
#ifndef HONE_QUICKSTART_JUDGE_H
#define HONE_QUICKSTART_JUDGE_H

#include "grammar.h"

typedef struct Verdict {
    bool fluent; /* every sentence is of the grammar, in the right order: intro, middles, meeting,
                    ending */
    int n_sentences; /* of the text, fluent or not */
    bool kind;       /* the ending is kind */
    bool length;     /* as many sentences as were asked for */
    bool thing;      /* the story's thing is the one asked for */
    bool same; /* one hero and one thing throughout, the friend met is the friend of the ending */
    bool all;  /* fluent and the four criteria */
} Verdict;

/* Criteria of a text that is not fluent are false. */
Verdict judge(const char *request, const char *story);

#endif
