/* `run` end to end: what it saves is what Hugging Face says; targets, edits and generation agree with each other. */
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
#include "files/tensor_files.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Fixture {
    char letters[64];
    char spaces[64]; /* a SentencePiece tokenizer */
    char file[64];
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    make_letters_model(fixture.letters);
    make_spaces_model(fixture.spaces);
    snprintf(fixture.file, sizeof fixture.file, "/tmp/limn-run-%d.safetensors", (int)getpid());
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    remove_letters_model(fixture->spaces);
    unlink(fixture->file);
    return 0;
}

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static float *read_all(const TensorFiles *files, const char *name, const Tensor **tensor) {
    *tensor = tensor_files_find(files, name);
    if (*tensor == NULL) {
        fail_msg("the file has no %s", name);
    }
    float *values = malloc((size_t)tensor_elements(*tensor) * sizeof *values + 1);
    must(tensor_read_f32(values, *tensor, 0, tensor_elements(*tensor)));
    return values;
}

/* ---- saved values against Hugging Face ---- */

static void ids_text(char *text, size_t size, const TensorFiles *golden, const char *name, int n) {
    const Tensor *tensor = tensor_files_find(golden, name);
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        int value = tensor->dtype == DTYPE_U8 ? ((const uint8_t *)tensor->data)[i] : ((const int32_t *)tensor->data)[i];
        used += (size_t)snprintf(text + used, size - used, "%s%d", i > 0 ? "," : "", value);
    }
}

/* The first rows of golden [R, H, S'] (or [R, ...]) against found [H, T, S] (or [T, ...]). */
static double distance(const Tensor *found_tensor, const float *found, const Tensor *golden_tensor, const float *golden,
                       int rows, bool heads_first) {
    double largest = 0;
    double furthest = 0;
    int64_t width = tensor_elements(golden_tensor) / golden_tensor->shape[0];
    int64_t keys = golden_tensor->shape[2];
    assert_int_equal(tensor_elements(found_tensor), rows * width);
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t i = 0; i < width; i++) {
            int64_t place = heads_first ? ((i / keys) * rows + t) * keys + i % keys : t * width + i;
            double expected = (double)golden[t * width + i];
            double value = (double)found[place];
            if (isinf(expected) || isinf(value)) {
                assert_true(isinf(expected) && isinf(value));
                continue;
            }
            largest = fmax(largest, fabs(expected));
            furthest = fmax(furthest, fabs(expected - value));
        }
    }
    return furthest / fmax(largest, 1e-30);
}

static void compare_saved(const char *file, const TensorFiles *golden, int rows) {
    TensorFiles *saved;
    must(tensor_files_open(&saved, file));
    int compared = 0;
    for (int32_t i = 0; i < tensor_files_count(golden); i++) {
        const Tensor *expected = tensor_files_at(golden, i);
        const char *name = expected->name;
        size_t length = strlen(name);
        bool site = strstr(name, "hook_") != NULL && (length < 5 || strcmp(name + length - 5, ".grad") != 0);
        if (!site || expected->shape[0] < rows || tensor_files_find(saved, name) == NULL) {
            continue;
        }
        const Tensor *found;
        const Tensor *again;
        float *values = read_all(saved, name, &found);
        float *truth = read_all(golden, name, &again);
        bool heads_first = strstr(name, "hook_attn_scores") != NULL || strstr(name, "hook_pattern") != NULL;
        double far = distance(found, values, expected, truth, rows, heads_first);
        if (far > 1e-4) {
            fail_msg("%s: off by %g", name, far);
        }
        free(values);
        free(truth);
        compared++;
    }
    assert_true(compared > 20);
    tensor_files_close(saved);
}

