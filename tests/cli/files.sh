# Pipes that close, disks that are full, files cut short while they are read.
. "$(dirname "$0")/expect.sh"
model=$golden/llama-old
letters_model

what="limn sites | head"
{ "$LIMN" sites "$model"; echo $? >"$work/code"; } 2>"$err" | head -n 1 >"$out"
[ ! -s "$err" ] || problem "a closed pipe is no reason to complain"

if [ -c /dev/full ]; then
    what="limn info >/dev/full"
    "$LIMN" info "$model" >/dev/full 2>"$err"
    code=$?
    : >"$out"
    expect_code 3
    expect_err 'No space left'
    one_line
    limn info "$model" -o /dev/full
    expect_code 3
    expect_err 'No space left'
    one_line
fi

# a disk with no room: nothing is left behind
mkdir "$work/room"
what="limn run -o with no room"
( ulimit -f 8; "$LIMN" run "$model" --ids 1,2,3 --save '*' -o "$work/room/acts.safetensors" >"$out" 2>"$err" )
code=$?
expect_code 3
one_line
[ -z "$(ls -A "$work/room")" ] || problem "something was left: $(ls -A "$work/room")"

# what was there before stays when the new file cannot be written
echo before >"$work/room/acts.safetensors"
( ulimit -f 8; "$LIMN" run "$model" --ids 1,2,3 --save '*' -o "$work/room/acts.safetensors" >"$out" 2>"$err" )
[ "$(cat "$work/room/acts.safetensors")" = before ] || problem "the old file is gone"

wait_for_text() {
    tries=0
    while [ ! -s "$1" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
}

# the weights are cut short under a run that reads them in place
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 1000000/; s/"eos_token_id": [0-9]*/"eos_token_id": null/' \
    "$letters/config.json"
chmod u+w "$letters/model.safetensors"
what="limn generate while the weights are truncated"
"$LIMN" generate "$letters" -p abc --max-tokens 200000 --backend ref >"$out" 2>"$err" &
pid=$!
wait_for_text "$out"
truncate -s 0 "$letters/model.safetensors"
wait $pid
code=$?
expect_code 3
expect_err 'letters/model.safetensors'
one_line

# Ctrl-C ends the work, says so and leaves nothing half written
letters_model_again=$work/letters
cp "$golden/llama-old/model.safetensors" "$letters_model_again/model.safetensors"
mkdir "$work/stopped"
what="limn generate, interrupted"
"$LIMN" generate "$letters" -p abc --max-tokens 200000 -o "$work/stopped/text.json" >"$out" 2>"$err" &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
code=$?
expect_code 3
expect_err 'stopped'
one_line
[ -z "$(ls -A "$work/stopped")" ] || problem "something was left: $(ls -A "$work/stopped")"
finish
