#!/usr/bin/env python3
"""The ranges of data/tokenizer/script_ranges.inc, on standard output: what UnicodeScripts of tokenizers does with each
character says which ones it takes for the same script."""
from tokenizers import pre_tokenizers

cut = pre_tokenizers.UnicodeScripts().pre_tokenize_str
NONE, LATIN, HAN = 0, 1, 2


def begins(text):
    """Where a piece begins."""
    return {span[0] for _, span in cut(text)}


def kind(c):
    """Of the character between two others: none, Latin, Han, or (None) another."""
    at = begins("a" + c + "\u3042" + c + "a")
    first, second = 1 in at, 3 in at
    return {(False, False): NONE, (False, True): LATIN, (True, False): HAN}.get((first, second))


def ranges():
    out = []  # [first, its script]
    known = []  # a character of each other script
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue  # no characters; they go with what is before
        c = chr(code)
        script = kind(c)
        if script is None:
            near = out[-1][1] - 3 if out and out[-1][1] >= 3 else None
            order = ([near] if near is not None else []) + [k for k in range(len(known)) if k != near]
            script = 3 + next((k for k in order if 1 not in begins(known[k] + c)), len(known))
            known += [c] * (script - 3 == len(known))
        if not out or out[-1][1] != script:
            out.append([code, script])
    return out


if __name__ == "__main__":
    cells = ["{0x%04X, %d}" % (first, script) for first, script in ranges()]
    for k in range(0, len(cells), 6):
        print("    " + ", ".join(cells[k : k + 6]) + ",")