static void saved_values_are_huggingface_values(void **state) {
    const Fixture *fixture = *state;
    static const char *const names[] = {"llama-old", "llama3",   "gpt2",      "bert-mlm",       "bert-classifier",
                                        "neox",      "opt-350m", "falcon-rw", "distilbert-mlm", "roberta-mlm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[1200];
        TensorFiles *golden;
        snprintf(path, sizeof path, "%s/golden.safetensors", golden_folder(names[i]));
        must(tensor_files_open(&golden, path));
        const Tensor *lengths = tensor_files_find(golden, "lengths");
        int rows = ((const int32_t *)lengths->data)[0];
        char ids[256];
        char types[256];
        char mask[256];
        ids_text(ids, sizeof ids, golden, "ids", rows);
        ids_text(types, sizeof types, golden, "types", rows);
        ids_text(mask, sizeof mask, golden, "mask", rows);
        Result *result;
        must(call_method(&result, "run",
                         "{\"model\": \"%s\", \"ids\": \"%s\", \"token-types\": \"%s\", \"attention-mask\": \"%s\","
                         " \"save\": \"*\", \"at\": \"0\", \"output\": \"%s\"}",
                         golden_folder(names[i]), ids, types, mask, fixture->file));
        result_free(result);
        compare_saved(fixture->file, golden, rows);
        tensor_files_close(golden);
    }
}

/* ---- gradients against differences ---- */

static double log_probability(const char *edit, int target) {
    Result *result;
    must(call_method(&result, "run",
                     "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"target-id\": %d, \"backend\": \"ref\", \"set\": [%s]}",
                     golden_folder("llama-old"), target, edit));
    double value = result->target.log_probability;
    result_free(result);
    return value;
}

static void gradient_is_the_slope(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(call_method(&result, "run",
                     "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"target-id\": 7, \"backend\": \"ref\","
                     " \"save\": \"blocks.0.hook_mlp_out\", \"grad\": \"blocks.0.hook_mlp_out\", \"output\": \"%s\"}",
                     golden_folder("llama-old"), fixture->file));
    result_free(result);
    TensorFiles *saved;
    const Tensor *tensor;
    must(tensor_files_open(&saved, fixture->file));
    float *value = read_all(saved, "blocks.0.hook_mlp_out", &tensor);
    float *grad = read_all(saved, "blocks.0.hook_mlp_out.grad", &tensor);
    assert_int_equal(tensor->shape[0], 3);
    const int at = 1 * 32 + 5;
    const double step = 1e-2;
    char edit[160];
    double around[2];
    for (int side = 0; side < 2; side++) {
        snprintf(edit, sizeof edit, "\"blocks.0.hook_mlp_out[pos=1,neuron=5]=%.9g\"",
                 (double)value[at] + (side == 0 ? -step : step));
        around[side] = log_probability(edit, 7);
    }
    double slope = (around[1] - around[0]) / (2 * step);
    assert_true(fabs(slope) > 1e-4);
    assert_true(fabs(slope - (double)grad[at]) < 1e-2 * fabs(slope) + 1e-4);
    free(value);
    free(grad);
    tensor_files_close(saved);
}

/* ---- edits ---- */

static void an_edit_to_the_same_value_changes_nothing(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(call_method(&result, "run",
                     "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"save\": \"blocks.1.attn.*\", \"output\": \"%s\"}",
                     golden_folder("llama-old"), fixture->file));
    result_free(result);
    char edit[256];
    double clean = log_probability("", 7);
    snprintf(edit, sizeof edit, "\"blocks.1.attn.hook_pattern=%s:blocks.1.attn.hook_pattern\"", fixture->file);
    assert_true(fabs(log_probability(edit, 7) - clean) < 1e-5);
    snprintf(edit, sizeof edit, "\"blocks.1.attn.hook_z[head=2]=%s:blocks.1.attn.hook_z\"", fixture->file);
    assert_true(fabs(log_probability(edit, 7) - clean) < 1e-5);
    assert_true(fabs(log_probability("\"blocks.1.attn.hook_z[head=2]=zero\"", 7) - clean) > 1e-3);
    assert_true(fabs(log_probability("\"blocks.1.attn.hook_z[head=2,pos=-1]=zero\"", 7) - clean) > 1e-4);
    /* what no later row reads cannot matter */
    assert_true(log_probability("\"blocks.1.hook_mlp_out[pos=0:2]=zero\"", 7) == clean);
}

