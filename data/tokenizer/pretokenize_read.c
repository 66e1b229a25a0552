/* The `pre_tokenizer` section as a chain of steps. */
#include "core/mem.h"
#include "data/tokenizer/pretokenize.h"
#include "data/tokenizer/unicode.h"

static Status read_behavior(SplitBehavior *out, const Json *section, const char *where) {
    static const char *const names[] = {
        [SPLIT_REMOVED] = "Removed",       [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_CONTIGUOUS] = "Contiguous", [SPLIT_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_NEXT] = "MergedWithNext",
    };
    const char *name = NULL;
    TRY(json_opt_str(&name, section, "behavior", where));
    if (name == NULL) return OK;
    for (int i = 0; i < 5; i++) {
        if (!str_equal(names[i], name)) continue;
        *out = (SplitBehavior)i;
        return OK;
    }
    return status_fail(ERR_DATA, "%s: the split behavior `%s` is not known", where, name);
}

static Status read_byte_level(Pretokenizer *out, const Json *section, const char *where) {
    bool use_regex = true;
    PretokenizeStep step = {.kind = PRETOKENIZE_BYTE_LEVEL, .behavior = SPLIT_ISOLATED};
    TRY(json_opt_bool(&step.add_prefix_space, section, "add_prefix_space", where));
    TRY(json_opt_bool(&use_regex, section, "use_regex", where));
    if (use_regex)
        TRY(regex_open(&step.regex, PRETOKENIZE_GPT2, sizeof PRETOKENIZE_GPT2 - 1, where));
    pretokenizer_add(out, step);
    return OK;
}

static Status read_split(Pretokenizer *out, const Json *section, const char *where) {
    PretokenizeStep step = {.kind = PRETOKENIZE_SPLIT};
    TRY(read_behavior(&step.behavior, section, where));
    TRY(json_opt_bool(&step.invert, section, "invert", where));
    const Json *pattern = json_get(section, "pattern");
    const Json *literal = json_get(pattern, "String"), *regex = json_get(pattern, "Regex");
    size_t n = 0;
    if (json_is(literal, JSON_KIND_STRING) && json_str(literal, &n)[0] != '\0') {
        step.literal = mem_strdup(json_str(literal, NULL));
    } else if (json_is(regex, JSON_KIND_STRING)) {
        const char *text = json_str(regex, &n);
        TRY(regex_open(&step.regex, text, n, where));
    } else {
        return status_fail(ERR_DATA, "%s: `pattern` of Split must be a String or a Regex", where);
    }
    pretokenizer_add(out, step);
    return OK;
}

static Status read_metaspace(Pretokenizer *out, const Json *section, const char *where) {
    const char *replacement = "\xE2\x96\x81", *scheme = NULL;
    bool add_prefix_space = true, split = true;
    TRY(json_opt_str(&replacement, section, "replacement", where));
    TRY(json_opt_bool(&add_prefix_space, section, "add_prefix_space", where));
    TRY(json_opt_str(&scheme, section, "prepend_scheme", where));
    TRY(json_opt_bool(&split, section, "split", where));
    PretokenizeStep step = {.kind = PRETOKENIZE_METASPACE, .behavior = SPLIT_NEXT, .split = split};
    if (scheme == NULL)
        step.prepend = add_prefix_space ? PREPEND_ALWAYS : PREPEND_NEVER;
    else if (str_equal(scheme, "always"))
        step.prepend = PREPEND_ALWAYS;
    else if (str_equal(scheme, "first"))
        step.prepend = PREPEND_FIRST;
    else if (str_equal(scheme, "never"))
        step.prepend = PREPEND_NEVER;
    else
        return status_fail(ERR_DATA, "%s: the prepend_scheme `%s` is not known", where, scheme);
    if (replacement[0] == '\0') {
        return status_fail(ERR_DATA, "%s: `replacement` of Metaspace is empty", where);
    }
    step.literal = mem_strdup(replacement);
    pretokenizer_add(out, step);
    return OK;
}

