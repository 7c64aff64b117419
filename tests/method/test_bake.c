/* `surgery --bake`: the new folder without an edit gives what the old one gives with it, for families of every shape
 * and with adapters merged; edits that no weight can hold are refused, and nothing is left behind. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "files/tensor_files.h"
#include "method/calls.h"
#include "method/causal/surgery.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char work[64], baked[80], data[80];
static char values[2][128];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    snprintf(work, sizeof work, "/tmp/limn-bake-XXXXXX");
    assert_non_null(mkdtemp(work));
    snprintf(baked, sizeof baked, "%s/baked", work);
    snprintf(data, sizeof data, "%s/data.jsonl", work);
    for (int i = 0; i < 2; i++) {
        snprintf(values[i], sizeof values[i], "%s/%d.safetensors", work, i);
    }
    return 0;
}

static void remove_folder(const char *folder) {
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (listing != NULL) {
        closedir(listing);
    }
    rmdir(folder);
}

static int tear_down(void **state) {
    remove_folder(baked);
    remove_folder(work);
    return 0;
}

/* All logits of ids under further parameters. */
static void logits_of(const char *folder, const char *more, const char *to) {
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"5,9,2,7,1,11\", \"values\": \"%s\"%s}", folder, to,
                     more));
    result_free(result);
}

/* Largest difference over the largest logit. */
static double distance(void) {
    TensorFiles *files[2];
    const float *x[2];
    double difference = 0, largest = 0;
    for (int i = 0; i < 2; i++) {
        must(tensor_files_open(&files[i], values[i]));
    }
    const Tensor *a = tensor_files_find(files[0], "logits"), *b = tensor_files_find(files[1], "logits");
    assert_true(a != NULL && b != NULL && a->bytes == b->bytes);
    x[0] = a->data;
    x[1] = b->data;
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        difference = fmax(difference, fabs((double)x[0][i] - (double)x[1][i]));
        largest = fmax(largest, fabs((double)x[0][i]));
    }
    tensor_files_close(files[0]);
    tensor_files_close(files[1]);
    return difference / largest;
}

/* What the command does once its edit is judged, for models that have no tokenizer and so no prompts. */
static limn_status bake_only(const char *folder, const Texts *edits, const char *adapter) {
    Arena arena;
    Team team = team_of(1, NULL);
    const AdapterUse use = {adapter, 1.0};
    const ModelOptions options = {.adapters = &use, .n_adapters = adapter[0] != '\0'};
    const SurgeryParams params = {.bake = text_of(baked)};
    Model *model;
    must(model_open(&model, folder, &options, &team));
    arena_init(&arena);
    MethodCall call = {.arena = &arena, .team = &team, .described = model};
    Surgery surgery = {.call = &call, .params = &params, .model = model, .edits = *edits};
    limn_status status = surgery_plan(&surgery);
    status = status == LIMN_OK ? surgery_bake(&surgery, true) : status;
    arena_free(&arena);
    model_free(model);
    return status;
}

static void check_bake(const char *name, const char *const *edits, int n, const char *adapter) {
    char folder[1024], more[2048], quoted[1100] = "", all[600] = "";
    Text texts[4];
    snprintf(folder, sizeof folder, "%s", golden_folder(name));
    if (adapter[0] != '\0') {
        snprintf(quoted, sizeof quoted, ", \"adapter\": [\"%s\"]", adapter);
    }
    for (int i = 0; i < n; i++) {
        texts[i] = text_of(edits[i]);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s\"%s\"", i > 0 ? ", " : "", edits[i]);
    }
    logits_of(folder, "", values[0]);
    snprintf(more, sizeof more, ", \"set\": [%s]%s", all, quoted);
    logits_of(folder, more, values[1]);
    double acts = distance();
    remove_folder(baked);
    if (bake_only(folder, &(Texts){texts, n}, adapter) != LIMN_OK) {
        fail_msg("%s, %s: %s", name, all, error_message());
    }
    logits_of(baked, "", values[0]);
    double off = distance();
    if (!(off <= 4e-6) || !(acts > 1000 * off) || !(acts > 1e-3)) {
        fail_msg("%s, %s: off by %g, the edit does %g", name, all, off, acts);
    }
}

/* Norms before and behind, parallel blocks, biases, Conv1D, gains without their 1, grouped heads. */
static void every_family_bakes(void **state) {
    static const char *const models[] = {"llama3",    "llama-bias", "gpt2",         "neox",   "neox-serial",
                                         "falcon-7b", "falcon-40b", "gemma2",       "gemma3", "opt",
                                         "phi3",      "starcoder2", "qwen2-window", "qwen3",  "mistral"};
    static const char *const edits[] = {
        "blocks.1.hook_mlp_out=zero",
        "blocks.0.hook_attn_out=zero",
        "blocks.1.hook_resid_post=copy:blocks.1.hook_resid_pre",
        "blocks.1.attn.hook_z[head=1]=zero",
        "blocks.0.mlp.hook_post[neuron=3]=times:-4",
        "blocks.1.hook_mlp_out[neuron=2]=times:20",
    };
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        for (size_t e = 0; e < sizeof edits / sizeof edits[0]; e++) {
            check_bake(models[m], &edits[e], 1, "");
        }
        check_bake(models[m], edits, 3, "");
    }
}

