/* What stands beside a tokenizer: tokenizer_config.json, special_tokens_map.json, added_tokens.json and config.json,
 * with a NUL between two of them, beside a good file that the first byte names: tokenizer.json (even) or vocab.txt.
 * What is empty is not there. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "text/tokenizer.h"
#include "tokenizer_use.h"

static const char *const beside[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                     "config.json"};
enum { BESIDE = sizeof beside / sizeof beside[0] };

static const char bpe[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"a\":1,\"b\":2,"
    "\"\xC4\xA0\":3,\"ab\":4,\"1\":5},\"merges\":[[\"a\",\"b\"]]}}";
static const char pieces[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nab\n1\n";

static void remove_folder(void) {
    for (int i = 0; i < BESIDE; i++) {
        unlink(scratch_path(beside[i]));
    }
    unlink(scratch_path("tokenizer.json"));
    unlink(scratch_path("vocab.txt"));
    rmdir(scratch_path(""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    if (!scratch_made()) {
        scratch_make(remove_folder);
    }
    bool json = data[0] % 2 == 0;
    scratch_put("tokenizer.json", bpe, json ? sizeof bpe - 1 : 0);
    scratch_put("vocab.txt", pieces, json ? 0 : sizeof pieces - 1);
    scratch_put_parts(beside, BESIDE, data + 1, size - 1);
    char folder[160];
    snprintf(folder, sizeof folder, "%s", scratch_path(""));
    Tokenizer *tokenizer;
    limn_status status = tokenizer_open_folder(&tokenizer, folder);
    use_opened(status, tokenizer);
    return 0;
}
