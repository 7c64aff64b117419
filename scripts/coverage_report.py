"""Reads what gcov counted in a build folder and writes, as Markdown, which lines and functions of src/ were run.

    python3 scripts/coverage_report.py build-coverage > build-coverage/coverage.md

A file that is compiled several times (the library is linked whole and in parts) counts once: a line has been run when
it was run in any of them. Only the standard library is needed.
"""

import collections
import json
import pathlib
import subprocess
import sys


def counted_files(build):
    """What gcov says of each object: parsed JSON documents."""
    for counts in sorted(build.rglob("*.gcda")):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", str(counts.resolve())],
            cwd=build, check=False, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                yield json.loads(line)


def objects_without_counts(build):
    """Sources whose objects no test program ever loaded: gcov has nothing to say of them."""
    for notes in sorted(build.rglob("*.gcno")):
        if not notes.with_suffix(".gcda").exists():
            yield notes


def read(build, root):
    lines = collections.defaultdict(dict)  # file -> line -> times run
    functions = collections.defaultdict(dict)  # file -> (first line, name) -> times run
    for document in counted_files(build):
        for entry in document["files"]:
            path = (pathlib.Path(document["current_working_directory"]) / entry["file"]).resolve()
            if root / "src" not in path.parents:
                continue
            name = path.relative_to(root).as_posix()
            for line in entry["lines"]:
                number = line["line_number"]
                lines[name][number] = max(lines[name].get(number, 0), line["count"])
            for function in entry["functions"]:
                key = (function["start_line"], function["name"])
                functions[name][key] = max(functions[name].get(key, 0), function["execution_count"])
    return lines, functions


def row(name, lines, functions):
    run = sum(count > 0 for count in lines)
    return (f"| {name} | {len(lines)} | {100 * run / max(1, len(lines)):.1f}% | {len(functions)} "
            f"| {sum(count == 0 for count in functions)} |")


def main():
    build, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path.cwd().resolve()
    lines, functions = read(build, root)
    folders = collections.defaultdict(list)
    for name in sorted(lines):
        folders["/".join(name.split("/")[1:-1])].append(name)
    print("| folder | lines | run | functions | never run |\n|---|---|---|---|---|")
    for folder, names in folders.items():
        print(row(f"`{folder}/`", [c for n in names for c in lines[n].values()],
                  [c for n in names for c in functions[n].values()]))
    print(row("all", [c for n in lines for c in lines[n].values()], [c for n in lines for c in functions[n].values()]))
    print("\n## Functions never run\n")
    for name in sorted(functions):
        absent = [function for (_, function), count in sorted(functions[name].items()) if count == 0]
        if absent:
            print(f"- `{name}`: {', '.join(absent)}")
    print("\n## Files with the most lines never run\n")
    missing = {name: sum(count == 0 for count in counts.values()) for name, counts in lines.items()}
    for name in sorted(missing, key=lambda n: (-missing[n], n))[:40]:
        print(f"- `{name}`: {missing[name]} of {len(lines[name])}")
    unseen = sorted({notes.name for notes in objects_without_counts(build)})
    if unseen:
        print("\n## Objects that no test program loads\n\n" + "\n".join(f"- {name}" for name in unseen))


main()
