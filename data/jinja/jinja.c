#include "data/jinja/jinja.h"

#include "core/mem.h"
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"

#include <string.h>

struct Jinja {
    JinjaPool pool;
    JinjaNode *body;
    char *where;
    bool has_generation;
    bool is_prompt; /* promptsource's dialect */
};

static Status open_dialect(Jinja **out, const char *source, size_t n, const char *where,
                           bool is_prompt) {
    *out = NULL;
    Status st = OK;
    size_t bad = 0;
    JinjaToken *tokens = NULL;
    Jinja *j = mem_zalloc(1, sizeof *j);
    j->where = mem_strdup(where);
    j->is_prompt = is_prompt;
    if (!str_utf8_valid(source, n, &bad)) {
        st = status_fail(ERR_DATA, "%s: the template is not UTF-8 at byte %zu", where, bad);
        goto out;
    }
    TRY_GOTO(jinja_lex(&j->pool, &tokens, source, n, where, !is_prompt), st, out);
    TRY_GOTO(jinja_parse(&j->pool, &j->body, tokens, where, &j->has_generation), st, out);
    *out = j;
    j = NULL;
out:
    jinja_close(j);
    return st;
}

Status jinja_open(Jinja **out, const char *source, size_t n, const char *where) {
    return open_dialect(out, source, n, where, false);
}

Status jinja_open_prompt(Jinja **out, const char *source, size_t n, const char *where) {
    return open_dialect(out, source, n, where, true);
}

void jinja_close(Jinja *j) {
    if (j == NULL) return;
    jinja_pool_free(&j->pool);
    mem_free(j->where);
    mem_free(j);
}

bool jinja_has_generation(const Jinja *j) {
    return j->has_generation;
}

/* A word of letters, digits, - and _: it cannot hold a control token by itself. */
static bool is_word(const JString *s) {
    for (size_t i = 0; i < s->n; i++) {
        char c = s->data[i];
        bool good =
            (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-';
        if (!good) return false;
    }
    return s->n > 0;
}

/* Templates write '<|' + message.role + '|>': the roles of messages count as the template's own. */
static void trust_roles(JinjaRun *r, JValue messages) {
    if (messages.kind != JK_LIST) return;
    for (size_t i = 0; i < messages.as.list->n; i++) {
        JValue m = messages.as.list->item[i];
        if (m.kind != JK_DICT) continue;
        JValue *role = (JValue *)j_get_text(m.as.dict, "role");
        if (role == NULL || role->kind != JK_STRING || !is_word(role->as.string)) continue;
        *role = j_text(r, role->as.string->data, role->as.string->n, SEGMENT_SPECIAL);
    }
}

static JValue variable_value(JinjaRun *r, const JinjaVariable *v) {
    if (v->text != NULL) return j_trusted(r, v->text);
    if (v->json == NULL) return j_bool(v->flag);
    JValue value = j_from_json(r, v->json, 0);
    if (strcmp(v->name, "messages") == 0) trust_roles(r, value);
    return value;
}

static Status render(const Jinja *j, Tagged *out, const JinjaVariable *variables, size_t n,
                     RngStream draws) {
    static const char *const chat[] = {"range",           "dict",         "namespace",
                                       "raise_exception", "strftime_now", NULL};
    static const char *const prompt[] = {"range", "dict", "namespace", "zip", NULL};
    const char *const *globals = j->is_prompt ? prompt : chat;
    JinjaRun r = {.where = j->where, .line = 1, .is_prompt = j->is_prompt, .draws = draws};
    r.globals = j_scope(&r, NULL);
    for (size_t i = 0; globals[i]; i++) {
        j_assign(&r, r.globals, globals[i], j_function(&r, globals[i], j_undefined(NULL)));
    }
    for (size_t i = 0; i < n; i++) {
        j_assign(&r, r.globals, variables[i].name, variable_value(&r, &variables[i]));
    }
    tagged_spread(out);
    j_execute(&r, j_scope(&r, r.globals), out, j->body);
    jinja_pool_free(&r.pool);
    return r.st;
}

Status jinja_render(const Jinja *j, Tagged *out, const JinjaVariable *variables, size_t n) {
    return render(j, out, variables, n, (RngStream){0});
}

Status jinja_render_prompt(const Jinja *j, Tagged *out, const JinjaVariable *variables, size_t n,
                           uint64_t seed, uint64_t row) {
    return render(j, out, variables, n, rng_stream(seed, RNG_CHOICE, row));
}
