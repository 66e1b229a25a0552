/* What works on text: Python's string methods and the filters of the same kind. Parts keep the tags
 * of the text they come from. */
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unicode.h"

#include <string.h>

#define NOT_FOUND SIZE_MAX
#define TEXT_MAX ((size_t)64 << 20) /* bytes of one text: a short template can ask for any number \
                                     */

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* ---- searching ---- */

static size_t find(const JString *s, const JString *part, size_t from) {
    for (size_t at = from; at + part->n <= s->n; at++) {
        if (memcmp(s->data + at, part->data, part->n) == 0) return at;
    }
    return NOT_FOUND;
}

static size_t find_last(const JString *s, const JString *part, size_t end) {
    for (size_t at = end; at >= part->n; at--) {
        if (memcmp(s->data + at - part->n, part->data, part->n) == 0) return at - part->n;
    }
    return NOT_FOUND;
}

static bool starts(const JString *s, const JString *part) {
    return part->n <= s->n && memcmp(s->data, part->data, part->n) == 0;
}

static bool ends(const JString *s, const JString *part) {
    return part->n <= s->n && memcmp(s->data + s->n - part->n, part->data, part->n) == 0;
}

/* startswith and endswith take one text or a tuple of them. */
static JValue any_affix(JinjaRun *r, const JString *s, const JArguments *a,
                        bool (*fits)(const JString *, const JString *)) {
    JValue v = j_argument(a, 0, "prefix", j_undefined(NULL));
    if (v.kind != JK_TUPLE) return j_bool(fits(s, j_argument_string(r, a, 0, "prefix")));
    for (size_t i = 0; i < v.as.list->n; i++) {
        JValue one = v.as.list->item[i];
        if (one.kind == JK_STRING && fits(s, one.as.string)) return j_bool(true);
    }
    return j_bool(false);
}

/* ---- cutting ---- */

static bool strips(uint32_t c, const JString *set) {
    if (set == NULL) return unicode_is_blank(c);
    for (size_t at = 0, k; at < set->n; at += k) {
        if (unicode_decode(set->data + at, set->n - at, &k) == c) return true;
    }
    return false;
}

static JValue strip(JinjaRun *r, const JString *s, const JArguments *a, bool left, bool right) {
    JValue given = j_argument(a, 0, "chars", j_none());
    const JString *set = given.kind == JK_NONE ? NULL : j_argument_string(r, a, 0, "chars");
    size_t from = 0, to = s->n, k;
    while (left && from < to && strips(unicode_decode(s->data + from, to - from, &k), set))
        from += k;
    while (right && from < to && strips(unicode_decode_last(s->data + from, to - from, &k), set))
        to -= k;
    return j_part(r, s, from, to - from);
}

static void split_blanks(JinjaRun *r, JList *l, const JString *s, int64_t most) {
    size_t at = 0, k;
    for (;;) {
        while (at < s->n && unicode_is_blank(unicode_decode(s->data + at, s->n - at, &k))) at += k;
        if (at == s->n) return;
        size_t from = at;
        if (most == 0) at = s->n;
        while (at < s->n && !unicode_is_blank(unicode_decode(s->data + at, s->n - at, &k))) at += k;
        j_push(r, l, j_part(r, s, from, at - from));
        if (most > 0) most--;
    }
}

static JValue split(JinjaRun *r, const JString *s, const JArguments *a) {
    JValue l = j_list(r, JK_LIST);
    JValue given = j_argument(a, 0, "sep", j_none());
    int64_t most = j_argument_int(r, a, 1, "maxsplit", -1);
    if (given.kind == JK_NONE) {
        split_blanks(r, l.as.list, s, most);
        return l;
    }
    const JString *mark = j_argument_string(r, a, 0, "sep");
    if (mark->n == 0) return j_fail(r, "empty separator");
    size_t at = 0;
    for (; most != 0; most--) {
        size_t hit = find(s, mark, at);
        if (hit == NOT_FOUND) break;
        j_push(r, l.as.list, j_part(r, s, at, hit - at));
        at = hit + mark->n;
    }
    j_push(r, l.as.list, j_part(r, s, at, s->n - at));
    return l;
}

