# The record of an audit holds: killed at any moments or out of room it comes to the same end; two runs give the same
# bytes; whatever is changed of log, results, manifest, model, adapter or data is found and named.
# LIMN_TEST_LONG: twenty moments, and a full disk as a file system of its own where one may be mounted.
. "$(dirname "$0")/expect.sh"
letters_model
cp -r "$golden/adapters/two/1" "$work/adapter"
cab_records 60 >"$work/data.jsonl"
cat >"$work/plan.yaml" <<PLAN
limn: audit/1
title: A record
models: {judged: {model: $letters, adapter: $work/adapter}}
data:
  cabs: {file: $work/data.jsonl, prompt-field: text, label-field: answer, id-field: id, choices: [d, x], groups: [lang]}
steps:
- {run: predict, id: decisions}
- {run: attribute, id: words}
- {run: surgery, with: {choose: mlp}}
- {run: sensitive}
cases: {count: 2, run: why}
gates:
- {metric: decisions.accuracy, op: '>=', value: 1%}
PLAN

# audit FOLDER: into $work/FOLDER and files beside it
audit() {
    what="limn audit --work $1"
    "$LIMN" audit "$work/plan.yaml" -q --work "$work/$1" -o "$work/$1.md" --junit "$work/$1.xml" \
        --sarif "$work/$1.sarif" --summary "$work/$1.sum" >"$out" 2>"$err"
    code=$?
}

# same FOLDER: its report and other files are those of the undisturbed audit
same() {
    what="limn audit --work $1"
    for file in report.json index.json; do
        cmp -s "$work/$1/$file" "$work/whole/$file" || problem "another $file"
    done
    for file in "$work/whole/steps"/*.jsonl; do
        cmp -s "$file" "$work/$1/steps/$(basename "$file")" || problem "another $(basename "$file")"
    done
    for ending in xml sarif sum; do
        cmp -s "$work/$1.$ending" "$work/whole.$ending" || problem "another .$ending"
    done
    for name in whole "$1"; do
        sed '/^## Measured/,$d' "$work/$name.md" >"$work/$name.text"
    done
    cmp -s "$work/whole.text" "$work/$1.text" || problem "another report"
    limn log verify "$work/$1"
    expect_code 0
}

begun=$(date +%s.%N)
audit whole
ended=$(date +%s.%N)
[ "$code" -eq 0 ] || [ "$code" -eq 4 ] || problem "exit code $code"
expected=$code
audit again
[ "$code" -eq "$expected" ] || problem "exit code $code, expected $expected"
same again

# killed at moments drawn over the time that the whole takes; what came to its end is done with, and a new one begins
kills=4
[ -z "${LIMN_TEST_LONG:-}" ] || kills=20
seed=${LIMN_TEST_SEED:-17}
killed=0
round=0
for moment in $(awk -v seed="$seed" -v n=$kills -v whole="$ended $begun" 'BEGIN {
    srand(seed); split(whole, t, " "); for (i = 0; i < 4 * n; i++) print rand() * (t[1] - t[2]) }'); do
    [ $killed -lt $kills ] || break
    "$LIMN" audit "$work/plan.yaml" -q --work "$work/killed$round" -o "$work/killed$round.md" --junit "$work/killed$round.xml" \
        --sarif "$work/killed$round.sarif" --summary "$work/killed$round.sum" >"$out" 2>"$err" &
    victim=$!
    sleep "$moment"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
    if [ $? -gt 128 ]; then
        killed=$((killed + 1))
    else
        same "killed$round"
        round=$((round + 1))
    fi
done
audit "killed$round"
[ "$code" -eq "$expected" ] || problem "exit code $code, expected $expected"
same "killed$round"
[ $killed -eq $kills ] || problem "killed $killed times, expected $kills"
echo "killed $killed times at random moments (LIMN_TEST_SEED=$seed), $((round + 1)) audits came to the same end"

# no room: one clear line, exit code 3, and with room again the same report
for blocks in 2 16 64; do
    what="limn audit with room for $blocks blocks"
    (
        ulimit -f $blocks
        "$LIMN" audit "$work/plan.yaml" -q --work "$work/room$blocks" -o "$work/room$blocks.md" >"$out" 2>"$err"
    )
    code=$?
    expect_code 3
    one_line
    expect_err 'No space left\|File too large'
    audit "room$blocks"
    [ "$code" -eq "$expected" ] || problem "exit code $code, expected $expected"
    same "room$blocks"
done
mkdir "$work/disk"
if [ -n "${LIMN_TEST_LONG:-}" ] && mount -t tmpfs -o size=160k tmpfs "$work/disk" 2>/dev/null; then
    what="limn audit on a full disk"
    "$LIMN" audit "$work/plan.yaml" -q --work "$work/disk/full" -o "$work/full.md" >"$out" 2>"$err"
    code=$?
    expect_code 3
    one_line
    expect_err 'No space left'
    mkdir "$work/full"
    cp -r "$work/disk/full/." "$work/full"
    umount "$work/disk"
    audit full
    same full
    echo "a full disk: gone on with, the same end"
fi

# a changed byte anywhere is found and named
flip() { # FILE: the byte in its middle
    cp "$1" "$work/saved"
    at=$(($(wc -c <"$1") / 2))
    byte=$(od -An -tu1 -j $at -N 1 "$1" | tr -d ' ')
    printf "\\$(printf '%03o' $((byte ^ 1)))" | dd of="$1" bs=1 seek=$at conv=notrunc 2>/dev/null
}
record=$work/whole
for file in "$record/log.jsonl" "$record/checkpoint" "$record/manifest.json" "$record/manifest.json.sig" \
    "$record/report.json" "$record/index.json" "$record/steps"/* "$letters/model.safetensors" "$letters/config.json" \
    "$letters/tokenizer.json" "$work/adapter/adapter_model.safetensors" "$work/adapter/adapter_config.json" \
    "$work/data.jsonl"; do
    flip "$file"
    limn log verify "$record"
    [ "$code" -ne 0 ] || problem "a changed byte of $file was not found"
    name=$(basename "$file" .sig)
    case $file in
    "$letters"/*) name=letters ;;
    "$work/adapter"/*) name=adapter ;;
    esac
    tr -d '\n ' <"$out" >"$work/flat"
    grep -q -F "$name" "$work/flat" || grep -q -F "$name" "$err" || problem "$name is not named"
    cp "$work/saved" "$file"
done
limn log verify "$record"
expect_code 0

# a kept result that was changed is not gone on with
step=$(ls "$record"/steps/words.*.json)
flip "$step"
audit whole
expect_code 3
expect_err 'was changed since it was kept'
one_line
cp "$work/saved" "$step"
audit whole
[ "$code" -eq "$expected" ] || problem "exit code $code, expected $expected"
# nor is an older manifest, signed as it is, taken for the last
cp "$record/manifest.json" "$work/m" && cp "$record/manifest.json.sig" "$work/s"
sed 's/title: A record/title: Another/' "$work/plan.yaml" >"$work/other.yaml"
"$LIMN" audit "$work/other.yaml" -q --work "$record" >"$out" 2>"$err"
limn log verify "$record"
expect_code 0
cp "$work/m" "$record/manifest.json" && cp "$work/s" "$record/manifest.json.sig"
limn log verify "$record"
expect_code 1
expect_out "of the log's last entry"
finish
