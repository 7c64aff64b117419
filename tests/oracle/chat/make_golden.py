#!/usr/bin/env python3
"""Chat templates as the reference renders them: tests/golden/chat/{templates,expressions,shared}.json.

Usage: make_golden.py [--shared FOLDER]      (needs transformers and jinja2)

templates.json    the templates beside this script, whole conversations, the text itself
expressions.json  one construct each; where the reference fails, "error": true, and so must limn
shared.json       templates of ../shared/data that are read when the tests run: SHA-256 of the text only
"""
import argparse
import datetime
import hashlib
import json
import os

import transformers.utils.chat_template_utils as chat

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "..", "golden", "chat")
DATE = "2024-07-26"


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat.datetime = FixedDate

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Today's weather in a town",
    "parameters": {"type": "object", "properties": {
        "town": {"type": "string", "description": "which \"town\", e.g. Köln"},
        "days": {"type": "array", "items": {"type": "integer"}},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "where": {"type": "object", "nullable": True,
                  "properties": {"lat": {"type": "number"}, "lon": {"type": ["number", "null"]}}, "required": ["lat"]}},
        "required": ["town"]}}}
ADD = {"type": "function", "function": {"name": "add", "description": "it's a sum <b>", "parameters": {
    "type": "object", "properties": {"a": {"type": "number", "description": "first"}, "b": {"type": "number"}}}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"type": "function", "id": "abcdef123",
     "function": {"name": "get_weather", "arguments": {"town": "Zürich", "days": [1, 2], "exact": 1.5, "x": None}}}]}
CALLS = {"role": "assistant", "content": "", "tool_calls": CALL["tool_calls"] + [
    {"type": "function", "id": "abcdef124", "function": {"name": "add", "arguments": {"a": 1e20, "b": -0.25, "c": True}}}]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": "{\"t\": 21.5}"}
RESULT2 = {"role": "tool", "name": "add", "tool_call_id": "abcdef124", "content": "4"}


def u(text):
    return {"role": "user", "content": text}


def a(text, **more):
    return {"role": "assistant", "content": text, **more}


def s(text):
    return {"role": "system", "content": text}


CONVERSATIONS = {
    "one": {"messages": [u("What is the capital of France?")]},
    "system": {"messages": [s("  Speak plainly.\n"), u(" Hello 世界 🙂 \n"), a("\n\nHi!"), u("Und jetzt?")]},
    "answered": {"messages": [u("a"), a("b <|im_end|> c"), u("d\r\ne"), a("f\t\"g\" 'h' \\ \u00a0\u200b")]},
    "tools": {"messages": [s("Use tools."), u("Weather?"), CALL, RESULT, a("It is 21.5.")], "tools": [WEATHER, ADD]},
    "calls": {"messages": [u("Both?"), CALLS, RESULT, RESULT2], "tools": [WEATHER, ADD]},
    "thought": {"messages": [u("1+1?"), a("<think>\nEasy.\n</think>\n\n2"), u("2+2?"),
                             a("4", reasoning_content="Again."), u("3+3?"), a("6", thinking="Hm", channel="final")]},
    "parts": {"messages": [{"role": "system", "content": [{"type": "text", "text": "See."}]},
                           {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " what? "}]}]},
    "documents": {"messages": [s("Cite."), u("Who?"), u("And why?")],
                  "documents": [{"title": "A", "text": "first\nlines"}, {"title": "B", "text": "zweite", "n": 3}]},
    "wrong": {"messages": [a("I begin"), u("no"), u("no"), {"role": "critic", "content": 7}]},
    "none": {"messages": [{"role": "user", "content": None}]},
    "odd": {"messages": [s("sys"), u("Hi"), a("yo", n=3, items=[1], parts={"k": [1.0, None, True], "é": "ü\n"})],
            "tools": [ADD]},
}


