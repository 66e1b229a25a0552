/* oasst: a tree of messages, the answers to one prompt ranked by people. Each two ranked answers to
 * the same conversation are a pair; supervised fine-tuning follows the best answers down. */
#include "data/formats/format.h"

#include <string.h>

/* The conversation up to a message: the way up the tree. */
typedef struct Turn {
    const struct Turn *before;
    const Json *node;
} Turn;

static const Json *root_of(const RowView *v) {
    const Json *prompt = row_get(v, "prompt");
    return json_is(prompt, JSON_KIND_OBJECT) ? prompt : v->row;
}

/* A tree that is the row itself is read by its own names. */
static void take_root(const RowView *v) {
    static const char *const names[] = {"role", "text", "replies", "deleted", "rank"};
    if (root_of(v) != v->row) return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) row_value(v, names[i]);
}

static bool is_role(const Json *node, const char *role) {
    const Json *value = json_get(node, "role");
    return json_is(value, JSON_KIND_STRING) && strcmp(json_str(value, NULL), role) == 0;
}

static bool is_usable(const Json *node, const char *role) {
    const Json *deleted = json_get(node, "deleted");
    return is_role(node, role) && json_is(json_get(node, "text"), JSON_KIND_STRING) &&
           !(json_is(deleted, JSON_KIND_BOOL) && json_bool(deleted));
}

bool oasst_matches(const RowView *v) {
    const Json *root = root_of(v);
    return is_role(root, "prompter") && json_is(json_get(root, "replies"), JSON_KIND_ARRAY);
}

/* ---- messages ---- */

static void push_message(Json *list, const Json *node) {
    Json *message = json_new_object();
    json_set(message, "role", json_new_str(is_role(node, "prompter") ? "user" : "assistant"));
    json_set(message, "content", json_clone(json_get(node, "text")));
    json_push(list, message);
}

static void push_turns(Json *list, const Turn *turn) {
    if (turn->before) push_turns(list, turn->before);
    push_message(list, turn->node);
}

static Part one_message(Record *r, const Json *node) {
    Json *list = record_keep(r, json_new_array());
    push_message(list, node);
    return (Part){.messages = list};
}

/* ---- pairs ---- */

static bool rank_of(const Json *node, int64_t *rank) {
    const Json *value = json_get(node, "rank");
    if (!is_usable(node, "assistant") || !json_is(value, JSON_KIND_INT)) return false;
    *rank = json_int(value);
    return true;
}

/* Pairs below a message of the prompter. The pair numbered `wanted`, counted from *seen, goes to
 * `r`; it may be NULL. */
static bool find_pair(const Turn *turn, int64_t wanted, int64_t *seen, Record *r) {
    const Json *replies = json_get(turn->node, "replies");
    for (int64_t i = 0; i < json_len(replies); i++) {
        for (int64_t k = 0; k < json_len(replies); k++) {
            int64_t better, worse;
            if (!rank_of(json_at(replies, i), &better) || !rank_of(json_at(replies, k), &worse) ||
                better >= worse || (*seen)++ != wanted || !r)
                continue;
            Json *prompt = record_keep(r, json_new_array());
            push_turns(prompt, turn);
            r->prompt = (Part){.messages = prompt};
            r->chosen = one_message(r, json_at(replies, i));
            r->rejected = one_message(r, json_at(replies, k));
            return true;
        }
    }
    for (int64_t i = 0; i < json_len(replies); i++) {
        Turn answer = {turn, json_at(replies, i)};
        const Json *next = json_get(answer.node, "replies");
        if (!is_usable(answer.node, "assistant")) continue;
        for (int64_t k = 0; k < json_len(next); k++) {
            Turn question = {&answer, json_at(next, k)};
            if (is_usable(question.node, "prompter") && find_pair(&question, wanted, seen, r))
                return true;
        }
    }
    return false;
}

int64_t oasst_count(const RowView *v) {
    Turn root = {NULL, root_of(v)};
    int64_t n = 0;
    if (v->kind != DATASET_PREFERENCE) return 1;
    if (is_usable(root.node, "prompter")) find_pair(&root, -1, &n, NULL);
    return n;
}

/* ---- the best conversation ---- */

/* The best ranked of the replies, else the first; NULL where there is none. */
static const Json *best_reply(const Json *node, const char *role) {
    const Json *replies = json_get(node, "replies"), *best = NULL;
    int64_t least = INT64_MAX;
    for (int64_t i = 0; i < json_len(replies); i++) {
        const Json *reply = json_at(replies, i);
        int64_t rank = INT64_MAX;
        if (!is_usable(reply, role)) continue;
        rank_of(reply, &rank);
        if (best && rank >= least) continue;
        best = reply;
        least = rank;
    }
    return best;
}

static Status read_best(const RowView *v, Record *r) {
    Json *list = record_keep(r, json_new_array());
    const Json *question = root_of(v), *answer;
    while (question && (answer = best_reply(question, "assistant"))) {
        push_message(list, question);
        push_message(list, answer);
        question = best_reply(answer, "prompter");
    }
    if (json_len(list) == 0) return row_fail(v, NULL, "the tree holds no answer");
    r->shape = RECORD_TEXT;
    r->body = (Part){.messages = list};
    return OK;
}

Status oasst_read(const RowView *v, Record *r) {
    Turn root = {NULL, root_of(v)};
    int64_t seen = 0;
    take_root(v);
    if (!is_usable(root.node, "prompter"))
        return row_fail(v, NULL, "the tree does not begin with a text of the role `prompter`");
    if (v->kind == DATASET_SFT) return read_best(v, r);
    if (v->kind == DATASET_PROMPT) {
        r->shape = RECORD_PROMPT;
        r->prompt = one_message(r, root.node);
        return OK;
    }
    r->shape = RECORD_PAIR;
    if (!find_pair(&root, v->part, &seen, r))
        return row_fail(v, NULL, "the tree holds no two ranked answers to one prompt");
    return OK;
}
