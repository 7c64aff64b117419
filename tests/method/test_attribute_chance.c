/* `attribute` where labels are given by chance, on a real model: of many permutations of the labels of
 * examples/bankrun few raise anything. What exchanging words does is the same whatever the labels are (of two choices
 * the one gains what the other loses), so it is measured once, for every word and place, and serves all permutations:
 * who is nominated, who is tested and what chance would do follow from the labels each time. */
#include "method/data/attribute.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum {
    RECORDS = 240,
    KEYS_MOST = 2000,
    EFFECTS_MOST = 40000,
    LEAST = 10,
    WORDS = 8, /* beside places */
    PERMUTATIONS = 200,
    FIRST = 20,
    FIRST_MOST = 2, /* one is expected */
    MOST = 17       /* of 200 at .05: more have a chance of 1 in 100 */
};

typedef struct Said { /* a key's score or gain in a record */
    int32_t record, key;
    double value;
} Said;

static struct {
    int labels[RECORDS]; /* 0: yes, 1: no */
    int preds[RECORDS];
    int n;
    char keys[KEYS_MOST][256];
    int64_t counts[KEYS_MOST]; /* records that test */
    int32_t n_keys;
    Said scores[EFFECTS_MOST], gains[EFFECTS_MOST];
    int32_t n_scores, n_gains;
    int64_t nominating;
} all;

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int32_t key_of(const char *key) {
    for (int32_t k = 0; k < all.n_keys; k++) {
        if (strcmp(all.keys[k], key) == 0) {
            return k;
        }
    }
    assert_in_range(all.n_keys, 0, KEYS_MOST - 1);
    snprintf(all.keys[all.n_keys], sizeof all.keys[0], "%s", key);
    return all.n_keys++;
}

static void read_data(const char *from, const char *to) {
    FILE *file = fopen(from, "r");
    TextBuffer out = TEXT_BUFFER_INIT;
    static char line[65536];
    assert_non_null(file);
    while (all.n < RECORDS && fgets(line, sizeof line, file) != NULL) {
        json_t *record = json_loads(line, 0, NULL);
        all.labels[all.n++] = strcmp(json_string_value(json_object_get(record, "label")), "no") == 0;
        text_buffer_add(&out, line);
        json_decref(record);
    }
    fclose(file);
    must(file_write_atomic(to, out.data, out.length));
    text_buffer_free(&out);
}

static void take_record(const json_t *line) {
    int32_t record = (int32_t)json_integer_value(json_object_get(line, "record"));
    const json_t *logs = json_object_get(line, "log_probabilities"), *value;
    const char *key;
    assert_in_range(record, 0, all.n - 1);
    if (logs != NULL) {
        all.nominating++;
        all.preds[record] = json_number_value(json_array_get(logs, 1)) > json_number_value(json_array_get(logs, 0));
        json_object_foreach((json_t *)(uintptr_t)json_object_get(line, "scores"), key, value) {
            assert_in_range(all.n_scores, 0, EFFECTS_MOST - 1);
            all.scores[all.n_scores++] = (Said){record, key_of(key), fabs(json_number_value(value))};
        }
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)json_object_get(line, "effects"), key, value) {
        assert_in_range(all.n_gains, 0, EFFECTS_MOST - 1);
        int32_t k = key_of(key);
        all.gains[all.n_gains++] = (Said){record, k, json_number_value(json_array_get(value, 1))};
        all.counts[k]++;
    }
}

/* Everything that occurs often enough is measured, whatever was decided. */
static void measure(const char *model, const char *data, const char *effects) {
    Result *result;
    must(call_method(&result, "attribute",
                     "{\"model\": \"%s\", \"adapter\": [\"" LIMN_TEST_SOURCE_DIR
                     "/examples/bankrun/adapter\"], \"data\": \"%s\", \"template\": "
                     "\"Tweet: {text}\\\\nBank run now?\", \"choices\": \" yes, no\", \"label-field\": \"label\", "
                     "\"where\": \"pred != 'neither'\", \"words\": 100000, \"inputs\": 100000, \"draws\": 1, "
                     "\"least\": %d, \"threads\": 1, \"effects\": \"%s\"}",
                     model, data, LEAST, effects));
    result_free(result);
    FILE *file = fopen(effects, "r");
    static char line[1 << 20];
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *one = json_loads(line, 0, NULL);
        if (json_object_get(one, "record") != NULL) {
            take_record(one);
        }
        json_decref(one);
    }
    fclose(file);
}

static bool is_place(int32_t key) {
    int kind = atoi(all.keys[key]);
    return kind == PLACE_FIRST || kind == PLACE_LAST || kind == PLACE_FIELD;
}

