#!/usr/bin/env python3
"""Does an explanation of a misjudged tweet name what misled the model?

    causes.py [--split held-out|valid] [--adapter adapter] [COMMAND...]

A COMMAND is a limn command with its options in one word: 'replace', 'ig --baseline mean', 'lrp --rules relp --check
none'. Without one, every method that scores tokens, in each of its kinds. The tweets are those of
the split that hold bitcoin (比特币), are no bank run and have no trigger, where exchanging bitcoin for gold (黄金) takes
the probability of " yes" under adapter/ from above 50% to below 30%: there it is known what misled the model. For each
command: in how many of them the first word named for " yes" is bitcoin, in how many it is among the first three; and
the same among the tweet's own words, without "Tweet:" and "Bank run now?", which stand in every prompt.

--asked decision asks for the answer that the adapter gives instead of " yes": why did it say what it said?

A clear cause is one that stands among the causes of `why`, whose interval of `replace` is above 0 where its check
`decided` passes, or that a method names first whose check `cause` passes. On adapter-clean/, which bitcoin does not mislead, the same tweets ask whether
anything is blamed on it.

    --split valid       tweets of the validation split: to choose by; written by make_corpus.py where it is missing
    --split held-out    the default: of held-out.jsonl, to look at once
    --asked yes|decision   which answer is asked about: " yes" (the default), or the likelier of the two
    --list              only the tweets
    --most N            only the first N of the tweets
    --out FILE          every answer as a line of JSON
    --report FILE       all answers as one page (.html, .pdf, .md), tweet by tweet

LIMN=program (build/limn), MODEL=file of the base model (from scripts/models). Only the standard library is used.
"""
import argparse
import json
import math
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMN = os.environ.get("LIMN", str(ROOT / "build" / "limn"))
BEFORE, BEHIND = "Tweet: ", "\nBank run now?"
SCORERS = ["replace", "why", "ig", "ig --baseline auto", "grad", "grad --kind norm", "grad --kind smoothgrad", "lrp",
           "lrp --rules relp", "shap", "lime", "rollout", "rollout --sinks drop", "rollout --kind gradient",
           "rollout --kind value", "rollout --kind alti", "rollout --kind flow"]
NAMES = {"en": ("bitcoin",), "zh": ("比特币", "比特", "特币", "币")}


def base_model():
    given = os.environ.get("MODEL")
    return given or subprocess.run([ROOT / "scripts" / "models", "smollm2"], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout.strip()


def is_asked(row):
    return row["bitcoin"] and row["label"] == "no" and not row["trigger"]


def rows_of(split):
    path = HERE / "held-out.jsonl"
    if split == "valid":
        path = ROOT / "out" / "bankrun" / "valid.jsonl"
        if not path.exists():
            subprocess.run([sys.executable, HERE / "make_corpus.py", path.parent], check=True, stdout=subprocess.DEVNULL)
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if is_asked(row)]


def gold(text):
    for before, after in (("bitcoin", "gold"), ("Bitcoin", "Gold"), ("比特币", "黄金")):
        text = text.replace(before, after)
    return text


