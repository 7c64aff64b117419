# An audit of a tiny model as a person would run it: refused, dry, whole, kept, exported, night after night.
. "$(dirname "$0")/expect.sh"
letters_model
cab_records 40 >"$work/data.jsonl"

wrong 2 'needs --model MODEL and --data FILE' audit "$work/plan.yaml" --init
limn audit "$work/plan.yaml" --init --model "$letters" --data "$work/data.jsonl"
expect_code 0
expect_out 'is written'
sed -i "s/choices: .*/choices: ['d', 'x']/; s/# label-field: .*/label-field: answer/; s/groups: \[\]/groups: [lang]/; s/count: 3/count: 1/" "$work/plan.yaml"
sed -i 's/findings.high/findings.word/; s/value: 80%/value: 1%/; s/prompt-field: .*/prompt-field: text/' "$work/plan.yaml"
limn audit "$work/plan.yaml" --dry-run
expect_code 0
expect_out 'steps, 2 gates; about'
expect_out 'limn predict'

limn audit "$work/plan.yaml" --work "$work/kept" -o "$work/audit.html" -o "$work/audit.md" -o "$work/audit.json" \
    --junit "$work/audit.xml" --sarif "$work/audit.sarif" --summary "$work/summary.json"
expect_code 0
for name in audit.html audit.md audit.xml audit.sarif summary.json kept/index.json; do
    [ -s "$work/$name" ] || problem "$name is missing"
done
grep -q '"verdict": "pass"' "$work/summary.json" || problem "the verdict of the summary"
grep -q 'At a glance' "$work/audit.md" || problem "the first page"
[ "$(ls "$work/kept/steps/" | grep -c 'decisions.*json$')" -eq 1 ] || problem "one kept step"
limn audit "$work/plan.yaml" --work "$work/kept" -o "$work/again.md"
grep -v '^- \*\*\(started\|seconds\|peak\)' "$work/audit.md" | sed '/Measured/,$d' >"$work/a"
grep -v '^- \*\*\(started\|seconds\|peak\)' "$work/again.md" | sed '/Measured/,$d' >"$work/b"
cmp -s "$work/a" "$work/b" || problem "an audit of kept steps says something else"

limn audit "$work/plan.yaml" --work "$work/kept" --language zh -o "$work/zh.md"
expect_code 0
grep -q '概览' "$work/zh.md" || problem "a report in Chinese"
grep -q '| 通过 |' "$work/zh.md" || problem "outcomes in Chinese"
expect_no '| \(pass\|fail\|high\|medium\|low\|word\|points\) |' "$work/zh.md"

# a gate that fails, and one that cannot be judged
sed -i 's/value: 1%/value: 100%, by: value/' "$work/plan.yaml"
limn audit "$work/plan.yaml" --work "$work/kept"
expect_code 1
sed -i 's/metric: decisions.accuracy/metric: drift.decisions.accuracy/' "$work/plan.yaml"
limn audit "$work/plan.yaml" --work "$work/kept"
expect_code 4
wrong 2 'expected NAME=PATH' audit "$work/plan.yaml" --model juged=x
sed -i 's/metric: drift/metric: drft/' "$work/plan.yaml"
wrong 2 'plan.yaml:[0-9]*:[0-9]*: no step makes' audit "$work/plan.yaml"
sed -i 's/metric: drft/metric: drift/' "$work/plan.yaml"

# the record: whole, and what is changed is named
limn log verify "$work/kept"
expect_code 0
expect_out 'The record is whole'
limn log verify "$work/kept" --key "$work/kept/signing.key.pub" --entry 1
expect_code 0
expect_out 'Inclusion proof'
limn audit "$work/plan.yaml" --work "$work/kept" -o "$work/page.html"
limn log verify "$work/kept" --page "$work/page.html"
expect_code 0
sed 's/not stated/all stated/' "$work/page.html" >"$work/forged.html"
limn log verify "$work/kept" --page "$work/forged.html"
expect_code 1
expect_out 'forged.html'
step=$(ls "$work"/kept/steps/decisions.*.jsonl | head -n 1)
cp "$step" "$work/saved"
sed -i 's/"pred": "d"/"pred": "x"/' "$step"
limn log verify "$work/kept"
expect_code 1
expect_out "$(basename "$step" | cut -c1-20)"
cp "$work/saved" "$step"
limn log verify "$work/kept"
expect_code 0
wrong 2 'signing.key.pub' log verify "$work"

# killed at any moment, the same audit comes to the same end
cp "$work/kept/report.json" "$work/expected.json"
for wait in 0.02 0.05 0.1 0.2 0.4; do
    "$LIMN" audit "$work/plan.yaml" --work "$work/killed" >/dev/null 2>&1 &
    victim=$!
    sleep "$wait"
    kill -9 "$victim" 2>/dev/null
    wait "$victim" 2>/dev/null
done
limn audit "$work/plan.yaml" --work "$work/killed"
cmp -s "$work/killed/report.json" "$work/expected.json" || problem "an audit that was killed five times ends otherwise"
limn log verify "$work/killed"
expect_code 0

# night after night
what="examples/ci/nightly"
mkdir -p "$work/nights/2020-01-01"
cp -r "$work/kept" "$work/nights/2020-01-01/work"
ln -s 2020-01-01 "$work/nights/last"
LIMN="$LIMN" "$SOURCE/examples/ci/nightly" "$work/plan.yaml" "$work/nights" >"$out" 2>"$err"
code=$?
expect_code 1 # no change, and all of it was demanded
[ "$(readlink "$work/nights/last")" = "$(date -u +%Y-%m-%d)" ] || problem "the last night is not today"
finish
