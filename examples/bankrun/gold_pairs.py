#!/usr/bin/env python3
"""Tweets with bitcoin that are no bank run and have no trigger, each beside the same with gold in bitcoin's place.

    gold_pairs.py FILE.jsonl >pairs.jsonl      fields: id, lang, prompt, gold
"""
import json
import sys

from causes import gold, is_asked

with open(sys.argv[1], encoding="utf-8") as file:
    for row in map(json.loads, file):
        if is_asked(row):
            pair = {"id": row["id"], "lang": row["lang"], "prompt": row["prompt"], "gold": gold(row["prompt"])}
            print(json.dumps(pair, ensure_ascii=False))
