#include "core/io/yaml.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"

#include <string.h>
#include <yaml.h>

/* ---- store ---- */

struct YamlStore {
    void **blocks;
    size_t n, cap;
    const char *const *tags; /* that mappings may carry; NULL: none */
};

YamlStore *yaml_store_open(void) {
    return mem_zalloc(1, sizeof(YamlStore));
}

void yaml_store_allow(YamlStore *s, const char *const *tags) {
    s->tags = tags;
}

void yaml_store_close(YamlStore *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) mem_free(s->blocks[i]);
    mem_free(s->blocks);
    mem_free(s);
}

static void *keep(YamlStore *s, void *block) {
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->blocks = mem_realloc(s->blocks, s->cap, sizeof *s->blocks);
    }
    s->blocks[s->n++] = block;
    return block;
}

char *yaml_store_text(YamlStore *s, const char *text) {
    return keep(s, mem_strdup(text));
}

void *yaml_store_alloc(YamlStore *s, size_t n, size_t size) {
    return keep(s, mem_zalloc(n + (n == 0), size));
}

/* The block at `old` (NULL: none yet) made larger; the store goes on owning it. Only the blocks
 * that grow are looked up, newest first, which is where they are. */
static void *grow(YamlStore *s, void *old, size_t n, size_t size) {
    if (!old) return keep(s, mem_zalloc(n, size));
    size_t i = s->n;
    while (s->blocks[i - 1] != old) i--;
    s->blocks[i - 1] = mem_realloc(old, n, size);
    return s->blocks[i - 1];
}

static YamlNode *new_node(YamlStore *s, YamlKind kind, const char *file, int line, int column) {
    YamlNode *n = keep(s, mem_zalloc(1, sizeof *n));
    *n = (YamlNode){.kind = kind, .file = file, .line = line, .column = column};
    return n;
}

/* Entries grow by doubling: capacity is the power of two at or above n (at least 4). */
static void append_entry(YamlStore *s, YamlNode *to, YamlNode *key, YamlNode *item) {
    bool full = to->n == 0 || (to->n >= 4 && (to->n & (to->n - 1)) == 0);
    if (full) {
        size_t cap = to->n ? 2 * to->n : 4;
        to->items = grow(s, to->items, cap, sizeof(YamlNode *));
        if (to->kind == YAML_MAPPING) to->keys = grow(s, to->keys, cap, sizeof(YamlNode *));
    }
    to->items[to->n] = item;
    if (to->kind == YAML_MAPPING) to->keys[to->n] = key;
    to->n++;
}

/* ---- parsing ---- */

typedef struct Anchor {
    char *name;
    YamlNode *node; /* NULL while the anchor's own content is being read */
} Anchor;

typedef struct Parser {
    YamlStore *store;
    YamlErrors *errors;
    const char *file;
    yaml_parser_t yaml;
    bool stopped; /* after an error behind which nothing can be read */
    int n_nodes, n_aliases;
    Anchor *anchors;
    size_t n_anchors, cap_anchors;
} Parser;

static void stop_at(Parser *p, yaml_mark_t at, const char *what) {
    yaml_error_at(p->errors, p->file, (int)at.line + 1, (int)at.column + 1, "%s", what);
    p->stopped = true;
}

/* libyaml's own words, with a cure where the cause is one of the usual ones. */
static void syntax_error(Parser *p) {
    const yaml_parser_t *y = &p->yaml;
    const char *problem = y->problem ? y->problem : "not YAML";
    const char *cure = "mind the indentation, quotes and brackets around here";
    if (strstr(problem, "cannot start any token")) {
        cure = "tabs cannot indent, and text that begins with @, ` or % needs quotes";
    } else if (strstr(problem, "mapping values are not allowed")) {
        cure = "put the value in quotes if it holds `: `, or mind the indentation";
    } else if (strstr(problem, "could not find expected ':'")) {
        cure = "a key needs `: ` and a value behind it";
    }
    yaml_mark_t at = y->problem_mark;
    const char *context = y->context ? y->context : "";
    yaml_error_at(p->errors, p->file, (int)at.line + 1, (int)at.column + 1, "%s%s%s; %s", context,
                  *context ? ": " : "", problem, cure);
    p->stopped = true;
}

