# What the command-line tests share. Each test script begins with: . "$(dirname "$0")/expect.sh"
#
# limn ARG...      runs the program; afterwards $code, the files $out and $err
# expect_code N    expect_out PATTERN    expect_err PATTERN    expect_no PATTERN FILE
# one_line         stderr is one line that begins "limn: "
set -u
export LC_ALL=C.UTF-8
unset NO_COLOR COLORTERM || true
golden=$SOURCE/tests/golden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out
err=$work/err
what=
failures=0

limn() {
    what="limn $*"
    "$LIMN" "$@" >"$out" 2>"$err"
    code=$?
}

problem() {
    echo "FAILED: $what"
    echo "  $1"
    sed 's/^/  stdout: /' "$out" | head -n 20
    sed 's/^/  stderr: /' "$err" | head -n 20
    failures=$((failures + 1))
}

expect_code() {
    [ "$code" -eq "$1" ] || problem "exit code $code, expected $1"
}

expect_out() {
    grep -q -e "$1" "$out" || problem "standard output does not hold '$1'"
}

expect_err() {
    grep -q -e "$1" "$err" || problem "standard error does not hold '$1'"
}

expect_no() {
    ! grep -q -e "$1" "$2" || problem "found '$1' in $2"
}

one_line() {
    [ "$(wc -l <"$err")" -eq 1 ] || problem "expected one line on standard error"
    grep -q '^limn: ' "$err" || problem "expected standard error to begin 'limn: '"
}

# wrong USE-OR-FAILURE PATTERN ARG...: ends with that code and one line that holds the pattern
wrong() {
    wrong_code=$1
    wrong_pattern=$2
    shift 2
    limn "$@"
    expect_code "$wrong_code"
    expect_err "$wrong_pattern"
    one_line
}

# A causal model with a tokenizer of single letters, in $work/letters (64 ids or more are in the vocabulary).
letters_model() {
    cp -r "$golden/llama-old" "$work/letters"
    rm -f "$work/letters/golden.safetensors"
    {
        printf '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,'
        printf '"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},'
        printf '"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,'
        printf '"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,'
        printf '"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"vocab":{'
        printf '"\304\240":0'
        id=1
        for letter in a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X \
            Y Z . , ! ?; do
            printf ',"%s":%d' "$letter" "$id"
            id=$((id + 1))
        done
        printf '},"merges":[]}}'
    } >"$work/letters/tokenizer.json"
    letters=$work/letters
}

# N records to audit: texts of letters_model's, answers d and x, two languages.
cab_records() {
    i=0
    while [ $i -lt "$1" ]; do
        printf '{"id": "r%d", "text": "a cab%s", "answer": "%s", "lang": "%s"}\n' $i "$([ $((i % 3)) -eq 0 ] || echo ' is')" \
            "$([ $((i % 2)) -eq 0 ] && echo d || echo x)" "$([ $((i % 5)) -eq 0 ] && echo en || echo zh)"
        i=$((i + 1))
    done
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    echo "all as expected"
    exit 0
}
