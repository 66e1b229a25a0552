"""Makes tests/golden/data/parquet_hostile: Parquet files that must be refused, written byte by byte (no pyarrow), and
says.json with a part of the line that each must be refused with. Run from the top."""

import json
import os
import shutil
import struct

FOLDER = os.path.join(os.environ.get("HONE_GOLDEN") or "tests/golden/data", "parquet_hostile")
INT32, INT64, BYTES = 1, 2, 6
REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
PLAIN, DICTIONARY, RLE, DELTA_BYTES = 0, 8, 3, 7

# ---- Thrift's compact protocol, with field numbers in full ----


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def zigzag(n):
    return varint(n * 2 if n >= 0 else -n * 2 - 1)


def integer(number, value):
    return b"\x06" + zigzag(number) + zigzag(value)


def text(number, value):
    value = value.encode() if isinstance(value, str) else value
    return b"\x08" + zigzag(number) + varint(len(value)) + value


def record(number, *members):
    return b"\x0c" + zigzag(number) + b"".join(members) + b"\0"


def records(number, bodies):
    return b"\x09" + zigzag(number) + b"\xfc" + varint(len(bodies)) + b"".join(b + b"\0" for b in bodies)


# ---- Parquet ----


def element(name, repeat=REQUIRED, kind=None, children=None, converted=None):
    out = text(4, name) + integer(3, repeat)
    out += integer(1, kind) if kind is not None else b""
    out += integer(5, children) if children is not None else b""
    return out + (integer(6, converted) if converted is not None else b"")


def page(body, n, encoding=PLAIN, kind=0, packed=None, unpacked=None):
    header = integer(1, kind) + integer(2, len(body) if unpacked is None else unpacked)
    header += integer(3, len(body) if packed is None else packed)
    facts = integer(1, n) + integer(2, encoding)
    header += record(7, facts) if kind == 2 else record(5, facts + integer(3, RLE) + integer(4, RLE))
    return header + b"\0" + body


def column(pages, n, kind=BYTES, codec=0, at=None, extra=b"", dictionary=False):
    return {"pages": pages, "n": n, "kind": kind, "codec": codec, "at": at, "extra": extra, "dictionary": dictionary}


def file(schema, columns, rows=1, told=None):
    out, chunks = b"PAR1", []
    for c in columns:
        at = len(out) if c["at"] is None else c["at"]
        facts = integer(1, c["kind"]) + integer(4, c["codec"]) + integer(5, c["n"]) + integer(7, len(c["pages"]))
        facts += integer(9, at + 1) + integer(11, at) if c["dictionary"] else integer(9, at)
        chunks.append(record(3, facts) + c["extra"])
        out += c["pages"]
    group = records(1, chunks) + integer(3, rows)
    footer = integer(1, 1) + records(2, schema) + integer(3, rows if told is None else told) + records(4, [group]) + b"\0"
    return out + footer + struct.pack("<I", len(footer)) + b"PAR1"


def strings(*values):
    return b"".join(struct.pack("<I", len(v)) + v for v in values)


def levels(*values):
    """Each level a run of one."""
    runs = b"".join(b"\x02" + bytes([v]) for v in values)
    return struct.pack("<I", len(runs)) + runs


def delta(values, block=128, mini=4):
    """All differences 64 bits wide."""
    out = varint(block) + varint(mini) + varint(len(values)) + zigzag(values[0])
    for i in range(1, len(values), block):
        steps = [(values[k] - values[k - 1]) % 2**64 for k in range(i, min(i + block, len(values)))]
        steps += [0] * (block - len(steps))
        out += zigzag(0) + bytes([64] * mini) + struct.pack(f"<{block}Q", *steps)
    return out