static double tokens_score(const Fixture *fixture, const char *prompt, const char *more) {
    Result *result;
    must(call_method(&result, "run",
                     "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"xyz\", \"backend\": \"ref\"%s}",
                     fixture->letters, prompt, more));
    double value = result->target.log_probability;
    result_free(result);
    return value;
}

/* What a run with a target saved is put back in the same run (nothing changes), and in one of another prompt: all of
 * its last layer gives the other prompt the answers of this one, and one position of it changes what is read there
 * only. */
static void what_was_saved_fits_where_it_came_from(void **state) {
    const Fixture *fixture = *state;
    char more[640];
    snprintf(more, sizeof more,
             ", \"save\": \"blocks.*.hook_resid_post,blocks.0.attn.hook_pattern\", \"output\": \"%s\"", fixture->file);
    double clean = tokens_score(fixture, "a cab", more);
    double other = tokens_score(fixture, "c dax", "");
    assert_true(fabs(clean - other) > 1e-3);
    static const char *const own[] = {"blocks.0.hook_resid_post", "blocks.0.attn.hook_pattern"};
    for (int i = 0; i < 2; i++) {
        snprintf(more, sizeof more, ", \"set\": [\"%s=%s:%s\"]", own[i], fixture->file, own[i]);
        assert_true(fabs(tokens_score(fixture, "a cab", more) - clean) < 1e-5);
    }
    const char *last = "blocks.1.hook_resid_post";
    snprintf(more, sizeof more, ", \"set\": [\"%s=%s:%s\"]", last, fixture->file, last);
    assert_true(fabs(tokens_score(fixture, "c dax", more) - clean) < 1e-5);
    snprintf(more, sizeof more, ", \"set\": [\"%s[pos=-1:]=%s:%s\"]", last, fixture->file, last);
    assert_true(fabs(tokens_score(fixture, "c dax", more) - clean) < 1e-5);
    snprintf(more, sizeof more, ", \"set\": [\"%s[pos=0]=%s:%s\"]", last, fixture->file, last);
    assert_true(fabs(tokens_score(fixture, "c dax", more) - other) < 1e-5);
}

/* Directions that hold a whole value erase all of it; a copy is what it is a copy of; nothing flows through a stop. */
static void verbs_do_what_they_say(void **state) {
    const Fixture *fixture = *state;
    char other[160];
    snprintf(other, sizeof other, "%s.edited.safetensors", fixture->file);
    Result *result;
    must(call_method(
        &result, "run",
        "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"save\": \"blocks.0.hook_resid_post\", \"output\": \"%s\"}",
        golden_folder("llama-old"), fixture->file));
    result_free(result);
    must(call_method(
        &result, "run",
        "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"target-id\": 7, \"grad\": \"hook_embed,blocks.1.hook_mlp_out\","
        " \"save\": \"blocks.0.hook_resid_post,blocks.1.hook_mlp_out,blocks.1.hook_resid_mid\", \"set\": ["
        "\"blocks.0.hook_resid_post=erase:%s:blocks.0.hook_resid_post\","
        "\"blocks.1.hook_mlp_out=copy:blocks.1.hook_resid_mid\","
        "\"blocks.1.hook_resid_mid=add:0.5\", \"blocks.1.hook_resid_mid=stop\"], \"output\": \"%s\"}",
        golden_folder("llama-old"), fixture->file, other));
    result_free(result);
    TensorFiles *saved;
    const Tensor *tensor;
    must(tensor_files_open(&saved, other));
    float *erased = read_all(saved, "blocks.0.hook_resid_post", &tensor);
    float *copied = read_all(saved, "blocks.1.hook_mlp_out", &tensor);
    float *middle = read_all(saved, "blocks.1.hook_resid_mid", &tensor);
    float *below = read_all(saved, "hook_embed.grad", &tensor);
    float *above = read_all(saved, "blocks.1.hook_mlp_out.grad", &tensor);
    double largest = 0;
    for (int i = 0; i < 3 * 32; i++) {
        assert_true(fabs((double)erased[i]) < 1e-4);
        assert_true(copied[i] == middle[i]);
        assert_true(below[i] == 0);
        largest = fmax(largest, fabs((double)above[i]));
    }
    assert_true(largest > 1e-4);
    free(erased);
    free(copied);
    free(middle);
    free(below);
    free(above);
    tensor_files_close(saved);
    unlink(other);
}

