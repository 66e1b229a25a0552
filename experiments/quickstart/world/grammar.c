#include "grammar.h"

#include <string.h>

static const char *const names[] = {"Mia", "Tom", "Ada", "Ben", "Zoe", "Max", "Ivy", "Leo",
                                    "Eva", "Sam", "Lua", "Kai", "Nia", "Ole", "Pia", "Rex"};
static const char *const animals[] = {"fox",  "bear", "pig",  "hare",  "cat",  "dog",
                                      "frog", "goat", "duck", "mouse", "crow", "seal"};
static const char *const places[] = {"river",   "hill",   "mill",  "lake", "forest", "bridge",
                                     "harbour", "meadow", "tower", "cave", "garden", "market"};
static const char *const things[] = {"lamp", "kite", "drum", "boat", "hat",  "cake",
                                     "bell", "map",  "ring", "book", "coat", "flute"};
static const char *const looks[] = {"red",   "small", "grey",  "shiny", "blue",  "round",
                                    "heavy", "new",   "green", "warm",  "lucky", "wooden"};
static const char *const times[] = {"morning", "evening", "night",  "summer",
                                    "winter",  "Sunday",  "autumn", "spring"};

/* "$" + letter is a slot; everything else is literal, the full stop included. */
const Template templates[] = {
    {SENTENCE_INTRO, 0, "$h the $a lived by the $p and had a $l $t ."},
    {SENTENCE_INTRO, 0, "Once a $a called $h had a $l $t by the $p ."},
    {SENTENCE_INTRO, 0, "By the $p lived $h the $a with a $l $t ."},
    {SENTENCE_INTRO, 0, "There was a $a by the $p and its name was $h and it had a $l $t ."},
    {SENTENCE_MIDDLE, 0, "Every $w $h took the $t to the $p ."},
    {SENTENCE_MIDDLE, 0, "$h sang a song about the $t ."},
    {SENTENCE_MIDDLE, 0, "The $t was the best thing that $h had ."},
    {SENTENCE_MIDDLE, 0, "One $w the $t was lost and $h looked for it by the $p ."},
    {SENTENCE_MIDDLE, 0, "$h put the $t near the $p and slept ."},
    {SENTENCE_MIDDLE, 0, "Each $w $h cleaned the $t ."},
    {SENTENCE_MEETING, 0, "Then $h met $f the $b who liked the $t ."},
    {SENTENCE_MEETING, 0, "One $w $f the $b came by and asked $h about the $t ."},
    {SENTENCE_MEETING, 0, "By the $p $h saw $f the $b who had no $t ."},
    {SENTENCE_ENDING, MOOD_KIND, "In the end $h chose to share the $t with $f ."},
    {SENTENCE_ENDING, MOOD_KIND, "In the end $h chose not to keep the $t from $f ."},
    {SENTENCE_ENDING, MOOD_SAD, "In the end $h chose to keep the $t from $f ."},
    {SENTENCE_ENDING, MOOD_SAD, "In the end $h chose not to share the $t with $f ."},
    {SENTENCE_ENDING, MOOD_FUNNY, "In the end the $t fell on $h and $f laughed ."},
    {SENTENCE_ENDING, MOOD_FUNNY, "So $f sat on the $t and $h laughed that $w ."},
};
const int n_templates = sizeof templates / sizeof *templates;

#define WORDS(list) (*n = (int)(sizeof(list) / sizeof *(list)), (list))

const char *const *slot_words(Slot slot, int *n) {
    switch (slot) {
    case SLOT_HERO:
    case SLOT_FRIEND:
        return WORDS(names);
    case SLOT_ANIMAL:
    case SLOT_FRIEND_ANIMAL:
        return WORDS(animals);
    case SLOT_PLACE:
        return WORDS(places);
    case SLOT_THING:
        return WORDS(things);
    case SLOT_LOOK:
        return WORDS(looks);
    default:
        return WORDS(times);
    }
}

Slot slot_by_letter(char letter) {
    static const char letters[] = "haptlfbw";
    return (Slot)(strchr(letters, letter) - letters);
}

const char *number_word(int n) {
    static const char *const words[] = {"three", "four", "five", "six"};
    return words[n - STORY_MIN];
}

static int draw(RngStream *rng, int n) {
    return (int)rng_below(rng, (uint64_t)n);
}

bool facts_held_out(const Facts *f) {
    uint64_t key =
        (uint64_t)(f->word[SLOT_HERO] * 10000 + f->word[SLOT_ANIMAL] * 100 + f->word[SLOT_THING]);
    return rng_block(0, rng_subsequence(RNG_WORLD, 1), key).x[0] % 8 == 0;
}

Facts facts_draw(RngStream *rng, bool held_out) {
    Facts f;
    do {
        for (Slot s = 0; s < SLOT_COUNT; s++) {
            int n;
            slot_words(s, &n);
            f.word[s] = draw(rng, n);
        }
        f.n_sentences = STORY_MIN + draw(rng, STORY_MAX - STORY_MIN + 1);
        f.mood = (Mood)(draw(rng, 5) / 2); /* kind and sad twice as often as funny */
    } while (f.word[SLOT_FRIEND] == f.word[SLOT_HERO] || facts_held_out(&f) != held_out);
    return f;
}

/* A template with its slots filled. Places and times are drawn anew in each sentence after the
 * intro. */
