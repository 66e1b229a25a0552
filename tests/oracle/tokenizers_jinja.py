#!/usr/bin/env python3
"""Golden renderings for tests/unit/test_jinja_vectors.c, by Jinja2 set up as Transformers does it.

    python3 tokenizers_jinja.py        remakes tests/golden/data/jinja.json
    python3 tokenizers_jinja.py --live SHARED HONE [COUNT [SEED [NAME...]]]
                                       compares `HONE chat-template` with Transformers on COUNT generated conversations for
                                       every template in SHARED, in each mode; needs transformers
"""
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENV = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception

CONTEXT = dict(a=3,b=-7,f=2.5,s="Hello World",u="héllo wörld ß 你好",l=[3,1,2],e=[],d={"x":1,"y":[1,2,{"z":None}],"k'q":"it's"},t=True,n=None,ws="  pad \n ",ms=[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"},{"role":"user","content":"Bye"}],objs=[{"n":"b","v":2},{"n":"A","v":1},{"n":"c","v":2}],lines="a\n\nb\n",q='say "hi" \'x\' \\ \t')

# A template whose `expected` comes out null must fail.
TEMPLATES = [
    "{{ a + b }} {{ a - b }} {{ a * b }} {{ a / b }} {{ a // b }} {{ a % b }} {{ b // a }} {{ b % a }} {{ a ** 2 }} {{ 2 ** -1 }} {{ f * 2 }} {{ f // 1 }} {{ f % 2 }} {{ -a }} {{ +a }}",
    "{{ 7 / 2 }} {{ 1e16 }} {{ 1e15 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 123456789.123 }} {{ 1e300 * 1e10 }} {{ 100.0 }} {{ 5 // 2.0 }}",
    "{{ a == 3 }} {{ a == 3.0 }} {{ t == 1 }} {{ 'a' < 'b' }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ [1,2] < [1,3] }} {{ a != b }} {{ not t }} {{ a in l }} {{ 9 not in l }} {{ 'ell' in s }} {{ 'x' in d }}",
    "{{ n or 'z' }} {{ e or l }} {{ t and a }} {{ n and a }} {{ '' or 0 or none }} {{ 'y' if t else 'n' }} {{ 'y' if n }}|",
    "{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[5:] }} {{ s[:-3] }} {{ s[100:] }} {{ u[1] }} {{ u[1:3] }} {{ u[::-1] }} {{ l[::-1] }} {{ l[1:] }} {{ l[-1] }} {{ l[5] }}| {{ s[-100:2] }} {{ l[2:0:-1] }}",
    "{{ d }} {{ l }} {{ (1,) }} {{ (1,2) }} {{ [] }} {{ {} }} {{ [true, none, 1.5, 'a'] }} {{ q }} {{ [q] }} {{ ['it\\'s', 'a\\nb', '\u00e9', '\\x00\\u200b'] }}",
    "{{ d.x }} {{ d['y'][2].z }} {{ d.nope }}| {{ d.get('x') }} {{ d.get('q', 5) }} {{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d | length }} {{ 'k\\'q' in d }}",
    "{{ s.upper() }} {{ s.lower() }} {{ u.upper() }} {{ u.title() }} {{ u.capitalize() }} {{ s.swapcase() }} {{ s.split() }} {{ s.split('o') }} {{ s.split('o', 1) }} {{ s.rsplit('o', 1) }} {{ s.partition(' ') }} {{ s.rpartition('o') }} {{ ws.strip() }}| {{ ws.lstrip() }}| {{ ws.rstrip() }}| {{ s.strip('Hd') }} {{ s.replace('l','L') }} {{ s.replace('l','L',1) }} {{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ s.count('l') }} {{ s.startswith('He') }} {{ s.endswith(('x','ld')) }} {{ '-'.join(['a','b']) }} {{ lines.splitlines() }} {{ lines.splitlines(true) }}",
    "{{ s.removeprefix('Hello ') }} {{ s.removesuffix('World') }} {{ '5'.zfill(3) }} {{ 'ab'.center(7,'*') }} {{ 'ab'.center(6,'*') }} {{ 'abc'.center(6,'*') }} {{ 'ab'.ljust(4,'.') }} {{ 'ab'.rjust(4,'.') }} {{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'Ab'.isupper() }} {{ 'AB1'.isupper() }} {{ ' '.isspace() }} {{ 'a1'.isalnum() }} {{ 'a1'.isalpha() }}",
    "{{ ' a  b '.split(' ') }} {{ ''.split() }} {{ ''.split('x') }} {{ 'abc'.replace('','-') }} {{ 'a,b,c'.rsplit(',',1) }}",
    "{{ s|upper }} {{ s|lower }} {{ 'foo bar-baz (x'|title }} {{ 'hELLO'|capitalize }} {{ ws|trim }}| {{ 'xxaxx'|trim('x') }} {{ l|join(',') }} {{ l|join }} {{ objs|join(',', attribute='n') }} {{ l|length }} {{ l|first }} {{ l|last }} {{ l|sort }} {{ l|sort(reverse=true) }} {{ ['b','A','c']|sort }} {{ ['b','A','c']|sort(case_sensitive=true) }} {{ objs|sort(attribute='v')|map(attribute='n')|list }} {{ l|reverse|list }} {{ s|reverse }} {{ [1,1,2,'a','A']|unique|list }} {{ l|min }} {{ l|max }} {{ l|sum }} {{ objs|sum(attribute='v') }}",
    "{{ '3.7'|int }} {{ 'x'|int }} {{ 'x'|int(9) }} {{ '0x1f'|int(0,16) }} {{ 3.9|int }} {{ '2.5'|float }} {{ 'y'|float }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0,'ceil') }} {{ 2.9|round(method='floor') }} {{ -5|abs }} {{ n|default('d') }} {{ nope|default('d') }} {{ ''|default('d', true) }} {{ nope|d(1) }}",
    "{{ d|tojson }} {{ d|tojson(indent=2) }} {{ l|tojson(indent=4) }} {{ [1.0,true,none,'\u00e9\\n\"\\\\/\\u2028\\x7f\\x01']|tojson }} {{ '\u00e9\u4f60\U0001F600'|tojson(ensure_ascii=true) }} {{ {'b':1,'a':2}|tojson(sort_keys=true) }} {{ d|tojson(separators=(',',':')) }} {{ {}|tojson(indent=2) }} {{ []|tojson(indent=2) }} {{ {1:2,true:3,none:4}|tojson }} {{ (1,2)|tojson }} {{ 1e20|tojson }} {{ 'a'|tojson|length }}",
    "{{ objs|selectattr('v','equalto',2)|map(attribute='n')|list }} {{ objs|rejectattr('v','eq',2)|list }} {{ l|select('odd')|list }} {{ l|reject('gt', 1)|list }} {{ l|map('string')|list }} {{ ['a','b']|map('upper')|join }} {{ objs|map(attribute='q', default='-')|list }} {{ [0,1,'']|select|list }} {{ n|map('upper')|list }} {{ objs|selectattr('n')|list|length }} {{ objs|selectattr('v','in',[1,5])|list }}",
    "{{ d|dictsort }} {{ {'b':1,'A':2}|dictsort }} {{ {'b':1,'A':2}|dictsort(by='value', reverse=true) }} {{ d|items|list }} {{ 'abc'|list }} {{ 'a b  c'|wordcount }} {{ '<a href=\"x\">&'|e }} {{ '<b>'|escape|safe }} {{ 'a b/c?d=\u00e9'|urlencode }} {{ lines|indent }}| {{ lines|indent(2,true) }}| {{ lines|indent(2,blank=true) }}| {{ 'a\nb'|indent('>>') }} {{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9,true) }} {{ 'foo bar'|truncate(6) }} {{ 'x'|center(5) }}|",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('p','q') }}{{ loop.changed(x) }};{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for x in [] %}x{% else %}none{% endfor %}{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}{% for c in 'a\u00f1' %}[{{ c }}]{% endfor %}{% for k in d %}{{ k }},{% endfor %}",
    "{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %} {{ range(3)|list }} {{ range(1,10,3)|list }} {{ range(3,0,-1)|list }}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{% endfor %}{{ x }}{% set ns = namespace(x=1, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% if true %}{% set z = 5 %}{% endif %}{{ z }}",
    "{% macro m(a, b='B', c=a) %}[{{ a }}{{ b }}{{ c }}{{ s }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=2, a=1) }}{% set out = m('x') %}{{ out|length }}{{ m() }}",
    "{% macro outer() %}<{{ caller() }}|{{ caller() }}>{% endmacro %}{% call outer() %}in {{ s }}{% endcall %}{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) each(l) %}({{ x }}){% endcall %}",
    "{% set blk %}a {{ s }} b{% endset %}[{{ blk }}]{% set up | upper %}abc{% endset %}{{ up }}{% filter upper %}x{{ s }}{% endfilter %}{% filter replace('a','b')|upper %}aaa{% endfilter %}",
    "  {% if true %}\n  x\n  {% endif %}\n y {%- if true -%} z {%- endif +%}\n  w {# c #} \n {#- c -#} v\n{% raw %}{{ x }} {% y %}{% endraw %}\n{{- 'q' -}}\n end\n\n",
    "a\n   {%+ if true %}b{% endif %}\n  {{ 'c' }}\n\t{% set q = 1 %}\n{{ '\\n' }}d\r\ne\rf",
    "{{ nope }}|{{ nope is defined }}|{{ a is defined }}|{{ n is none }}|{{ s is string }}|{{ d is mapping }}|{{ l is iterable }}|{{ s is sequence }}|{{ d is sequence }}|{{ a is number }}|{{ t is number }}|{{ t is boolean }}|{{ t is true }}|{{ 1 is true }}|{{ a is integer }}|{{ t is integer }}|{{ f is float }}|{{ a is odd }}|{{ a is even }}|{{ 6 is divisibleby 3 }}|{{ 6 is divisibleby(4) }}|{{ a is eq 3 }}|{{ a is in l }}|{{ a is not none }}|{{ 'ab' is lower }}|{{ range is callable }}|{{ n is sameas none }}|{{ nope is undefined }}|{{ a is ge(2) }}|{{ nope is iterable }}|{{ a is iterable }}",
    "{{ 'a' 'b' ~ 1 ~ none ~ true ~ 1.5 ~ [1] }} {{ 'a' * 3 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 2 + 3 ~ 4 }} {{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 7 - 2 - 1 }} {{ 'x'|upper ~ 'y' }} {{ not 1 == 2 }} {{ 'a' ~ 'b' in 'xaby' }}",
    "{{ 'safe <'|safe + '<b>' }} {{ '<' + ('x'|safe) }} {{ '<b>'|e + '<' }} {{ ('<'|safe) ~ '<' }} {{ '<'|safe|upper + '<' }}",
    "{{ dict(a=1, b=2) }} {{ dict([('x',1)]) }} {{ dict(d, z=1)|length }} {{ {'a': {'b': [1, {'c': 2}]}}.a.b[1].c }} {{ {'a':1}|length }} {{ l.index(1) }} {{ l.count(3) }} {{ (1,2,3)[1] }} {{ ms[-1]['content'] }} {{ ms|map(attribute='role')|unique|list }} {{ ms.0.role }}",
    "{{ 1_000 }} {{ '\\u00e9\\x41\\t|\\101\\q' }} {{ \"dq'\" }} {{ 'a\\\nb' }}",
    "{% generation %}hi {{ s }}{% endgeneration %}{% if a > 2 and b < 0 or n %}1{% elif t %}2{% else %}3{% endif %}{% if n %}1{% elif e %}2{% else %}3{% endif %}",
    "{{ nope.x }}",
    "{{ nope() }}",
    "{{ nope + 1 }}",
    "{{ 1 + 'a' }}",
    "{{ 1 < 'a' }}",
    "{{ l.append(1) }}",
    "{{ d.update({}) }}",
    "{% for x in 5 %}{% endfor %}",
    "{{ 1/0 }}",
    "{{ raise_exception('no way') }}",
    "{{ [1]['a'].b }}",
    "{{ 'a'|nofilter }}",
    "{{ 1 is notest }}",
    "{% set l.x = 1 %}",
    "{% set a, b = [1] %}",
    "{{ none.x.y }}",
    "{{ s.nomethod() }}",
    "{{ {}|first|upper }}",
    "{{ (none|length) }}",
    "{{ [[]]|tojson }}{{ nope|tojson }}",
    "{% bogus %}",
    "{{ a",
    "{% if a %}",
    "{{ 'x }}",
    "{% endif %}",
    "{{ a b }}",
    "{% for %}{% endfor %}",
    "{{ a[ }}",
    "{# x",
    "{{ ) }}",
    "{% set ns = namespace() %}{% set ns.a = [] %}{% set ns.a = ns.a + [1] %}{{ ns.a }}{{ ns.b }}|",
    "{{ loop }}|",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{{ l|list|string|length }}",
    "{% for m in ms %}{{ '<|im_start|>' + m.role + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}",
    "{{ (ms|selectattr('role','equalto','user')|list|last).content }}",
    "{{ ms|map(attribute='content')|map('length')|list }}",
    "{{ '\u00e9'|length }}{{ '\U0001F600'|length }}",
    "{{ l[1:]|first }}",
    "{{ '%s' }}{{ '{}' }}",
    "{{ [1,2,3][:-1]|join('+') }}",
    "{%- macro t(x) -%}\n{%- if x is mapping -%}{%- for k,v in x|dictsort -%}{{k}}:{{t(v)}},{%- endfor -%}{%- elif x is string -%}\"{{x}}\"{%- elif x is iterable -%}[{%- for i in x -%}{{t(i)}}{%- if not loop.last -%},{%- endif -%}{%- endfor -%}]{%- else -%}{{x}}{%- endif -%}\n{%- endmacro -%}{{ t({'b':[1,'q',{'z':none}],'a':'s'}) }}",
    "{{ 'y' if e|map('upper') else 'n' }}{{ 'y' if l|select('gt', 9) else 'n' }}{{ 'y' if l|select('gt', 9)|list else 'n' }}",
    "{{ l|select|length }}",
    "{{ (l|map('string'))[1:] }}",
]


