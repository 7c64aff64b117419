# What `cmake --install` puts in place works from there, and exports nothing that limn.h does not declare.
. "$(dirname "$0")/expect.sh"
out=$work/out
code=0
prefix=$work/prefix
what="cmake --install"
# only the program: the tests need not be built for this
cmake --build "$BUILD" --target limn limn_documents >"$out" 2>"$err" || problem "does not build"
cmake --install "$BUILD" --prefix "$prefix" >"$out" 2>"$err" || problem "does not install"
for pattern in bin/limn include/limn.h include/limn_status.h share/man/man1/limn.1 \
    share/bash-completion/completions/limn share/zsh/site-functions/_limn 'lib/*pkgconfig/limn.pc' 'lib/*liblimn.so'; do
    [ -n "$(find "$prefix" -path "$prefix/$pattern")" ] || problem "$pattern is missing"
done

LIMN=$prefix/bin/limn
limn --version
expect_code 0

cat >"$work/program.c" <<'C'
#include <limn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    limn_context *context;
    limn_result *result;
    char params[512];
    char *text;
    size_t length;
    if (argc < 2 || limn_context_new(&context) != LIMN_OK) {
        return 1;
    }
    snprintf(params, sizeof params, "{\"model\": \"%s\", \"ids\": [1, 2, 3]}", argv[1]);
    if (limn_call(context, "run", params, NULL, &result) != LIMN_OK) {
        printf("%s\n", limn_error_message());
        return 1;
    }
    if (limn_result_render(result, "json", NULL, &text, &length) != LIMN_OK || strlen(text) != length) {
        return 1;
    }
    puts(strstr(text, "limn.result/1") != NULL ? "a result" : "no result");
    limn_free(text);
    limn_result_free(result);
    if (limn_call(context, "run", "{\"model\": 1}", NULL, &result) != LIMN_USAGE || result != NULL) {
        return 1;
    }
    limn_context_free(context);
    return 0;
}
C
pc=$(dirname "$(find "$prefix" -name limn.pc)")
libdir=$(dirname "$(find "$prefix" -name liblimn.so)")
what="a program against limn.pc"
if [ -z "$SANITIZE" ]; then
    flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs limn)
    $CC -std=c11 -Wall -Werror -o "$work/program" "$work/program.c" $flags >"$out" 2>"$err" || problem "does not compile"
    LD_LIBRARY_PATH=$libdir "$work/program" "$golden/llama-old" >"$out" 2>"$err" || problem "fails"
    expect_out '^a result$'
fi

what="exported names"
nm -D --defined-only "$libdir/liblimn.so" | awk '$2 == "T" || $2 == "D" || $2 == "B" || $2 == "R" { print $3 }' |
    sed 's/@.*//' | sort >"$work/exported"
grep -o '^LIMN_API .*' "$SOURCE/include/limn.h" | grep -o 'limn_[a-z_]*(' | tr -d '(' | sort >"$work/declared"
diff "$work/declared" "$work/exported" >"$out" || [ -n "$SANITIZE" ] || problem "exported and declared names differ"
finish
