#include "data/formats/record.h"

#include "core/rows.h"
#include "data/containers/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_IGNORED (-100) /* torch's ignore_index, in files */

/* ---- members and their places ---- */

const char *row_column(const RowView *v, const char *name) {
    for (int64_t i = 0; v->source && i < v->source->n_columns; i++)
        if (strcmp(v->source->columns[i].name, name) == 0) return v->source->columns[i].column;
    return name;
}

static bool is_taken(const RowUse *use, const Json *value) {
    for (int i = 0; i < use->n; i++)
        if (use->taken[i] == value) return true;
    return use->n == ROW_USE_MOST;
}

const Json *row_value(const RowView *v, const char *name) {
    const Json *value = json_get(v->row, row_column(v, name));
    if (v->use && value && !is_taken(v->use, value)) v->use->taken[v->use->n++] = value;
    return value;
}

const Json *row_get(const RowView *v, const char *name) {
    const Json *value = row_value(v, name);
    return json_is(value, JSON_KIND_NULL) ? NULL : value;
}

bool row_has(const RowView *v, const char *name) {
    const Json *value = json_get(v->row, row_column(v, name));
    return value && !json_is(value, JSON_KIND_NULL);
}

void row_unused(Str *out, const RowView *v) {
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(v->row, &it, &key, &value);)
        if (!json_is(value, JSON_KIND_NULL) && !is_taken(v->use, value))
            str_append_n(out, key, strlen(key) + 1);
}

Status row_fail(const RowView *v, const char *name, const char *fmt, ...) {
    ContainerRow row = container_row(v->container, v->index);
    int64_t line = row.line, column = row.column;
    if (name && container_is_json(v->container)) {
        Scan s = scan_begin(row.text, row.len, row.line, row.column);
        if (scan_member(&s, row_column(v, name), false)) {
            line = s.line;
            column = s.column;
        }
    }
    char what[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return status_fail(ERR_DATA, "%s:%lld:%lld: %s", container_path(v->container), (long long)line,
                       (long long)column, what);
}

/* ---- what a record owns ---- */

void record_free(Record *r) {
    json_free(r->built);
    *r = (Record){0};
}

Json *record_keep(Record *r, Json *value) {
    if (!r->built) r->built = json_new_array();
    json_push(r->built, value);
    return value;
}

Part record_text(Record *r, const Str *text) {
    Part p = {0};
    p.text = json_str(record_keep(r, json_new_str_n(str_text(text), text->len)), &p.n);
    return p;
}

bool part_is_set(const Part *p) {
    return p->text || p->messages;
}

/* ---- texts ---- */

Status row_text_or_empty(const RowView *v, const char *name, Part *out) {
    const Json *value = row_get(v, name);
    *out = (Part){.text = ""};
    if (!value) return OK;
    if (!json_is(value, JSON_KIND_STRING))
        return row_fail(v, name, "`%s` must be a string, not %s", row_column(v, name),
                        json_kind_name(json_kind(value)));
    out->text = json_str(value, &out->n);
    return OK;
}

static Status fail_missing(const RowView *v, const char *name) {
    const char *column = row_column(v, name);
    if (strcmp(column, name) != 0)
        return row_fail(v, NULL, "`%s` (the column for `%s`) is missing; each row needs it", column,
                        name);
    return row_fail(v, NULL,
                    "`%s` is missing; each row needs it (a column of another name can be "
                    "mapped by `columns`)",
                    name);
}

Status row_text(const RowView *v, const char *name, Part *out) {
    if (!row_has(v, name)) return fail_missing(v, name);
    return row_text_or_empty(v, name, out);
}

/* ---- conversations ---- */

/* {from, value} to {role, content}; the role's word is copied as it is, but for ShareGPT's two
 * names, which no template knows. */
static Json *to_message(const Json *old, Json *role, Json *content) {
    Json *message = json_new_object();
    const char *word = json_str(role, NULL);
    if (strcmp(word, "human") == 0) word = "user";
    if (strcmp(word, "gpt") == 0) word = "assistant";
    json_set(message, "role", json_new_str(word));
    json_set(message, "content", json_clone(content));
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(old, &it, &key, &value))
        if (strcmp(key, "from") != 0 && strcmp(key, "value") != 0)
            json_set(message, key, json_clone(value));
    return message;
}

