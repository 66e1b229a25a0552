"""Makes tests/golden/data/parquet (pyarrow): TABLE.VARIANT.parquet of every encoding, codec, page version and
nesting, and TABLE.jsonl with the rows that all files of a table hold. Run from the top."""

import datetime
import decimal
import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = os.path.join(os.environ.get("HONE_GOLDEN") or "tests/golden/data", "parquet")
CODECS = {"none": "NONE", "snappy": "SNAPPY", "gzip": "GZIP", "zstd": "ZSTD"}
EPOCH = datetime.date(1970, 1, 1)


def holes(values, every):
    """None at each place divisible by `every`."""
    return [None if i % every == 0 else v for i, v in enumerate(values)]


# ---- tables: (schema, rows for pyarrow, rows as JSON) ----


def numbers():
    n = 23
    columns = {
        "bool": (pa.bool_(), holes([i % 3 == 0 for i in range(n)], 7)),
        "int8": (pa.int8(), [i * 11 - 128 for i in range(n)]),
        "uint8": (pa.uint8(), [255 - i for i in range(n)]),
        "int32": (pa.int32(), holes([(-1) ** i * (2**31 - 1 - i * i) for i in range(n)], 5)),
        "uint32": (pa.uint32(), [2**32 - 1 - i for i in range(n)]),
        "int64": (pa.int64(), holes([(-1) ** i * (2**63 - 1 - 3**i) for i in range(n)], 4)),
        "near": (pa.int64(), [1700000000000 + 1000 * i + i % 2 for i in range(n)]),
        "uint64": (pa.uint64(), [2**63 + 2048 * i if i % 2 else i for i in range(n)]),
        "float": (pa.float32(), holes([i * 0.25 - 2 for i in range(n)], 6)),
        "double": (pa.float64(), [float("nan") if i == 3 else i / 7 for i in range(n)]),
        "empty": (pa.null(), [None] * n),
        "never": (pa.int32(), [None] * n),
        "same": (pa.int64(), [7] * n),
    }
    rows = as_rows(columns)
    for row in rows:
        if row["double"] is not None and row["double"] != row["double"]:
            row["double"] = None
        row["uint64"] = float(row["uint64"]) if row["uint64"] >= 2**63 else row["uint64"]
    return columns, rows


def texts():
    n = 23
    words = ["", "a", "na\u00efve \u20ac \U0001f600", "the quick brown fox " * 6, "line\nbreak\ttab", 'quote " \\ end']
    columns = {
        "text": (pa.string(), holes([words[i % len(words)] for i in range(n)], 9)),
        "unique": (pa.string(), [f"https://example.org/a/rather/long/path/{i:05d}" for i in range(n)]),
        "large": (pa.large_string(), [str(i) * i for i in range(n)]),
        "binary": (pa.binary(), [b"\xff\x00" if i % 2 else b"ascii" for i in range(n)]),
        "fixed": (pa.binary(3), [b"%03d" % i for i in range(n)]),
        "category": (pa.dictionary(pa.int32(), pa.string()), ["red", "green", None, "blue"] * 5 + ["red"] * 3),
    }
    rows = as_rows(columns)
    for row in rows:
        row["binary"] = None if row["binary"][0] == 255 else row["binary"].decode()
        row["fixed"] = row["fixed"].decode()
    return columns, rows


def others():
    n = 9
    half = [0.5, -2.0, 1.0, 0.0, 65504.0, 0.000030517578125, 5.9604644775390625e-08, None, 1.5]
    columns = {
        "date": (pa.date32(), [EPOCH + datetime.timedelta(days=i * 1000) for i in range(n)]),
        "stamp": (pa.timestamp("ms"), [i * 10**11 for i in range(n)]),
        "small": (pa.decimal128(5, 2), [decimal.Decimal(i * 25 - 50).scaleb(-2) for i in range(n)]),
        "wide": (pa.decimal128(30, 1), [decimal.Decimal(i - 4).scaleb(-1) for i in range(n)]),
        "half": (pa.float16(), half),
    }
    rows = as_rows(columns)
    for i, row in enumerate(rows):
        row["date"] = i * 1000
        row["stamp"] = i * 10**11
        row["small"] = float(row["small"])
        row["wide"] = float(row["wide"])
    return columns, rows


def stamps():
    columns = {"stamp": (pa.timestamp("ns"), holes([i * 10**17 - 10**18 + i for i in range(25)], 8))}
    return columns, as_rows(columns)


