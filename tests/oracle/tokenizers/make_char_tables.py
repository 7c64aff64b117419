#!/usr/bin/env python3
"""Writes src/text/char_tables.h: the classes of characters that the `tokenizers` package holds, found by asking it
about every character. Its own tables are those of several older Unicode versions, and models were trained on what it
did, so limn takes them over instead of a library's newer ones.

Usage: make_char_tables.py > src/text/char_tables.h    (needs the package `tokenizers`)
"""
import sys
import unicodedata

from tokenizers import normalizers, pre_tokenizers
import tokenizers

CHARS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def removed_by(splitter):
    found = set()
    for i in range(0, len(CHARS), 4096):
        block = CHARS[i:i + 4096]
        kept = set()
        for _, (begin, end) in splitter.pre_tokenize_str(''.join(block)):
            kept.update(range(begin, end))
        found.update(ord(c) for k, c in enumerate(block) if k not in kept)
    return found


def dropped_by(normalizer):
    return {ord(c) for c in CHARS if normalizer.normalize_str(c) == ''}


def bert(**settings):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **settings})


def undecomposed():
    """Characters that Unicode decomposes and the package does not."""
    form = normalizers.NFKD()
    known = {ord(c) for c in CHARS if unicodedata.normalize('NFKD', c) != c and form.normalize_str(c) == c}
    return known | set(range(0x1E030, 0x1E06E))  # Unicode 15, later than Python 3.11's tables


def unordered():
    """Marks that Unicode puts in order and the package leaves in place."""
    form, found = normalizers.NFD(), set()
    for c in CHARS:
        if unicodedata.combining(c) not in (0, 255):
            low = unicodedata.combining(c) < 240
            text = 'a\u0345' + c if low else 'a' + c + '\u0327'
            if form.normalize_str(text) == text and unicodedata.normalize('NFD', text) != text:
                found.add(ord(c))
    return found | set(range(0x10EFD, 0x10F00)) | {0x1E08F, 0x1E4EC, 0x1E4ED, 0x1E4EE, 0x1E4EF}  # Unicode 15


def ranges(codepoints):
    found = []
    for c in sorted(codepoints):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def table(name, comment, codepoints):
    rows = ['{0x%X, 0x%X}' % (a, b) for a, b in ranges(codepoints)]
    print('\n/* %s */' % comment)
    print('static const CharRange %s[] = {' % name)
    line = '   '
    for row in rows:
        if len(line) + len(row) + 2 > 118:
            print(line)
            line = '   '
        line += ' ' + row + ','
    print(line)
    print('};')


def main():
    print('/* Made by tests/oracle/tokenizers/make_char_tables.py from tokenizers %s. */' % tokenizers.__version__)
    print('#ifndef LIMN_TEXT_CHAR_TABLES_H\n#define LIMN_TEXT_CHAR_TABLES_H\n\n#include <stdint.h>\n')
    print('typedef struct CharRange {\n    uint32_t first, last;\n} CharRange;')
    table('punctuation_chars', 'Set apart by BERT and by Punctuation.', removed_by(pre_tokenizers.Punctuation('removed')))
    table('control_chars', 'Dropped as control characters by BERT, with NUL and U+FFFD.',
          dropped_by(bert(clean_text=True)))
    table('accent_chars', 'Dropped as accents by BERT.', dropped_by(bert(strip_accents=True)))
    table('mark_chars', 'Dropped by StripAccents.', dropped_by(normalizers.StripAccents()))
    table('undecomposed_chars', 'Have a decomposition that the normal forms leave alone.', undecomposed())
    table('unordered_chars', 'Marks that the normal forms leave where they stand.', unordered())
    print('\n#endif')


sys.exit(main())
