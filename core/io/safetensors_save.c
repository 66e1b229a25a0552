#include "core/check.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdlib.h>
#include <string.h>

/* Where an item goes: index in the spec, in the order in which its file holds it. */
typedef struct Slot {
    int64_t item;
    size_t bytes;
    int64_t shard; /* from 0 */
} Slot;

static size_t item_bytes(const SafetensorsItem *item) {
    size_t bytes = dtype_size(item->dtype);
    CHECK(item->rank >= 0 && item->rank <= SAFETENSORS_MAX_RANK, "%s: rank %d", item->name,
          item->rank);
    for (int i = 0; i < item->rank; i++) {
        bool fits = item->shape[i] >= 0 && mem_mul(&bytes, bytes, (size_t)item->shape[i]);
        CHECK(fits, "%s: axis %d is %lld", item->name, i, (long long)item->shape[i]);
    }
    return bytes;
}

/* qsort has no argument of the caller's; writing is not for several threads. */
static const SafetensorsItem *sorted_items;

/* As the format's own writer has it: wide elements first, so that all of them lie aligned, then by
 * name. */
static int compare_slots(const void *a, const void *b) {
    const Slot *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    const SafetensorsItem *p = &sorted_items[x->item], *q = &sorted_items[y->item];
    size_t wide_p = dtype_size(p->dtype), wide_q = dtype_size(q->dtype);
    if (wide_p != wide_q) return wide_p > wide_q ? -1 : 1;
    return strcmp(p->name, q->name);
}

/* Fills shards in the order of the items; a tensor is never cut. Returns how many there are. */
static int64_t assign_shards(Slot *slots, const SafetensorsSpec *spec, size_t shard_bytes) {
    int64_t shard = 0;
    size_t in_shard = 0;
    for (int64_t i = 0; i < spec->n_items; i++) {
        size_t bytes = item_bytes(&spec->items[i]);
        if (shard_bytes > 0 && in_shard > 0 && bytes > shard_bytes - in_shard) {
            shard++;
            in_shard = 0;
        }
        in_shard = bytes < SIZE_MAX - in_shard ? in_shard + bytes : SIZE_MAX;
        if (shard_bytes > 0 && in_shard > shard_bytes) in_shard = shard_bytes; /* it is full */
        slots[i] = (Slot){.item = i, .bytes = bytes, .shard = shard};
    }
    sorted_items = spec->items;
    if (spec->n_items > 1) qsort(slots, (size_t)spec->n_items, sizeof *slots, compare_slots);
    return shard + 1;
}

static void append_metadata(Str *out, const char *const *meta) {
    str_append(out, "\"__metadata__\":{");
    for (; meta[0]; meta += 2) {
        json_dump_str(out, meta[0], strlen(meta[0]));
        str_append_char(out, ':');
        json_dump_str(out, meta[1], strlen(meta[1]));
        if (meta[2]) str_append_char(out, ',');
    }
    str_append_char(out, '}');
}

static void append_entry(Str *out, const SafetensorsItem *item, size_t begin, size_t bytes) {
    json_dump_str(out, item->name, strlen(item->name));
    str_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_dtype_name(item->dtype));
    for (int i = 0; i < item->rank; i++)
        str_printf(out, i == 0 ? "%lld" : ",%lld", (long long)item->shape[i]);
    str_printf(out, "],\"data_offsets\":[%zu,%zu]}", begin, begin + bytes);
}

/* Length and JSON, padded with blanks so that the data start at a multiple of 8. */
static void make_header(Str *out, const SafetensorsSpec *spec, const Slot *slots, int64_t n) {
    Str json = {0};
    size_t begin = 0;
    str_append_char(&json, '{');
    if (spec->meta) append_metadata(&json, spec->meta);
    for (int64_t i = 0; i < n; i++) {
        if (json.len > 1) str_append_char(&json, ',');
        append_entry(&json, &spec->items[slots[i].item], begin, slots[i].bytes);
        begin += slots[i].bytes;
    }
    str_append_char(&json, '}');
    while (json.len % 8 != 0) str_append_char(&json, ' ');
    for (int i = 0; i < 8; i++) str_append_char(out, (char)((uint64_t)json.len >> (8 * i) & 0xff));
    str_append_n(out, json.data, json.len);
    str_free(&json);
}

