# What each command answers, on small random models.
. "$(dirname "$0")/expect.sh"
model=$golden/llama-old
letters_model

limn info "$model"
expect_code 0
expect_out 'LlamaForCausalLM'
limn info "$model" --adapter "$golden/adapters/layers/1:0.5"
expect_code 0
expect_out 'Adapter 1'
expect_out 'tiny/llama-old'
expect_out 'LoRA'
limn info "$golden/bert-classifier"
expect_out 'BertForSequenceClassification'
expect_out 'Classes'
limn info "$model" --json
expect_code 0
expect_out '"limn.result/1"'

limn sites "$model" 'blocks.0.attn.*'
expect_code 0
expect_out 'blocks.0.attn.hook_z'
expect_no 'blocks.1' "$out"
expect_no 'hook_embed' "$out"

limn tokenize "$letters" --text 'a cab' --json
expect_code 0
expect_out '"a cab"'
limn tokenize "$letters" --decode 1,0,3,1,2
expect_code 0
expect_out 'a cab'

limn run "$model" --ids 1,2,3 --top 3
expect_code 0
expect_out 'Output at position 2'
limn run "$letters" -p 'a cab' --target d
expect_code 0
expect_out '\bd\b'

# the cost of a pass instead of its answer; nothing is written
limn run "$model" --ids 1,2,3 --estimate --save '*' -o "$work/cost.safetensors"
expect_code 0
expect_out '^About .* for 3 tokens'
expect_out 'working memory of one step'
expect_out 'time of the pass'
expect_no 'Output at position' "$out"
[ ! -e "$work/cost.safetensors" ] || problem "an estimate wrote a file"
wrong 2 "option 'values': found '.*report.html', expected a name that ends in .safetensors" \
    run "$model" --ids 1,2,3 --values "$work/report.html"
[ ! -e "$work/report.html" ] || problem "a report's name was taken for values"

# a padded row answers like the prompt without it; a bare word for the file; a face's option anywhere
limn run --json "$model" --ids=1,2,3 -n 2 --quiet
expect_code 0
cp "$out" "$work/one.json"
limn verify "$work/one.json"
expect_code 0
expect_out 'the same bytes again'
# a record made while values went to a file, on another number of threads: the same bytes without one
limn run --json "$model" --ids=1,2,3 --save hook_embed -o "$work/kept.safetensors" --threads 1 --quiet
expect_code 0
cp "$out" "$work/kept.json"
limn verify "$work/kept.json"
expect_code 0
expect_out 'the same bytes again'
limn verify "$work/kept.json" --threads 2
expect_code 0
expect_out 'number of'
limn verify "$work/kept.json" --dtype f32
expect_code 2
expect_err "verify has no option 'dtype'"
limn verify "$work/kept.json" --memory 1K
expect_code 3
expect_err 'memory'
sed 's/\("log_probability": *-\?[0-9]\)/\19/; s/\("top", *"title"\)/\1/' "$work/one.json" >"$work/two.json"
sed -i 's/0\.0/0.1/g' "$work/two.json"
limn verify "$work/two.json"
expect_code 1
expect_out 'another answer'

# edits change the answer, and an edit to the value that is there does not
limn run "$model" --ids 1,2,3 --save 'blocks.0.hook_mlp_out,blocks.*.attn.hook_pattern' -o "$work/acts.safetensors"
expect_code 0
expect_out 'blocks.0.hook_mlp_out'
expect_out 'logits'
limn run "$model" --ids 1,2,3 --json --top 61
cp "$out" "$work/clean.json"
limn run "$model" --ids 1,2,3 --json --top 61 --set "blocks.0.hook_mlp_out=$work/acts.safetensors:blocks.0.hook_mlp_out"
expect_code 0
[ "$(grep -c . "$out")" -gt 0 ] || problem "nothing came"
limn run "$model" --ids 1,2,3 --top 3 --set 'blocks.*.hook_mlp_out[pos=-1]=zero'
expect_code 0
expect_out 'What was changed'

limn run "$model" --ids 1,2,3 --grad hook_embed --target-id 4 -o "$work/grad.safetensors"
expect_code 0
expect_out 'hook_embed.grad'
head -c 2000 "$work/grad.safetensors" | grep -a -q 'hook_embed.grad' || problem "the gradient is not in the file"

limn run "$golden/bert-mlm" --ids 1,2,3 --at 1 --top 2
expect_code 0
expect_out 'Output at position 1'
limn run "$golden/bert-classifier" --ids 1,2,3
expect_code 0
expect_out 'Likeliest class'

