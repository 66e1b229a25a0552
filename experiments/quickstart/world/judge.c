#include "judge.h"

#include <string.h>

typedef struct Parsed {
    int word[SLOT_COUNT]; /* -1: the template has no such slot */
    const Template *template;
} Parsed;

/* The word of the list that stands at s as a whole word; its length in *len; -1: none. */
static int word_at(const char *s, const char *const *words, int n, size_t *len) {
    for (int i = 0; i < n; i++) {
        *len = strlen(words[i]);
        if (strncmp(s, words[i], *len) == 0 && strchr(" .", s[*len])) return i;
    }
    return -1;
}

/* Matches one template at s. Returns what is behind the full stop, or NULL. */
static const char *match(const Template *t, const char *s, Parsed *p) {
    p->template = t;
    for (Slot i = 0; i < SLOT_COUNT; i++) p->word[i] = -1;
    for (const char *c = t->text; *c; c++) {
        if (*c == ' ' && c[1] == '.') continue;
        if (*c != '$') {
            if (*s++ != *c) return NULL;
            continue;
        }
        Slot slot = slot_by_letter(*++c);
        int n;
        size_t len;
        const char *const *words = slot_words(slot, &n);
        int word = word_at(s, words, n, &len);
        if (word < 0) return NULL;
        p->word[slot] = word;
        s += len;
    }
    return s;
}

static const char *parse_sentence(const char *s, Parsed *p) {
    for (int i = 0; i < n_templates; i++) {
        const char *rest = match(&templates[i], s, p);
        if (rest) return rest;
    }
    return NULL;
}

static int count_sentences(const char *s) {
    int n = 0;
    for (; *s; s++) n += *s == '.';
    return n;
}

static bool in_order(const Parsed *p, int n) {
    for (int i = 0; i < n; i++) {
        SentenceKind want = i == 0       ? SENTENCE_INTRO
                            : i == n - 1 ? SENTENCE_ENDING
                            : i == n - 2 ? SENTENCE_MEETING
                                         : SENTENCE_MIDDLE;
        if (p[i].template->kind != want) return false;
    }
    return n >= STORY_MIN && n <= STORY_MAX;
}

static bool same_throughout(const Parsed *p, int n) {
    const Slot slots[] = {SLOT_HERO, SLOT_THING, SLOT_FRIEND};
    for (int k = 0; k < 3; k++) {
        int first = -1;
        for (int i = 0; i < n; i++) {
            int word = p[i].word[slots[k]];
            if (word < 0) continue;
            if (first < 0) first = word;
            if (word != first) return false;
        }
    }
    return true;
}

Verdict judge(const char *request, const char *story) {
    Verdict v = {.n_sentences = count_sentences(story)};
    Parsed p[STORY_MAX];
    int n = 0, thing = -1, length = -1;
    const char *s = story;
    while (*s == ' ') s++;
    while (*s && n < STORY_MAX) {
        s = parse_sentence(s, &p[n]);
        if (!s) return v;
        n++;
        if (*s == ' ') s++;
    }
    if (*s && strcmp(s, "\n") != 0) return v;
    v.fluent = in_order(p, n);
    if (!v.fluent || !request_read(request, &thing, &length)) return v;
    v.kind = p[n - 1].template->mood == MOOD_KIND;
    v.length = n == length;
    v.thing = p[0].word[SLOT_THING] == thing;
    v.same = same_throughout(p, n);
    v.all = v.kind && v.length && v.thing && v.same;
    return v;
}
