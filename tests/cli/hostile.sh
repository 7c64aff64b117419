# Model files that are broken or lie: one line that names the file and what is wrong, exit code 3 (2 for a name that
# does not exist), nothing written, and no memory taken by a count in a header. Each file differs from a good one in one
# place.
. "$(dirname "$0")/expect.sh"
LC_ALL=C
export LC_ALL
model=$golden/llama-old
corpus=$SOURCE/fuzz/corpus

# a fresh copy of the good model in $work/m
fresh() {
    rm -rf "$work/m"
    cp -r "$model" "$work/m"
    chmod -R u+w "$work/m"
    rm -f "$work/m/golden.safetensors"
    weights=$work/m/model.safetensors
}

# bytes OFFSET OCTAL...: overwrites in place
bytes() {
    at=$1
    shift
    printf "$(printf '\\%s' "$@")" | dd of="$weights" bs=1 seek="$at" conv=notrunc 2>/dev/null
}

# header SED-SCRIPT: edits the header without changing its length
header() {
    sed "$1" "$weights" >"$weights.new"
    [ "$(wc -c <"$weights.new")" = "$(wc -c <"$weights")" ] || problem "the edit '$1' changed the length"
    ! cmp -s "$weights" "$weights.new" || problem "the edit '$1' changed nothing"
    mv "$weights.new" "$weights"
}

# refused PATTERN: run, info and sites all refuse, and run writes nothing
refused() {
    mkdir -p "$work/room"
    wrong 3 "$1" run "$work/m" --ids 1,2 --save hook_embed -o "$work/room/acts.safetensors"
    expect_err "$work/m"
    [ -z "$(ls -A "$work/room")" ] || problem "something was left: $(ls -A "$work/room")"
}

# the good one first: what follows is refused for its fault and not for something else
fresh
limn run "$work/m" --ids 1,2
expect_code 0

# safetensors
fresh
truncate -s -1 "$weights"
refused 'truncated'
fresh
truncate -s 700 "$weights"
refused 'truncated'
fresh
: >"$weights"
refused 'not a safetensors file'
fresh
printf 'x' >>"$weights"
refused 'belong to no tensor'
fresh
bytes 0 377 377 377 377 377 377 377 177
refused 'at most 100000000'
fresh
bytes 0 377 340 365 005
refused 'truncated'
fresh
header 's/\[0,7808\]/[1,7809]/'
refused "'lm_head.weight' is misaligned\|'model.embed_tokens.weight' overlap"
fresh
header 's/\[7808,15616\]/[7804,15612]/'
refused 'overlap'
fresh
header 's/"data_offsets":\[0,7808\]/"data_offsets":[0,7804]/'
refused "'lm_head.weight' has 7804 bytes"
fresh
header 's/"lm_head.weight":{"dtype":"F32"/"lm_head.weight":{"dtype":"F99"/'
refused "'lm_head.weight' has dtype 'F99'"
fresh
header 's/"model.norm.weight"/"model.nirm.weight"/'
refused 'model.norm.weight'
fresh
header 's/"shape":\[61,32\]/"shape":[32,61]/'
refused 'weight'
fresh
header 's/"format":"pt"/"format" "pt"/'
refused 'its header'
fresh
size=$(wc -c <"$weights")
bytes $((size - 4)) 000 000 300 177
refused 'model.norm.weight'
expect_err 'nan\|NaN'

# a header that says 100 MB in a small file takes no memory; nor does a GGUF file that says it has 2^59 tensors
if (ulimit -v 4000000 && "$LIMN" info "$model" >/dev/null 2>&1); then
    fresh
    bytes 0 377 340 365 005
    what="limn info with little memory"
    (ulimit -v 4000000 && "$LIMN" info "$work/m" >"$out" 2>"$err")
    code=$?
    expect_code 3
    expect_err 'truncated'
    weights=$work/vast.gguf
    cp "$corpus/gguf/seed-version-2" "$weights"
    bytes 8 000 000 000 000 000 000 000 010
    (ulimit -v 4000000 && "$LIMN" info "$weights" >"$out" 2>"$err")
    code=$?
    expect_code 3
    expect_err 'vast.gguf: says it has 576460752303423488 tensors'