# what should be known before long work is said at once, on stderr; quiet is quiet
least=$("$LIMN" run "$golden/gemma2" --ids 3,9,27 --top 64 | sed -n 's/^  <[0-9]*> *\([0-9]*\) .*/\1/p' | tail -n 1)
limn ig "$golden/gemma2" --ids 3,9,27 --target-id "$least" --steps 2
expect_err "^limn: warning: the model would hardly begin with '<$least>'"
limn ig "$golden/gemma2" --ids 3,9,27 --target-id "$least" --steps 2 -o "$work/unlikely.json"
[ "$(grep -c 'hardly begin' "$err")" -eq 1 ] || problem "it is said twice"
limn ig "$golden/gemma2" --ids 3,9,27 --target-id "$least" --steps 2 --quiet
expect_no 'hardly begin' "$err"
expect_out 'hardly begin'
limn run "$golden/bert-bare" --ids 1,2,3
expect_code 0
expect_out 'embedding'

# greedy decoding with the cache says what passes without it say
ids=1,2,3
for step in 1 2 3 4; do
    next=$("$LIMN" run "$model" --ids $ids --top 1 --json | tr -d ' \n' | grep -o '"id":"top".*' |
        grep -o '"rows":\[\[[^]]*\]' | grep -o ',[0-9]*,' | head -n 1 | tr -d ,)
    ids=$ids,$next
done
limn generate "$model" --ids 1,2,3 --max-tokens 4 --json
expect_code 0
said=$(tr -d ' \n' <"$out" | grep -o '"id":"tokens".*' | grep -o '\["[^]]*\]\|\[{[^]]*\]' | grep -o ',[0-9][0-9]*,' | tr -d '\n' | tr -s , | sed 's/^,//; s/,$//')
[ "1,2,3,$said" = "$ids" ] || problem "generate said $said, run said $ids"

limn generate "$letters" -p 'abc' --max-tokens 5
expect_code 0
[ -s "$out" ] || problem "no text came"
limn generate "$letters" -p 'abc' --max-tokens 12 --temperature 2 --seed 5
cp "$out" "$work/first"
limn generate "$letters" -p 'abc' --max-tokens 12 --temperature 2 --seed 5
cmp -s "$out" "$work/first" || problem "the same seed gave another text"
limn generate "$letters" -p 'abc' --max-tokens 12 --temperature 2 --seed 6
! cmp -s "$out" "$work/first" || problem "another seed gave the same text"

# integrated gradients: to a page, to a record that can be verified; a check that fails is exit code 1, one that does not
# decide 4
limn ig "$letters" -p 'abcab' --target d --steps 32 --rule gauss-legendre -o "$work/why.html" -o "$work/why.json" --show --check none
expect_out 'Checks'
if grep -q 'FAIL' "$out"; then expect_code 1; elif grep -q '^? open' "$out"; then expect_code 4; else expect_code 0; fi
grep -q '<html' "$work/why.html" || problem "why.html is not HTML"
limn verify "$work/why.json"
expect_code 0
expect_out 'the same bytes again'

limn methods
expect_code 0
expect_out 'generate'

# -o is the report of every command; values and decisions have options of their own, and -o still knows their endings
limn run "$model" --ids 1,2 --save hook_embed --values "$work/named.safetensors" -o "$work/run.html"
expect_code 0
[ ! -s "$out" ] || problem "with -o nothing goes to standard output"
grep -q '<html' "$work/run.html" || problem "run.html is not HTML"
limn run "$model" --ids 1,2 --save hook_embed -o "$work/ending.safetensors"
expect_code 0
expect_out 'Likeliest token'
cmp "$work/named.safetensors" "$work/ending.safetensors" >/dev/null || problem "--values and -o wrote other values"
limn run "$model" --ids 1,2 -o "$work/both.safetensors" -o "$work/both.json"
expect_code 0
[ -s "$work/both.safetensors" ] && grep -q '"limn.result/1"' "$work/both.json" || problem "not both files"
wrong 2 "option 'values' is given twice" run "$model" --ids 1 -o "$work/a.safetensors" --values "$work/b.safetensors"
wrong 2 'no format has the ending .safetensors' info "$model" -o "$work/info.safetensors"

# -o - is standard output, in the format asked for
limn info "$model" --json
cp "$out" "$work/info_plain.json"
limn info "$model" --json -o -
expect_code 0
grep -v '"started"\|"seconds"\|"peak_bytes"' "$out" >"$work/dash"
grep -v '"started"\|"seconds"\|"peak_bytes"' "$work/info_plain.json" | cmp -s - "$work/dash" || problem "-o - is not standard output"
[ ! -e - ] || problem "a file called - was written"
limn info "$model" -o - -o "$work/dash.json"
expect_code 0
expect_out 'LlamaForCausalLM'
grep -q '"limn.result/1"' "$work/dash.json" || problem "-o - took the place of a file"