static void directions_are_taken_out_of_weights(void **state) {
    float directions[2 * 32];
    char path[80], edits[2][160];
    for (int i = 0; i < 64; i++) {
        directions[i] = (float)((i * 7) % 11) - 4;
    }
    snprintf(path, sizeof path, "%s/d.safetensors", work);
    const Tensor tensor = {
        .name = "d", .dtype = DTYPE_F32, .rank = 2, .shape = {2, 32}, .data = directions, .bytes = sizeof directions};
    must(safetensors_write(path, &tensor, 1, NULL, 0));
    static const char *const models[] = {"llama3", "gpt2", "falcon-7b"};
    snprintf(edits[0], sizeof edits[0], "blocks.1.hook_mlp_out=erase:%s:d", path);
    snprintf(edits[1], sizeof edits[1], "blocks.0.hook_attn_out=erase:%s:d", path);
    const char *const both[] = {edits[0], edits[1]};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        check_bake(models[m], &both[0], 1, "");
        check_bake(models[m], &both[1], 1, "");
        check_bake(models[m], both, 2, "");
    }
}

static void adapters_are_merged(void **state) {
    static const struct {
        const char *base, *adapter;
    } cases[] = {
        {"llama3", "patterns"}, {"llama-bias", "dora"}, {"gpt2", "dora-conv"}, {"neox", "neox"}, {"gemma2", "gemma2"}};
    static const char *const edits[] = {"blocks.1.hook_mlp_out=times:0.5", "blocks.1.attn.hook_z[head=1]=zero"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char adapter[1024];
        snprintf(adapter, sizeof adapter, "%s/tests/golden/adapters/%s/1", LIMN_TEST_SOURCE_DIR, cases[i].adapter);
        check_bake(cases[i].base, edits, 2, adapter);
        check_bake(cases[i].base, edits, 1, adapter);
    }
}

static void refused(const char *name, const char *edit, const char *expected) {
    const Text text = text_of(edit);
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", golden_folder(name));
    remove_folder(baked);
    limn_status status = bake_only(folder, &(Texts){&text, 1}, "");
    if (status == LIMN_OK || strstr(error_message(), expected) == NULL) {
        fail_msg("%s: found '%s', expected '%s'", edit, status == LIMN_OK ? "no refusal" : error_message(), expected);
    }
    assert_false(folder_exists(baked));
}

static void what_no_weight_holds_is_refused(void **state) {
    refused("llama3", "blocks.1.hook_mlp_out=3", "no weight holds such a value");
    refused("llama3", "blocks.1.hook_mlp_out=add:1", "no weight holds such a value");
    refused("llama3", "blocks.1.hook_mlp_out=copy:blocks.1.hook_resid_mid", "only a layer's output");
    refused("llama3", "blocks.1.hook_resid_post=zero", "more than linear maps");
    refused("llama3", "blocks.1.hook_resid_post=copy:blocks.0.hook_attn_out", "no weight makes what the layer adds");
    refused("bert-mlm", "blocks.1.hook_resid_post=copy:blocks.1.hook_resid_pre", "only a layer's output");
    must(mkdir(baked, 0700) == 0 ? LIMN_OK : LIMN_IO);
    const Text text = text_of("blocks.1.hook_mlp_out=zero");
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", golden_folder("llama3"));
    assert_int_equal(bake_only(folder, &(Texts){&text, 1}, ""), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "exists already"));
    rmdir(baked);
}

/* The command: its new folder decides as the old one did with the edit. */
static void surgery_bakes_what_it_judged(void **state) {
    char letters[64];
    Result *result, *again;
    make_letters_model(letters);
    must(file_write_atomic(data, "{\"t\": \"a cab\", \"y\": \"e\"}\n{\"t\": \"big\", \"y\": \"t\"}\n", 48));
    remove_folder(baked);
    must(call_method(&result, "surgery",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"t\", \"label-field\": \"y\", "
                     "\"choices\": \"e,t\", \"set\": [\"blocks.0.hook_resid_post=copy:blocks.0.hook_resid_pre\"], "
                     "\"no-controls\": true, \"bake\": \"%s\"}",
                     letters, data, baked));
    must(call_method(&again, "surgery",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"t\", \"label-field\": \"y\", "
                     "\"choices\": \"e,t\", \"set\": [\"blocks.0.hook_mlp_out=times:1\"], \"no-controls\": true}",
                     baked, data));
    double after = table_cell(result_find_block(result, "before-after")->content, 1, 4)->number;
    double before = table_cell(result_find_block(again, "before-after")->content, 1, 3)->number;
    assert_true(fabs(after - before) < 1e-6 && after > 0);
    result_free(result);
    result_free(again);
    limn_status status =
        call_method(&result, "surgery",
                    "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"t\", \"label-field\": "
                    "\"y\", \"choices\": \"e,t\", \"set\": [\"blocks.0.hook_mlp_out=2\"], \"bake\": \"%s2\"}",
                    letters, data, baked);
    assert_int_equal(status, LIMN_USAGE);
    remove_letters_model(letters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_bakes),           cmocka_unit_test(directions_are_taken_out_of_weights),
        cmocka_unit_test(adapters_are_merged),          cmocka_unit_test(what_no_weight_holds_is_refused),
        cmocka_unit_test(surgery_bakes_what_it_judged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