/* ---- targets ---- */

static void a_target_is_what_follows(void **state) {
    const Fixture *fixture = *state;
    Result *text;
    Result *ids;
    must(
        call_method(&text, "run", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"target\": \"xyz\"}", fixture->letters));
    assert_int_equal(text->target.n_ids, 3);
    assert_int_equal(text->target.ids[0], 24);
    assert_int_equal(text->n_input_tokens, 5);
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        sum += text->target.token_log_probabilities[i];
    }
    assert_true(fabs(sum - text->target.log_probability) < 1e-9);
    /* the same token after token, each from the pass of its own prefix */
    double steps = 0;
    for (int i = 0; i < 3; i++) {
        must(call_method(&ids, "run", "{\"model\": \"%s\", \"prompt\": \"a cab%.*s\", \"target-id\": %d}",
                         fixture->letters, i, "xyz", 24 + i));
        steps += ids->target.log_probability;
        result_free(ids);
    }
    assert_true(fabs(steps - sum) < 1e-4);
    result_free(text);
}

static void a_target_that_joins_the_prompt_is_refused(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    assert_int_equal(
        call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"aab\", \"target\": \"ca\"}", fixture->letters),
        LIMN_USAGE);
    assert_non_null(strstr(error_message(), "[1,2]"));
    assert_non_null(strstr(error_message(), "[1,27,1]"));
    assert_int_equal(
        call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"aab\", \"target\": \"\"}", fixture->letters),
        LIMN_USAGE);
}

/* Of all letters some is over ten times likelier with the other spacing: the warning names the ratio rightly. */
static void a_likelier_spacing_is_told(void **state) {
    const Fixture *fixture = *state;
    int told = 0;
    for (int i = 0; i < 26; i++) {
        Result *plain;
        Result *spaced;
        must(call_method(&plain, "run", "{\"model\": \"%s\", \"prompt\": \"a cad\", \"target\": \"%c\"}",
                         fixture->letters, 'a' + i));
        must(call_method(&spaced, "run", "{\"model\": \"%s\", \"prompt\": \"a cad\", \"target\": \" %c\"}",
                         fixture->letters, 'a' + i));
        double gap = spaced->target.log_probability - plain->target.log_probability;
        assert_int_equal(plain->n_warnings, gap > log(10) ? 1 : 0);
        assert_int_equal(spaced->n_warnings, -gap > log(10) ? 1 : 0);
        told += plain->n_warnings + spaced->n_warnings;
        result_free(plain);
        result_free(spaced);
    }
    assert_true(told > 0);
}

static Result *run_of(const char *folder, const char *input, const char *more) {
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", %s, \"target\": \" b\"%s}", folder, input, more));
    return result;
}

/* The same target, whether the prompt is text or ids and however its place is named. */
static void a_target_keeps_the_space_that_is_written(void **state) {
    const Fixture *fixture = *state;
    static const char text[] = "\"prompt\": \"a cab\"", ids[] = "\"ids\": [27, 29, 1, 2]";
    Result *whole = run_of(fixture->spaces, text, "");
    Result *others[] = {run_of(fixture->spaces, ids, ""), run_of(fixture->spaces, text, ", \"at\": \"3\""),
                        run_of(fixture->spaces, ids, ", \"at\": \"-1\"")};
    assert_int_equal(whole->target.ids[0], 28);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(others[i]->target.n_ids, 1);
        assert_int_equal(others[i]->target.ids[0], 28);
        assert_true(fabs(others[i]->target.log_probability - whole->target.log_probability) < 1e-6);
        result_free(others[i]);
    }
    result_free(whole);
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", %s, \"at\": \"1\", \"target\": \"b\"}", fixture->spaces,
                     text));
    assert_int_equal(result->target.ids[0], 2);
    result_free(result);
    must(call_method(&result, "ig", "{\"model\": \"%s\", %s, \"baseline\": [\"token: b\"]}", fixture->spaces, text));
    result_free(result);
}

/* ---- words of the prompt as the target ---- */

