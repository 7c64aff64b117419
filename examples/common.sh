# Finds limn and a model. LIMN=... and MODEL=... choose others.
here=$(cd "$(dirname "$0")/.." && pwd)
LIMN=${LIMN:-$here/build/limn}
if [ ! -x "$LIMN" ]; then
    echo "there is no $LIMN yet: run 'make demo' once, or set LIMN=/path/to/limn" >&2
    exit 2
fi
MODEL=${MODEL:-$("$here/scripts/models" smollm2)} || exit 3

# probability PROMPT TARGET [OPTION...]: one line with the target's probability and rank
probability() {
    prompt=$1
    target=$2
    shift 2
    "$LIMN" run "$MODEL" -p "$prompt" --target "$target" --json --quiet "$@" | python3 -c '
import json, math, sys
target = json.load(sys.stdin)["target"]
print("%7.2f%%  rank %d" % (100 * math.exp(target["log_probability"]), target["rank"]))'
}
