/* What a masked model would put in a word's place, against one plain run for each word. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "call/method.h"
#include "measure/proposals.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { VOCABULARY = 61, MASK = 4, WORDS = 40, N = 8, UNITS = 5, ROUNDS = 30 };

static const Method no_method = {.command = {.name = "test"}};
static char folder[64];
static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"};

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static void put(const char *name, const char *bytes, size_t length) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    must(file_write_atomic(path, bytes, length));
}

/* The golden model beside a vocabulary: five special tokens, 40 words of two small letters, then what is no such word.
 */
static int make_folder(void **state) {
    snprintf(folder, sizeof folder, "/tmp/limn-proposals-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        char path[1200], *bytes;
        size_t length;
        snprintf(path, sizeof path, "%s/tests/golden/bert-mlm/%s", LIMN_TEST_SOURCE_DIR, files[i]);
        must(file_read(&bytes, &length, path, (size_t)1 << 24));
        put(files[i], bytes, length);
        free(bytes);
    }
    TextBuffer words = TEXT_BUFFER_INIT;
    text_buffer_add(&words, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int i = 0; i < VOCABULARY - 5; i++) {
        char first = (char)('a' + i % 20), second = (char)('a' + i / 20);
        if (i < WORDS) {
            text_buffer_printf(&words, "%c%c\n", first, second);
        } else {
            text_buffer_printf(&words,
                               i < 45   ? "##%c%c\n"
                               : i < 50 ? "X%c\n"
                                        : "%d\n",
                               i < 50 ? first : 100 + i, second);
        }
    }
    put("vocab.txt", words.data, words.length);
    static const char settings[] = "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": false}";
    put("tokenizer_config.json", settings, sizeof settings - 1);
    text_buffer_free(&words);
    return 0;
}

static int remove_folder(void **state) {
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

/* Log-probabilities at the mask that stands for tokens [begin, end) of the prompt, written out. */
static void plain_run(double *log_p, Engine *engine, const Prompt *prompt, int32_t begin, int32_t end) {
    int32_t ids[N], types[N], n = 0;
    for (int32_t i = 0; i < prompt->n; i++) {
        if (i > begin && i < end) {
            continue;
        }
        ids[n] = i == begin ? MASK : prompt->ids[i];
        types[n++] = prompt->types == NULL ? 0 : prompt->types[i];
    }
    const Progress progress = {0};
    const SequenceInput sequence = {.ids = ids, .types = types, .n = n};
    const OutputRow output = {.row = begin, .target = -1};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .outputs = &output, .n_outputs = 1, .logits = true};
    must(engine_run(engine, &request, &progress));
    const float *logits = engine_logits(engine);
    double sum = 0;
    for (int32_t id = 0; id < VOCABULARY; id++) {
        sum += exp((double)logits[id]);
    }
    for (int32_t id = 0; id < VOCABULARY; id++) {
        log_p[id] = (double)logits[id] - log(sum);
    }
}

static void check_unit(const Proposals *proposals, Engine *engine, const Prompt *prompt, const Unit *unit, int32_t u) {
    int32_t n;
    const Proposal *found = proposals_of(proposals, u, &n);
    if (unit->fixed) {
        assert_int_equal(n, 0);
        return;
    }
    double log_p[VOCABULARY];
    plain_run(log_p, engine, prompt, unit->begin, unit->end);
    bool seen[VOCABULARY] = {false};
    assert_int_equal(n, WORDS); /* no special token, no piece, no capital, no number */
    for (int32_t i = 0; i < n; i++) {
        assert_in_range(found[i].id, 5, 5 + WORDS - 1);
        assert_false(seen[found[i].id]);
        seen[found[i].id] = true;
        assert_true(fabs(found[i].log_probability - log_p[found[i].id]) < 1e-4);
        assert_true(i == 0 || found[i].log_probability <= found[i - 1].log_probability);
        assert_int_equal(found[i].text.length, 2);
        assert_int_equal(found[i].text.bytes[0], 'a' + (found[i].id - 5) % 20);
        assert_int_equal(found[i].text.bytes[1], 'a' + (found[i].id - 5) / 20);
    }
}

/* Words at the beginning, of two tokens, and of the second text, with token types and without; a fixed one gets none.
 */
static void a_mask_proposes_what_a_plain_run_gives(void **state) {
    Arena arena;
    Model *model;
    Engine *base, *plain;
    arena_init(&arena);
    must(model_open(&model, folder, NULL, NULL));
    assert_true(proposals_possible(model));
    must(engine_new(&base, model, &(EngineOptions){0}));
    must(engine_new(&plain, model, &(EngineOptions){.backend = "ref"}));
    int32_t ids[N] = {2, 9, 17, 46, 30, 3, 11, 3}, types[N] = {0, 0, 0, 0, 0, 0, 1, 1};
    Token tokens[N];
    for (int i = 0; i < N; i++) {
        tokens[i] = (Token){.id = ids[i]};
    }
    const WordKind small = word_kind(text_of("ab"));
    const Unit words[UNITS] = {{.begin = 4, .end = 5, .kind = small, .fixed = true},
                               {.begin = 1, .end = 2, .kind = small},
                               {.begin = 2, .end = 4, .kind = small},
                               {.begin = 4, .end = 5, .kind = small, .fixed = true},
                               {.begin = 6, .end = 7, .kind = small}};
    Unit items[UNITS * ROUNDS]; /* more than one run holds: the same again and again */
    for (int i = 0; i < UNITS * ROUNDS; i++) {
        items[i] = words[i % UNITS];
    }
    const Units units = {.items = items, .n = UNITS * ROUNDS, .n_free = 3 * ROUNDS};
    const Progress progress = {0};
    MethodCall call = {.method = &no_method, .arena = &arena, .progress = &progress};
    for (int typed = 0; typed < 2; typed++) {
        const Prompt prompt = {.tokens = tokens, .ids = ids, .types = typed ? types : NULL, .n = N, .end_of_turn = -1};
        Proposals *proposals;
        must(proposals_new(&proposals, &call, base, &prompt, &units));
        for (int32_t u = 0; u < UNITS * ROUNDS; u++) {
            check_unit(proposals, plain, &prompt, &items[u], u);
        }
        double fit[2] = {7, 7};
        const Rewritten versions[2] = {{.ids = ids, .n = N, .begin = 1, .end = 2},
                                       {.ids = ids, .n = N, .begin = 2, .end = 3}};
        must(proposals_fit(proposals, versions, 2, fit));
        assert_true(fit[0] == 0 && fit[1] == 0); /* a mask has seen what follows */
        proposals_free(proposals);
    }
    proposals_free(NULL);
    engine_free(base);
    engine_free(plain);
    model_free(model);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_mask_proposes_what_a_plain_run_gives)};
    return cmocka_run_group_tests_name("proposals", tests, make_folder, remove_folder);
}
