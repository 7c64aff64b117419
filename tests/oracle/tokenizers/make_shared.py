#!/usr/bin/env python3
"""Writes tests/text/golden/shared.json: ids that the references give with the public vocabularies of the shared data,
for those whose publishers give none.

Usage: make_shared.py [SHARED] > tests/text/golden/shared.json      (needs `tokenizers`, `sentencepiece`, `gguf`)
"""
import json
import os
import sys
import tempfile

import random_strings as R
from make_splits import TEXTS

MORE = ["[INST] What is 2 + 2? [/INST] 4 </s>", "def f(x):\n    return x ** 2  # 你好\n", "<|user|>\n Hi <|end|>\n", "\t\n \r\n a  b   c"]
NAMES = ["mistral-v1", "mistral-v2", "mistral-v3", "mistral-v7", "gguf-baichuan", "gguf-phi-3", "phi-2", "phi-3-mini",
         "t5-small", "roberta-base", "falcon-tokenizer", "gguf-falcon", "llama2-model"]


def main():
    shared = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join("..", "shared"))
    cases = R.all_cases(shared, None)
    texts, lines = TEXTS + MORE, []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            path, reference, options = cases[name](R.Run(folder))
            lines.append(json.dumps({"name": name, "tokenizer": os.path.relpath(path, os.path.join(shared, "data")),
                                     "options": options,
                                     "ids": [[row[0] for row in reference.rows((text.encode(),))] for text in texts]},
                                    separators=(',', ':')))
    print('{"texts":%s,\n"cases":[\n%s\n]}' % (json.dumps(texts, separators=(',', ':')), ',\n'.join(lines)))


if __name__ == '__main__':
    main()