static void sentence_write(Str *out, const Template *t, const Facts *f, RngStream *rng) {
    for (const char *c = t->text; *c; c++) {
        if (*c == ' ' && c[1] == '.') continue;
        if (*c != '$') {
            str_append_char(out, *c);
            continue;
        }
        Slot s = slot_by_letter(*++c);
        int n;
        const char *const *words = slot_words(s, &n);
        bool fresh = s == SLOT_TIME || (s == SLOT_PLACE && t->kind != SENTENCE_INTRO);
        str_append(out, words[fresh ? draw(rng, n) : f->word[s]]);
    }
}

static const Template *pick(SentenceKind kind, Mood mood, RngStream *rng) {
    const Template *found[16];
    int n = 0;
    for (int i = 0; i < n_templates; i++)
        if (templates[i].kind == kind && (kind != SENTENCE_ENDING || templates[i].mood == mood))
            found[n++] = &templates[i];
    return found[draw(rng, n)];
}

static int other(int word, int n, RngStream *rng) {
    return (word + 1 + draw(rng, n - 1)) % n;
}

void story_write(Str *out, const Facts *f, Slips slips, RngStream *rng) {
    int last = f->n_sentences - 1,
        slip_at = f->n_sentences > 3 ? 1 + draw(rng, f->n_sentences - 3) : last - 1;
    for (int i = 0; i <= last; i++) {
        SentenceKind kind = i == 0          ? SENTENCE_INTRO
                            : i == last     ? SENTENCE_ENDING
                            : i == last - 1 ? SENTENCE_MEETING
                                            : SENTENCE_MIDDLE;
        Facts now = *f;
        int n;
        if (i == slip_at && slips.hero) {
            slot_words(SLOT_HERO, &n);
            do now.word[SLOT_HERO] = other(f->word[SLOT_HERO], n, rng);
            while (now.word[SLOT_HERO] == f->word[SLOT_FRIEND]);
        }
        if (i == slip_at && slips.thing) {
            slot_words(SLOT_THING, &n);
            now.word[SLOT_THING] = other(f->word[SLOT_THING], n, rng);
        }
        if (i > 0) str_append_char(out, ' ');
        sentence_write(out, pick(kind, f->mood, rng), &now, rng);
    }
}

void title_write(Str *out, const Facts *f, RngStream *rng) {
    static const char *const moods[] = {"kind", "sad", "funny"};
    const char *hero = names[f->word[SLOT_HERO]], *animal = animals[f->word[SLOT_ANIMAL]],
               *thing = things[f->word[SLOT_THING]];
    const char *number = number_word(f->n_sentences);
    switch (draw(rng, 3)) {
    case 0:
        str_printf(out, "A %s story of %s the %s and the %s in %s sentences.\n", moods[f->mood],
                   hero, animal, thing, number);
        break;
    case 1:
        str_printf(out, "The %s and %s the %s, a %s story in %s sentences.\n", thing, hero, animal,
                   moods[f->mood], number);
        break;
    default:
        str_printf(out, "In %s sentences: %s the %s and the %s, a %s story.\n", number, hero,
                   animal, thing, moods[f->mood]);
        break;
    }
}

/* Wordings of a request; $n is the number. Read back by request_read. */
static const char *const requests[] = {
    "Tell me a story about $h the $a and a $t in $n sentences.\n",
    "Please write $n sentences about $h the $a with a $t.\n",
    "I want a story of $n sentences. It is about $h the $a and a $t.\n",
};
#define N_REQUESTS ((int)(sizeof requests / sizeof *requests))

void request_write(Str *out, const Facts *f, RngStream *rng) {
    for (const char *c = requests[draw(rng, N_REQUESTS)]; *c; c++) {
        if (*c != '$') {
            str_append_char(out, *c);
            continue;
        }
        c++;
        int n;
        if (*c == 'n')
            str_append(out, number_word(f->n_sentences));
        else
            str_append(out, slot_words(slot_by_letter(*c), &n)[f->word[slot_by_letter(*c)]]);
    }
}

/* Index of the list's word that stands at *s, which moves behind it; -1 when none does. Words are
 * whole. */
static int read_word(const char **s, const char *const *words, int n) {
    for (int i = 0; i < n; i++) {
        size_t len = strlen(words[i]);
        char next = strncmp(*s, words[i], len) == 0 ? (*s)[len] : 'x';
        if (next >= 'a' && next <= 'z') continue;
        *s += len;
        return i;
    }
    return -1;
}

static bool request_matches(const char *pattern, const char *s, int *thing, int *n_sentences) {
    static const char *const numbers[] = {"three", "four", "five", "six"};
    for (; *pattern; pattern++) {
        if (*pattern != '$') {
            if (*s++ != *pattern) return false;
            continue;
        }
        pattern++;
        int n = 4;
        const char *const *words =
            *pattern == 'n' ? numbers : slot_words(slot_by_letter(*pattern), &n);
        int word = read_word(&s, words, n);
        if (word < 0) return false;
        if (*pattern == 'n') *n_sentences = STORY_MIN + word;
        if (*pattern == 't') *thing = word;
    }
    return *s == '\0';
}

bool request_read(const char *request, int *thing, int *n_sentences) {
    for (int i = 0; i < N_REQUESTS; i++)
        if (request_matches(requests[i], request, thing, n_sentences)) return true;
    return false;
}