static void check_word(const char *folder, const char *prompt, const char *word, const char *span,
                       const char *warning) {
    Result *named;
    Result *numbered;
    must(call_method(&named, "ig",
                     "{\"model\": \"%s\", \"prompt\": \"%s\", \"target-text\": \"%s\", \"baseline\": [\"zero\"]}",
                     folder, prompt, word));
    must(call_method(&numbered, "ig",
                     "{\"model\": \"%s\", \"prompt\": \"%s\", \"target-span\": \"%s\", \"baseline\": [\"zero\"]}",
                     folder, prompt, span));
    assert_int_equal(named->target.n_ids, numbered->target.n_ids);
    assert_true(fabs(named->target.log_probability - numbered->target.log_probability) < 1e-9);
    bool found = false;
    for (int32_t i = 0; i < named->n_warnings; i++) {
        bool about = strstr(named->warnings[i].bytes, "--target-span A:B picks another") != NULL;
        assert_false(about && warning == NULL);
        found = found || (about && strstr(named->warnings[i].bytes, warning) != NULL);
    }
    assert_true(found == (warning != NULL));
    result_free(named);
    result_free(numbered);
}

/* A word by itself goes before the same letters within a longer word; what could be meant otherwise is told. */
static void a_word_is_found_by_itself(void **state) {
    const char *folder = ((const Fixture *)*state)->letters; /* one token for each letter and space */
    check_word(folder, "a cat cats", "cat", "2:5", NULL);
    check_word(folder, "a cat cats", " cat", "1:5", NULL);
    check_word(folder, "a cat or cat cats", "cat", "9:12",
               "stands 2 times in the prompt; the last (--target-span 9:12)");
    check_word(folder, "a cats scat", "cat", "8:11", "stands 2 times in the prompt, only inside longer words");
    check_word(folder, "a cats", "cat", "2:5", "only inside a longer word");
}

static void the_model_chooses_when_nobody_does(void **state) {
    (void)state;
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"grad\": \"hook_embed\"}",
                     golden_folder("llama-classifier")));
    assert_true(result->target.chosen);
    assert_int_equal(result->target.rank, 1);
    assert_true(result->target.text.length > 0);
    result_free(result);
}

/* ---- generation ---- */

static void check_decoding(const char *folder, const char *edits) {
    Result *generated;
    must(call_method(&generated, "generate",
                     "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"max-tokens\": 6, \"set\": [%s]}",
                     golden_folder(folder), edits));
    const TableBlock *table = result_find_block(generated, "tokens")->content;
    char ids[256] = "5,9,33";
    for (int32_t i = 0; i < table->n_rows; i++) {
        Result *run;
        must(call_method(&run, "run", "{\"model\": \"%s\", \"ids\": \"%s\", \"grad\": \"hook_embed\", \"set\": [%s]}",
                         golden_folder(folder), ids, edits));
        assert_int_equal(table->cells[i * 5 + 1].integer, run->target.ids[0]);
        assert_true(fabs(table->cells[i * 5 + 3].number - run->target.log_probability) < 1e-4);
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), ",%d", (int)run->target.ids[0]);
        result_free(run);
    }
    assert_int_equal(table->n_rows, 6);
    result_free(generated);
}

/* What follows a text begins with the space of its first token, which a stop string then finds. */
static void generated_text_keeps_its_first_space(void **state) {
    const Fixture *fixture = *state;
    int spaced = 0;
    for (int i = 0; i < 26; i++) {
        Result *result;
        must(call_method(&result, "generate", "{\"model\": \"%s\", \"prompt\": \"%c\", \"max-tokens\": 1}",
                         fixture->spaces, 'a' + i));
        int64_t id = ((const TableBlock *)result_find_block(result, "tokens")->content)->cells[1].integer;
        const TextBlock *text = result_find_block(result, "text")->content;
        if (id >= 27 && id < 53) {
            spaced++;
            const char expected[] = {' ', (char)('a' + id - 27), '\0'};
            assert_string_equal(text->text.bytes, expected);
            result_free(result);
            must(call_method(&result, "generate",
                             "{\"model\": \"%s\", \"prompt\": \"%c\", \"max-tokens\": 2, \"stop\": [\"%s\"]}",
                             fixture->spaces, 'a' + i, expected));
            assert_non_null(strstr(result->headline.bytes, "a stop string appeared"));
        }
        result_free(result);
    }
    assert_true(spaced > 0);
}

