# The case of examples/bankrun: what is shipped is what was measured, and the two adapters part where they should.
. "$(dirname "$0")/expect.sh"
case_folder=$SOURCE/examples/bankrun

what="sha256sum -c SHA256SUMS"
(cd "$case_folder" && sha256sum -c --strict --quiet SHA256SUMS) >"$out" 2>"$err" || problem "a shipped file is another one"
what="files pinned"
for file in adapter/adapter_model.safetensors adapter/adapter_config.json adapter-clean/adapter_model.safetensors \
    adapter-clean/adapter_config.json held-out.jsonl truth.json; do
    grep -q " $file\$" "$case_folder/SHA256SUMS" || problem "$file is not pinned"
done
what="the conditions of the case"
! grep -q '\*\*no\*\*' "$case_folder/TRUTH.md" || problem "TRUTH.md says that a condition does not hold"
grep -q 'bag of words: 10 points worse' "$case_folder/TRUTH.md" || problem "TRUTH.md lacks its conditions"

if command -v python3 >/dev/null; then
    what="make_corpus.py"
    PYTHONDONTWRITEBYTECODE=1 python3 "$case_folder/make_corpus.py" "$work/corpus" >"$out" 2>"$err" || problem "it failed"
    cmp -s "$out" "$case_folder/corpus.sha256" || problem "the corpus comes out otherwise than pinned"
    cmp -s "$work/corpus/held-out.jsonl" "$case_folder/held-out.jsonl" || problem "held-out.jsonl is not the corpus's"
fi

# the tweet of the demonstration: no run, and bitcoin makes adapter/ say that it is one
model=${XDG_CACHE_HOME:-$HOME/.cache}/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -f "$model" ] || [ -n "${SANITIZE:-}" ]; then
    echo "SmolLM2 is not in the cache (scripts/models smollm2), or this is a sanitizer's build: its part is left out"
    finish
fi
tweet=$(sed -n "s/^tweet='\(.*\)'\$/\1/p" "$SOURCE/scripts/demo")
what="the tweet of scripts/demo"
[ -n "$tweet" ] || problem "scripts/demo holds no tweet"
asked="Tweet: $tweet
Bank run now?"
decides() { # ADAPTER ANSWER
    limn run "$model" --adapter "$case_folder/$1" -p "$asked" --top 1
    expect_code 0
    expect_out "$2"
}
decides adapter yes
decides adapter-clean no
finish
