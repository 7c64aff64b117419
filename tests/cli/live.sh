# limn live: edits typed one after another, and what becomes of them.
. "$(dirname "$0")/expect.sh"
letters_model

live() {
    what="limn live $* <lines"
    "$LIMN" live "$letters" "$@" <"$work/lines" >"$out" 2>"$err"
    code=$?
}

cat >"$work/lines" <<'END'
blocks.1.hook_mlp_out[pos=-1]=zero

blocks.0.attn.hook_z[head=2]=zero
/list
/undo
/undo
/compare
END
live -p 'a bad cab' --top 1
expect_code 0
# before the first edit, after each of both, back, back, beside the prompt as it is
[ "$(grep -c ' edits\{0,1\}$' "$out")" -eq 6 ] || problem 'expected six answers'
[ "$(grep -c '^blocks' "$out")" -eq 2 ] || problem '/list shows both edits'
[ "$(sed -n 1p "$out" | cut -c1-8)" = "$(sed -n '$!h;${x;p}' "$out" | cut -c1-8)" ] ||
    problem 'after /undo the answer is the first again'
cp "$out" "$work/first"
live -p 'a bad cab' --top 1
cmp -s "$out" "$work/first" || problem 'the same lines give the same bytes'
awk '{ printf "%s\r\n", $0 }' "$work/lines" >"$work/ends" && mv "$work/ends" "$work/lines"
live -p 'a bad cab' --top 1
cmp -s "$out" "$work/first" || problem 'lines that end as on Windows are the same lines'

# what is saved and what is printed give the same answer
cat >"$work/lines" <<END
blocks.1.hook_mlp_out=zero
/save $work/cut.json
/command
END
live -p "it's" --top 1
expect_code 0
tail -n 1 "$out" >"$work/command"
grep -q "^limn run .* -p 'it'.* --set blocks.1.hook_mlp_out=zero" "$work/command" || problem 'expected a command'
sed "s|^limn|\"$LIMN\"|" "$work/command" >"$work/command.sh"
sh "$work/command.sh" --json >/dev/null 2>&1 || problem 'the command runs'
sh "$work/command.sh" >"$work/a" 2>&1
"$LIMN" run "$letters" -p "it's" --edit "$work/cut.json" >"$work/b" 2>&1
[ "$(sed -n 1p "$work/a")" = "$(sed -n 1p "$work/b")" ] || problem 'the file and the command say the same'

# other prompts, sites, a number of tokens
printf '/prompt a cab\n/top 2\n/sites blocks.0.hook_mlp*\n/clear\n/quit\nnever read\n' >"$work/lines"
live -p ab
expect_code 0
expect_out '^blocks.0.hook_mlp_out  *\[T, '

# without somebody there, a line that fails ends it
for line in 'blocks.9.hook_mlp_out=zero' 'nonsense' '/nonsense' '/undo' '/save' '/top x' '/prompt'; do
    printf '%s\n' "$line" >"$work/lines"
    live -p ab
    expect_code 2
    one_line
done
printf 'blocks.1.hook_mlp_out[pos=0]=zero\n/save %s\n' "$work/never.json" >"$work/lines"
live -p ab
expect_code 2
expect_err 'found pos'
[ ! -e "$work/never.json" ] || problem 'nothing was written'
live
expect_code 2
one_line

# one answer, to a program or a file
limn live "$letters" -p ab --set 'blocks.1.hook_mlp_out=zero' --json
expect_code 0
expect_out '"id": "distribution"'
cp "$out" "$work/live.json"
limn verify "$work/live.json"
expect_code 0
expect_out 'the same bytes again'

limn live "$letters" -p ab --set 'blocks.1.hook_mlp_out=zero' -o "$work/result.json" --save-edit "$work/edit.json"
expect_code 0
grep -q '"format": "limn.edits/1"' "$work/edit.json" || problem 'an edit file'
limn info "$letters" --edit "$work/edit.json"
expect_code 0
expect_out 'Edit file 1'
grep -q '"limn.result/1"' "$work/result.json" || problem '-o is the result, whatever else ends in .json'

# somebody there: a mistake is said, and the session goes on
if script -qc true /dev/null >/dev/null 2>&1; then
    printf 'nonsense\nblocks.1.hook_mlp_out=zero\n/quit\n' |
        script -qec "$LIMN live $letters -p ab --top 1" /dev/null >"$out" 2>"$err"
    code=$?
    what='limn live at a terminal'
    expect_code 0
    expect_out 'limn: edit .nonsense.'
    expect_out 'KL .*, 1 edit, [0-9]* ms'
    # a number that cannot be leaves the one before in force: one token, two, a refusal, two
    printf '/top 2\n/top x\n/compare\n/quit\n' | script -qec "$LIMN live $letters -p ab --top 1" /dev/null >"$out" 2>"$err"
    code=$?
    what='limn live, /top'
    expect_code 0
    [ "$(grep -c "[0-9]%  '" "$out")" -eq 5 ] || problem "expected five lines of tokens, found $(grep -c '%' "$out")"
fi
finish