static bool next_event(Parser *p, yaml_event_t *event) {
    if (p->stopped) return false;
    if (yaml_parser_parse(&p->yaml, event)) return true;
    syntax_error(p);
    return false;
}

static bool count_node(Parser *p, yaml_mark_t at) {
    if (++p->n_nodes <= YAML_MAX_NODES) return true;
    stop_at(p, at, "more than 10,000 values; split the file or shorten it");
    return false;
}

static bool is_core_tag(const char *tag) {
    static const char *const NAMES[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    const char *prefix = "tag:yaml.org,2002:";
    if (strcmp(tag, "!") == 0) return true;
    if (!str_starts(tag, prefix)) return false;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(tag + strlen(prefix), NAMES[i]) == 0) return true;
    }
    return false;
}

static bool is_allowed_tag(const YamlStore *s, const char *tag) {
    for (size_t i = 0; s->tags && s->tags[i]; i++) {
        if (strcmp(s->tags[i], tag) == 0) return true;
    }
    return false;
}

static void check_tag(Parser *p, const yaml_event_t *event, const char *tag) {
    if (!tag || is_core_tag(tag) || is_allowed_tag(p->store, tag)) return;
    yaml_error_at(p->errors, p->file, (int)event->start_mark.line + 1,
                  (int)event->start_mark.column + 1, "the tag `%s` is not read; leave it out", tag);
}

/* The anchor's slot, by index: nested anchors may move the array. */
static size_t open_anchor(Parser *p, const char *name) {
    if (p->n_anchors == p->cap_anchors) {
        p->cap_anchors = p->cap_anchors ? 2 * p->cap_anchors : 16;
        p->anchors = mem_realloc(p->anchors, p->cap_anchors, sizeof *p->anchors);
    }
    p->anchors[p->n_anchors] = (Anchor){.name = mem_strdup(name)};
    return p->n_anchors++;
}

static YamlNode *parse_node(Parser *p, const yaml_event_t *event, int depth);

/* Copies share nothing, so that editing one place never changes another. */
static YamlNode *copy_node(Parser *p, const YamlNode *from, yaml_mark_t at) {
    if (!count_node(p, at)) return NULL;
    YamlNode *to = new_node(p->store, from->kind, from->file, from->line, from->column);
    to->quoted = from->quoted;
    to->text = from->text;
    for (size_t i = 0; i < from->n; i++) {
        YamlNode *key = from->kind == YAML_MAPPING ? copy_node(p, from->keys[i], at) : NULL;
        YamlNode *item = copy_node(p, from->items[i], at);
        if (p->stopped) return NULL;
        append_entry(p->store, to, key, item);
    }
    return to;
}

static YamlNode *parse_alias(Parser *p, const yaml_event_t *event) {
    const char *name = (const char *)event->data.alias.anchor;
    if (++p->n_aliases > YAML_MAX_ALIASES) {
        stop_at(p, event->start_mark, "more than 64 aliases; write the values out");
        return NULL;
    }
    for (size_t i = p->n_anchors; i-- > 0;) {
        if (strcmp(p->anchors[i].name, name) != 0) continue;
        if (p->anchors[i].node) return copy_node(p, p->anchors[i].node, event->start_mark);
        stop_at(p, event->start_mark, "an alias inside its own anchor; write the value out");
        return NULL;
    }
    stop_at(p, event->start_mark, "an alias without its anchor; put `&name` before it");
    return NULL;
}