def constant(first, rest, n):
    """`first`, and n - 1 times `rest`: one difference of 64 bits, then none of any."""
    out = varint(128) + varint(4) + varint(n) + zigzag(first)
    out += zigzag(0) + bytes([64, 0, 0, 0]) + struct.pack("<32Q", (rest - first) % 2**64, *[0] * 31)
    return out + (zigzag(0) + bytes(4)) * ((n - 2) // 128)


ROOT = element("root", children=1)
TEXT = [ROOT, element("text", kind=BYTES, converted=0)]
LEAF = [ROOT, element("n", kind=INT32)]


def cases():
    one = page(strings(b"a"), 1)
    yield "page_behind_column", "column `text`, page 1: it reaches behind", file(TEXT, [column(page(strings(b"a"), 1, packed=99), 1)])
    yield "page_of_two_gigabytes", "page 1: more than the file's size explains", file(
        TEXT, [column(page(b"\xff\xff\xff\xff\x07a", 1, unpacked=2**31 - 1), 1, codec=1)])
    yield "page_below_nothing", "its size is impossible", file(TEXT, [column(page(strings(b"a"), 1, unpacked=-1), 1)])
    yield "snappy", "its compressed data is damaged", file(TEXT, [column(page(b"\x05\x01\x02", 1, unpacked=5), 1, codec=1)])
    yield "gzip", "compressed data is damaged", file(TEXT, [column(page(b"\x1f\x8b\x08xx", 1, unpacked=5), 1, codec=2)])
    yield "zstd", "compressed data is damaged", file(TEXT, [column(page(b"\x28\xb5\x2f\xfdxx", 1, unpacked=5), 1, codec=6)])
    yield "lzo", "LZO, Brotli or LZ4", file(TEXT, [column(one, 1, codec=3)])
    yield "text_longer_than_page", "page 1: a text is longer", file(TEXT, [column(page(b"\xff\xff\xff\x7fa", 1), 1)])
    yield "second_page", "page 2: its data is cut off", file(TEXT, [column(one + page(b"\1", 1), 2)], rows=2)
    yield "column_ends_early", "the column ends before its last value", file(TEXT, [column(one, 2)], rows=2)
    yield "page_with_more_values", "it has more values than its column", file(TEXT, [column(page(strings(b"a", b"b"), 2), 1)])
    yield "unknown_page", "its kind is unknown", file(TEXT, [column(page(strings(b"a"), 1, kind=9), 1)])
    yield "unknown_encoding", "its encoding is unknown", file(TEXT, [column(page(strings(b"a"), 1, encoding=33), 1)])
    yield "numbers_by_text_encoding", "not one of this type", file(LEAF, [column(page(b"\0" * 9, 1, encoding=DELTA_BYTES), 1, kind=INT32)])
    yield "index_outside", "an index is outside of the dictionary", file(TEXT, [column(
        page(strings(b"a"), 1, kind=2) + page(b"\x03\x02\x05", 1, encoding=DICTIONARY), 1, dictionary=True)])
    yield "no_dictionary", "an index is outside of the dictionary", file(TEXT, [column(page(b"\x01\x02\0", 1, encoding=DICTIONARY), 1)])
    yield "two_dictionaries", "page 2: it is a second dictionary", file(TEXT, [column(
        page(strings(b"a"), 1, kind=2) * 2 + page(b"\x01\x02\0", 1, encoding=DICTIONARY), 1, dictionary=True)])
    yield "wide_indices", "indices is impossible", file(TEXT, [column(page(b"\x40\x02\0", 1, encoding=DICTIONARY), 1)])
    much, n = 1 << 14, 1 << 16  # a gigabyte of text out of a few kilobytes
    explosion = constant(0, much, n) + constant(much, 0, n) + b"a" * much
    yield "text_explosion", "more text than the file can hold", file(
        TEXT, [column(page(explosion, n, encoding=DELTA_BYTES), n)], rows=n)
    yield "shares_too_much", "a text shares more than there is", file(TEXT, [column(
        page(delta([5]) + delta([1]) + b"a", 1, encoding=DELTA_BYTES), 1)])
    yield "odd_blocks", "blocks of its differences are impossible", file(LEAF, [column(
        page(varint(7) + varint(3) + varint(1) + zigzag(1), 1, encoding=5), 1, kind=INT32)])
    yield "many_values", "tells of more values than the file can hold", file(TEXT, [column(one, 2**40)], rows=2**40)
    yield "more_rows_than_values", "tells of more values", file(TEXT, [column(one, 1)], rows=2)
    yield "outside_of_file", "tells of columns outside of the file", file(TEXT, [column(one, 1, at=2**40)])
    yield "before_file", "tells of columns outside of the file", file(TEXT, [column(one, 1, at=-9)])
    yield "rows_missing", "tells of other rows than its row groups hold", file(TEXT, [column(one, 1)], told=2)
    yield "other_type", "footer is damaged", file(TEXT, [column(one, 1, kind=INT64)])
    yield "encrypted", "encrypted columns", file(TEXT, [column(one, 1, extra=record(8))])
    yield "other_columns", "other columns than the schema", file(TEXT, [column(one, 1)] * 2)
    yield "not_utf8", ":1:1: column `text`: the text is not UTF-8", file(TEXT, [column(page(strings(b"\xff"), 1), 1)])
    yield "empty_group", "has a group without columns", file([element("root", children=1), element("g", children=0)], [])
    yield "schema_cut", "is cut off", file([element("root", children=9), TEXT[1]], [column(one, 1)])
    yield "schema_more", "has columns outside of its rows", file(TEXT + [TEXT[1]], [column(one, 1)] * 2)
    yield "name_twice", "names a column twice, at column text", file([element("root", children=2), TEXT[1], TEXT[1]], [column(one, 1)] * 2)
    yield "name_no_text", "whose name is no text", file([ROOT, text(4, b"\xff") + integer(1, BYTES)], [column(one, 1)])
    yield "unknown_type", "has an unknown type", file([ROOT, element("x", kind=8)], [column(one, 1)])
    yield "unknown_repetition", "has an unknown repetition", file([ROOT, element("x", kind=BYTES, repeat=3)], [column(one, 1)])
    yield "no_width", "has an impossible width", file([ROOT, element("x", kind=7)], [column(one, 1, kind=7)])
    half = record(10, record(15))
    yield "half_of_text", "has a float16 that is not two bytes wide, at column h", file(
        [ROOT, element("h", kind=BYTES) + integer(2, 2) + half], [column(page(strings(b""), 1), 1)])
    yield "half_of_three_bytes", "has a float16 that is not two bytes wide", file(
        [ROOT, element("h", kind=7) + integer(2, 3) + half], [column(page(b"abc", 1), 1, kind=7)])
    yield "scale", "has an impossible scale, at column d", file(
        [ROOT, element("d", kind=INT32, converted=5) + integer(7, -2)], [column(page(b"\1\0\0\0", 1), 1, kind=INT32)])
    deep = [element("root", children=1)] + [element(f"l{i}", children=1) for i in range(60)] + [TEXT[1]]
    yield "deep", "is too deep", file(deep, [column(one, 1)])
    lists = [element("root", children=1), element("list", REPEATED, children=2), element("a", kind=BYTES), element("b", kind=BYTES)]

    def repeated(*reps):
        return column(page(levels(*reps) + levels(*[1] * len(reps)) + strings(*[b"x"] * len(reps)), len(reps)), len(reps))

    yield "lists_disagree", ":1:1: column `list.b`: the columns of a list or struct disagree", file(lists, [repeated(0, 1), repeated(0)])
    yield "lists_disagree_more", "column `list.b`: the columns of a list or struct disagree", file(lists, [repeated(0), repeated(0, 1)])
    lone = column(page(levels(0) + levels(0), 1), 1)
    yield "value_never_written", "column `list.b`: the columns of a list or struct disagree about what is null", file(lists, [repeated(0), lone])
    yield "begins_inside_of_row", "begins inside of a row", file(lists, [repeated(1, 0), repeated(0, 0)], rows=2)
    yield "fewer_rows", "has fewer rows than others", file(lists, [repeated(0, 0), repeated(0, 1)], rows=2)
    yield "more_rows", "has more rows than others", file(lists, [repeated(0, 1), repeated(0, 0)])
    pairs = [element("root", children=1), element("m", children=1, converted=1), element("key_value", REPEATED, children=2),
             element("key", kind=BYTES, converted=0), element("value", kind=BYTES)]
    yield "key_with_zero", "column `m.key_value.key`: a map's key holds a zero byte", file(pairs, [column(
        page(levels(0) + levels(1) + strings(v), 1), 1) for v in (b"a\0b", b"x")])
    yield "level_too_high", "a level is above what the schema allows", file(
        [ROOT, element("x", OPTIONAL, BYTES)], [column(page(levels(7) + strings(b"a"), 1), 1)])
    yield "levels_cut", "its levels are cut off", file(
        [ROOT, element("x", OPTIONAL, BYTES)], [column(page(b"\xff\0\0\0" + strings(b"a"), 1), 1)])
    nulls = [element("root", children=1), element("s", OPTIONAL, children=2), element("a", kind=BYTES), element("b", kind=BYTES)]
    yield "nulls_disagree", "column `s.b`: the columns of a list or struct disagree about what is null", file(
        nulls, [column(page(levels(0), 1), 1), column(page(levels(1) + strings(b"x"), 1), 1)])


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    says = {}
    for name, line, data in cases():
        says[name] = line
        with open(os.path.join(FOLDER, name + ".parquet"), "wb") as f:
            f.write(data)
    with open(os.path.join(FOLDER, "says.json"), "w", encoding="utf-8") as f:
        json.dump(says, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
