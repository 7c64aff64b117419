# An audit that leaves out what records say: no text of a record and no id in anything that goes out, the same bytes
# again by the same key, and each commitment can be checked by whoever has it.
. "$(dirname "$0")/expect.sh"
letters_model
{
    i=0
    for word in able acid aged also area army away baby back ball band bank base bath bear beat been beer bell belt best \
        bill bird blow blue boat body bomb bond bone; do
        printf '{"id": "case-%d-x", "text": "%s \\"cab\\" isn'"'"'t%s %s", "answer": "%s", "lang": "%s"}\n' $i $word \
            "$([ $((i % 3)) -eq 0 ] || echo ' is')" $word "$([ $((i % 2)) -eq 0 ] && echo d || echo x)" \
            "$([ $((i % 5)) -eq 0 ] && echo en || echo zh)"
        i=$((i + 1))
    done
} >"$work/data.jsonl"
cat >"$work/plan.yaml" <<PLAN
limn: audit/1
title: What records say is left out
models: {judged: {model: $letters}}
data: {cabs: {file: $work/data.jsonl, prompt-field: text, label-field: answer, id-field: id, choices: [d, x], groups: [lang]}}
steps:
- {run: predict, id: decisions}
- {run: attribute, id: words}
- {run: reasons, data: cabs, with: {limit: 3}}
- {run: sensitive}
cases: {count: 3, run: why}
gates:
- {metric: decisions.accuracy, op: '>=', value: 1%}
PLAN
# audit NAME OPTIONS: into $work/NAME.*
audit() {
    name=$1
    shift
    what="limn audit $*"
    "$LIMN" audit "$work/plan.yaml" -q --work "$work/$name" -o "$work/$name.html" -o "$work/$name.md" -o "$work/$name.json" \
        -o "$work/$name.pdf" --junit "$work/$name.xml" --sarif "$work/$name.sarif" --summary "$work/$name.sum" "$@" \
        >"$out" 2>"$err"
    code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 4 ] || problem "exit code $code"
}

# plain FILE: its text without the marks of its format, on one line
plain() {
    case $1 in
    *.pdf) pdftotext "$1" - ;;
    *.html) sed 's/<[^>]*>//g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/\\"/"/g' "$1" ;;
    *) sed 's/\\//g' "$1" ;;
    esac | tr -s ' \n\t' ' '
}
outputs() {
    for file in "$work/$1".html "$work/$1".md "$work/$1".json "$work/$1".xml "$work/$1".sarif "$work/$1".sum \
        "$work/$1/log.jsonl" "$work/$1/report.json" "$work/$1/manifest.json" "$work/$1/index.json"; do
        echo "$file"
    done
    ! command -v pdftotext >/dev/null 2>&1 || echo "$work/$1.pdf"
}
sed 's/.*"text": "\(.*\)", "answer.*/\1/; s/\\//g' "$work/data.jsonl" >"$work/secrets"
sed 's/.*"id": "\([^"]*\)".*/\1/' "$work/data.jsonl" >>"$work/secrets"

audit open
plain "$work/open.md" >"$out"
grep -q -F -f "$work/secrets" "$out" || problem "nothing to be left out stands in the open report: the test sees nothing"
# the log is never rewritten: nothing of a case stands there either way
plain "$work/open/log.jsonl" >"$out"
! grep -q -F -f "$work/secrets" "$out" || problem "the log holds: $(grep -o -F -f "$work/secrets" "$out" | head -n 3)"

audit closed --redact "$work/key"
[ "$(stat -c %a "$work/key")" = 600 ] || problem "others may read the key"
for file in $(outputs closed); do
    plain "$file" >"$out"
    ! grep -q -F -f "$work/secrets" "$out" || problem "$file holds: $(grep -o -F -f "$work/secrets" "$out" | head -n 3)"
done
grep -q 'What was left out' "$work/closed.md" || problem "the commitments are not listed"
limn log verify "$work/closed" --page "$work/closed.html"
expect_code 0

# kept or anew, the same key gives the same bytes; another key others
audit closed --redact "$work/key"
cp "$work/closed/report.json" "$work/first.json"
audit anew --redact "$work/key"
cmp "$work/anew/report.json" "$work/first.json" || problem "the same key, and another report"
audit other --redact "$work/key2"
cmp -s "$work/other/report.json" "$work/first.json" && problem "another key, and the same report"

# who has the key checks a commitment with other tools
if command -v openssl >/dev/null 2>&1; then
    what="a commitment"
    for secret in 'case-0-x' "$(sed -n 1p "$work/secrets")"; do
        printf '%s' "$secret" >"$work/one"
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(cat "$work/key")" -binary "$work/one" >"$work/salted"
        cat "$work/one" >>"$work/salted"
        commitment=$(sha256sum "$work/salted" | cut -d ' ' -f 1)
        grep -q "$commitment" "$work/closed.json" && found=yes
    done
    [ "${found:-no}" = yes ] || problem "no commitment in the report is that of a record"
fi
wrong 3 'is no key, expected 64 hex digits' audit "$work/plan.yaml" --redact "$work/plan.yaml"
finish