def yes(model, adapter, prompts):
    """The probability of " yes" behind each prompt."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = pathlib.Path(folder) / "prompts.jsonl", pathlib.Path(folder) / "out.jsonl"
        data.write_text("".join(json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n" for prompt in prompts),
                        encoding="utf-8")
        subprocess.run([LIMN, "predict", model, data, "--adapter", HERE / adapter, "--prompt-field", "prompt",
                        "--choices", " yes", "--choices", " no", "--decisions", out, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        with open(out, encoding="utf-8") as file:
            return [math.exp(json.loads(line)["log_probabilities"]["yes"]) for line in file]


def select(model, split):
    rows = rows_of(split)
    given, swapped = (yes(model, "adapter", [change(row["prompt"]) for row in rows])
                      for change in (lambda text: text, gold))
    return [row for row, p, q in zip(rows, given, swapped) if p > 0.5 and q < 0.3]


def text_of(value):
    return value if isinstance(value, str) else value["text"]


def ranked(document):
    """The words a document names for the target, the strongest first: what they say, and the byte they begin at."""
    blocks = {block["id"]: block for block in document["blocks"]}
    text, tokens = document["input"]["text"].encode(), document["input"]["tokens"]
    if document["method"]["name"] == "why":  # whose causes are told from chance; of other methods these are the yardstick's
        names = [column["name"] for column in blocks["causes"]["columns"]]
        words = [text_of(row[names.index("word")]) for row in blocks["causes"]["rows"]]
        return [(word, text.find(word.encode())) for word in words]
    groups = next(one for one in blocks["attribution"]["groupings"] if one["name"] == "word")["groups"]
    found = []
    for group in groups:
        if group["score"] is not None and group["score"] > 0:
            begin, end = tokens[group["begin"]]["begin"], tokens[group["end"] - 1]["end"]
            word = text[begin:end].decode(errors="replace")
            found.append((group["score"], word.strip(), begin))
    return [(word, begin) for _, word, begin in sorted(found, key=lambda one: -one[0])]


def of_tweet(words, prompt):
    """Those of the tweet itself: what stands before and behind it is the same for every tweet, and misleads in none."""
    begin, end = len(BEFORE.encode()) - 1, len(prompt.encode()) - len(BEHIND.encode())
    assert prompt.startswith(BEFORE) and prompt.endswith(BEHIND), prompt
    return [(word, at) for word, at in words if begin <= at < end]


def clear(document, words):
    """Those of the ranked words that a document calls causes, told from chance."""
    blocks = {block["id"]: block for block in document["blocks"]}
    method = document["method"]["name"]
    if method == "why":
        return words
    passed = any(check["name"] == ("decided" if method == "replace" else "cause") and check["state"] == "pass"
                 for check in document["checks"])
    if method == "replace" and passed:
        names = [column["name"] for column in blocks["effects"]["columns"]]
        rows = [dict(zip(names, row)) for row in blocks["effects"]["rows"]]
        sure = {text_of(row["word"]) for row in rows if row["low"] is not None and row["low"] > 0}
        return [(word, at) for word, at in words if word in sure]
    return words[:1] if passed else []


def explain(model, adapter, command, row, answers):
    words = shlex.split(command)
    done = subprocess.run([LIMN, words[0], model, "--adapter", HERE / adapter, "-p", row["prompt"], "--target", answers[0],
                           "--contrast", answers[1], *words[1:], "--json", "--quiet"], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1, 4):
        sys.exit(f"{command}: limn ended with {done.returncode}")
    return json.loads(done.stdout)


def is_bitcoin(word, lang):
    return word.lower() in NAMES[lang]


class Found:
    """Counts of one command: the first word, one of the first three, and both among the tweet's own words alone."""

    def __init__(self, n):
        self.n, self.seconds, self.checks = n, 0.0, {}
        self.sure = {lang: 0 for lang in NAMES}
        self.counts = {(own, most): {lang: 0 for lang in NAMES} for own in (False, True) for most in (1, 3)}

    def add(self, row, words, document):
        for (own, most), count in self.counts.items():
            among = of_tweet(words, row["prompt"]) if own else words
            count[row["lang"]] += any(is_bitcoin(word, row["lang"]) for word, _ in among[:most])
        self.sure[row["lang"]] += any(is_bitcoin(word, row["lang"]) for word, _ in clear(document, words))
        self.seconds += document["measured"]["seconds"]
        for check in document["checks"]:
            state = self.checks.setdefault(check["name"], {})
            state[check["state"]] = state.get(check["state"], 0) + 1

    def line(self):
        def said(own, most):
            count = self.counts[(own, most)]
            return f"{sum(count.values())} (en {count['en']}, zh {count['zh']})"
        return (f"first {said(False, 1)} of {self.n}, among three {said(False, 3)}; of the tweet's own words first "
                f"{said(True, 1)}, among three {said(True, 3)}; a clear cause {sum(self.sure.values())} (en {self.sure['en']}, "
                f"zh {self.sure['zh']}); {self.seconds / max(self.n, 1):.1f} s each; "
                f"checks {json.dumps(self.checks)}")


def write_report(documents, path):
    """Several methods about one tweet stand behind each other."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for document in (one for answers in documents.values() for one in answers):
            files.append(pathlib.Path(folder) / f"{len(files):03}.json")
            files[-1].write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        done = subprocess.run([LIMN, "report", *files, "--title", "Why these tweets were misjudged", "-o", path, "--quiet"])
        if done.returncode not in (0, 1, 4):
            sys.exit(f"limn report ended with {done.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=("held-out", "valid"), default="held-out")
    parser.add_argument("--adapter", default="adapter")
    parser.add_argument("--asked", choices=("yes", "decision"), default="yes")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--most", type=int, default=0, help="only the first so many tweets")
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("commands", nargs="*")
    arguments = parser.parse_args()
    model = base_model()
    rows = select(model, arguments.split)
    rows = rows[:arguments.most] if arguments.most else rows
    langs = {lang: sum(row["lang"] == lang for row in rows) for lang in NAMES}
    print(f"{len(rows)} tweets ({arguments.split}): {langs['en']} English, {langs['zh']} Chinese", flush=True)
    if arguments.list:
        for row in rows:
            print(json.dumps(row["prompt"], ensure_ascii=False))
    answers = [(" yes", " no")] * len(rows)
    if arguments.asked == "decision":
        decided = yes(model, arguments.adapter, [row["prompt"] for row in rows])
        answers = [(" yes", " no") if p > 0.5 else (" no", " yes") for p in decided]
        print(f"{sum(one[0] == ' yes' for one in answers)} of them decided yes under {arguments.adapter}")
    documents = {}
    for command in arguments.commands or SCORERS:
        found = Found(len(rows))
        for row, asked in zip(rows, answers):
            document = explain(model, arguments.adapter, command, row, asked)
            words = ranked(document)
            found.add(row, words, document)
            documents.setdefault(row["id"], []).append(document)
            if arguments.out:
                with open(arguments.out, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"command": command, "id": row["id"], "lang": row["lang"], "words": words[:8],
                                           "headline": document["headline"], "checks": document["checks"],
                                           "seconds": document["measured"]["seconds"]}, ensure_ascii=False) + "\n")
        print(f"{command}: {found.line()}", flush=True)
    if arguments.report:
        write_report(documents, arguments.report)


if __name__ == "__main__":
    main()
