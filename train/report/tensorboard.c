#include "train/report/tensorboard.h"

#include "core/file.h"
#include "core/io_ops.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct EventFile {
    char *path;
    int fd;
    int64_t offset;
};

/* ---- encoding ------------------------------------------------------------------------------ */

/* CRC32C (Castagnoli, reflected 0x82f63b78), bit by bit: events are short and rare. */
uint32_t events_crc32c(const void *data, size_t n) {
    const unsigned char *p = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
    }
    return ~crc;
}

/* TFRecord stores rotated and shifted checksums, so that a CRC of data with CRCs in it stays sound.
 */
static uint32_t masked_crc(const void *data, size_t n) {
    uint32_t crc = events_crc32c(data, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void put_le(Str *out, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++) str_append_char(out, (char)(x >> (8 * i) & 0xff));
}

static void put_varint(Str *out, uint64_t x) {
    for (; x >= 0x80; x >>= 7) str_append_char(out, (char)((x & 0x7f) | 0x80));
    str_append_char(out, (char)x);
}

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_key(Str *out, unsigned field, unsigned wire) {
    put_varint(out, field << 3 | wire);
}

static void put_bytes(Str *out, unsigned field, const char *data, size_t n) {
    put_key(out, field, WIRE_BYTES);
    put_varint(out, n);
    str_append_n(out, data, n);
}

static void put_double(Str *out, unsigned field, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    put_key(out, field, WIRE_64);
    put_le(out, bits, 8);
}

static void put_float(Str *out, unsigned field, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    put_key(out, field, WIRE_32);
    put_le(out, bits, 4);
}

static void put_record(Str *out, const Str *event) {
    Str length = {0};
    put_le(&length, event->len, 8);
    str_append_n(out, length.data, length.len);
    put_le(out, masked_crc(length.data, length.len), 4);
    str_append_n(out, event->data, event->len);
    put_le(out, masked_crc(event->data, event->len), 4);
    str_free(&length);
}

void events_encode_scalar(Str *out, double wall_time_s, int64_t step, const char *tag,
                          float value) {
    Str entry = {0}, summary = {0}, event = {0};
    put_bytes(&entry, 1, tag, strlen(tag));
    put_float(&entry, 2, value);
    put_bytes(&summary, 1, entry.data, entry.len);
    put_double(&event, 1, wall_time_s);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.data, summary.len);
    put_record(out, &event);
    str_free(&entry);
    str_free(&summary);
    str_free(&event);
}

static void encode_version(Str *out, double wall_time_s) {
    static const char version[] = "brain.Event:2";
    Str event = {0};
    put_double(&event, 1, wall_time_s);
    put_bytes(&event, 3, version, strlen(version));
    put_record(out, &event);
    str_free(&event);
}

/* ---- the file ------------------------------------------------------------------------------ */

static double wall_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static Status write_failed(const EventFile *e, const char *what) {
    return status_fail(ERR_IO, "%s: cannot %s: %s", e->path, what, strerror(errno));
}

static Status append(EventFile *e, const Str *bytes) {
    if (io_write_all(e->fd, bytes->data, bytes->len) != 0) return write_failed(e, "write");
    e->offset += (int64_t)bytes->len;
    return OK;
}

static Status write_version(EventFile *e) {
    Str bytes = {0};
    encode_version(&bytes, wall_clock_s());
    Status st = append(e, &bytes);
    str_free(&bytes);
    return st;
}

/* TensorBoard takes any name with "tfevents" in it; host and time keep folders of several runs
 * apart. */
static Status choose_path(char **out, const char *folder) {
    char *pattern = file_join(folder, "events.out.tfevents.*");
    FileList found;
    Status st = file_glob(&found, pattern);
    mem_free(pattern);
    if (st != OK) return st;
    if (found.count > 0) {
        *out = mem_strdup(found.names[0]);
    } else {
        char host[65] = "localhost";
        gethostname(host, sizeof(host) - 1);
        *out = str_format("%s/events.out.tfevents.%lld.%s", folder, (long long)time(NULL), host);
    }
    file_list_free(&found);
    return OK;
}

static Status open_at_end(EventFile *e, const char *folder) {
    TRY(choose_path(&e->path, folder));
    e->fd = io_ops.open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (e->fd < 0) return status_fail(ERR_CREATE, "%s: %s", e->path, strerror(errno));
    e->offset = file_size(e->path);
    return e->offset > 0 ? OK : write_version(e);
}

Status events_open(EventFile **out, const char *folder) {
    *out = NULL;
    EventFile *e = mem_zalloc(1, sizeof(*e));
    e->fd = -1;
    Status st = open_at_end(e, folder);
    if (st == OK)
        *out = e;
    else
        events_close(e);
    return st;
}

void events_close(EventFile *e) {
    if (e == NULL) return;
    if (e->fd >= 0) io_ops.close(e->fd);
    mem_free(e->path);
    mem_free(e);
}

Status events_scalar(EventFile *e, int64_t step, const char *tag, double value) {
    Str bytes = {0};
    events_encode_scalar(&bytes, wall_clock_s(), step, tag, (float)value);
    Status st = append(e, &bytes);
    str_free(&bytes);
    return st;
}

Status events_sync(EventFile *e) {
    return io_ops.fsync(e->fd) == 0 ? OK : write_failed(e, "flush");
}

const char *events_name(const EventFile *e) {
    return file_name(e->path);
}

int64_t events_offset(const EventFile *e) {
    return e->offset;
}

Status events_rewind(EventFile *e, int64_t offset) {
    if (offset > e->offset)
        return status_fail(ERR_DATA, "%s: %lld bytes, but the checkpoint was made at %lld", e->path,
                           (long long)e->offset, (long long)offset);
    if (io_ops.truncate(e->fd, offset) != 0) return write_failed(e, "cut");
    e->offset = offset;
    return offset > 0 ? OK : write_version(e);
}
