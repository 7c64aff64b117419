# A PDF of a result as a person makes it and as others read it: words in order, tags, fonts, the record inside.
. "$(dirname "$0")/expect.sh"
letters_model

limn run "$letters" -p 'a cab' --target d -q -o "$work/a.pdf" -o "$work/a.json"
expect_code 0
[ "$(head -c 5 "$work/a.pdf")" = "%PDF-" ] || problem "this is no PDF file"
limn run "$letters" -p 'a cab' --target d -q --format pdf
expect_code 0
[ "$(head -c 5 "$out")" = "%PDF-" ] || problem "standard output is no PDF file"

# it holds its record, and shows it
limn verify "$work/a.pdf"
expect_code 0
expect_out 'a.pdf: the same bytes again, and the page shows it'
limn verify "$work/a.json" --page "$work/a.pdf"
expect_code 0

# a figure of the record inside of it; a byte of a page; something behind its end
sed 's/"target d/"target e/; s/"a cab"/"a cat"/' "$work/a.pdf" >"$work/b.pdf"
cmp -s "$work/a.pdf" "$work/b.pdf" && problem "the record was not changed"
limn verify "$work/b.pdf"
expect_code 1
python3 - "$work/a.pdf" "$work/c.pdf" <<'END'
import re, sys, zlib
pdf = open(sys.argv[1], "rb").read()
number = re.search(rb"/Contents (\d+) 0 R", pdf)[1]
head = re.search(rb"\n" + number + rb" 0 obj\n<<[^>]*/Length (\d+)[^>]*>>\nstream\n", pdf)
begin, length = head.end(), int(head[1])
page = bytearray(zlib.decompress(pdf[begin:begin + length]))
page[page.index(b" Tm") - 1] ^= 1  # moved by a hair
for level in range(10):
    packed = zlib.compress(bytes(page), level)
    if len(packed) <= length:
        break
open(sys.argv[2], "wb").write(pdf[:begin] + packed.ljust(length, b"\0") + pdf[begin + length:])
END
limn verify "$work/c.pdf"
expect_code 1
expect_out "but c.pdf shows something else: page 1 has 'another"
{ cat "$work/a.pdf" && echo more; } >"$work/d.pdf"
limn verify "$work/d.pdf"
expect_code 1
expect_out 'd.pdf shows something else'

# set with other fonts, its bytes are others: that decides nothing
sed 's/Noto Sans CJK SC [0-9]\.[0-9]/Noto Sans CJK SC 9.9/' "$work/a.pdf" >"$work/e.pdf"
cmp -s "$work/a.pdf" "$work/e.pdf" && problem "the fonts were not changed"
limn verify "$work/e.pdf"
expect_code 4
expect_out 'set with other fonts'

# without the helper program, and with one that dies
mkdir -p "$work/lib" "$work/bin"
cp "$(dirname "$LIMN")"/liblimn.so.0 "$work/lib/"
what="limn -o a.pdf without limn-pdf"
cp "$LIMN" "$work/bin/limn"
LD_LIBRARY_PATH=$work/lib "$work/bin/limn" run "$letters" -p 'a cab' -q -o "$work/f.pdf" >"$out" 2>"$err"
code=$?
expect_code 3
expect_err 'limn-pdf is not installed'
one_line
[ ! -e "$work/f.pdf" ] || problem "a file was written"
what="limn -o a.pdf with a limn-pdf that dies"
printf '#!/bin/sh\necho "no room" >&2\nkill -ABRT $$\n' >"$work/lib/limn-pdf"
chmod +x "$work/lib/limn-pdf"
LD_LIBRARY_PATH=$work/lib "$work/bin/limn" run "$letters" -p 'a cab' -q -o "$work/f.pdf" >"$out" 2>"$err"
code=$?
expect_code 3
expect_err 'limn-pdf was ended by signal 6: no room'
one_line

# what others make of it, where they are
limn run "$letters" -p 'a cab' --target d -q --language zh -o "$work/zh.pdf"
expect_code 0
if command -v pdftotext >/dev/null 2>&1; then
    what="pdftotext"
    pdftotext "$work/a.pdf" "$out"
    expect_out '^Target: “d” (id '
    pdftotext "$work/zh.pdf" "$out"
    expect_out '^目标：“d”'
    expect_out '^参数$'
    what="pdfinfo -struct-text"
    pdfinfo -struct-text "$work/zh.pdf" >"$out" 2>"$err"
    expect_out '^  H1'
    expect_out '/Scope /Column'
    [ ! -s "$err" ] || problem "it complains"
    # letters are not drawn together (fi): readers of the structure get each
    limn report "$SOURCE/tests/result/golden/sample.json" -q -o "$work/s.pdf"
    expect_code 1
    pdfinfo -struct-text "$work/s.pdf" >"$out" 2>"$err"
    expect_out '"strongest first"'
    expect_out '玛'
    what="pdffonts"
    pdffonts "$work/zh.pdf" | tail -n +3 >"$out"
    [ -s "$out" ] || problem "it has no fonts"
    [ "$(grep -c ' yes yes yes ' "$out")" = "$(wc -l <"$out")" ] || problem "not all are embedded and readable"
fi
if command -v qpdf >/dev/null 2>&1; then
    what="qpdf"
    qpdf --check "$work/zh.pdf" >"$out" 2>"$err" || problem "it finds errors"
    qpdf --show-attachment=limn-result.json "$work/a.pdf" >"$work/inside.json" || problem "there is no attachment"
    cmp -s "$work/inside.json" "$work/a.json" || problem "the attachment is another record"
fi
finish