fi

# GGUF
for case in overlap:overlap past-end:truncated twice:'appears twice' nested:'nested array'; do
    cp "$corpus/gguf/seed-${case%%:*}" "$work/bad.gguf"
    wrong 3 "bad.gguf.*${case#*:}" info "$work/bad.gguf"
done
cp "$corpus/gguf/seed-every-value" "$work/bad.gguf"
wrong 3 'bad.gguf.*general.architecture' info "$work/bad.gguf"
head -c 300 "$corpus/gguf/seed-tokenizer" >"$work/bad.gguf"
wrong 3 'bad.gguf' info "$work/bad.gguf"
echo 'not a model' >"$work/bad.gguf"
wrong 3 'bad.gguf: not a GGUF file' info "$work/bad.gguf"

# shards
fresh
mv "$weights" "$work/m/other.safetensors"
echo '{"weight_map": {"lm_head.weight": "absent.safetensors"}}' >"$work/m/model.safetensors.index.json"
limn info "$work/m"
expect_err 'index.json.*absent.safetensors'
one_line
[ "$code" -eq 2 ] || [ "$code" -eq 3 ] || problem "exit code $code, expected 2 or 3"
echo '{"weight_map": {"lm_head.weight": "../m/other.safetensors"}}' >"$work/m/model.safetensors.index.json"
wrong 3 'index.json.*lm_head.weight.*same folder' info "$work/m"
echo '{"weight_map": {"no.such.tensor": "other.safetensors"}}' >"$work/m/model.safetensors.index.json"
wrong 3 'index.json.*no.such.tensor' info "$work/m"

# config.json
fresh
for edit in 's/"hidden_size": 32/"hidden_size": -32/' 's/"hidden_size": 32/"hidden_size": 1000000000000/' \
    's/"hidden_size": 32/"hidden_size": "32"/' 's/"num_attention_heads": 4/"num_attention_heads": 0/' \
    's/"num_hidden_layers": 2/"num_hidden_layers": 2000000000/' 's/"hidden_act": "silu"/"hidden_act": "sulk"/' \
    's/"rope_scaling": null/"rope_scaling": {"rope_type": "odd"}/' 's/"rms_norm_eps": 0.02/"rms_norm_eps": "small"/' \
    's/"vocab_size": 61/"vocab_size": 62/'; do
    sed "$edit" "$model/config.json" >"$work/m/config.json"
    wrong 3 "$work/m/" info "$work/m"
done
cp "$model/config.json" "$work/m/config.json"

# tokenizer.json
echo '{"model": {"type": "Abacus"}}' >"$work/m/tokenizer.json"
wrong 3 'tokenizer.json.*Abacus' run "$work/m" -p a
right 'tokenizer.json.*Abacus' info "$work/m"
right 'Likeliest token' run "$work/m" --ids 1
sed 's/"ByteLevel","add_prefix_space":true/"ByteGravel","x":true/' "$corpus/tokenizer/seed-gpt2" |
    sed 's/"pre_tokenizer":{"type":"ByteLevel"/"pre_tokenizer":{"type":"ByteGravel"/' >"$work/m/tokenizer.json"
wrong 3 'tokenizer.json.*ByteGravel' run "$work/m" -p a
head -c 200 "$corpus/tokenizer/seed-gpt2" >"$work/m/tokenizer.json"
wrong 3 'tokenizer.json' run "$work/m" -p a
rm "$work/m/tokenizer.json"

# what is no model at all
wrong 3 'unknown kind\|expected a model' info /dev/null
mkdir "$work/empty"
limn info "$work/empty"
expect_err "$work/empty"
one_line
wrong 2 'org/absent.*Hugging Face cache' info org/absent
finish