/* The words that weigh most where the decision is not the label, as attribute_nominate.c has it; and places. */
static int32_t choose(int32_t *chosen, const int *labels) {
    static double weights[KEYS_MOST];
    memset(weights, 0, sizeof weights);
    for (int32_t i = 0; i < all.n_scores; i++) {
        const Said *said = &all.scores[i];
        weights[said->key] += all.preds[said->record] != labels[said->record] ? said->value : 0;
    }
    int32_t n = 0;
    for (int32_t k = 0; k < all.n_keys; k++) {
        weights[k] = all.counts[k] < LEAST || is_place(k) ? 0 : weights[k] / sqrt((double)all.counts[k]);
        if (is_place(k) && all.counts[k] >= LEAST) {
            chosen[n++] = k;
        }
    }
    for (int32_t w = 0; w < WORDS; w++) {
        int32_t best = 0;
        for (int32_t k = 1; k < all.n_keys; k++) {
            best = weights[k] > weights[best] ? k : best;
        }
        if (weights[best] > 0) {
            chosen[n++] = best;
            weights[best] = 0;
        }
    }
    return n;
}

/* The smallest p of a run with these labels. */
static double smallest_p(const int *labels, int64_t seed) {
    static int32_t chosen[KEYS_MOST], places[KEYS_MOST], tested[KEYS_MOST];
    static Suspect suspects[KEYS_MOST];
    Arena arena;
    arena_init(&arena);
    MethodCall call = {.arena = &arena, .common = {.seed = seed}};
    const AttributeParams params = {.least = LEAST, .flips = 2000};
    Attributor attributor = {.call = &call,
                             .params = &params,
                             .labelled = true,
                             .tested = tested,
                             .records = all.n,
                             .nominating = all.nominating,
                             .suspects = {.items = suspects}};
    attributor.n_tested = choose(chosen, labels);
    memset(places, -1, sizeof places);
    for (int32_t i = 0; i < attributor.n_tested; i++) {
        tested[i] = i;
        places[chosen[i]] = i;
        suspects[i] = (Suspect){.place = i};
    }
    attributor.effects = ARENA_ARRAY(&arena, Effect1, all.n_gains);
    for (int32_t i = 0; i < all.n_gains; i++) {
        const Said *said = &all.gains[i];
        double gain = labels[said->record] == all.labels[said->record] ? said->value : -said->value;
        if (places[said->key] >= 0) {
            attributor.effects[attributor.n_effects++] = (Effect1){.place = places[said->key],
                                                                   .prompt = (uint64_t)said->record,
                                                                   .label = labels[said->record],
                                                                   .value = gain,
                                                                   .gain = gain};
        }
    }
    must(attribute_judge(&attributor));
    double smallest = 1;
    for (int32_t i = 0; i < attributor.n_tested; i++) {
        smallest = suspects[i].p < smallest ? suspects[i].p : smallest;
    }
    arena_free(&arena);
    return smallest;
}

static void permute(int *labels, uint64_t seed) {
    Random random;
    random_seed(&random, seed);
    memcpy(labels, all.labels, sizeof all.labels);
    for (int i = all.n - 1; i > 0; i--) {
        int k = (int)random_below(&random, (uint64_t)i + 1), other = labels[i];
        labels[i] = labels[k];
        labels[k] = other;
    }
}

/* LIMN_PERMUTED=MODEL.gguf asks for it. */
static void chance_raises_nothing(void **state) {
    const char *model = getenv("LIMN_PERMUTED");
    if (model == NULL) {
        print_message("skipped: LIMN_PERMUTED=MODEL.gguf asks for permuted labels on a real model (minutes)\n");
        skip();
    }
    char data[64], effects[64];
    snprintf(data, sizeof data, "/tmp/limn-chance-%d.jsonl", (int)getpid());
    snprintf(effects, sizeof effects, "/tmp/limn-chance-%d-effects.jsonl", (int)getpid());
    read_data(LIMN_TEST_SOURCE_DIR "/examples/bankrun/held-out.jsonl", data);
    measure(model, data, effects);
    unlink(data);
    unlink(effects);
    print_message("%d effects of %d words and places in %d records\n", all.n_gains, all.n_keys, all.n);
    double own = smallest_p(all.labels, 0);
    int raised = 0, first = 0;
    for (int i = 0; i < PERMUTATIONS; i++) {
        int labels[RECORDS];
        permute(labels, (uint64_t)i + 1);
        bool alarm = smallest_p(labels, i) <= 0.05;
        raised += alarm;
        first += alarm && i < FIRST;
    }
    print_message("the true labels: p %g; permuted ones raised something in %d of the first %d, in %d of %d\n", own,
                  first, FIRST, raised, PERMUTATIONS);
    assert_in_range(first, 0, FIRST_MOST);
    assert_in_range(raised, 0, MOST);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chance_raises_nothing)};
    return cmocka_run_group_tests_name("attribute, chance", tests, NULL, NULL);
}