def render(template):
    try:
        return ENV.from_string(template).render(**CONTEXT)
    except Exception:
        return None


TEXTS = ["", "Hi", "  padded \n", "two\n\nlines\n", "\u00e9\u4f60\U0001F600 \"q\" 'a' <b>&", "<think>\nhm\n</think>\n\nyes", "a</think>b", "{\"x\": [1, 2.5, null]}", "\t\x1c\u2003",
         "<|im_end|>", "\\ \u2028 \x7f", "tool", "[INST] no [/INST]", "{{ not.jinja }} {% if %}"]
ARGUMENTS = [{}, {"city": "Paris"}, {"n": 3, "f": 1.5, "big": 1e20, "deep": {"a": [True, None, "\u00e9"]}}, {"q": "it's \"x\"\n"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather", "parameters": {"type": "object", "properties": {
    "city": {"type": "string", "description": "City name"}, "days": {"type": "integer", "enum": [1, 2]}}, "required": ["city"]}}},
         {"type": "function", "function": {"name": "add", "description": "Adds \"numbers\" <fast>", "parameters": {"type": "object", "properties": {
             "xs": {"type": "array", "items": {"type": "number"}}}, "required": []}}}]


def conversation(rng):
    """A row of {"messages", "tools"} as training data has them, now and then odd."""
    messages = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": rng.choice(TEXTS)})
    for _ in range(rng.randint(1, 3)):
        user = rng.choice(TEXTS)
        messages.append({"role": "user", "content": [{"type": "text", "text": user}] if rng.random() < 0.1 else user})
        turn = {"role": "assistant", "content": rng.choice(TEXTS)}
        if rng.random() < 0.2:
            turn[rng.choice(["reasoning_content", "thinking", "reasoning"])] = rng.choice(TEXTS)
        if rng.random() < 0.25:
            calls = [{"id": "call%05d" % rng.randrange(100000), "type": "function", "function": {"name": rng.choice(["add", "get_weather"]), "arguments": rng.choice(ARGUMENTS)}}
                     for _ in range(rng.randint(1, 2))]
            messages.append(dict(turn, tool_calls=calls))
            messages += [{"role": "tool", "name": c["function"]["name"], "tool_call_id": c["id"], "content": rng.choice(TEXTS)} for c in calls]
            turn = {"role": "assistant", "content": rng.choice(TEXTS)}
        messages.append(turn)
    if rng.random() < 0.3:
        messages.pop()
    row = {"messages": messages}
    if rng.random() < 0.3:
        row["tools"] = rng.sample(TOOLS, rng.randint(1, 2))
    return row