static Status write_items(PublishFile *f, const SafetensorsSpec *spec, const Slot *slots, int64_t n,
                          void *buffer) {
    for (int64_t i = 0; i < n; i++) {
        const void *data = spec->items[slots[i].item].data;
        if (!data && slots[i].bytes > 0) {
            CHECK(spec->fill, "%s: no data", spec->items[slots[i].item].name);
            TRY(spec->fill(spec->ctx, slots[i].item, buffer));
            data = buffer;
        }
        TRY(publish_write(f, data, slots[i].bytes));
    }
    return OK;
}

/* The largest item that is made when its turn comes. */
static void *make_buffer(const SafetensorsSpec *spec) {
    size_t most = 0;
    for (int64_t i = 0; i < spec->n_items; i++) {
        size_t bytes = item_bytes(&spec->items[i]);
        if (!spec->items[i].data && bytes > most) most = bytes;
    }
    return mem_aligned(most);
}

/* Writes one file's slots to `f`, publishes it and closes it. */
static Status write_file(PublishFile *f, const SafetensorsSpec *spec, const Slot *slots,
                         int64_t n) {
    Str header = {0};
    void *buffer = make_buffer(spec);
    make_header(&header, spec, slots, n);
    Status st = publish_write(f, header.data, header.len);
    if (st == OK) st = write_items(f, spec, slots, n, buffer);
    if (st == OK) st = publish_commit(f);
    publish_close(f);
    mem_free(buffer);
    str_free(&header);
    return st;
}

Status safetensors_save(const char *path, const SafetensorsSpec *spec) {
    Slot *slots = mem_zalloc((size_t)spec->n_items, sizeof *slots);
    PublishFile *f = NULL;
    assign_shards(slots, spec, 0);
    Status st = publish_open(&f, path, 0);
    if (st == OK) st = write_file(f, spec, slots, spec->n_items);
    mem_free(slots);
    return st;
}

static char *shard_name(const char *stem, int64_t shard, int64_t n_shards) {
    if (n_shards == 1) return str_format("%s.safetensors", stem);
    return str_format("%s-%05lld-of-%05lld.safetensors", stem, (long long)(shard + 1),
                      (long long)n_shards);
}

static Status write_index(const char *folder, const char *stem, const SafetensorsSpec *spec,
                          const Slot *slots, int64_t n_shards) {
    Json *index = json_new_object(), *meta = json_new_object(), *map = json_new_object();
    size_t total = 0;
    for (int64_t i = 0; i < spec->n_items; i++) {
        char *file = shard_name(stem, slots[i].shard, n_shards);
        json_set(map, spec->items[slots[i].item].name, json_new_str(file));
        total += slots[i].bytes;
        mem_free(file);
    }
    json_set(meta, "total_size", json_new_int((int64_t)total));
    json_set(index, "metadata", meta);
    json_set(index, "weight_map", map);
    Str text = {0};
    json_dump(&text, index, 2);
    str_append_char(&text, '\n');
    char *path = str_format("%s/%s.safetensors.index.json", folder, stem);
    Status st = publish_bytes(path, text.data, text.len);
    mem_free(path);
    str_free(&text);
    json_free(index);
    return st;
}

Status safetensors_save_in(const char *folder, const char *stem, size_t shard_bytes,
                           const SafetensorsSpec *spec) {
    Slot *slots = mem_zalloc((size_t)spec->n_items, sizeof *slots);
    int64_t n_shards = assign_shards(slots, spec, shard_bytes);
    Status st = OK;
    for (int64_t shard = 0, first = 0; shard < n_shards && st == OK; shard++) {
        int64_t n = 0;
        while (first + n < spec->n_items && slots[first + n].shard == shard) n++;
        char *name = shard_name(stem, shard, n_shards), *path = file_join(folder, name);
        PublishFile *f = NULL;
        st = publish_open(&f, path, 0);
        if (st == OK) st = write_file(f, spec, slots + first, n);
        mem_free(path);
        mem_free(name);
        first += n;
    }
    if (st == OK && n_shards > 1) st = write_index(folder, stem, spec, slots, n_shards);
    mem_free(slots);
    return st;
}