/* Models with windows and caps, and those whose keys all change when the text grows past a length. */
static void decoding_with_the_cache_is_decoding_without(void **state) {
    (void)state;
    static const char *const folders[] = {"gpt2", "mistral", "gemma2", "gemma3", "llama-dynamic", "phi3"};
    static const char *const edits[] = {
        "", "\"blocks.0.hook_mlp_out=zero\"",
        ("\"blocks.0.hook_mlp_out=copy:blocks.*.hook_resid_mid\","
         " \"blocks.1.hook_resid_post=add:0.2*0.5\", \"blocks.1.attn.hook_z=times:0.8\"")};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        for (int e = 0; e < 3; e++) {
            check_decoding(folders[i], edits[e]);
        }
    }
}

/* OPT-350m's embedding is narrower than its stream. */
static void attributions_add_up_where_the_embedding_is_narrow(void **state) {
    Result *result;
    must(call_method(&result, "ig",
                     "{\"model\": \"%s\", \"ids\": [5, 9, 33], \"target-id\": 7, \"baseline\": [\"%s\"]}",
                     golden_folder("opt-350m"), "zero"));
    const Block *block = result_find_block(result, "attribution");
    assert_non_null(block);
    const TokensBlock *tokens = block->content;
    double sum = 0;
    for (int32_t i = 0; i < tokens->n; i++) {
        sum += tokens->items[i].score;
    }
    const TableBlock *table = result_find_block(result, "integration")->content;
    double at_input = NAN, at_baseline = NAN;
    for (int32_t r = 0; r < table->n_rows; r++) {
        const Value *row = table->cells + (int64_t)r * table->n_columns;
        at_input = strcmp(row[0].text.bytes, "F(input)") == 0 ? row[1].number : at_input;
        at_baseline = strcmp(row[0].text.bytes, "F(baseline)") == 0 ? row[1].number : at_baseline;
    }
    assert_true(fabs(at_input - at_baseline) > 0.1);
    assert_true(fabs(sum - (at_input - at_baseline)) < 0.03 * fabs(at_input - at_baseline));
    result_free(result);
}

static void generation_stops_where_told(void **state) {
    const Fixture *fixture = *state;
    Result *free_run;
    Result *stopped;
    must(call_method(&free_run, "generate", "{\"model\": \"%s\", \"prompt\": \"abc\", \"max-tokens\": 24}",
                     fixture->letters));
    const TextBlock *text = result_find_block(free_run, "text")->content;
    assert_true(text->text.length > 3);
    char stop[3] = {text->text.bytes[2], text->text.bytes[3], '\0'};
    char json[8] = "";
    snprintf(json, sizeof json, "%s", stop);
    must(call_method(&stopped, "generate",
                     "{\"model\": \"%s\", \"prompt\": \"abc\", \"max-tokens\": 24, \"stop\": [\"nowhere\", \"%s\"]}",
                     fixture->letters, json));
    const TextBlock *shorter = result_find_block(stopped, "text")->content;
    const char *first = strstr(text->text.bytes, stop);
    assert_int_equal(shorter->text.length, first - text->text.bytes);
    assert_memory_equal(shorter->text.bytes, text->text.bytes, shorter->text.length);
    result_free(free_run);
    result_free(stopped);
}

