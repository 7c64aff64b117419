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

# a run of predictions that finds no room, or is killed, is gone on with: the same bytes in the end
what="limn predict -o with no room"
i=0
while [ $i -lt 24 ]; do
    echo "{\"text\": \"abc de $i\"}" | tr 0123456789 fghijklmno
    i=$((i + 1))
done >"$work/many.jsonl"
predict() {
    "$LIMN" predict "$letters" "$work/many.jsonl" --prompt-field text --choices d,xyz --batch 4 -o "$1" >"$out" 2>"$err"
}
predict "$work/whole.jsonl" || problem "$(cat "$err")"
( ulimit -f 4; predict "$work/part.jsonl" ) # blocks of 512 or 1,024 bytes
code=$?
expect_code 3
expect_err 'part.jsonl keeps what is done and the same command goes on with it: '
one_line
[ -s "$work/part.jsonl" ] || problem "nothing was kept"
cmp -s "$work/part.jsonl" "$work/whole.jsonl" && problem "there was room"
predict "$work/part.jsonl" || problem "$(cat "$err")"
cmp "$work/part.jsonl" "$work/whole.jsonl" || problem "another outcome after a full disk"

for signal in INT KILL; do
    what="limn predict -o, stopped by $signal"
    rm "$work/part.jsonl"
    mkfifo "$work/feed"
    "$LIMN" predict "$letters" "$work/feed" --data-format jsonl --prompt-field text --choices d,xyz --batch 4 \
        -o "$work/part.jsonl" >"$out" 2>"$err" &
    child=$!
    exec 9>"$work/feed"
    head -n 12 "$work/many.jsonl" >&9 # and no end: it waits for more, what it has is written
    tries=0
    while [ ! -s "$work/part.jsonl" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -$signal $child
    exec 9>&-
    wait $child 2>/dev/null
    rm "$work/feed"
    [ -s "$work/part.jsonl" ] || problem "nothing was kept"
    cmp -s "$work/part.jsonl" "$work/whole.jsonl" && problem "it was not stopped"
    predict "$work/part.jsonl" || problem "$(cat "$err")"
    cmp "$work/part.jsonl" "$work/whole.jsonl" || problem "another outcome"
done

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
