#!/usr/bin/env python3
"""Holds the rows of tests/text/test_decoders.c against tokenizers (0.23): the same pieces through the same decoders must
give the texts that stand there. Says how many did; ends with 1 where one did not."""
import pathlib
import re
import sys

from tokenizers import decoders

TEST = pathlib.Path(__file__).resolve().parents[2] / "text" / "test_decoders.c"
JOINED = ["[UNK]", "a", "  b ", " ", "aa", "aba", "a</w>", "b</w></w>", "</w>", "  "]
PIECES = ["[UNK]", "a", "##b", ".", "?", "!", ",", "'", "n't", "'m", "do not", "'s", "'ve", "'re",
          "it . is ? so ! or , then", " . ?", "I 'm you 're we 've it 's", "did n't do not", "the ' bank ' .", "##", "# #c",
          "a do nots"]
STRIP = re.compile(r'\{STRIP\("(.*?)", "(\d)", "(\d)"\), \{([\d, ]+)\}, \d+, "(.*?)"\}')
SUFFIX = re.compile(r'\{SUFFIX, \{([\d, ]+)\}, \d+, "(.*?)"\}')
WORD_PIECE = re.compile(r'\{"(#+)", (true|false), \{([\d, ]+)\}, \d+, "(.*?)"\}')


def taken(pieces, ids):
    return [pieces[int(i)] for i in ids.split(",")]


def main():
    source = TEST.read_text(encoding="utf-8")
    rows = [(decoders.Strip(sign, int(left), int(right)), taken(JOINED, ids), text)
            for sign, left, right, ids, text in STRIP.findall(source)]
    rows += [(decoders.BPEDecoder(suffix="</w>"), taken(JOINED, ids), text) for ids, text in SUFFIX.findall(source)]
    rows += [(decoders.WordPiece(prefix, cleanup == "true"), taken(PIECES, ids), text)
             for prefix, cleanup, ids, text in WORD_PIECE.findall(source)]
    wrong = [(pieces, text, decoder.decode(pieces)) for decoder, pieces, text in rows if decoder.decode(pieces) != text]
    for pieces, text, reference in wrong:
        print(f"{pieces}: the test has {text!r}, the reference {reference!r}")
    print(f"{len(rows) - len(wrong)} of {len(rows)} rows are the reference's")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
