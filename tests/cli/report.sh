# One report of any results: what it says, in every language and format that people read; the same bytes again.
. "$(dirname "$0")/expect.sh"
letters_model
cd "$work" || exit 1

cp "$SOURCE/tests/result/golden/sample.json" "$SOURCE/tests/result/golden/report.json" .
limn report sample.json report.json -o report.md
expect_code 1
expect_err "check '1. deletion' failed"
cp report.md r.md
if [ -n "${LIMN_UPDATE_GOLDEN:-}" ]; then
    cp r.md "$SOURCE/tests/cli/golden/report.md"
fi
cmp -s r.md "$SOURCE/tests/cli/golden/report.md" || problem "$(diff r.md "$SOURCE/tests/cli/golden/report.md" | head -n 20)"

# from pages that hold them, in Chinese; nothing in it says when
limn run "$letters" -p 'a cab' -q -o one.html -o one.json
limn report one.html -q --language zh -o a.html -o a.pdf -o a.json
expect_code 0
sleep 1
limn report one.html -q --language zh -o b.html -o b.pdf -o b.json
for ending in html pdf json; do
    cmp "a.$ending" "b.$ending" || problem "another .$ending a second later"
done
grep -q '附录：如何重现' a.html || problem "the page is not in Chinese"
limn verify a.pdf
expect_code 0
expect_out 'the same bytes again, and the page shows it'
# a result that was changed since
sed 's/"a cab"/"a cub"/' one.html >two.html && mv two.html one.html
limn verify a.json
expect_code 1

# the contents say on which page a section begins
if command -v pdftotext >/dev/null 2>&1; then
    limn report sample.json report.json sample.json -q -o long.pdf
    what="contents of a report"
    pdftotext -layout long.pdf "$out"
    for section in '1. Integrated gradients' '3. Integrated gradients' 'Appendix: to repeat it'; do
        page=$(sed -n "s/^ *$section[ .]* \([0-9][0-9]*\)\$/\1/p" "$out" | head -n 1)
        [ -n "$page" ] || problem "$section is not in the contents"
        pdftotext -f "$page" -l "$page" -layout long.pdf - | grep -q "^ *$section *$" ||
            problem "$section is not on page $page"
    done
fi

wrong 2 "report needs RESULT" report
wrong 2 "no.json" report no.json
wrong 3 "report.md" report report.md
finish