static Status read_delimiter(Pretokenizer *out, const Json *section, const char *where) {
    const char *text = NULL;
    TRY(json_want_str(&text, section, "delimiter", where));
    if (text[0] == '\0') return status_fail(ERR_DATA, "%s: `delimiter` is empty", where);
    PretokenizeStep step = {.kind = PRETOKENIZE_CHAR, .behavior = SPLIT_REMOVED};
    size_t k;
    step.character = unicode_decode(text, unicode_length((unsigned char)text[0]), &k);
    pretokenizer_add(out, step);
    return OK;
}

static Status read_simple(Pretokenizer *out, const char *type, const Json *section,
                          const char *where) {
    PretokenizeStep step = {.kind = PRETOKENIZE_SPACE, .behavior = SPLIT_REMOVED};
    if (str_equal(type, "WhitespaceSplit")) {
        pretokenizer_add(out, step);
    } else if (str_equal(type, "BertPreTokenizer")) {
        pretokenizer_add(out, step);
        step = (PretokenizeStep){.kind = PRETOKENIZE_PUNCTUATION, .behavior = SPLIT_ISOLATED};
        pretokenizer_add(out, step);
    } else if (str_equal(type, "Whitespace")) {
        /* Rust's \w, which is not Oniguruma's */
        static const char pattern[] = "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}]+|"
                                      "[^\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}\\s]+";
        step = (PretokenizeStep){.kind = PRETOKENIZE_SPLIT, .invert = true};
        TRY(regex_open(&step.regex, pattern, sizeof pattern - 1, where));
        pretokenizer_add(out, step);
    } else if (str_equal(type, "Digits")) {
        bool individual = false;
        TRY(json_opt_bool(&individual, section, "individual_digits", where));
        step.kind = PRETOKENIZE_DIGITS;
        step.behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
        pretokenizer_add(out, step);
    } else if (str_equal(type, "Punctuation")) {
        step = (PretokenizeStep){.kind = PRETOKENIZE_PUNCTUATION, .behavior = SPLIT_ISOLATED};
        TRY(read_behavior(&step.behavior, section, where));
        pretokenizer_add(out, step);
    } else if (str_equal(type, "UnicodeScripts")) {
        step.kind = PRETOKENIZE_SCRIPT;
        step.invert = true;
        pretokenizer_add(out, step);
    } else if (str_equal(type, "FixedLength")) {
        step = (PretokenizeStep){.kind = PRETOKENIZE_LENGTH, .behavior = SPLIT_ISOLATED};
        step.length = 5;
        TRY(json_opt_int(&step.length, section, "length", where));
        if (step.length < 1)
            return status_fail(ERR_DATA, "%s: `length` of FixedLength must be at least 1", where);
        pretokenizer_add(out, step);
    } else {
        return status_fail(ERR_DATA, "%s: the pre-tokenizer `%s` is not supported", where, type);
    }
    return OK;
}

Status pretokenizer_read(Pretokenizer *out, const Json *section, const char *where) {
    if (section == NULL || json_is(section, JSON_KIND_NULL)) return OK;
    const char *type = NULL;
    TRY(json_want_str(&type, section, "type", where));
    if (str_equal(type, "Sequence")) {
        Json *list = NULL;
        TRY(json_want(&list, section, "pretokenizers", JSON_KIND_ARRAY, where));
        for (int64_t i = 0; i < json_len(list); i++) {
            TRY(pretokenizer_read(out, json_at(list, i), where));
        }
        return OK;
    }
    if (str_equal(type, "ByteLevel")) return read_byte_level(out, section, where);
    if (str_equal(type, "Split")) return read_split(out, section, where);
    if (str_equal(type, "Metaspace")) return read_metaspace(out, section, where);
    if (str_equal(type, "CharDelimiterSplit")) return read_delimiter(out, section, where);
    return read_simple(out, type, section, where);
}
