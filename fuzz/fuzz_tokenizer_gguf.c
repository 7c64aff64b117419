/* The tokenizer in a GGUF file's metadata. */
#include "files/gguf.h"
#include "fuzz.h"
#include "text/tokenizer.h"
#include "tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Gguf *gguf;
    if (gguf_open(&gguf, memory_file(data, size)) != LIMN_OK) {
        return 0; /* the gguf target looks at those */
    }
    Tokenizer *tokenizer;
    limn_status status = tokenizer_open_gguf(&tokenizer, gguf);
    use_opened(status, tokenizer);
    gguf_close(gguf);
    return 0;
}
