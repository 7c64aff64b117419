#!/usr/bin/env python3
"""Writes tests/text/golden/splits.json: every published split rule, and what the reference makes of a few texts.

Usage: make_splits.py > tests/text/golden/splits.json      (needs `tokenizers`)
One vocabulary for all: `pieces` by id and `merges`, learnt from the texts uncut, so that a wrong cut shows. A case:
the rule as tokenizer.json states it, the names that GGUF files give it, and the ids of each text, without what a
post-processor adds.
"""
import json

import tokenizers

import split_rules as S

# pieces that no merge makes: only a rule that ignores merges gives them
WHOLE = ['Hello', 'Ġthe', 'Ġthings', 'Ġthink', 'camel', 'camelCase', 'HTTPServer', 'Ġbest', 'foo', 'path', 'trailing',
         'Ġspace', 'leading', 'Ġleading', 'we', 'Ġhe', 'naÃ¯ve']
TEXTS = ["Hello the World's  best 12345 things, don't you think?\n\n  I'LL see  \n", "it's we've I'm he'd they'LL you'Re",
         "camelCase HTTPServer iPhone NASA's XMLHttpRequest aB AB Ab", "a\r\nb\n\n\n c\t\td   e \n \n f", "  x  y   z    ",
         "1234567 12 3 007 1,234,567.89 ½ ② Ⅷ ٣٤٥ 12345678901", "foo(bar)->baz[0] += 'x' // path/to//file\n/**/\n#!@$%^",
         "naïve café Zürich España ÅÅ ǅ ǆ ʰ ª", "e\u0301 a\u0323\u0302 क्षि ก็ o\u0302\u0323 x\u0301\u0302y", "世界the世 界和平 中文。你好，吗？123",
         "日本語テスト ひらがな カタカナｶﾅ 々〇", "한국어 ไทย Ελλάδα Привет мир שלום مرحبا नमस्ते।", "👨‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ ☃…",
         "!!! ??? ... -- --- $5 `code` <tag> {x} ~a~ |b| ^c", "…。，、।۔، a.b,c!d?e…f", "\u00a0x\u2003y\u3000z\u2028w\u200bv\ufeff",
         "ſ's 'ſ 'S ’s don’t", "a\x00b\x01\x7f\x1f\x85", "Ａｂｃ １２３ ！？ ﬁ Ω Å K", "trailing space ", " leading", "\n", "x = 1;\n\ty = 2;\n"]


def main():
    cases = []
    pieces, merges = S.vocabulary(TEXTS, 900)
    pieces = pieces + [piece for piece in WHOLE if piece not in pieces]
    for rule, (_, composes, names) in S.RULES.items():
        for ignores in (False, True):
            these = [name for name in names if (name in S.IGNORES_MERGES) == ignores]
            if ignores and not these:
                continue
            made = S.reference(rule, pieces, merges, ignores)
            stated = json.loads(made.to_str())
            cases.append({"name": rule + ("-ignoring-merges" if ignores else ""), "gguf": these,
                          "ignore_merges": ignores, "normalizer": stated["normalizer"],
                          "pre_tokenizer": stated["pre_tokenizer"],
                          "ids": [made.encode(text, add_special_tokens=False).ids for text in TEXTS]})
    lines = ',\n'.join(json.dumps(case, separators=(',', ':')) for case in cases)
    print('{"made_with":"tokenizers %s",\n"pieces":%s,\n"merges":%s,\n"texts":%s,\n"cases":[\n%s\n]}' % (
        tokenizers.__version__, json.dumps(pieces, separators=(',', ':')),
        json.dumps([list(m) for m in merges], separators=(',', ':')), json.dumps(TEXTS, separators=(',', ':')), lines))


if __name__ == '__main__':
    main()