def render(template, case):
    extra = {**SPECIAL, **case.get("variables", {})}
    talk = CONVERSATIONS[case["conversation"]]
    try:
        texts, _ = chat.render_jinja_template([talk["messages"]], tools=talk.get("tools"),
                                              documents=talk.get("documents"), chat_template=template,
                                              add_generation_prompt=case.get("generation_prompt", False), **extra)
        return texts[0]
    except Exception:  # whatever went wrong there must go wrong here
        return None


def with_text(case, template, hashed=False):
    text = render(template, case)
    if text is None:
        case["error"] = True
    elif hashed:
        case["length"] = len(text.encode())
        case["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    else:
        case["text"] = text
    return case


def conversations(only=None):
    for name in CONVERSATIONS:
        if only is None or name in only:
            for prompt in (False, True):
                yield f"{name}{'+' if prompt else ''}", {"conversation": name, "generation_prompt": prompt}


def make_templates():
    cases, sources = [], {}
    folder = os.path.join(HERE, "templates")
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), newline="") as source:
            sources[file] = source.read()
        variants = [{}]
        if file.startswith("qwen3"):
            variants.append({"enable_thinking": False})
        if file.startswith("llama"):
            variants.append({"tools_in_user_message": True, "date_string": "1 April"})
        for variables in variants:
            for name, case in conversations():
                if variables:
                    case["variables"] = variables
                cases.append(with_text({"name": f"{file} {name}", "template": file, **case}, sources[file]))
    return {"date": DATE, "special": SPECIAL, "conversations": CONVERSATIONS, "templates": sources, "cases": cases}


def make_expressions():
    from expressions import EXPRESSIONS
    cases = [with_text({"name": source[:60], "source": source, "conversation": "odd"}, source) for source in EXPRESSIONS]
    return {"date": DATE, "special": SPECIAL, "conversations": {"odd": CONVERSATIONS["odd"]}, "cases": cases}


def shared_templates(shared):
    root = os.path.join(shared, "data", "tokenizers", "hf-tokenizer-json")
    for folder in sorted(os.listdir(root)):
        for file in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
            path = os.path.join(root, folder, file)
            if not os.path.exists(path):
                continue
            with open(path, newline="") as source:
                text = source.read()
            if file.endswith(".json"):
                text = json.loads(text).get("chat_template")
            if isinstance(text, str):
                yield f"data/tokenizers/hf-tokenizer-json/{folder}/{file}", text
    gguf = os.environ.get("LIMN_SMOLLM2_GGUF")
    if gguf:
        from gguf import GGUFReader
        field = GGUFReader(gguf).fields["tokenizer.chat_template"]
        yield "smollm2", bytes(field.parts[field.data[0]]).decode()


def make_shared(shared):
    cases = []
    for file, template in shared_templates(shared):
        variants = [{}] + ([{"enable_thinking": False}] if "enable_thinking" in template else [])
        variants += [{"builtin_tools": ["browser", "python"], "reasoning_effort": "high"}] if "builtin" in template else []
        for variables in variants:
            for name, case in conversations():
                if variables:
                    case["variables"] = variables
                cases.append(with_text({"name": f"{file} {name}", "file": file, **case}, template, hashed=True))
    return {"date": DATE, "special": SPECIAL, "conversations": CONVERSATIONS, "cases": cases}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shared", default=os.path.join(HERE, "..", "..", "..", "..", "shared"))
    shared = options.parse_args().shared
    os.makedirs(OUT, exist_ok=True)
    made = {"templates": make_templates(), "expressions": make_expressions()}
    if os.path.isdir(os.path.join(shared, "data")):
        made["shared"] = make_shared(shared)
    for name, goldens in made.items():
        with open(os.path.join(OUT, name + ".json"), "w") as out:
            json.dump(goldens, out, ensure_ascii=False, indent=0)
            out.write("\n")
        errors = sum("error" in case for case in goldens["cases"])
        print(f"{name}: {len(goldens['cases'])} cases, {errors} of them failures")


if __name__ == "__main__":
    main()
