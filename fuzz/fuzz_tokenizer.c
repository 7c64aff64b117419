/* One tokenizer file of any kind; what opens must encode and decode. */
#include "fuzz.h"
#include "text/tokenizer.h"
#include "tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Tokenizer *tokenizer;
    limn_status status = tokenizer_open_file(&tokenizer, memory_file(data, size));
    use_opened(status, tokenizer);
    return 0;
}