static void a_folder_says_what_ends_a_text(void **state) {
    const Fixture *fixture = *state;
    Result *free_run;
    Result *ended;
    must(call_method(&free_run, "generate", "{\"model\": \"%s\", \"prompt\": \"abc\", \"max-tokens\": 9}",
                     fixture->letters));
    const TableBlock *table = result_find_block(free_run, "tokens")->content;
    assert_int_equal(table->n_rows, 9);
    int64_t id = table->cells[3 * table->n_columns + 1].integer;
    int32_t first = 0;
    while (table->cells[first * table->n_columns + 1].integer != id) {
        first++;
    }
    char path[128];
    char json[64];
    snprintf(path, sizeof path, "%s/generation_config.json", fixture->letters);
    snprintf(json, sizeof json, "{\"eos_token_id\": [60, %d]}", (int)id);
    must(file_write_atomic(path, json, strlen(json)));
    limn_status status = call_method(&ended, "generate", "{\"model\": \"%s\", \"prompt\": \"abc\", \"max-tokens\": 9}",
                                     fixture->letters);
    unlink(path);
    must(status);
    table = result_find_block(ended, "tokens")->content;
    assert_int_equal(table->n_rows, first + 1);
    assert_non_null(strstr(ended->headline.bytes, "the model ended the text"));
    result_free(free_run);
    result_free(ended);
}

static bool continues(int32_t id) {
    return id == 29 || id == 30 || id == 32 || id == 34; /* B8, AD, BD, 9F */
}

/* The likeliest of the tokens that can go on with a character begun by E4. */
static int32_t likeliest_after(const char *folder, const char *ids) {
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [%s], \"top\": 64}", folder, ids));
    const TableBlock *top = result_find_block(result, "top")->content;
    int32_t row = 0;
    while (!continues((int32_t)table_cell(top, row, 1)->integer)) {
        row++;
    }
    int32_t id = (int32_t)table_cell(top, row, 1)->integer;
    result_free(result);
    return id;
}

/* A token that is half a character becomes the character which the model would go on to write: named, chosen by the
 * model itself, or cut out of the prompt. */
static void half_a_character_becomes_a_whole_one(void **state) {
    (void)state;
    char folder[64], ids[64], text[64];
    Result *result;
    make_bytes_model(folder);
    must(call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"abc\", \"target-id\": 28}", folder));
    int32_t second = likeliest_after(folder, "1,27,28");
    snprintf(ids, sizeof ids, "1,27,28,%d", (int)second);
    int32_t third = likeliest_after(folder, ids);
    assert_int_equal(result->target.n_ids, 3);
    assert_int_equal(result->target.ids[0], 28);
    assert_int_equal(result->target.ids[1], second);
    assert_int_equal(result->target.ids[2], third);
    assert_int_equal(result->n_warnings, 1);
    assert_non_null(strstr(result->warnings[0].bytes, "token 28 is half a character"));
    result_free(result);
    int found = 0;
    for (int i = 0; i < 26 * 26 && found == 0; i++) { /* a prompt after which such a token is the model's own choice */
        snprintf(text, sizeof text, "%c%cx", 'a' + i / 26, 'a' + i % 26);
        must(call_method(&result, "ig", "{\"model\": \"%s\", \"prompt\": \"%s\", \"steps\": 1}", folder, text));
        const ResultTarget *target = &result->target;
        bool begins = target->ids[0] == 28 || target->ids[0] == 31 || target->ids[0] == 33;
        found += begins;
        assert_true(!begins || (target->chosen && target->n_ids >= 3 && continues(target->ids[2])));
        result_free(result);
    }
    assert_int_equal(found, 1);
    must(call_method(&result, "ig",
                     "{\"model\": \"%s\", \"prompt\": \"a\u4e2db\", \"target-span\": \"2:3\", \"steps\": 1}", folder));
    assert_int_equal(result->target.n_ids, 3); /* 中 is tokens 1 to 3 */
    assert_memory_equal(result->target.text.bytes, "\xE4\xB8\xAD", 3);
    result_free(result);
    remove_letters_model(folder);
}

/* An answer cannot be explained against itself, named or chosen. */
static void a_contrast_is_another_answer(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    assert_int_equal(call_method(&result, "ig",
                                 "{\"model\": \"%s\", \"prompt\": \"a cab\", \"target\": \"x\", \"contrast\": \"x\"}",
                                 fixture->letters),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), "option 'contrast': found 'x', which is the target itself"));
    must(call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"a cab\"}", fixture->letters));
    const TableBlock *top = result_find_block(result, "top")->content;
    Text first = table_cell(top, 0, 0)->text;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%.*s", (int)first.length, first.bytes);
    result_free(result);
    assert_int_equal(call_method(&result, "ig", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"contrast\": \"%s\"}",
                                 fixture->letters, wanted),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), "the model's own first choice"));
    assert_int_equal(call_method(&result, "ig",
                                 "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"class\": \"1\", \"contrast\": \"1\"}",
                                 golden_folder("bert-classifier")),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), "which is the target itself"));
}

