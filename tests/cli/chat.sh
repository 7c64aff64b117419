# Chat templates from the command line, and limn chat on standard input.
. "$(dirname "$0")/expect.sh"
letters_model
cat >"$letters/tokenizer_config.json" <<'END'
{"chat_template": "{% for m in messages %}{{ m.role[0] ~ m.content ~ '.' }}{% endfor %}{{ 'a' if add_generation_prompt }}"}
END
echo '[{"role": "system", "content": "Be"}, {"role": "user", "content": "hey"}]' >"$work/messages.json"

limn chat-format "$letters" "$work/messages.json"
expect_code 0
expect_out '^sBe.uhey.a$'
limn chat-format "$letters" "$work/messages.json" --no-generation-prompt
expect_out '^sBe.uhey.$'
limn chat-format "$letters" "$work/messages.json" --json
expect_code 0
expect_out '"role": "system", "message": 0'
expect_out '"role": "user", "message": 1'
limn chat-format "$letters" --messages '[{"role": "user", "content": 7}]' --chat-template "$letters/tokenizer_config.json"
expect_code 0
expect_out '"chat_template": "u7.a"'
limn chat-format "$letters" "$work/missing.json"
expect_code 2
one_line
limn chat-format "$letters" "$work/messages.json" --chat-template nothing
expect_code 2
expect_err 'it has: default'

for command in run generate 'ig --check none'; do
    # shellcheck disable=SC2086
    limn $command "$letters" --chat "$work/messages.json" --json
    expect_code 0
    expect_out '"text": "sBe.uhey.a"'
    expect_out '"role": "user", "message": 1'
done
cp "$out" "$work/chat.json"
limn verify "$work/chat.json"
expect_code 0
expect_out 'the same bytes again'
limn run "$letters" --prompt a --tools "$work/messages.json"
expect_code 2
expect_err "'tools' goes with --chat"

# a terminal is not commanded by what messages say; a file gets the bytes
printf '[{"role": "user", "content": "x\\u001b[2Jy\\u009bz"}]' >"$work/hostile.json"
limn chat-format "$letters" "$work/hostile.json"
expect_out "$(printf 'ux\033\\[2Jy')"
if script -qc true /dev/null >/dev/null 2>&1; then
    script -qc "$LIMN chat-format $letters $work/hostile.json" /dev/null >"$out" 2>"$err" </dev/null
    what='limn chat-format at a terminal'
    expect_out 'ux.x1b\[2Jy.x9bz'
    expect_no "$(printf '\033\\[2J')" "$out"
fi

# what cannot be talked with is said before the first question
"$LIMN" chat "$golden/llama-old" <"/dev/null" >"$out" 2>"$err"
code=$?
what='limn chat without a tokenizer'
expect_code 2
one_line
cp -r "$letters" "$work/silent"
echo '{}' >"$work/silent/tokenizer_config.json"
"$LIMN" chat "$work/silent" <"/dev/null" >"$out" 2>"$err"
code=$?
what='limn chat without a template'
expect_code 2
expect_err 'has no chat template'
one_line

# a conversation: each line one turn; what was said is read again
printf 'a\n\n/nonsense\nb\n/reset\na\n' >"$work/lines"
"$LIMN" chat "$letters" --max-tokens 3 <"$work/lines" >"$out" 2>"$err"
code=$?
what='limn chat <lines'
expect_code 0
expect_err "found '/nonsense', expected /reset"
[ "$(wc -l <"$out")" -eq 3 ] || problem "expected three answers"
[ "$(sed -n 1p "$out")" = "$(sed -n 3p "$out")" ] || problem "after /reset the same question gets the same answer"
first=$(sed -n 1p "$out")
second=$(sed -n 2p "$out")
limn generate "$letters" --max-tokens 3 --messages "[{\"role\": \"user\", \"content\": \"a\"}]"
[ "$(cat "$out")" = "$first" ] || problem "the first answer is '$first'"
limn generate "$letters" --max-tokens 3 --messages "[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"$first\"}, {\"role\": \"user\", \"content\": \"b\"}]"
[ "$(cat "$out")" = "$second" ] || problem "the second answer is '$second'"
printf 'a\n/quit\nb\n' | "$LIMN" chat "$letters" --system 'Be' --max-tokens 3 >"$out" 2>"$err"
what='limn chat --system'
[ "$(wc -l <"$out")" -eq 1 ] || problem "expected one answer before /quit"
limn chat "$letters" --json
expect_code 2
one_line
printf '\377\n' | "$LIMN" chat "$letters" >"$out" 2>"$err"
code=$?
what='limn chat, a line that is not UTF-8'
expect_code 2
one_line
echo a | "$LIMN" chat "$golden/llama-old" >"$out" 2>"$err"
code=$?
what='limn chat, a model without a tokenizer'
expect_code 2
expect_err 'no tokenizer: expected.*so there is no chat template'
finish