/* Checks message i of the member `name`; *legacy: it says {from, value}. */
static Status check_message(const RowView *v, const char *name, const Json *m, int64_t i,
                            bool *legacy) {
    const char *column = row_column(v, name);
    if (!json_is(m, JSON_KIND_OBJECT))
        return row_fail(v, name, "`%s[%lld]` must be an object with `role` and `content`, not %s",
                        column, (long long)i, json_kind_name(json_kind(m)));
    *legacy = json_get(m, "from") && !json_get(m, "role");
    const char *role = *legacy ? "from" : "role", *content = *legacy ? "value" : "content";
    if (!json_is(json_get(m, role), JSON_KIND_STRING))
        return row_fail(v, name, "`%s[%lld].%s` %s", column, (long long)i, role,
                        json_get(m, role) ? "must be a string" : "is missing");
    const Json *text = json_get(m, content);
    bool calls = json_get(m, "tool_calls") != NULL; /* such a turn may be without content */
    bool blocks = json_is(text, JSON_KIND_ARRAY);   /* [{"type": "text", "text": ...}] */
    if (!json_is(text, JSON_KIND_STRING) && !blocks &&
        !(calls && (!text || json_is(text, JSON_KIND_NULL))))
        return row_fail(v, name, "`%s[%lld].%s` %s", column, (long long)i, content,
                        text ? "must be a string" : "is missing");
    return OK;
}

/* `list` is the value of the member `name`, or a message list made from it. */
static Status messages_of(const RowView *v, Record *r, const char *name, const Json *list,
                          Part *out) {
    bool any_legacy = false;
    int64_t n = json_len(list);
    if (n == 0) return row_fail(v, name, "`%s` holds no message", row_column(v, name));
    for (int64_t i = 0; i < n; i++) {
        bool legacy = false;
        TRY(check_message(v, name, json_at(list, i), i, &legacy));
        any_legacy |= legacy;
    }
    *out = (Part){.messages = list};
    if (!any_legacy) return OK;
    Json *converted = record_keep(r, json_new_array());
    for (int64_t i = 0; i < n; i++) {
        const Json *m = json_at(list, i);
        json_push(converted, json_get(m, "from") && !json_get(m, "role")
                                 ? to_message(m, json_get(m, "from"), json_get(m, "value"))
                                 : json_clone(m));
    }
    out->messages = converted;
    return OK;
}

Status row_messages(const RowView *v, Record *r, const char *name, Part *out) {
    const Json *value = row_get(v, name);
    if (!value) return fail_missing(v, name);
    if (!json_is(value, JSON_KIND_ARRAY))
        return row_fail(v, name, "`%s` must be a list of messages, not %s", row_column(v, name),
                        json_kind_name(json_kind(value)));
    return messages_of(v, r, name, value, out);
}

Status row_part(const RowView *v, Record *r, const char *name, Part *out) {
    const Json *value = row_get(v, name);
    if (json_is(value, JSON_KIND_OBJECT)) { /* a single message */
        Json *list = record_keep(r, json_new_array());
        json_push(list, json_clone(value));
        return messages_of(v, r, name, list, out);
    }
    if (json_is(value, JSON_KIND_ARRAY)) return messages_of(v, r, name, value, out);
    if (value && !json_is(value, JSON_KIND_STRING))
        return row_fail(v, name, "`%s` must be a string or a list of messages, not %s",
                        row_column(v, name), json_kind_name(json_kind(value)));
    return row_text(v, name, out);
}

/* ---- token ids ---- */

Status row_ids(const RowView *v, const char *name, const Json **out) {
    *out = row_get(v, name);
    if (!*out) return OK;
    if (!json_is(*out, JSON_KIND_ARRAY))
        return row_fail(v, name, "`%s` must be a list of integers, not %s", row_column(v, name),
                        json_kind_name(json_kind(*out)));
    for (int64_t i = 0, n = json_len(*out); i < n; i++) {
        const Json *x = json_at(*out, i);
        if (json_is(x, JSON_KIND_BOOL)) continue; /* masks */
        if (!json_is(x, JSON_KIND_INT))
            return row_fail(v, name, "`%s[%lld]` must be an integer, not %s", row_column(v, name),
                            (long long)i, json_kind_name(json_kind(x)));
        if ((json_int(x) < 0 && json_int(x) != LABEL_IGNORED) || json_int(x) > INT32_MAX)
            return row_fail(v, name, "`%s[%lld]` is %lld, which is no token id",
                            row_column(v, name), (long long)i, (long long)json_int(x));
    }
    return OK;
}
