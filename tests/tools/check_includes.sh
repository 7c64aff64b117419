#!/bin/sh
# check_includes.sh [ROOT]: the rules of the house that a program can check, over ROOT/src and ROOT/python.
#
#   - a file includes "folder/file.h" of its own folder, base/, tensor/ and what its row in src/layers.def names
#   - a file of a group of methods, src/method/<group>/, includes no other group
#   - no file includes itself by a way round
#   - limn.h is for api/, for call/ and method/ (whose parameter rows it shows as they are) and for the faces (cli/,
#     serve/, python/); the faces include nothing else of the library
#   - the library neither ends the process nor prints (stderr only in backend/backend.c, for LIMN_TRACE)
#   - a .c or .h file has at most 800 lines, a function at most 80, and says at its head what it is (or its .h does)
#   - a row of src/layers.def names only folders that its own includes, directly or by way of others (api/, which has
#     the methods by name, apart)
#
# Prints one line for each breach and ends with 1 if there was any.
set -u
root=${1:-.}
cd "$root" || exit 2
if [ ! -f src/layers.def ]; then
    echo "check_includes: $root/src/layers.def is missing"
    exit 2
fi
files=$(find src python -type f \( -name '*.[ch]' -o -name '*.def' \) ! -path 'src/layers.def' 2>/dev/null | LC_ALL=C sort)

# shellcheck disable=SC2086
LC_ALL=C awk '
function report(text) {
    print text
    breaches++
}

# Comments and the insides of strings become blanks; the state of a comment lasts over lines.
function code_of(line,    out, i, c, two) {
    out = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                i++
            }
        } else if (two == "/*") {
            in_comment = 1
            i++
        } else if (two == "//") {
            break
        } else if (c == "\"" || c == "\047") {
            out = out c
            for (i++; i <= length(line) && substr(line, i, 1) != c; i++) {
                if (substr(line, i, 1) == "\\") {
                    i++
                }
            }
            out = out c
        } else {
            out = out c
        }
    }
    return out
}

