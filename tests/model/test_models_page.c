/* docs/models.md says what the rows of archs.def say. LIMN_UPDATE_GOLDEN=1 writes it anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "model/arch.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char opening[] =
    "# Models that limn opens\n"
    "\n"
    "<!-- made from src/model/archs.def by tests/model/test_models_page.c; LIMN_UPDATE_GOLDEN=1 writes it anew -->\n"
    "\n"
    "A model is a Hugging Face folder (`config.json` and safetensors, one file or shards) or a GGUF file. The family "
    "is\n"
    "told by the first of `architectures`, else by `model_type`; in GGUF by `general.architecture`. Another name is\n"
    "refused, with the list of those known. A setting that would change what is computed and is not implemented is\n"
    "refused by its name.\n"
    "\n"
    "Refused in every family: weights quantised in a folder (GPTQ, AWQ, bitsandbytes, FP8 and the like), activation\n"
    "functions and kinds of rotary scaling that limn does not know, tensors of a missing name or another shape, NaN "
    "and\n"
    "infinity in weights. `--frame transformerlens` is for language models whose norms stand before each sublayer.\n";

typedef struct Head {
    const char *title;
    const char *endings[3]; /* an architecture with one of these in its name has the head; NULL: unused */
} Head;

static const Head heads[] = {{"language model", {"ForCausalLM", "LMHeadModel", NULL}},
                             {"masked language model", {"ForMaskedLM", "ForPreTraining", NULL}},
                             {"text part of a multimodal model", {"ForConditionalGeneration", NULL, NULL}},
                             {"sequence classifier", {"ForSequenceClassification", NULL, NULL}},
                             {"bare", {"Model", NULL, NULL}}};
enum { HEADS = sizeof heads / sizeof heads[0] };

static bool ends_with(const char *name, size_t length, const char *ending) {
    size_t n = strlen(ending);
    return n <= length && memcmp(name + length - n, ending, n) == 0;
}

/* The first head that fits: "GPT2LMHeadModel" is no bare model. */
static const Head *head_of(const char *name, size_t length) {
    for (size_t h = 0; h < HEADS; h++) {
        for (int e = 0; e < 3 && heads[h].endings[e] != NULL; e++) {
            if (ends_with(name, length, heads[h].endings[e])) {
                return &heads[h];
            }
        }
    }
    fail_msg("%.*s: no head is known by this ending", (int)length, name);
    return NULL;
}

/* Each word of a row's list as code, those of one head only when it is given; false: none. */
static bool add_words(TextBuffer *page, const char *words, const Head *head) {
    bool any = false;
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        if (head == NULL || head_of(words, n) == head) {
            text_buffer_printf(page, "%s`%.*s`", any ? ", " : "", (int)n, words);
            any = true;
        }
        words += n + strspn(words + n, " ");
    }
    return any;
}

static void add_table(TextBuffer *page) {
    text_buffer_add(page, "\n| family | `model_type` | heads | GGUF |\n|---|---|---|---|\n");
    for (int i = 0; i < arch_count(); i++) {
        const Arch *arch = arch_at(i);
        text_buffer_printf(page, "| [%s](#%s) | ", arch->name, arch->name);
        add_words(page, arch->model_types, NULL);
        text_buffer_add(page, " | ");
        bool any = false;
        for (size_t h = 0; h < HEADS; h++) {
            TextBuffer unused = TEXT_BUFFER_INIT;
            if (add_words(&unused, arch->architectures, &heads[h])) {
                text_buffer_printf(page, "%s%s", any ? ", " : "", heads[h].title);
                any = true;
            }
            text_buffer_free(&unused);
        }
        text_buffer_add(page, " | ");
        add_words(page, arch->gguf, NULL);
        text_buffer_add(page, " |\n");
    }
}

static void add_family(TextBuffer *page, const Arch *arch) {
    text_buffer_printf(page, "\n## %s\n\n%s\n\n", arch->name, arch->help);
    for (size_t h = 0; h < HEADS; h++) {
        TextBuffer words = TEXT_BUFFER_INIT;
        if (add_words(&words, arch->architectures, &heads[h])) {
            text_buffer_printf(page, "- %s: %s\n", heads[h].title, words.data);
        }
        text_buffer_free(&words);
    }
    text_buffer_printf(page, "- GGUF: %s%s%s\n", arch->gguf[0] != '\0' ? "`" : "not read", arch->gguf,
                       arch->gguf[0] != '\0' ? "`" : "");
    if (arch->refuses[0] != '\0') {
        text_buffer_printf(page, "- refused: %s\n", arch->refuses);
    }
}

static void the_page_is_that_of_the_rows(void **state) {
    const char *path = LIMN_TEST_SOURCE_DIR "/docs/models.md";
    TextBuffer page = TEXT_BUFFER_INIT;
    text_buffer_add(&page, opening);
    add_table(&page);
    for (int i = 0; i < arch_count(); i++) {
        add_family(&page, arch_at(i));
    }
    assert_false(page.failed);
    if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
        assert_int_equal(file_write_atomic(path, page.data, page.length), LIMN_OK);
    }
    char *bytes;
    size_t length;
    if (file_read(&bytes, &length, path, (size_t)1 << 20) != LIMN_OK || length != page.length ||
        memcmp(bytes, page.data, length) != 0) {
        fail_msg("docs/models.md is not what src/model/archs.def says: run this test with LIMN_UPDATE_GOLDEN=1");
    }
    free(bytes);
    text_buffer_free(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_is_that_of_the_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