# a name of one format and another format asked for
for format in '--json' '--format json' '--format md'; do
    wrong 2 "option 'output': found '.*x.html' and the format [a-z]*, expected another" \
        ig "$letters" -p 'abcab' --target d -o "$work/x.html" $format
    [ ! -e "$work/x.html" ] || problem "x.html was written"
done
wrong 2 "option 'format': found 'md' and --json" info "$model" --json --format md
limn info "$model" --json -o "$work/same.json" -o "$work/no_ending"
expect_code 0
cmp -s "$work/same.json" "$work/no_ending" || [ "$(head -c 1 "$work/no_ending")" = '{' ] || problem "no JSON without an ending"

# failed checks and warnings reach standard error where the report goes to a file
limn ig "$model" --ids 1,2,3 -o "$work/warned.json"
expect_err '^limn: warning: whether this points at the cause was not checked: .*given as ids'
limn ig "$model" --ids 1,2,3 -q -o "$work/warned.json"
expect_no 'warning' "$err"
limn ig "$model" --ids 1,2,3 -o "$work/warned.json" -o -
expect_out 'warning'
expect_no 'warning' "$err"
limn verify "$work/two.json" -q -o "$work/verdict.html"
expect_code 1
expect_err "^limn: check 'same-answer' failed: 0, expected at least 1 (1 when everything agrees"
[ ! -s "$out" ] || problem "with -o nothing goes to standard output"
limn verify "$work/one.json" -o "$work/verdict.html"
expect_code 0
[ ! -s "$err" ] || problem "nothing failed, and yet something was said"

# results go to files whole, in the format of their ending
limn run "$model" --ids 1,2 --save hook_embed -o "$work/none/acts.safetensors"
expect_code 2
limn info "$model" -o "$work/info.html" -o "$work/info.json" -o "$work/info.md"
expect_code 0
[ ! -s "$out" ] || problem "with -o nothing goes to standard output"
grep -q '<html' "$work/info.html" || problem "info.html is not HTML"
grep -q '"limn.result/1"' "$work/info.json" || problem "info.json is not a result"
limn info "$model" -o "$work/info2.json" --show
expect_out 'LlamaForCausalLM'

# the number of threads changes nothing but what the record says of it
limn run "$model" --ids 1,2,3,4,5,6,7 --json --top 61 --threads 1
cp "$out" "$work/one_thread.json"
limn run "$model" --ids 1,2,3,4,5,6,7 --json --top 61 --threads 3
same() {
    tr ',' '\n' <"$1" | grep -v '"threads"\|"started"\|"seconds"\|"peak_bytes"\|measured'
}
same "$out" >"$work/three"
same "$work/one_thread.json" >"$work/one"
cmp -s "$work/one" "$work/three" || problem "three threads gave other bytes than one"

# colours only where they are wanted
limn run "$model" --ids 1,2
expect_no "$(printf '\033')" "$out"
limn run "$model" --ids 1,2 --color always
expect_out "$(printf '\033')"
if script -qc true /dev/null >/dev/null 2>&1; then # a terminal of its own, where the machine can make one
    what="limn run on a terminal"
    TERM=xterm script -qc "$LIMN run $model --ids 1,2" /dev/null >"$out" 2>"$err" </dev/null
    expect_out "$(printf '\033')"
    what="limn run on a terminal with NO_COLOR"
    NO_COLOR=1 TERM=xterm script -qc "$LIMN run $model --ids 1,2" /dev/null >"$out" 2>"$err" </dev/null
    expect_no "$(printf '\033')" "$out"
    what="limn run on a dumb terminal"
    TERM=dumb script -qc "$LIMN run $model --ids 1,2" /dev/null >"$out" 2>"$err" </dev/null
    expect_no "$(printf '\033')" "$out"
fi

