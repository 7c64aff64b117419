# A record is run again, a page is rendered again: what agrees, what was changed, what lies elsewhere now.
. "$(dirname "$0")/expect.sh"
letters_model

# all that can be written of one result is what it looks like
limn run "$letters" -p 'a cab' --target d -q -o "$work/a.json" -o "$work/a.html" -o "$work/a.svg" -o "$work/a.md" \
    -o "$work/a.txt"
expect_code 0
limn verify "$work/a.json" --page "$work/a.html" --page "$work/a.svg" --page "$work/a.md" --page "$work/a.txt"
expect_code 0
expect_out 'the same bytes again, and the pages show it'
limn verify "$work/a.html"
expect_code 0
expect_out 'the same bytes again, and the page shows it'

# one word of what a page shows, its record untouched
sed '/<script/,$!s/Output at position/Verdict at position/' "$work/a.html" >"$work/b.html"
cmp -s "$work/a.html" "$work/b.html" && problem "the page was not changed"
limn verify "$work/b.html"
expect_code 1
expect_out 'b.html: the same bytes again; but b.html shows something else: line [0-9]* has'
expect_out "'Verdict at position 4', expected 'Output at position 4'"
expect_out 'FAIL  same-page'
expect_out 'pass  same-bytes'
# one digit of a figure in a page, a picture, a text; the end cut off; something behind the end
for page in html svg md txt; do
    awk '!done && /<script/ { done = 1 } !done && /[0-9]\.[0-9][0-9]/ { sub(/[0-9]\.[0-9][0-9]/, "9.99"); done = 1 } 1' \
        "$work/a.$page" >"$work/c.$page"
    limn verify "$work/a.json" --page "$work/c.$page"
    expect_code 1
    expect_out "c.$page shows something else"
    expect_out '9\.99'
    sed '$d' "$work/a.$page" >"$work/d.$page"
    limn verify "$work/a.json" --page "$work/d.$page"
    expect_code 1
    expect_out "d.$page shows something else"
    { cat "$work/a.$page" && echo more; } >"$work/e.$page"
    limn verify "$work/a.json" --page "$work/e.$page"
    expect_code 1
    expect_out "'more'"
done
# a page of another result
limn run "$letters" -p 'a cab' --target e -q -o "$work/f.svg"
limn verify "$work/a.json" --page "$work/a.md" --page "$work/f.svg"
expect_code 1
expect_out 'f.svg shows something else'
expect_out 'pass  same-page '
expect_out 'FAIL  same-page-2'
# written by another version: its words may be others, which is no fault
sed 's/"version": "[0-9.]*"/"version": "0.0.1"/' "$work/b.html" >"$work/older.html"
limn verify "$work/older.html" --json
expect_out '"state": "inconclusive"'
wrong 2 'is a record itself' verify "$work/a.json" --page "$work/a.json"
wrong 3 'a page without a result document' verify "$work/a.svg"

# the model lies elsewhere, under another name: its hash decides
mv "$letters" "$work/elsewhere"
wrong 2 'no such file' verify "$work/a.json"
limn verify "$work/a.html" --model "$work/elsewhere"
expect_code 0
expect_out 'the same bytes again'
expect_no 'another model' "$out"
# and so it does when another model has the name
cp -r "$work/elsewhere" "$work/letters"
printf '\001' | dd of="$work/letters/model.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
limn verify "$work/a.json"
expect_code 1
expect_out 'model.hash'
limn verify "$work/a.json" --model "$work/letters"
expect_code 1
expect_out 'another model'
rm -r "$work/letters"
mv "$work/elsewhere" "$letters"

# two adapters with weights of their own, given in another order and under other names
cp -r "$golden/llama-old" "$work/base"
cp -r "$golden/adapters/two/1" "$work/one"
cp -r "$golden/adapters/two/2" "$work/two"
limn run "$work/base" --ids 1,2,3 --adapter "$work/one:0.5" --adapter "$work/two" -q -o "$work/adapted.json"
expect_code 0
mv "$work/one" "$work/first"
mv "$work/two" "$work/second"
limn verify "$work/adapted.json" --adapter "$work/second" --adapter "$work/first"
expect_code 0
expect_out 'the same bytes again'
wrong 2 'made with 2, found 1' verify "$work/adapted.json" --adapter "$work/first"
limn verify "$work/adapted.json" --adapter "$work/first" --adapter "$work/first"
expect_code 1
expect_out 'another adapter'
wrong 2 'made with 0, found 1' verify "$work/a.json" --adapter "$work/first"

# a data set by its hash
printf '{"text":"a cab","label":"d"}\n{"text":"a bad","label":"e"}\n' >"$work/data.jsonl"
limn predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,e --label-field label -q -o "$work/p.json"
expect_code 0
mv "$work/data.jsonl" "$work/moved.jsonl"
wrong 2 'data.jsonl' verify "$work/p.json"
limn verify "$work/p.json" --data "$work/moved.jsonl"
expect_code 0
expect_out 'the same bytes again'
sed 's/bad/bed/' "$work/moved.jsonl" >"$work/other.jsonl"
limn verify "$work/p.json" --data "$work/other.jsonl"
expect_code 1
expect_out 'another one'
wrong 2 "made with 0 of them, found one more" verify "$work/a.json" --data "$work/moved.jsonl"

# any other file by the option it was given by
printf 'a cab' >"$work/prompt.txt"
limn run "$letters" --file "$work/prompt.txt" --target d -q -o "$work/file.json"
expect_code 0
mv "$work/prompt.txt" "$work/text.txt"
limn verify "$work/file.json" --moved "file=$work/text.txt"
expect_code 0
expect_out 'the same bytes again'
wrong 2 "reads no file by the option 'fil'; nearest: 'file'" verify "$work/file.json" --moved "fil=$work/text.txt"
wrong 2 'expected OPTION=FILE' verify "$work/file.json" --moved "$work/text.txt"

finish
