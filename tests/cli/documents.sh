# Every command's document keeps to docs/result.schema.json; a page can be verified; threads change nothing.
. "$(dirname "$0")/expect.sh"
model=$golden/llama-old
letters_model
checker=$BUILD/tests/result_test_schema
[ -x "$checker" ] || exit 77

keeps_to_schema() {
    limn "$@" --json
    [ "$code" -le 1 ] || [ "$code" -eq 4 ] || problem "exit code $code"
    "$checker" "$out" || problem "the document does not keep to the schema"
}

keeps_to_schema info "$model"
keeps_to_schema sites "$model"
keeps_to_schema tokenize "$letters" --text 'a cab'
keeps_to_schema run "$model" --ids 1,2,3 --top 3
keeps_to_schema run "$letters" -p 'a cab' --target d
keeps_to_schema run "$golden/bert-classifier" --ids 1,2,3
keeps_to_schema generate "$letters" -p abc --max-tokens 3
keeps_to_schema ig "$letters" -p 'a cab' --target d
keeps_to_schema ig "$letters" -p 'a cab' --target d --contrast a --baseline token:a --baseline mean
keeps_to_schema ig "$letters" -p 'a cab' --target da --matrix --steps 4 --rule trapezoid
keeps_to_schema ig "$letters" -p 'a cab' --target d --check quick
keeps_to_schema grad "$letters" -p 'a cab' --target d --kind smoothgrad --samples 3
keeps_to_schema lrp "$letters" -p 'a cab' --target d --rules relp
keeps_to_schema compare methods "$letters" -p 'a cab de' --target d --methods grad,lrp,shap:samples=20 --sets 4
keeps_to_schema shap "$letters" -p 'a cab' --target d --samples 20
keeps_to_schema lime "$letters" -p 'a cab' --target d --samples 20 --repeats 2 --language zh
keeps_to_schema causal-grad "$letters" -p 'a cab' --corrupt 'a dab' --target d --steps 2
keeps_to_schema causal-grad "$letters" -p 'a cab' --against mean --kind atp-star --check quick --language zh
keeps_to_schema patch "$letters" -p 'a cab' --corrupt 'a dab' --target d --site z --language zh
keeps_to_schema patch "$letters" -p 'a cab' --corrupt 'a bit' --metric kl --reverse
keeps_to_schema mediate "$letters" -p 'a cab' --subject c --target d --by position --samples 6
keeps_to_schema mediate "$letters" -p 'a cab' --corrupt 'a dab' --tokens 3,4 --onward --language zh
keeps_to_schema why "$letters" -p 'a cab is red' --target d
keeps_to_schema why "$letters" -p 'a cab is red' --target d --contrast e --language zh
keeps_to_schema replace "$letters" -p 'a cab is red' --target d --pairs
keeps_to_schema methods
printf '{"text": "a cab", "l": "d", "g": "x"}\n{"text": "ab", "l": "f", "g": "y"}\n{"text": "", "l": "d", "g": "x"}\n' >"$work/data.jsonl"
keeps_to_schema predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,f --limit 2 --at-least share:d=0
keeps_to_schema predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,f --label-field l --group-field g \
    --on-error skip
"$LIMN" predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,f --label-field l --group-field g --limit 2 \
    --decisions "$work/d.jsonl" >"$out" 2>"$err"
sed 's/"pred": "[df]"/"pred": "f"/' "$work/d.jsonl" >"$work/e.jsonl"
keeps_to_schema compare decisions "$work/d.jsonl" "$work/e.jsonl" --at-most changed=1
keeps_to_schema diff "$letters" "$golden/adapters/layers/merged"
limn diff "$letters" --adapter "$golden/adapters/layers/1" --other-adapter "$golden/adapters/two/1" -p 'a cab' -o "$work/diff.json"
expect_code 0
keeps_to_schema verify "$work/diff.json"

limn ig "$letters" -p 'a cab' --target d -o "$work/why.html" -o "$work/why.svg" -o "$work/why.md" -o "$work/why.json"
[ "$code" -le 1 ] || [ "$code" -eq 4 ] || problem "exit code $code"
keeps_to_schema verify "$work/why.json"
limn verify "$work/why.html"
expect_code 0
expect_out 'the same bytes again'
for command in why 'replace --pairs' 'grad --kind norm' 'mediate --subject c --samples 2'; do # what was drawn is drawn again
    limn $command "$letters" -p 'a cab is red' --target d -o "$work/record.json"
    limn verify "$work/record.json"
    expect_code 0
    expect_out 'the same bytes again'
done
limn ig "$letters" -p 'a cab' --target d --threads 1 --json
sed '/"threads"/d; /"measured"/,$d' "$out" >"$work/one"
sed '/"threads"/d; /"measured"/,$d' "$work/why.json" >"$work/all"
cmp -s "$work/one" "$work/all" || problem "another number of threads gave another document"
finish