def templates(shared):
    """Every template there is, each once; and those that mark what the assistant says."""
    folder = os.path.join(shared, "tokenizers", "chat_templates")
    found = {n: t["template"] for n, t in json.load(open(folder + "/model_templates_rendered.json"))["templates"].items()}
    found.update({"e2e " + n: t["chat_template"] for n, t in json.load(open(folder + "/hf_e2e_vectors.json")).items()})
    mistral = os.path.join(shared, "tokenizers", "mistral", "chat_templates")
    found.update({"mistral " + n: open(os.path.join(mistral, n)).read() for n in sorted(os.listdir(mistral))})
    for n in os.listdir(os.path.join(shared, "tokenizers", "qwen")):
        if n.startswith("tokenizer_config"):
            found["qwen " + n] = json.load(open(os.path.join(shared, "tokenizers", "qwen", n)))["chat_template"]
    found["generation"] = ("{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}"
                           "{% else %}{{ m.content }}{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")
    found["generation, trimmed"] = ("{% for m in messages %}{% if m.role == 'assistant' %}{%- generation -%} {{ m.content | trim }} {%- endgeneration -%}"
                                    "{% else %}[{{ m.content | upper }}]{% endif %}{% endfor %}")
    return found


MODES = {"plain": ({}, []), "prompt": ({"add_generation_prompt": True}, ["--add-generation-prompt"]),
         "continued": ({"continue_final_message": True}, ["--continue-final-message"]),
         "masked": ({"return_assistant_tokens_mask": True}, ["--mask-assistant"])}


