# Audits of a classifier and of a plain text model without labels: from --init to the end, and what cannot be asked of
# them is said.
. "$(dirname "$0")/expect.sh"
letters_model
classifier=$work/classifier
cp -r "$golden/bert-classifier" "$classifier"
cp "$golden/predict/bert/"* "$classifier"
records() { # FILE LABELLED
    i=0
    while [ $i -lt 40 ]; do
        label=$([ $((i % 3)) -eq 0 ] && echo refuse || echo grant)
        printf '{"id": "r%d", "text": "a cab%s"%s}\n' $i "$([ $((i % 2)) -eq 0 ] || echo ' is')" \
            "$([ "$2" = no ] || printf ', "label": "%s"' "$label")"
        i=$((i + 1))
    done >"$1"
}
records "$work/labelled.jsonl" yes
records "$work/plain.jsonl" no

# a classifier: its classes are the choices, and the plan that --init writes says none
limn audit "$work/c.yaml" --init --model "$classifier" --data "$work/labelled.jsonl"
expect_code 0
expect_no '^    choices' "$work/c.yaml"
sed -i 's/  # - run: /  - run: /; s/value: 80%/value: 1%/' "$work/c.yaml"
limn audit "$work/c.yaml" --dry-run
expect_code 0
expect_out 'limn sensitive'
limn audit "$work/c.yaml" --work "$work/c" -o "$work/c.md"
[ "$code" -eq 4 ] || [ "$code" -eq 1 ] || problem "exit code $code, expected 1 or 4: steps cannot be asked"
cp "$work/c.md" "$out"
expect_out 'BertForSequenceClassification'
expect_out 'refuse' # decisions are its classes
expect_out "step 'surgery' could not be asked"
expect_out "not looked for: step 'surgery' could not be asked"
expect_no '^# Passes' "$out"
limn log verify "$work/c"
expect_code 0
sed -i "s/    id-field/    choices: [' refuse', ' grant']\n    id-field/" "$work/c.yaml"
limn audit "$work/c.yaml" --dry-run
expect_code 0
expect_out 'is a classifier'

# no labels and no choices: which words the answers hang on can be asked, what is right cannot
limn audit "$work/p.yaml" --init --model "$letters" --data "$work/plain.jsonl"
expect_code 0
limn audit "$work/p.yaml" --work "$work/p" -o "$work/p.md"
[ "$code" -eq 0 ] || [ "$code" -eq 1 ] || problem "exit code $code, expected that of the gate"
cp "$work/p.md" "$out"
expect_out 'What each person is told'
expect_out 'not looked for: it needs labels'
# nothing was looked for: a gate over findings does not hold by that
sed -i 's/metric: checks.failed/metric: findings.high/; s/  # - run: predict/  - run: predict/; s/  #   id: dec/    id: dec/' "$work/p.yaml"
limn audit "$work/p.yaml" --dry-run
expect_code 0
expect_out "step 'decisions' could not be asked: predict needs --choices"
limn audit "$work/p.yaml" --work "$work/p" -o "$work/p.md"
expect_code 4
cp "$work/p.md" "$out"
expect_out '^# Undecided'
expect_out 'nobody looked for it'
expect_out "not looked for: step 'decisions' could not be asked"
# a step that could read the data set and is given nothing
sed -i '/    data: records/d' "$work/p.yaml"
limn audit "$work/p.yaml" --work "$work/p" -o "$work/p.md"
cp "$work/p.md" "$out"
expect_out "'data: records' in the step has it read that data set"
finish