def nested():
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    n = 17

    def chat(i):
        return [{"role": ["user", "assistant"][k % 2], "content": f"turn {k} of {i}"} for k in range(i % 4)]

    columns = {
        "id": (pa.int64(), list(range(n))),
        "messages": (pa.list_(message), holes([chat(i) for i in range(n)], 6)),
        "ids": (pa.list_(pa.int32()), [list(range(i % 5)) for i in range(n)]),
        "gaps": (pa.list_(pa.int64()), [[None, i, None][: i % 4] for i in range(n)]),
        "deep": (
            pa.list_(pa.list_(pa.list_(pa.string()))),
            [[None, [], [[]], [["a", None], None, ["b"]], [["c"]] * (i % 3)][i % 5 :] for i in range(n)],
        ),
        "point": (
            pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string())), ("in", pa.struct([("y", pa.bool_())]))]),
            holes(
                [
                    {"x": i / 2, "tags": None if i % 3 == 0 else ["t"] * (i % 3), "in": {"y": i % 2 == 0} if i % 4 else None}
                    for i in range(n)
                ],
                5,
            ),
        ),
        "named": (pa.map_(pa.string(), pa.int32()), [[(f"k{k}", k + i) for k in range(i % 3)] for i in range(n)]),
        "pairs": (pa.map_(pa.int32(), pa.string()), [[(k, "v") for k in range(i % 2)] for i in range(n)]),
        "labels": (
            pa.struct([("name", pa.list_(pa.string())), ("value", pa.list_(pa.float64()))]),
            [{"name": ["spam", "toxic"][: i % 3], "value": [0.25, 0.5][: i % 3]} for i in range(n)],
        ),
    }
    rows = as_rows(columns)
    for row in rows:
        row["named"] = dict(row["named"])
        row["pairs"] = [{"key": k, "value": v} for k, v in row["pairs"]]
    return columns, rows


def as_rows(columns):
    names = list(columns)
    return [dict(zip(names, values)) for values in zip(*(v for _, v in columns.values()))]


# ---- files ----


def write(name, columns, **options):
    table = pa.table([pa.array(v, type=t) for t, v in columns.values()], names=list(columns))
    options = {"row_group_size": 10, "data_page_size": 64, "write_batch_size": 4, "dictionary_pagesize_limit": 1 << 20,
               "write_statistics": False, "store_schema": False, **options}
    pq.write_table(table, os.path.join(FOLDER, name + ".parquet"), **options)


def write_encoded(name, columns, encodings, **options):
    """`encodings`: column to encoding; columns that have none are left out of the dictionary too."""
    write(name, columns, use_dictionary=False, column_encoding=encodings, **options)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    tables = {f.__name__: f() for f in (numbers, texts, others, stamps, nested)}
    for name, (columns, rows) in tables.items():
        with open(os.path.join(FOLDER, name + ".jsonl"), "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        for codec in CODECS:
            for version in "12":
                write(f"{name}.v{version}_{codec}", columns, compression=CODECS[codec],
                      data_page_version=version + ".0", use_dictionary=codec != "none")
    c = tables["numbers"][0]
    integers = ["int8", "uint8", "int32", "uint32", "int64", "near", "uint64", "never", "same"]
    fixed = integers + ["float", "double"]
    for version in "12":
        v = {"data_page_version": version + ".0"}
        write_encoded(f"numbers.v{version}_delta", c, {k: "DELTA_BINARY_PACKED" for k in integers} | {"bool": "RLE"},
                      compression="NONE", **v)
        write_encoded(f"numbers.v{version}_split", c, {k: "BYTE_STREAM_SPLIT" for k in fixed}, compression="SNAPPY", **v)
        t = tables["texts"][0]
        strings = ["text", "unique", "large", "binary", "category"]
        write_encoded(f"texts.v{version}_lengths", t, {k: "DELTA_LENGTH_BYTE_ARRAY" for k in strings},
                      compression="NONE", **v)
        write_encoded(f"texts.v{version}_prefix", t, {k: "DELTA_BYTE_ARRAY" for k in strings + ["fixed"]},
                      compression="ZSTD", **v)
    n = tables["nested"][0]
    write("nested.one_group", n, compression="SNAPPY", row_group_size=1000, data_page_size=1 << 20, write_batch_size=1024)
    write("nested.old_names", n, compression="SNAPPY", use_compliant_nested_type=False)
    write("stamps.int96", tables["stamps"][0], compression="SNAPPY", use_deprecated_int96_timestamps=True)


if __name__ == "__main__":
    main()