def ask(hone, folder, rows, flags):
    with open(folder + "/rows.jsonl", "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)
    run = subprocess.run([hone, "chat-template", "--model", folder, "--data", folder + "/rows.jsonl", *flags], capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.split("\n") if line] if run.returncode == 0 else run.stderr.strip()


def wanted(reference, template, row, options):
    try:
        texts, marks = reference.render_jinja_template([row["messages"]], tools=row.get("tools"), chat_template=template, bos_token="<s>", eos_token="</s>", **options)
    except Exception:
        return None
    want = {"text": texts[0]}
    if "return_assistant_tokens_mask" in options:
        want["assistant"] = [texts[0][a:b] for a, b in marks[0] if b > a]
    return want


def compare(reference, hone, folder, template, rows, mode):
    """Of the rows: how many Transformers renders, how many of those differ, how many it refuses and we do not."""
    options, flags = MODES[mode]
    if mode == "continued":
        rows = [r for r in rows if r["messages"][-1]["role"] == "assistant"]
    pairs = [(r, wanted(reference, template, r, options)) for r in rows]
    good = [(r, w) for r, w in pairs if w is not None]
    ours = ask(hone, folder, [r for r, _ in good], flags)
    if isinstance(ours, str):  # one of them is refused: one by one
        ours = [(ask(hone, folder, [r], flags)) for r, _ in good]
        ours = [o[0] if isinstance(o, list) else {"refused": o} for o in ours]
    differ = [(r, w, o) for (r, w), o in zip(good, ours) if o != w]
    refused = [r for r, w in pairs if w is None][:3]
    lenient = [r for r in refused if not isinstance(ask(hone, folder, [r], flags), str)]
    return len(good), differ, len(refused), lenient


def live(shared, hone, count, seed, names):
    import transformers.utils.chat_template_utils as reference
    now = reference.datetime(2024, 7, 26, 12)
    reference.datetime = type("Clock", (), {"now": staticmethod(lambda: now)})
    os.environ.update(SOURCE_DATE_EPOCH="1721995200", TZ="UTC")
    total = collections.Counter()
    for name, template in templates(shared).items():
        if names and name not in names:
            continue
        rng = random.Random("%s %s" % (seed, name))
        rows = [conversation(rng) for _ in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(HERE, "..", "..", "configs", "smoke", "tokenizer", "tokenizer.json"), folder)
            json.dump({"bos_token": "<s>", "eos_token": "</s>"}, open(folder + "/tokenizer_config.json", "w"))
            open(folder + "/chat_template.jinja", "w").write(template)
            for mode in MODES:
                if mode == "masked" and not re.search(r"\{%-?\s*generation\s*-?%\}", template):
                    continue
                n, differ, refused, lenient = compare(reference, hone, folder, template, rows, mode)
                total.update({mode + " compared": n, mode + " differ": len(differ), mode + " refused by both": refused - len(lenient), mode + " not refused": len(lenient)})
                if differ or lenient:
                    print(name, mode, n, "compared,", len(differ), "differ,", len(lenient), "not refused")
                for r, w, o in differ[:1]:
                    print("  row ", ascii(r)[:700], "\n  want", ascii(w)[:900], "\n  got ", ascii(o)[:900])
                for r in lenient[:1]:
                    print("  should be refused:", ascii(r)[:400])
    for key, value in total.items():
        print(key, value)
    return 1 if any(v for k, v in total.items() if k.endswith(("differ", "not refused"))) else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(live(sys.argv[2], sys.argv[3], int((sys.argv[4:5] or ["20"])[0]), int((sys.argv[5:6] or ["1"])[0]), sys.argv[6:]))
    data = os.environ.get("HONE_GOLDEN") or os.path.join(HERE, "..", "golden", "data")
    with open(os.path.join(data, "jinja.json"), "w") as f:
        f.write('{\n "context": %s,\n "cases": [\n' % json.dumps(CONTEXT))
        f.write(",\n".join("  " + json.dumps({"template": t, "expected": render(t)}) for t in TEMPLATES))
        f.write("\n ]\n}\n")
