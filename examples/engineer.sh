#!/bin/sh
# Where in the model is it? From two prompts down to a layer, a head and a neuron, and how far to believe it.
# PROMPT=... CORRUPT=... examples/engineer.sh asks about other prompts (of equally many tokens).
. "$(dirname "$0")/common.sh"
prompt=${PROMPT:-'The capital of France is'}
corrupt=${CORRUPT:-'The capital of Italy is'}
out=${OUT:-$here/out/engineer}
mkdir -p "$out"

echo "1. Every layer, head, MLP and neuron at once, by one gradient; some of them changed in earnest:"
"$LIMN" causal-grad "$MODEL" -p "$prompt" --corrupt "$corrupt" --check quick \
    -o "$out/where.html" -o "$out/where.json" -o "$out/where.txt"
sed -n '1,/^Prompt/p' "$out/where.txt"

# the strongest head by the estimate
head=$(python3 - "$out/where.json" <<'PYTHON'
import json, sys
blocks = {b["id"]: b for b in json.load(open(sys.argv[1]))["blocks"]}
values = blocks["effects.head"]["values"]
layer, head = max(((l, h) for l, row in enumerate(values) for h in range(len(row))), key=lambda at: abs(values[at[0]][at[1]]))
print(layer, head)
PYTHON
)
layer=${head% *}
head=${head#* }

echo "2. The same question to all heads, one true run for each:"
"$LIMN" patch "$MODEL" -p "$prompt" --corrupt "$corrupt" --site z -o "$out/heads.html" -o "$out/heads.txt"
sed -n '1,/^Prompt/p' "$out/heads.txt"

echo "3. The answer with head $head of layer $layer switched off, and with everything in place:"
target=$("$LIMN" run "$MODEL" -p "$prompt" --json --quiet | python3 -c '
import json, sys
print(json.load(sys.stdin)["blocks"][0]["rows"][0][0])')
printf '%-24s' 'everything'
probability "$prompt" "$target"
printf '%-24s' "without head $layer.$head"
probability "$prompt" "$target" --set "blocks.$layer.attn.hook_z[head=$head]=zero"

echo "4. Which words it comes from, by relevance that is handed back through every operation:"
"$LIMN" lrp "$MODEL" -p "$prompt" --check quick -o "$out/words.html" -o "$out/words.txt"
sed -n '1,/^Target/p' "$out/words.txt"

echo "The pages are in $out: where.html, heads.html, words.html."
