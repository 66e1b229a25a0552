#include "data/tokenizer/sentencepiece_write.h"

#include <string.h>

/* ---- protobuf's wire format ---- */

static void put_varint(Str *out, uint64_t x) {
    for (; x >= 0x80; x >>= 7) str_append_char(out, (char)((x & 0x7f) | 0x80));
    str_append_char(out, (char)x);
}

static void put_number(Str *out, unsigned field, int64_t x) {
    put_varint(out, field << 3);
    put_varint(out, (uint64_t)x);
}

static void put_bytes(Str *out, unsigned field, const void *bytes, size_t n) {
    put_varint(out, field << 3 | 2);
    put_varint(out, n);
    str_append_n(out, bytes, n);
}

/* ---- the messages (sentencepiece_model.proto) ---- */

void sentencepiece_write_piece(Str *out, const char *text, size_t n, float score, int type) {
    Str piece = {0};
    put_bytes(&piece, 1, text, n);
    put_varint(&piece, 2 << 3 | 5);
    str_append_n(&piece, &score, sizeof score); /* little-endian, as we are */
    put_number(&piece, 3, type);
    put_bytes(out, 1, piece.data, piece.len);
    str_free(&piece);
}

void sentencepiece_write_spec(Str *out, const SentencepieceSpec *spec) {
    Str trainer = {0}, normalizer = {0};
    put_number(&trainer, 3, spec->unigram ? 1 : 2); /* model_type */
    put_number(&trainer, 35, spec->byte_fallback);
    put_number(&trainer, 40, spec->unk);
    put_number(&trainer, 41, spec->bos);
    put_number(&trainer, 42, spec->eos);
    put_number(&trainer, 43, spec->pad);
    put_bytes(out, 2, trainer.data, trainer.len);
    const char *name = spec->charsmap ? "user_defined" : "identity";
    put_bytes(&normalizer, 1, name, strlen(name));
    if (spec->charsmap) put_bytes(&normalizer, 2, spec->charsmap, spec->charsmap_n);
    put_number(&normalizer, 3, spec->dummy_prefix);
    put_number(&normalizer, 4, spec->remove_extra);
    put_number(&normalizer, 5, 1); /* escape_whitespaces */
    put_bytes(out, 3, normalizer.data, normalizer.len);
    str_free(&trainer);
    str_free(&normalizer);
}