function read_row(line,    parts, names, n, i) {
    if (line !~ /^LAYER\([a-z]+, "[a-z ]*"\)/) {
        if (line ~ /^LAYER/) {
            report("src/layers.def: cannot read " line)
        }
        return
    }
    split(line, parts, /[(,")]/)
    layer = parts[2]
    known[layer] = 1
    sees[layer, layer] = 1
    sees[layer, "base"] = 1
    if (layer != "base") {
        sees[layer, "tensor"] = 1
    }
    n = split(parts[4], names, " ")
    for (i = 1; i <= n; i++) {
        if (!(names[i] in known)) {
            report("src/layers.def: " layer " sees " names[i] ", which no row above names")
        }
        sees[layer, names[i]] = 1
        named[layer, names[i]] = 1
    }
}

# Whether the includes of a folder lead to another one.
function leads_to(from, to,    n, next_folders, i) {
    passed[from] = 1
    n = split(ways[from], next_folders, " ")
    for (i = 1; i <= n; i++) {
        if (next_folders[i] == to || (!(next_folders[i] in passed) && leads_to(next_folders[i], to))) {
            return 1
        }
    }
    return 0
}

# Follows includes from a file; "open" is the way so far.
function visit(file,    n, next_files, i) {
    state[file] = 1
    n = split(edges[file], next_files, " ")
    for (i = 1; i <= n; i++) {
        if (state[next_files[i]] == 1) {
            report(file ": includes itself by way of " next_files[i])
        } else if (state[next_files[i]] == 0) {
            visit(next_files[i])
        }
    }
    state[file] = 2
}

function begin_file(    parts) {
    split(FILENAME, parts, "/")
    folder = parts[1] == "python" ? "python" : parts[2]
    group = parts[2] == "method" && parts[4] != "" ? parts[3] : ""
    in_use[folder] = 1
    face = folder == "cli" || folder == "serve" || folder == "python"
    in_comment = 0
    function_start = 0
    if (!face && !(folder in known) && !(folder in strange)) {
        strange[folder] = 1
        report(FILENAME ": src/" folder " has no row in src/layers.def")
    }
}

function check_include(name,    parts, n_parts, allowed) {
    if (name == "limn_status.h") {
        return
    }
    if (name == "limn.h") {
        if (!face && folder != "api" && folder != "call" && folder != "method") {
            report(FILENAME ":" FNR ": limn.h is for call, method, api and the faces")
        }
        return
    }
    if (name !~ /\// && face) {
        return # a neighbour in the same folder
    }
    if (name !~ /\//) {
        report(FILENAME ":" FNR ": \"" name "\" does not name its folder, expected \"folder/file.h\"")
        return
    }
    n_parts = split(name, parts, "/")
    if (folder == "method" && parts[1] == "method" && n_parts == 3 && group != parts[2]) {
        report(FILENAME ":" FNR ": the group " (group == "" ? "table" : group) "/ may not include \"" name "\"")
    }
    edges[FILENAME] = edges[FILENAME] " src/" name
    if (!((folder, parts[1]) in direct)) {
        direct[folder, parts[1]] = 1
        ways[folder] = ways[folder] " " parts[1]
    }
    allowed = face ? parts[1] == folder : ((folder, parts[1]) in sees)
    if (!allowed) {
        report(FILENAME ":" FNR ": " folder "/ may not include \"" name "\"" (face ? " (a face sees limn.h only)" : ""))
    }
}

function check_words(code) {
    if (code ~ /(^|[^A-Za-z0-9_])(exit|_exit|_Exit|quick_exit|abort|assert)[ ]*\(/) {
        report(FILENAME ":" FNR ": the library does not end the process")
    }
    if (code ~ /(^|[^A-Za-z0-9_])(printf|vprintf|puts|putchar|perror)[ ]*\(/ || code ~ /(^|[^A-Za-z0-9_])stdout($|[^A-Za-z0-9_])/) {
        report(FILENAME ":" FNR ": the library does not print")
    }
    if (code ~ /(^|[^A-Za-z0-9_])stderr($|[^A-Za-z0-9_])/ && FILENAME != "src/backend/backend.c") {
        report(FILENAME ":" FNR ": the library does not print to stderr")
    }
}

function check_length(code) {
    if (FNR == 801 && FILENAME !~ /\.def$/) {
        report(FILENAME ": more than 800 lines")
    }
    if (code ~ /^[A-Za-z_].*\)[ ]*\{[ ]*$/ || (code ~ /^\{[ ]*$/)) {
        function_start = FNR
    }
    if (code ~ /^\}/ && function_start > 0) {
        if (FNR - function_start + 1 > 80) {
            report(FILENAME ":" function_start ": a function of " FNR - function_start + 1 " lines, at most 80")
        }
        function_start = 0
    }
}

FILENAME == "src/layers.def" { read_row($0); next }
FNR == 1 {
    begin_file()
    speaks[FILENAME] = $0 ~ /^\/\*/
    library[FILENAME] = !face && FILENAME ~ /\.[ch]$/
}
{
    if (!in_comment && $0 ~ /^[ ]*#[ ]*include[ ]*"/) {
        split($0, quoted, "\"")
        check_include(quoted[2])
    }
    code = code_of($0)
    check_length(code)
    if (!face && (folder in known)) {
        check_words(code)
    }
}
END {
    for (file in library) {
        header = file
        sub(/c$/, "h", header)
        if (library[file] && !speaks[file] && !speaks[header]) {
            report(file ": does not say at its head what it is")
        }
    }
    for (pair in named) {
        split(pair, ends, SUBSEP)
        split("", passed)
        if ((ends[1] in in_use) && ends[1] != "api" && !leads_to(ends[1], ends[2])) {
            report("src/layers.def: " ends[1] " may see " ends[2] ", of which it includes nothing")
        }
    }
    for (file in edges) {
        if (state[file] == 0) {
            visit(file)
        }
    }
    if (breaches > 0) {
        print breaches " breaches of the house rules"
        exit 1
    }
}
' src/layers.def $files