static JValue rsplit(JinjaRun *r, const JString *s, const JArguments *a) {
    JValue given = j_argument(a, 0, "sep", j_none());
    int64_t most = j_argument_int(r, a, 1, "maxsplit", -1);
    if (most < 0) return split(r, s, a);
    if (given.kind == JK_NONE) return j_fail(r, "rsplit with maxsplit needs a separator");
    const JString *mark = j_argument_string(r, a, 0, "sep");
    if (mark->n == 0) return j_fail(r, "empty separator");
    JValue backwards = j_list(r, JK_LIST), l = j_list(r, JK_LIST);
    size_t end = s->n;
    for (; most > 0; most--) {
        size_t hit = find_last(s, mark, end);
        if (hit == NOT_FOUND) break;
        j_push(r, backwards.as.list, j_part(r, s, hit + mark->n, end - hit - mark->n));
        end = hit;
    }
    j_push(r, l.as.list, j_part(r, s, 0, end));
    for (size_t i = backwards.as.list->n; i > 0; i--) {
        j_push(r, l.as.list, backwards.as.list->item[i - 1]);
    }
    return l;
}

static JValue partition(JinjaRun *r, const JString *s, const JArguments *a, bool last) {
    const JString *mark = j_argument_string(r, a, 0, "sep");
    if (mark->n == 0) return j_fail(r, "empty separator");
    size_t hit = last ? find_last(s, mark, s->n) : find(s, mark, 0);
    JValue t = j_list(r, JK_TUPLE);
    size_t cuts[4] = {0, hit, hit + mark->n, s->n};
    if (hit == NOT_FOUND) {
        cuts[1] = cuts[2] = last ? 0 : s->n;
    }
    for (int i = 0; i < 3; i++) j_push(r, t.as.list, j_part(r, s, cuts[i], cuts[i + 1] - cuts[i]));
    return t;
}