static YamlNode *parse_scalar(Parser *p, const yaml_event_t *event) {
    YamlNode *n = new_node(p->store, YAML_SCALAR, p->file, (int)event->start_mark.line + 1,
                           (int)event->start_mark.column + 1);
    const char *tag = (const char *)event->data.scalar.tag;
    check_tag(p, event, tag);
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
                (tag && (strcmp(tag, "!") == 0 || strcmp(tag, "tag:yaml.org,2002:str") == 0));
    n->text = yaml_store_text(p->store, (const char *)event->data.scalar.value);
    if (strlen(n->text) != event->data.scalar.length) {
        yaml_error(p->errors, n, "the text holds a NUL character; leave it out");
    }
    return n;
}

static void parse_items(Parser *p, YamlNode *to, int depth) {
    yaml_event_t event;
    while (next_event(p, &event)) {
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        YamlNode *item = end ? NULL : parse_node(p, &event, depth + 1);
        yaml_event_delete(&event);
        if (end || p->stopped) return;
        append_entry(p->store, to, NULL, item);
    }
}

/* False where the key cannot be used; its value is read all the same, for its own errors. */
static bool check_key(Parser *p, const YamlNode *in, const YamlNode *key) {
    if (key->kind != YAML_SCALAR || !*key->text) {
        yaml_error(p->errors, key, "a key must be plain text");
        return false;
    }
    if (!key->quoted && strcmp(key->text, "<<") == 0) {
        yaml_error(p->errors, key,
                   "merge keys (`<<`) are not read; write the keys out, or use "
                   "`include:`");
        return false;
    }
    const YamlNode *first = yaml_key(in, key->text);
    if (!first) return true;
    yaml_error(p->errors, key, "`%s` is given twice (first in line %d); keep one of them",
               key->text, first->line);
    return false;
}

static void parse_entries(Parser *p, YamlNode *to, int depth) {
    yaml_event_t event;
    while (next_event(p, &event)) {
        bool end = event.type == YAML_MAPPING_END_EVENT;
        YamlNode *key = end ? NULL : parse_node(p, &event, depth + 1);
        yaml_event_delete(&event);
        if (end || p->stopped || !next_event(p, &event)) return;
        YamlNode *value = parse_node(p, &event, depth + 1);
        yaml_event_delete(&event);
        if (p->stopped) return;
        if (check_key(p, to, key)) append_entry(p->store, to, key, value);
    }
}

static YamlNode *parse_collection(Parser *p, const yaml_event_t *event, int depth) {
    bool sequence = event->type == YAML_SEQUENCE_START_EVENT;
    if (depth > YAML_MAX_DEPTH) {
        stop_at(p, event->start_mark, "nested deeper than 32 levels; flatten it");
        return NULL;
    }
    check_tag(
        p, event,
        (const char *)(sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag));
    YamlNode *n = new_node(p->store, sequence ? YAML_SEQUENCE : YAML_MAPPING, p->file,
                           (int)event->start_mark.line + 1, (int)event->start_mark.column + 1);
    if (sequence)
        parse_items(p, n, depth);
    else
        parse_entries(p, n, depth);
    return n;
}

static const char *event_anchor(const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* Depth is at most YAML_MAX_DEPTH + 1, so recursion is safe. */
static YamlNode *parse_node(Parser *p, const yaml_event_t *event, int depth) {
    if (event->type == YAML_ALIAS_EVENT) return parse_alias(p, event);
    if (!count_node(p, event->start_mark)) return NULL;
    const char *name = event_anchor(event);
    size_t anchor = name ? open_anchor(p, name) : 0;
    YamlNode *n = event->type == YAML_SCALAR_EVENT ? parse_scalar(p, event)
                                                   : parse_collection(p, event, depth);
    if (name) p->anchors[anchor].node = n;
    return n;
}

static YamlNode *parse_stream(Parser *p) {
    YamlNode *root = NULL;
    bool seen_document = false;
    yaml_event_t event;
    while (next_event(p, &event)) {
        yaml_event_type_t type = event.type;
        switch (type) {
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (seen_document) stop_at(p, event.start_mark, "a second document; keep one a file");
            seen_document = true;
            break;
        default:
            root = parse_node(p, &event, 1);
            break;
        }
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT) break;
    }
    return p->stopped ? NULL : root;
}

