# Help, version and the documents made from the rows.
. "$(dirname "$0")/expect.sh"

limn --version
expect_code 0
expect_out '^limn [0-9]'

limn --help
expect_code 0
expect_out 'limn why MODEL'
# it fits a screen: a line for each command, as in a terminal of 80 columns
[ "$(wc -l <"$out")" -le 60 ] || problem "the list of commands has $(wc -l <"$out") lines, at most 60"
for command in info sites tokenize run generate predict ig methods verify; do
    limn --help
    expect_out "^  $command "
    limn "$command" --help
    expect_code 0
    expect_out "^Usage: limn $command"
    expect_out '^Examples:'
    ! grep -q "^Usage: limn $command MODEL" "$out" || expect_out '^  MODEL   *a '  # beside its name
    limn help "$command"
    expect_code 0
    # no line wider than a terminal
    [ "$(awk 'length > 120' "$out" | wc -l)" -eq 0 ] || problem "help has a line of more than 120 columns"
    # in a narrow one only examples and single long words are wider
    COLUMNS=60 "$LIMN" "$command" --help | sed '/^Examples/,/^$/d' >"$out"
    [ "$(awk 'length > 60 && NF > 1' "$out" | wc -l)" -eq 0 ] || problem "help does not fit a narrow terminal"
done

# a command of two words
limn compare decisions --help
expect_code 0
expect_out '^Usage: limn compare decisions A.jsonl B.jsonl'
limn help compare decisions
expect_code 0
limn compare
expect_code 2
expect_out 'compare decisions'

limn
expect_code 2
expect_out 'Usage: limn COMMAND'

# every option of every command stands in the man page and both completions
limn methods --json
expect_code 0
cp "$out" "$work/methods.json"
for kind in man bash zsh; do
    limn --generate "$kind"
    expect_code 0
    sed 's/\\-/-/g' "$out" >"$work/$kind"
done
for option in $("$LIMN" run --help | grep -o '^ *\(-., \)\?--[a-z-]*' | grep -o -e '--[a-z-]*'); do
    for kind in man bash zsh; do
        what="--generate $kind"
        grep -q -e "$option" "$work/$kind" || problem "$option is missing"
    done
done
wrong 2 "found 'troff', expected man, bash or zsh" --generate troff
what="man page"
for command in info run predict; do # each example once, as the help has it, and no other
    "$LIMN" "$command" --help | sed -n '/^Examples:/,/^$/s/^  //p' >"$work/examples"
    sed -n "/^.SS limn $command\$/,/^.fi/p" "$work/man" | sed -n '/^.nf/,/^.fi/{/^\.[nf][fi]/!p}' | sed 's/\\&//; s/\\e/\\/g' >"$work/of_man"
    cmp -s "$work/examples" "$work/of_man" || problem "the examples of $command are not those of its help"
done

what="bash completion"
cat >"$work/complete.bash" <<'BASH'
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_limn
printf '%s\n' "${COMPREPLY[@]}"
BASH
if command -v bash >/dev/null; then
    bash "$work/complete.bash" "$work/bash" limn g >"$out" 2>"$err"
    expect_out '^generate$'
    bash "$work/complete.bash" "$work/bash" limn help g >"$out" 2>"$err"
    expect_out '^generate$'
    bash "$work/complete.bash" "$work/bash" limn run --dtype b >"$out" 2>"$err"
    expect_out '^bf16$'
    bash "$work/complete.bash" "$work/bash" limn run MODEL --sa >"$out" 2>"$err"
    expect_out '^--save$'
fi
if command -v man >/dev/null; then
    what="man page"
    "$LIMN" --generate man >"$work/limn.1"
    man --warnings -l "$work/limn.1" >"$out" 2>"$err"
    expect_out 'EXIT STATUS'
    [ ! -s "$err" ] || problem "man complains"
fi
finish