static bool is_line_end(uint32_t c) {
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

static JValue split_lines(JinjaRun *r, const JString *s, bool keep) {
    JValue l = j_list(r, JK_LIST);
    size_t from = 0, k;
    for (size_t at = 0; at < s->n;) {
        bool end = is_line_end(unicode_decode(s->data + at, s->n - at, &k));
        size_t behind = at + k;
        if (end && s->data[at] == '\r' && behind < s->n && s->data[behind] == '\n') behind++;
        if (end) {
            j_push(r, l.as.list, j_part(r, s, from, (keep ? behind : at) - from));
            from = behind;
        }
        at = behind;
    }
    if (from < s->n) j_push(r, l.as.list, j_part(r, s, from, s->n - from));
    return l;
}

/* ---- changing ---- */

/* May `more` bytes be added? Else the rendering has failed. */
static bool room(JinjaRun *r, const Tagged *out, size_t more) {
    if (out->text.len + more > TEXT_MAX)
        j_fail(r, "a text would have more than %zu bytes", TEXT_MAX);
    return j_step(r);
}

static JValue replace(JinjaRun *r, const JString *s, const JString *old, const JString *new_,
                      int64_t most) {
    Tagged out = j_build();
    size_t at = 0;
    if (old->n == 0) { /* Python puts it before each character and at the end */
        for (size_t k; at < s->n && most != 0 && room(r, &out, new_->n); at += k, most--) {
            k = unicode_length((unsigned char)s->data[at]);
            j_append(&out, new_);
            j_append_part(&out, s, at, k);
        }
        if (most != 0) j_append(&out, new_);
    }
    while (old->n > 0 && most-- != 0 && room(r, &out, new_->n)) {
        size_t hit = find(s, old, at);
        if (hit == NOT_FOUND) break;
        j_append_part(&out, s, at, hit - at);
        j_append(&out, new_);
        at = hit + old->n;
    }
    j_append_part(&out, s, at, s->n - at);
    return j_take(r, &out);
}

typedef enum CaseStyle {
    CASE_LOWER,
    CASE_UPPER,
    CASE_SWAP,
    CASE_CAPITAL,
    CASE_TITLE,
    CASE_JINJA
} CaseStyle;

/* Where the filter `title` begins a word: behind white space and - ( { [ <. */
static bool begins_word(uint32_t c) {
    return unicode_is_blank(c) || (c < 0x80 && c != 0 && strchr("-({[<", (int)c) != NULL);
}

static JValue change_case(JinjaRun *r, const JString *s, CaseStyle style) {
    Tagged out = j_build();
    bool first = true; /* of the text, or of a word */
    for (size_t at = 0, k; at < s->n; at += k) {
        uint32_t c = unicode_decode(s->data + at, s->n - at, &k);
        bool upper = style == CASE_UPPER || (style >= CASE_CAPITAL && first);
        if (style == CASE_SWAP) upper = !unicode_is_upper(c);
        Str changed = {0};
        if (upper && c == 0xDF)
            str_append(&changed, style == CASE_UPPER ? "SS" : "Ss");
        else if (upper)
            str_append_utf8(&changed, unicode_upper(c));
        else
            unicode_append_lower(&changed, c);
        tagged_append(&out, changed.data, changed.len, s->tags == NULL ? s->tag : s->tags[at]);
        str_free(&changed);
        if (style == CASE_CAPITAL) first = false;
        if (style == CASE_TITLE) first = !unicode_is_letter(c);
        if (style == CASE_JINJA) first = begins_word(c);
    }
    return j_take(r, &out);
}

static JValue pad(JinjaRun *r, const JString *s, int64_t width, int64_t left_share,
                  const JString *fill) {
    if (width <= (int64_t)j_characters(s)) return j_part(r, s, 0, s->n);
    int64_t missing = width - (int64_t)j_characters(s);
    if (j_characters(fill) != 1) return j_fail(r, "the fill character must be one character");
    if (missing > 1 << 20)
        return j_fail(r, "a text of %lld characters is too long", (long long)width);
    int64_t left = left_share < 0 ? missing / 2 + (missing & width & 1) : left_share * missing;
    Tagged out = j_build();
    for (int64_t i = 0; i < left; i++) j_append(&out, fill);
    j_append(&out, s);
    for (int64_t i = left; i < missing; i++) j_append(&out, fill);
    return j_take(r, &out);
}

static JValue join(JinjaRun *r, const JString *mark, JList *items) {
    Tagged out = j_build();
    for (size_t i = 0; i < items->n && room(r, &out, mark->n); i++) {
        if (i > 0) j_append(&out, mark);
        j_print(r, &out, items->item[i]);
    }
    return j_take(r, &out);
}

/* ---- asking ---- */

/* isdigit and its like: true when all characters are so, and there is one. */
static bool all_are(const JString *s, bool (*fits)(uint32_t)) {
    for (size_t at = 0, k; at < s->n; at += k) {
        if (!fits(unicode_decode(s->data + at, s->n - at, &k))) return false;
    }
    return s->n > 0;
}

static bool is_alphanumeric(uint32_t c) {
    return unicode_is_letter(c) || unicode_is_numeric(c);
}

static bool has_case(const JString *s, bool upper) {
    bool any = false;
    for (size_t at = 0, k; at < s->n; at += k) {
        uint32_t c = unicode_decode(s->data + at, s->n - at, &k);
        if (unicode_lower(c) == unicode_upper(c)) continue;
        if ((upper ? unicode_upper(c) : unicode_lower(c)) != c) return false;
        any = true;
    }
    return any;
}

static JValue position(JinjaRun *r, const JString *s, const JArguments *a, bool last, bool must) {
    const JString *part = j_argument_string(r, a, 0, "sub");
    size_t at = last ? find_last(s, part, s->n) : find(s, part, 0);
    if (at == NOT_FOUND) return must ? j_fail(r, "substring not found") : j_int(-1);
    return j_int((int64_t)j_characters(j_part(r, s, 0, at).as.string));
}

static JValue count(JinjaRun *r, const JString *s, const JString *part) {
    int64_t n = 0;
    if (part->n == 0) return j_int((int64_t)j_characters(s) + 1);
    for (size_t at = find(s, part, 0); at != NOT_FOUND && j_step(r);
         at = find(s, part, at + part->n))
        n++;
    return j_int(n);
}

/* ---- methods ---- */

static const char *const methods[] = {"strip",      "lstrip",     "rstrip",       "split",
                                      "rsplit",     "splitlines", "partition",    "rpartition",
                                      "startswith", "endswith",   "replace",      "upper",
                                      "lower",      "title",      "capitalize",   "swapcase",
                                      "find",       "rfind",      "index",        "rindex",
                                      "count",      "join",       "isdigit",      "isnumeric",
                                      "isdecimal",  "isalpha",    "isalnum",      "isspace",
                                      "isupper",    "islower",    "removeprefix", "removesuffix",
                                      "center",     "ljust",      "rjust",        "zfill",
                                      NULL};

bool j_is_string_method(const char *name) {
    for (const char *const *m = methods; *m != NULL; m++) {
        if (is(*m, name)) return true;
    }
    return false;
}

static JValue predicate(const JString *s, const char *name) {
    if (is(name, "isalpha")) return j_bool(all_are(s, unicode_is_letter));
    if (is(name, "isalnum")) return j_bool(all_are(s, is_alphanumeric));
    if (is(name, "isspace")) return j_bool(all_are(s, unicode_is_blank));
    if (is(name, "isupper")) return j_bool(has_case(s, true));
    if (is(name, "islower")) return j_bool(has_case(s, false));
    return j_bool(all_are(s, unicode_is_numeric)); /* isdigit, isdecimal, isnumeric */
}

static JValue padding_method(JinjaRun *r, const JString *s, const char *name, const JArguments *a) {
    static const JString blank = {.data = " ", .n = 1, .tag = SEGMENT_SPECIAL},
                         zero = {.data = "0", .n = 1, .tag = SEGMENT_SPECIAL};
    int64_t width = j_argument_int(r, a, 0, "width", 0);
    const JString *fill = a->n > 1 ? j_argument_string(r, a, 1, "fillchar") : &blank;
    if (is(name, "zfill")) return pad(r, s, width, 1, &zero);
    return pad(r, s, width, is(name, "center") ? -1 : is(name, "rjust") ? 1 : 0, fill);
}

static JValue affix_method(JinjaRun *r, const JString *s, const char *name, const JArguments *a) {
    const JString *part = j_argument_string(r, a, 0, "affix");
    bool front = is(name, "removeprefix");
    if (!(front ? starts(s, part) : ends(s, part))) return j_part(r, s, 0, s->n);
    return j_part(r, s, front ? part->n : 0, s->n - part->n);
}

JValue j_string_method(JinjaRun *r, const JString *s, const char *name, const JArguments *a) {
    if (is(name, "strip")) return strip(r, s, a, true, true);
    if (is(name, "lstrip")) return strip(r, s, a, true, false);
    if (is(name, "rstrip")) return strip(r, s, a, false, true);
    if (is(name, "split")) return split(r, s, a);
    if (is(name, "rsplit")) return rsplit(r, s, a);
    if (is(name, "splitlines")) {
        return split_lines(r, s, j_truth(j_argument(a, 0, "keepends", j_bool(false))));
    }
    if (is(name, "partition")) return partition(r, s, a, false);
    if (is(name, "rpartition")) return partition(r, s, a, true);
    if (is(name, "startswith")) return any_affix(r, s, a, starts);
    if (is(name, "endswith")) return any_affix(r, s, a, ends);
    if (is(name, "replace")) {
        const JString *old = j_argument_string(r, a, 0, "old");
        const JString *new_ = j_argument_string(r, a, 1, "new");
        return replace(r, s, old, new_, j_argument_int(r, a, 2, "count", -1));
    }
    if (is(name, "upper")) return change_case(r, s, CASE_UPPER);
    if (is(name, "lower")) return change_case(r, s, CASE_LOWER);
    if (is(name, "title")) return change_case(r, s, CASE_TITLE);
    if (is(name, "capitalize")) return change_case(r, s, CASE_CAPITAL);
    if (is(name, "swapcase")) return change_case(r, s, CASE_SWAP);
    if (is(name, "find")) return position(r, s, a, false, false);
    if (is(name, "rfind")) return position(r, s, a, true, false);
    if (is(name, "index")) return position(r, s, a, false, true);
    if (is(name, "rindex")) return position(r, s, a, true, true);
    if (is(name, "count")) return count(r, s, j_argument_string(r, a, 0, "sub"));
    if (is(name, "join")) return join(r, s, j_items(r, j_argument(a, 0, "iterable", j_none())));
    if (is(name, "removeprefix") || is(name, "removesuffix")) return affix_method(r, s, name, a);
    if (name[0] == 'i') return predicate(s, name);
    return padding_method(r, s, name, a);
}

/* ---- filters ---- */

static JValue indent(JinjaRun *r, const JString *s, const JArguments *a) {
    JValue width = j_argument(a, 0, "width", j_int(4));
    bool first = j_truth(j_argument(a, 1, "first", j_bool(false)));
    bool blank = j_truth(j_argument(a, 2, "blank", j_bool(false)));
    Str margin = {0};
    if (width.kind == JK_STRING)
        str_append_n(&margin, width.as.string->data, width.as.string->n);
    else
        for (int64_t i = j_argument_int(r, a, 0, "width", 4); i > 0 && margin.len < 1024; i--) {
            str_append_char(&margin, ' ');
        }
    JList *lines = split_lines(r, s, false).as.list;
    bool open_end = s->n > 0 && is_line_end((unsigned char)s->data[s->n - 1]);
    Tagged out = j_build();
    for (size_t i = 0; i < lines->n + (open_end ? 1 : 0) && room(r, &out, margin.len); i++) {
        const JString *line = i < lines->n ? lines->item[i].as.string : NULL;
        bool empty = line == NULL || line->n == 0;
        if (i > 0) j_append_text(&out, "\n");
        bool margined = i == 0 ? first : blank || !empty;
        if (margined) tagged_append(&out, str_text(&margin), margin.len, SEGMENT_SPECIAL);
        if (!empty) j_append(&out, line);
    }
    str_free(&margin);
    return j_take(r, &out);
}

JValue j_escape(JinjaRun *r, const JString *s) {
    if (s->safe) return (JValue){.kind = JK_STRING, .as.string = s};
    Tagged out = j_build();
    for (size_t i = 0; i < s->n; i++) {
        switch (s->data[i]) {
        case '&':
            j_append_text(&out, "&amp;");
            break;
        case '<':
            j_append_text(&out, "&lt;");
            break;
        case '>':
            j_append_text(&out, "&gt;");
            break;
        case '\'':
            j_append_text(&out, "&#39;");
            break;
        case '"':
            j_append_text(&out, "&#34;");
            break;
        default:
            j_append_part(&out, s, i, 1);
        }
    }
    return j_mark_safe(r, j_take(r, &out).as.string);
}

static JValue urlencode(JinjaRun *r, const JString *s) {
    static const char digits[] = "0123456789ABCDEF";
    Tagged out = j_build();
    for (size_t i = 0; i < s->n; i++) {
        unsigned char c = (unsigned char)s->data[i];
        bool plain = c < 0x80 && (unicode_is_letter(c) || unicode_is_numeric(c) ||
                                  (c != 0 && strchr("_.-~/", c) != NULL));
        char coded[4] = {'%', digits[c >> 4], digits[c & 15], '\0'};
        if (plain)
            j_append_part(&out, s, i, 1);
        else
            j_append_text(&out, coded);
    }
    return j_take(r, &out);
}

static JValue truncate(JinjaRun *r, const JString *s, const JArguments *a) {
    static const JString dots = {.data = "...", .n = 3, .tag = SEGMENT_SPECIAL};
    int64_t length = j_argument_int(r, a, 0, "length", 255);
    bool kill = j_truth(j_argument(a, 1, "killwords", j_bool(false)));
    JValue given = j_argument(a, 2, "end", j_none());
    const JString *end = given.kind == JK_STRING ? given.as.string : &dots;
    int64_t leeway = j_argument_int(r, a, 3, "leeway", 5), end_n = (int64_t)j_characters(end);
    if (length < end_n || leeway < 0)
        return j_fail(r,
                      "truncate needs a length of at least the end's, and a leeway of at least 0");
    if (r->st != OK || (int64_t)j_characters(s) - length <= leeway) return j_part(r, s, 0, s->n);
    JValue whole = j_part(r, s, 0, s->n);
    JValue cut = j_slice(r, whole, j_none(), j_int(length > end_n ? length - end_n : 0), j_none());
    if (r->st != OK) return cut;
    const JString *c = cut.as.string;
    size_t blank = kill ? NOT_FOUND : find_last(c, &(JString){.data = " ", .n = 1}, c->n);
    Tagged out = j_build();
    j_append_part(&out, c, 0, blank == NOT_FOUND ? c->n : blank);
    j_append(&out, end);
    return j_take(r, &out);
}

static JValue join_filter(JinjaRun *r, JValue v, const JArguments *a) {
    static const JString nothing = {.data = "", .tag = SEGMENT_SPECIAL};
    JValue mark = j_argument(a, 0, "d", j_undefined(NULL));
    JValue attribute = j_argument(a, 1, "attribute", j_none());
    JList *items = j_items(r, v);
    if (attribute.kind != JK_NONE && r->st == OK) {
        JValue picked = j_list(r, JK_LIST);
        for (size_t i = 0; i < items->n; i++) {
            j_push(r, picked.as.list, j_item(r, items->item[i], attribute));
        }
        items = picked.as.list;
    }
    if (mark.kind != JK_UNDEFINED && mark.kind != JK_STRING) mark = j_string(r, mark);
    return r->st != OK ? j_undefined(NULL)
                       : join(r, mark.kind == JK_STRING ? mark.as.string : &nothing, items);
}

static JValue filter_text(JinjaRun *r, const char *name, const JString *s, const JArguments *a,
                          bool *known) {
    *known = true;
    if (is(name, "trim")) return strip(r, s, a, true, true);
    if (is(name, "upper")) return change_case(r, s, CASE_UPPER);
    if (is(name, "lower")) return change_case(r, s, CASE_LOWER);
    if (is(name, "title")) return change_case(r, s, CASE_JINJA);
    if (is(name, "capitalize")) return change_case(r, s, CASE_CAPITAL);
    if (is(name, "string")) return j_part(r, s, 0, s->n);
    if (is(name, "safe")) return j_mark_safe(r, s);
    if (is(name, "escape") || is(name, "e")) return j_escape(r, s);
    if (is(name, "urlencode")) return urlencode(r, s);
    if (is(name, "indent")) return indent(r, s, a);
    if (is(name, "truncate")) return truncate(r, s, a);
    if (is(name, "center"))
        return pad(r, s, j_argument_int(r, a, 0, "width", 80), -1,
                   &(JString){.data = " ", .n = 1, .tag = SEGMENT_SPECIAL});
    if (is(name, "wordcount")) {
        JValue l = j_list(r, JK_LIST);
        split_blanks(r, l.as.list, s, -1);
        return j_int((int64_t)l.as.list->n);
    }
    if (is(name, "replace")) {
        const JString *old = j_string(r, j_argument(a, 0, "old", j_undefined(NULL))).as.string;
        const JString *new_ = j_string(r, j_argument(a, 1, "new", j_undefined(NULL))).as.string;
        JValue most = j_argument(a, 2, "count", j_none());
        return replace(r, s, old, new_, most.kind == JK_INT ? most.as.integer : -1);
    }
    *known = false;
    return j_undefined(NULL);
}

JValue j_text_filter(JinjaRun *r, const char *name, JValue v, const JArguments *a, bool *known) {
    *known = true;
    if (is(name, "join")) return join_filter(r, v, a);
    const JString *s = j_string(r, v).as.string;
    JValue result = filter_text(r, name, s, a, known);
    return s->safe && result.kind == JK_STRING ? j_mark_safe(r, result.as.string) : result;
}
