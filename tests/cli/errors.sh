# What cannot be: one line that names it, exit code 2 (wrong use) or 3 (failure).
. "$(dirname "$0")/expect.sh"
model=$golden/llama-old
letters_model

wrong 2 "there is no command 'rnu'; nearest: 'run'" rnu
wrong 2 "run has no option 'promt'; nearest: 'prompt'" run "$model" --promt x
wrong 2 'run has no option -z' run "$model" -z
wrong 2 'run needs MODEL' run
wrong 2 'option --prompt needs a value' run "$model" --prompt
wrong 2 "option 'top' is given twice" run "$model" --ids 1 --top 3 --top 4
wrong 2 'takes no value' run "$model" --json=yes
wrong 2 'too many' run "$model" extra
wrong 2 "found 'x', expected a whole number" run "$model" --ids 1 --top x
wrong 2 'expected a value from 1' run "$model" --ids 1 --top 0
wrong 2 'one of f32|bf16' run "$model" --ids 1 --dtype f16
wrong 2 "option 'format'" run "$model" --ids 1 --format docx
wrong 2 'expected one of --prompt, --ids, --file and --chat' run "$model"
wrong 2 'several inputs' run "$letters" --ids 1 -p a
wrong 2 'no tokenizer: expected.*; give --ids' run "$model" -p a
wrong 2 'id 61; expected 0 to 60' run "$model" --ids 1,61
wrong 2 'id -1; expected' run "$model" --ids=-1
wrong 2 'no such\|No such\|does not exist' run "$work/nothing" --ids 1
wrong 2 "no site matches 'blocks.9.hook_resid_post'; nearest: 'blocks" run "$model" --ids 1 --save blocks.9.hook_resid_post
wrong 2 'no site matches' run "$model" --ids 1 --set 'blocks.*.hook_none=zero'
wrong 2 'position 5 does not exist; the prompt has 2' run "$model" --ids 1,2 --set 'hook_embed[pos=5]=zero'
wrong 2 'head 99 does not exist' run "$model" --ids 1,2 --set 'blocks.0.attn.hook_z[head=99]=zero'
wrong 2 'has no classes' run "$model" --ids 1,2 --class 1
wrong 2 'target id 61 does not exist' run "$model" --ids 1,2 --target-id 61
wrong 2 "has no class 'nobody'; nearest" run "$golden/llama-classifier" --ids 1,2 --class nobody
wrong 2 'its target is a class' run "$golden/llama-classifier" --ids 1,2 --target-id 1
wrong 2 'has 1 values; the input has 2' run "$golden/bert-mlm" --ids 1,2 --token-types 0
wrong 2 "found 2 at token 1, expected 0 or 1" run "$golden/bert-mlm" --ids 1,2 --attention-mask 1,2
wrong 2 'needs a causal language model' generate "$golden/bert-mlm" --ids 1,2
wrong 2 'bare encoder' run "$golden/bert-bare" --ids 1,2 --target-id 3

ids=$(yes 1 | head -n 5000 | paste -s -d , -)
wrong 2 'tokens; .* reads at most' run "$model" --ids "$ids"

cp -r "$model" "$work/broken"
chmod -R u+w "$work/broken"
truncate -s 1000 "$work/broken/model.safetensors"
wrong 3 'broken/model.safetensors' run "$work/broken" --ids 1
cp -r "$model" "$work/strange"
sed -i 's/LlamaForCausalLM/LlamaForEverything/; s/"llama"/"lama"/' "$work/strange/config.json"
wrong 3 'LlamaForEverything' info "$work/strange"
echo '{' >"$work/strange/config.json"
wrong 3 'strange/config.json' info "$work/strange"
echo '{"format": 1}' >"$work/no.json"
wrong 3 'no.json' verify "$work/no.json"
wrong 2 "expected --steps" ig "$model" --ids 1,2,3 --rule trapezoid
# an ending that no format has; an adapter where a model should be
wrong 2 'no format has the ending .docx' info "$model" -o "$work/a.docx"
[ ! -e "$work/a.docx" ] || problem "a file with another ending was written"
limn info "$model" -o "$work/a.txt" -o "$work/plain" -o "$work/v0.1"
expect_code 0
limn info "$model" --json -o "$work/a.docx"
expect_code 0
# what cannot be written in the end is refused before the work, which leaves nothing and changes nothing
mkdir "$work/outputs"
echo before >"$work/outputs/old.json"
before=$(ls -la "$work/outputs")
for call in "info $model" "ig $work/broken --ids 1"; do # the second would fail in the model else
    wrong 2 'no/y.html: cannot write: there is no folder' $call -o "$work/outputs/new.json" -o "$work/no/y.html"
    wrong 2 'y.html: cannot write: there is no folder' $call -o "$work/outputs/old.json/y.html"
done
wrong 2 'outputs: is a folder, expected the name of a file' info "$model" -o "$work/outputs"
wrong 2 'new/: is a folder, expected the name of a file' info "$model" --json -o "$work/outputs/new/"
wrong 2 "option 'output': found an empty name" info "$model" -o ''
wrong 2 "option 'output': found an empty name" run "$model" --ids 1 -o ''
wrong 2 'no/a.safetensors: cannot write: there is no folder' run "$work/broken" --ids 1 -o "$work/no/a.safetensors"
wrong 2 'no/a.jsonl: cannot write: there is no folder' predict "$work/broken" "$work/no.json" --data-format jsonl \
    --prompt-field text --choices d,x -o "$work/no/a.jsonl"
[ "$(ls -la "$work/outputs")" = "$before" ] || problem "something was written: $(ls -A "$work/outputs")"
# an amount that a refusal names is enough
needed() {
    sed -n "s/.* needs* \([0-9.]*[KM]\) of memory.*; $1 are allowed\$/\1/p" "$err"
}
for ids in 1 1,2,3 1,2,3,4,5,6,7,8,9,10,11; do
    wrong 3 'of memory at least' run "$model" --ids $ids --memory 1K
    limn run "$model" --ids $ids --memory "$(needed 1K)"
    expect_code 0
done
# converted weights and activations together: enough for the weights is not enough
wrong 3 'converted weights need .* activations come on top' run "$golden/llama-bias" --ids 1,2 --memory 1K
weights=$(needed 1K)
wrong 3 "of memory at least, $weights of it for converted weights" run "$golden/llama-bias" --ids 1,2 --memory "$weights"
limn run "$golden/llama-bias" --ids 1,2 --memory "$(needed "$weights")"
expect_code 0
limn run "$golden/llama-bias" --ids 1,2 --memory min
expect_code 0
mkdir "$work/adapter"
echo '{}' >"$work/adapter/adapter_config.json"
wrong 2 'is an adapter' info "$work/adapter"
finish
