/* tensorboard: scalars as an event file that TensorBoard reads.
 *
 * The file is TFRecord: length (8 bytes, little endian), masked CRC32C of it, the protobuf `Event`,
 * masked CRC32C of that. Of Event and Summary only what scalars need is written:
 * Event {1: wall_time double, 2: step int64, 3: file_version string, 5: Summary}, Summary {1: Value
 * {1: tag string, 2: simple_value float}}. */
#ifndef HONE_TRAIN_REPORT_TENSORBOARD_H
#define HONE_TRAIN_REPORT_TENSORBOARD_H

#include "core/status.h"
#include "core/str.h"

#include <stdint.h>

typedef struct EventFile EventFile;

/* The run folder's events.out.tfevents.* file, made when there is none; appends. */
Status events_open(EventFile **out, const char *folder);
void events_close(EventFile *e);
Status events_scalar(EventFile *e, int64_t step, const char *tag, double value);
Status events_sync(EventFile *e);
const char *events_name(const EventFile *e); /* file name */
int64_t events_offset(const EventFile *e);
Status events_rewind(EventFile *e, int64_t offset); /* 0: starts over with the version record */

/* The encoding, for tests: appends one record to `out`. */
void events_encode_scalar(Str *out, double wall_time_s, int64_t step, const char *tag, float value);
uint32_t events_crc32c(const void *data, size_t n);

#endif
