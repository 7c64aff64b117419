#!/bin/sh
# The check passes a tree that keeps the rules and names each breach in trees that do not.
set -u
check=$1
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
failures=0

fresh() {
    rm -rf "$tree/src" "$tree/python"
    mkdir -p "$tree/src/base" "$tree/src/tensor" "$tree/src/graph" "$tree/src/api" "$tree/src/cli" "$tree/python"
    printf 'LAYER(base, "")\nLAYER(tensor, "")\nLAYER(graph, "")\nLAYER(api, "graph")\n' > "$tree/src/layers.def"
    printf '/* exit( printf( stdout "cli/a.h" */\n#include <stdio.h>\n#include "base/b.h"\n// abort(\nconst char *t = "puts(stderr)";\n' \
        > "$tree/src/graph/a.c"
    printf '/* Speaks. */\n#include "graph/a.h"\n' > "$tree/src/api/a.c"
    printf '#include "limn.h"\n#include "cli/own.h"\n#include "own.h"\nint main(void) {\n    exit(0);\n}\n' > "$tree/src/cli/main.c"
}

# expect STATUS TEXT: runs the check, which must end so and print so
expect() {
    output=$(sh "$check" "$tree" 2>&1)
    status=$?
    case $output in
    *"$2"*) found=1 ;;
    *) found=0 ;;
    esac
    if [ "$status" -ne "$1" ] || [ "$found" -ne 1 ]; then
        printf 'expected status %s and "%s", found %s: %s\n' "$1" "$2" "$status" "$output"
        failures=$((failures + 1))
    fi
}

# breach FILE LINES TEXT
breach() {
    fresh
    mkdir -p "$(dirname "$tree/$1")"
    # shellcheck disable=SC2059
    printf "$2" >> "$tree/$1"
    expect 1 "$3"
}

fresh
expect 0 ""
breach src/graph/a.c '#include "api/x.h"\n' 'graph/ may not include "api/x.h"'
breach src/base/b.h '#include "tensor/t.h"\n' 'base/ may not include "tensor/t.h"'
breach src/graph/a.c '#include "limn.h"\n' 'limn.h is for call'
breach src/graph/a.c '#include "other.h"\n' 'does not name its folder'
breach src/cli/main.c '#include "graph/g.h"\n' 'a face sees limn.h only'
breach python/binding.c '#include "base/b.h"\n' 'a face sees limn.h only'
breach src/graph/a.c 'void f(void) {\n    exit (1);\n}\n' 'does not end the process'
breach src/graph/a.c 'void f(void) {\n    abort();\n}\n' 'does not end the process'
breach src/graph/a.c 'void f(void) {\n    printf("x");\n}\n' 'does not print'
breach src/graph/a.c 'void f(void) {\n    fputs("x", stdout);\n}\n' 'does not print'
breach src/graph/a.c 'void f(void) {\n    fputs("x", stderr);\n}\n' 'does not print to stderr'
breach src/graph/a.c "$(yes 'int x;\n' | head -n 801 | tr -d '\n')" 'more than 800 lines'
breach src/graph/a.c "void f(void) {\n$(yes '    g();\n' | head -n 80 | tr -d '\n')}\n" 'a function of 82 lines'
breach src/layers.def 'LAYER(odd, "later")\nLAYER(later, "")\n' 'which no row above names'
fresh
printf '/* C. */\n#include "graph/d.h"\n' > "$tree/src/graph/c.h"
printf '/* D. */\n#include "graph/c.h"\n' > "$tree/src/graph/d.h"
expect 1 'includes itself by way of'
breach src/method/one/a.c '#include "method/two/b.h"\n' 'the group one/ may not include'
breach src/graph/b.c 'int x;\n' 'src/graph/b.c: does not say at its head what it is'
fresh
mkdir -p "$tree/src/run"
printf 'LAYER(run, "graph api")\n' >> "$tree/src/layers.def"
printf '/* Runs. */\n#include "graph/g.h"\n' > "$tree/src/run/a.c"
expect 1 'run may see api, of which it includes nothing'
breach src/odd/a.c 'int x;\n' 'src/odd has no row'
exit "$failures"