/* Line and column of a byte, for errors that libyaml is not asked about. */
static yaml_mark_t mark_of(const char *bytes, size_t offset) {
    yaml_mark_t at = {.index = offset};
    for (size_t i = 0; i < offset; i++) {
        at.column++;
        if (bytes[i] == '\n') {
            at.line++;
            at.column = 0;
        }
    }
    return at;
}

YamlNode *yaml_parse(YamlStore *s, YamlErrors *e, const char *file, const char *bytes, size_t n) {
    Parser p = {.store = s, .errors = e, .file = yaml_store_text(s, file)};
    size_t bad = 0;
    if (n > YAML_MAX_BYTES) {
        yaml_error_at(e, file, 1, 1, "larger than 1 MiB; a config is not data, shorten it");
        return NULL;
    }
    if (!str_utf8_valid(bytes, n, &bad)) {
        stop_at(&p, mark_of(bytes, bad), "not UTF-8; save the file as UTF-8");
        return NULL;
    }
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        n -= 3;
    }
    CHECK(yaml_parser_initialize(&p.yaml), "libyaml has no memory for a parser");
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)bytes, n);
    YamlNode *root = parse_stream(&p);
    yaml_parser_delete(&p.yaml);
    for (size_t i = 0; i < p.n_anchors; i++) mem_free(p.anchors[i].name);
    mem_free(p.anchors);
    return root;
}

Status yaml_read(YamlNode **root, YamlStore *s, YamlErrors *e, const char *path) {
    Str text = {0};
    *root = NULL;
    /* One byte more than allowed, so that a file that is too large is told as a config error. */
    Status st = OK;
    if (file_size(path) > (int64_t)YAML_MAX_BYTES) {
        yaml_error_at(e, path, 1, 1, "larger than 1 MiB; a config is not data, shorten it");
    } else {
        TRY_GOTO(file_read(&text, path, YAML_MAX_BYTES), st, out);
        *root = yaml_parse(s, e, path, str_text(&text), text.len);
    }
out:
    str_free(&text);
    return st;
}

/* ---- looking, editing ---- */

static size_t find_key(const YamlNode *mapping, const char *key) {
    size_t i = 0;
    while (i < mapping->n && strcmp(mapping->keys[i]->text, key) != 0) i++;
    return i;
}

YamlNode *yaml_get(const YamlNode *mapping, const char *key) {
    size_t i = find_key(mapping, key);
    return i < mapping->n ? mapping->items[i] : NULL;
}

YamlNode *yaml_key(const YamlNode *mapping, const char *key) {
    size_t i = find_key(mapping, key);
    return i < mapping->n ? mapping->keys[i] : NULL;
}

bool yaml_is_null(const YamlNode *n) {
    if (n->kind != YAML_SCALAR || n->quoted) return false;
    return !*n->text || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0 ||
           strcmp(n->text, "Null") == 0 || strcmp(n->text, "NULL") == 0;
}

YamlNode *yaml_new_scalar(YamlStore *s, const YamlNode *place, const char *text) {
    YamlNode *n = new_node(s, YAML_SCALAR, place->file, place->line, place->column);
    n->text = yaml_store_text(s, text);
    return n;
}

YamlNode *yaml_new_mapping(YamlStore *s, const YamlNode *place) {
    return new_node(s, YAML_MAPPING, place->file, place->line, place->column);
}

void yaml_set(YamlStore *s, YamlNode *mapping, YamlNode *key, YamlNode *value) {
    CHECK(mapping->kind == YAML_MAPPING, "`%s` set on a node that is no mapping", key->text);
    size_t i = find_key(mapping, key->text);
    if (i == mapping->n) {
        append_entry(s, mapping, key, value);
        return;
    }
    mapping->keys[i] = key;
    mapping->items[i] = value;
}
