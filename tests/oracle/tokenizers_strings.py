"""Strings that tokenizers stumble over: mixed scripts, emoji, combining marks, runs of blanks, control
characters, special tokens in the text. The same list for the same seed."""
import random

NASTY = [
    "", " ", "  ", "\n", "\t\t", "\r\n\r\n", " \n \n  x", "a", " a", "a ", "  a  b   c    ", "Hello world", "Hello, y'all! How are you \U0001F601 ?",
    "I'll we've they're he'd she's I'm can't 'S 'LL 'Re", "don\u2019t", "1234567890", "3.14159e-10", "0x7fff", "10,000,000.00", "\u0663\u0664\u0665 \u00b2\u00b3\u00bd \u2167",
    "caf\u00e9 cafe\u0301", "\u00c5 A\u030a \u212b", "na\u00efve co\u00f6perate", "\u1e9b\u0323", "\ufb01 \ufb03 \u2460 \uff21\uff22",
    "\uac00\u1100\u1161 \u1112\u1161\u11ab", "\u0915\u094d\u0937\u093f \u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645", "\u05e9\u05dc\u05d5\u05dd", "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466 \U0001F1E9\U0001F1EA \U0001F44D\U0001F3FD", "\u2764\ufe0f\u200d\U0001F525", "\U00020BB7\u91ce\u5bb6", "\U0001D54F\U0001D4D0 \U0001F600\U0001F600\U0001F600",
    "\x00", "\x01\x02\x1b[31m", "\x7f\x80\x85\xa0\xad", "\u180e\u200b\u200c\u200d\ufeff", "\u2028\u2029", "\u3000\u3000x", "\xa0x\xa0y", "\ufffd", "\uffff\ufffe", "\U0010ffff", "\ue000",
    "a" * 100, " " * 100, "\n" * 50, "ab" * 60, "x" * 40 + " " + "y" * 40, "-" * 80, "=" * 33 + "\n" + "*" * 17, "   \t  \n   \t\n  end",
    "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\n", "{\"a\": [1, 2, {\"b\": null}]}", "<div class=\"x\">&amp;</div>", "https://example.com/a?b=c&d=%20#e", "foo_bar FooBar foo-bar foo.bar", "C:\\Users\\x", "E=mc\u00b2", "a\u0300\u0301\u0302\u0303\u0304\u0305b", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324A\u0328L\u0321G\u0328O\u0321",
    "<s>", "</s>", "<s></s>", " <s> x </s> ", "<unk>", "<pad>", "x<s>y", "<|endoftext|>", "a<|endoftext|>b <|endoftext|> c", "<|im_start|>user\nhi<|im_end|>\n", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "<mask> a <mask>b", "[INST] hi [/INST]", "<0x0A>", "<0xFF>", "<|endoftext", "|endoftext|>", "<<s>>", "\u2581", "\u2581\u2581a \u2581", "\u0120the \u010a",
    "the quick brown fox", "The Quick Brown Fox", "ANTIDISESTABLISHMENTARIANISM", "supercalifragilisticexpialidocious", "\u00dcber Stra\u00dfe \u1e9e \u0130 \u0131", "\u03a3\u03b1\u03c2", "\u01c5\u01c6", "\u00aa\u00ba", "\u02b0\u02b1", "\u06dd\u0600", "\u0300", "\u0300a", " \u0301x", "x \u0302", "12\u030134", "\u20e31", "#\ufe0f\u20e3",
]

ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "0123456789", " ", " ", "  ", "\n\r\t", "'\"`.,;:!?-_/\\()[]{}<>|@#$%^&*+=~", "\u00e9\u00e8\u00fc\u00df\u00f1\u00e7", "\u0430\u0431\u0432\u0433\u0414\u0415", "\u4f60\u597d\u4e16\u754c\u6f22\u5b57", "\u3042\u30a2\u30fc\uff71", "\uac00\ub098\u1100\u1161\u11a8", "\u0905\u0915\u094d\u093f\u0903", "\u0e01\u0e34\u0e49", "\u0627\u0644\u064e\u0651", "\u0300\u0301\u0327\u20dd", "\U0001F600\U0001F44D\U0001F3FD\u200d\ufe0f", "\u2028\u00a0\u3000\u200b\u180e\ufeff", "\x00\x01\x1f\x7f\x85\xad", "\u00b2\u00bd\u0661\u0967\u2167\u3007", "\u2581\u0120\u010a\u0100"]
WORDS = ["the", " of", "ing", " and", "tion", "Hello", " world", "'s", "'LL", "don't", " 2023", "<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|eot_id|>", "\n\n", "    ", "\u00e9t\u00e9", " \u4f60\u597d"]


# What Unicode's compatibility forms change, clusters of several characters, scripts that are rare: for live comparisons
# only, so that the golden strings stay what they are.
WILD = ["\uff21\uff42\uff13\uff01\u3000", "\ufb00\ufb01\ufb05\u0133\u01c4", "\u2460\u2474\u249c\u3231\u33a5\u2122", "\u00ad\u200b\u200d\u2060\ufeff", "\u1100\u1161\u11a8\uac00\u11a8\u1112", "\ufb01\u0301\u00bd\u0308\u212b\u0327",
        "\r\n \t\x0b\x0c\x85", "\uff76\uff9e\uff8a\uff9f\u30ab\u3099", "\u0e33\u0eb3\u0f77\u0958\u09dc", "\U0001F1E9\U0001F1EA\U0001F468\u200d\U0001F469\U0001F3FD\ufe0f", "\u05d1\u05bc\ufb31\ufdfa\ufe8e", "\U0001d400\U0001d7ce\U0001f100\U0002f800\uf900",
        "\u1e9b\u0323\u0344\u0385\u1fc1", "\u3042\u3099\u309b\u30fc\u2e80\u3131", "\u2581\u2581 _", "\u0130\u0131\u1e9e\u00df\u03c2\u01c5", "\u0600\u06dd\u0903\u093f\u094d\u0915", "\u13a0\uab70\u10d0\u1c90\ua640", "\u2044\u00bc\u2153\u2189\u2070\u2099"]


def strings(count, seed=7):
    rng = random.Random(seed)
    out = list(NASTY)
    while len(out) < count:
        parts = []
        for _ in range(rng.randint(1, 14)):
            if rng.random() < 0.35:
                parts.append(rng.choice(WORDS))
            else:
                a = rng.choice(ALPHABETS)
                parts.append("".join(rng.choice(a) for _ in range(rng.randint(1, 6))))
        out.append("".join(parts))
    return out[:count]


def wild_strings(seed, words):
    """Without end: the nasty ones, then more of every kind. They are put together from parts that are made first, which
    takes a tenth of the time."""
    rng = random.Random(seed)
    alphabets, words = ALPHABETS + WILD, WORDS + list(words)
    parts = ["".join(rng.choices(rng.choice(alphabets), k=rng.randint(1, 6))) for _ in range(20000)]
    parts += rng.choices(words, k=len(parts) * 35 // 65)
    yield from NASTY
    while True:
        yield "".join(rng.choices(parts, k=rng.randint(1, 14)))