# decisions on a data set: counted, written as they are made, gone on with, and a data set again
printf 'text,answer\r\n"a cab",d\r\n"a ""b"" bad",x\r\nab,d\r\n' | tr -d '"' | sed 's/a b bad/a bad/' >"$work/data.csv"
limn predict "$letters" "$work/data.csv" --prompt-field text --choices d,x --label-field answer -o "$work/out.jsonl"
expect_code 0
expect_out 'of 3 labelled records right'
expect_out 'Confusion'
[ "$(wc -l <"$work/out.jsonl")" -eq 3 ] || problem "three records, but not three lines"
cp "$work/out.jsonl" "$work/whole.jsonl"
head -c 500 "$work/whole.jsonl" >"$work/out.jsonl"
limn predict "$letters" "$work/data.csv" --prompt-field text --choices d,x --label-field answer -o "$work/out.jsonl"
expect_code 0
cmp -s "$work/out.jsonl" "$work/whole.jsonl" || problem "a cut file was not gone on with"
limn predict "$letters" "$work/data.csv" --prompt-field text --choices d,x --label-field answer \
    --decisions "$work/named.jsonl" -o "$work/predict.html"
expect_code 0
[ ! -s "$out" ] || problem "with -o nothing goes to standard output"
cmp -s "$work/named.jsonl" "$work/whole.jsonl" || problem "--decisions and -o wrote other decisions"
grep -q '<html' "$work/predict.html" || problem "predict.html is not HTML"
limn predict "$letters" "$work/data.csv" --prompt-field text --choices x,d --label-field answer -o "$work/out.jsonl"
expect_code 2
expect_err 'other choices'
# limits: 2 of 3 are right, Wilson's interval is 0.21 to 0.94
decide() {
    limn predict "$letters" "$work/data.csv" --prompt-field text --choices d,x --label-field answer "$@"
}
decide --at-least accuracy=0.2
expect_code 0
decide --at-least accuracy=50%
expect_code 4
expect_out 'the limit lies within the 95% interval,'
decide --at-least accuracy=0.95
expect_code 1
expect_out 'FAIL  accuracy'
decide --at-least accuracy=0.5 --at-most accuracy=0.2
expect_code 1
decide --at-least accuracy=0.5 --json
expect_code 4
expect_out '"state": "inconclusive"'
wrong 2 'there is no measure' predict "$letters" "$work/data.csv" --prompt-field text --choices d,x --at-least size=3
# records: none, bad, a list
: >"$work/empty.jsonl"
wrong 2 'empty.jsonl: no records; --allow-empty' predict "$letters" "$work/empty.jsonl" --prompt-field text --choices d,x
limn predict "$letters" "$work/empty.jsonl" --prompt-field text --choices d,x --allow-empty
expect_code 1
expect_out 'FAIL  records'
wrong 2 'no records that --where leaves' predict "$letters" "$work/data.csv" --prompt-field text --choices d,x \
    --where 'length(text) > 99'
printf '[{"text": "a cab"},\n {"text": ["a"]},\n {"text": "ab"}]\n' >"$work/array.json"
wrong 2 "array.json: line 2: the field 'text' is a list" predict "$letters" "$work/array.json" --prompt-field text --choices d,x
limn predict "$letters" "$work/array.json" --prompt-field text --choices d,x --on-error skip --decisions "$work/skip.jsonl" -o - \
    -o "$work/skip.json"
expect_code 1
expect_out 'Records that were skipped'
[ "$(wc -l <"$work/skip.jsonl")" -eq 3 ] || problem "a line for each record"
grep -q '"error": ' "$work/skip.jsonl" || problem "the skipped record is not in the file"
# two files of decisions, compared: a command of two words
limn compare decisions "$work/whole.jsonl" "$work/named.jsonl"
expect_code 0
expect_out '0 decisions changed'
sed 's/"pred": "d"/"pred": "x"/' "$work/whole.jsonl" >"$work/worse.jsonl"
limn compare decisions "$work/whole.jsonl" "$work/worse.jsonl" --at-least accuracy=0 -o "$work/compared.json" -o "$work/compared.html"
expect_code 4
expect_err "check 'accuracy' is inconclusive"
limn verify "$work/compared.json"
expect_code 0
expect_out 'the same bytes again'
limn compare decisions "$work/whole.jsonl" "$work/worse.jsonl" --at-least accuracy=0.9
expect_code 1
wrong 2 "there is no command 'compare'; nearest: 'compare methods', 'compare decisions'" compare dec
wrong 2 'compare decisions needs B.jsonl' compare decisions "$work/whole.jsonl"
limn verify "$work/skip.json"
expect_code 0
expect_out 'the same bytes again'

limn predict "$letters" "$work/out.jsonl" --prompt-field prompt --choices d,x --where 'label == pred' --json
expect_code 0
cp "$out" "$work/pred.json"
limn verify "$work/pred.json"
expect_code 0
expect_out 'the same bytes again'
limn predict "$letters" "$work/data.csv" --template '{text' --choices d,x
expect_code 2
expect_err 'template'

finish