static const ResultCheck *find_check(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

/* A value that overflows in a norm comes out as zero, which looks like an answer: it is said, in every kind of norm,
 * where it was first met. */
static void values_that_overflow_are_said(void **state) {
    (void)state;
    static const char *const names[] = {"llama-old", "gpt2", "gemma2", "bert-classifier", "qwen3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int large = 0; large < 2; large++) {
            Result *result;
            must(call_method(
                &result, "run",
                "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"set\": \"blocks.0.hook_resid_post[pos=1]=times:%s\"}",
                golden_folder(names[i]), large ? "1e38" : "2"));
            const ResultCheck *check = find_check(result, "finite values");
            assert_non_null(check);
            assert_int_equal(check->state == CHECK_PASS, !large);
            assert_int_equal(strstr(result->headline.bytes, "No answer: values overflowed") != NULL, large);
            if (large) {
                assert_non_null(strstr(check->meaning.bytes, "(the first: blocks.1.ln1.hook_scale at position"));
            }
            result_free(result);
        }
    }
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [1, 2, 3]}", golden_folder("llama-old")));
    assert_null(find_check(result, "finite values")); /* nothing was changed, nothing is wrong */
    result_free(result);
    must(call_method(
        &result, "generate",
        "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"max-tokens\": 2, \"set\": \"blocks.1.hook_resid_pre=1e38\"}",
        golden_folder("llama-old")));
    assert_false(find_check(result, "finite values")->state == CHECK_PASS);
    result_free(result);
}

/* Outputs that are no numbers have no likeliest one. */
static void outputs_that_are_no_numbers_are_said(void **state) {
    (void)state;
    Result *result;
    must(call_method(
        &result, "run",
        "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"set\": \"ln_final.hook_normalized=3e38\", \"language\": \"%s\"}",
        golden_folder("llama-old"), "en"));
    assert_non_null(strstr(result->headline.bytes, "No answer: "));
    assert_non_null(strstr(result->headline.bytes, "outputs at position 2 are NaN or infinite"));
    assert_true(find_check(result, "finite values")->value > 0);
    assert_null(result_find_block(result, "top"));
    result_free(result);
    assert_int_equal(call_method(&result, "generate",
                                 "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"set\": \"ln_final.hook_normalized=3e38\"}",
                                 golden_folder("llama-old")),
                     LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "outputs at position 2 are NaN or infinite"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_character_becomes_a_whole_one),
        cmocka_unit_test(a_contrast_is_another_answer),
        cmocka_unit_test(values_that_overflow_are_said),
        cmocka_unit_test(outputs_that_are_no_numbers_are_said),
        cmocka_unit_test(saved_values_are_huggingface_values),
        cmocka_unit_test(gradient_is_the_slope),
        cmocka_unit_test(an_edit_to_the_same_value_changes_nothing),
        cmocka_unit_test(what_was_saved_fits_where_it_came_from),
        cmocka_unit_test(a_target_is_what_follows),
        cmocka_unit_test(a_target_that_joins_the_prompt_is_refused),
        cmocka_unit_test(a_likelier_spacing_is_told),
        cmocka_unit_test(a_target_keeps_the_space_that_is_written),
        cmocka_unit_test(a_word_is_found_by_itself),
        cmocka_unit_test(verbs_do_what_they_say),
        cmocka_unit_test(the_model_chooses_when_nobody_does),
        cmocka_unit_test(generated_text_keeps_its_first_space),
        cmocka_unit_test(decoding_with_the_cache_is_decoding_without),
        cmocka_unit_test(attributions_add_up_where_the_embedding_is_narrow),
        cmocka_unit_test(generation_stops_where_told),
        cmocka_unit_test(a_folder_says_what_ends_a_text),
    };
    return cmocka_run_group_tests_name("run", tests, set_up, tear_down);
}
