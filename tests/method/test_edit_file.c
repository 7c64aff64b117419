/* Edit files: as the same edits by --set, whatever asks; known by their hashes; what is broken, made for another model
 * or of one position is refused with one line. */
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
#include "call/open.h"
#include "edit/edit_file.h"
#include "files/tensor_files.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];
static char model_folder[1024];
static char model_hash_text[65];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const char *path_of(const char *name) {
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text) {
    must(file_write_atomic(path_of(name), text, strlen(text)));
}

/* A whole edit file with these edits and what else stands in it. */
static void write_edits(const char *name, const char *edits, const char *more) {
    char text[2048];
    snprintf(text, sizeof text,
             "{\"format\": \"limn.edits/1\", \"model\": {\"name\": \"m\", \"hash\": \"%s\"}, "
             "\"edits\": [%s]%s}",
             model_hash_text, edits, more);
    write_text(name, text);
}

static int set_up(void **state) {
    snprintf(folder, sizeof folder, "/tmp/limn-edits-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(model_folder, sizeof model_folder, "%s", golden_folder("llama3"));
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"1,2,3\"}", model_folder));
    snprintf(model_hash_text, sizeof model_hash_text, "%.64s", result->model.hash.bytes);
    result_free(result);
    float direction[64];
    for (int i = 0; i < 64; i++) {
        direction[i] = (float)(i % 7) - 3;
    }
    const Tensor tensor = {
        .name = "d", .dtype = DTYPE_F32, .rank = 1, .shape = {32}, .data = direction, .bytes = 32 * sizeof(float)};
    must(safetensors_write(path_of("d.safetensors"), &tensor, 1, NULL, 0));
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"d.safetensors",     "a.json",        "b.json",        "c.json",
                                        "bad.json",          "record.json",   "1.safetensors", "2.safetensors",
                                        "sub/d.safetensors", "sub/moved.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(path_of(names[i]));
    }
    rmdir(path_of("sub"));
    rmdir(folder);
    return 0;
}

/* All logits of a run with more parameters. */
static void run_values(const char *name, const char *more) {
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"5,9,2,7,1\", \"values\": \"%s\"%s}", model_folder,
                     path_of(name), more));
    result_free(result);
}

static bool same_bytes(const char *a, const char *b) {
    char *first, *second;
    size_t n, m;
    must(file_read(&first, &n, path_of(a), 1 << 26));
    must(file_read(&second, &m, path_of(b), 1 << 26));
    bool same = n == m && memcmp(first, second, n) == 0;
    free(first);
    free(second);
    return same;
}

static void a_file_gives_the_bits_of_its_edits_by_set(void **state) {
    static const char *const cases[] = {
        "\"blocks.1.hook_mlp_out=zero\"",
        "\"blocks.*.attn.hook_z[head=1]=times:0.5\", \"blocks.0.hook_resid_post[neuron=3]=2\"",
        "\"blocks.1.hook_resid_post=copy:blocks.1.hook_resid_pre\"",
        "\"blocks.1.hook_mlp_out=copy:blocks.1.hook_resid_mid\"",
    };
    run_values("2.safetensors", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[512];
        write_edits("a.json", cases[i], "");
        snprintf(more, sizeof more, ", \"edit\": [\"%s\"]", path_of("a.json"));
        run_values("1.safetensors", more);
        assert_false(same_bytes("1.safetensors", "2.safetensors"));
        snprintf(more, sizeof more, ", \"set\": [%s]", cases[i]);
        run_values("2.safetensors", more);
        assert_true(same_bytes("1.safetensors", "2.safetensors"));
        run_values("2.safetensors", ""); /* and without it the model is as it was */
        assert_false(same_bytes("1.safetensors", "2.safetensors"));
    }
}

static void several_files_act_in_their_order(void **state) {
    char more[600];
    write_edits("a.json", "\"blocks.0.hook_mlp_out=1\"", "");
    write_edits("b.json", "\"blocks.0.hook_mlp_out=times:2\"", "");
    snprintf(more, sizeof more, ", \"edit\": [\"%s\", \"%s\"]", path_of("a.json"), path_of("b.json"));
    run_values("1.safetensors", more);
    run_values("2.safetensors", ", \"set\": [\"blocks.0.hook_mlp_out=2\"]");
    assert_true(same_bytes("1.safetensors", "2.safetensors"));
    snprintf(more, sizeof more, ", \"edit\": [\"%s\"], \"set\": [\"blocks.0.hook_mlp_out=times:2\"]",
             path_of("a.json"));
    run_values("1.safetensors", more); /* the call's own edits come last */
    assert_true(same_bytes("1.safetensors", "2.safetensors"));
}

/* The path of a tensor file is the edit file's, not the current folder's. */
static void what_is_written_can_be_read_again(void **state) {
    char more[600], edit[300];
    Model *model;
    Arena arena;
    arena_init(&arena);
    must(model_open(&model, model_folder, NULL, NULL));
    snprintf(edit, sizeof edit, "blocks.0.hook_resid_post=erase:%s:d", path_of("d.safetensors"));
    const Text texts[] = {text_of(edit), text_of("blocks.1.hook_attn_out=zero")};
    must(edit_file_write(path_of("a.json"), model, &(Texts){texts, 2}, "why", NULL, &arena));
    EditFile file;
    must(edit_file_read(&file, path_of("a.json"), NULL, &arena));
    assert_string_equal(file.note, "why");
    assert_string_equal(file.model_hash, model_hash_text);
    assert_string_equal(file.edits.items[0].bytes, "blocks.0.hook_resid_post=erase:d.safetensors:d");
    assert_int_equal(file.n_files, 1);
    snprintf(more, sizeof more, ", \"edit\": [\"%s\"]", path_of("a.json"));
    run_values("1.safetensors", more);
    snprintf(more, sizeof more, ", \"set\": [\"%s\", \"blocks.1.hook_attn_out=zero\"]", edit);
    run_values("2.safetensors", more);
    assert_true(same_bytes("1.safetensors", "2.safetensors"));

    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    assert_int_equal(rename(path_of("a.json"), path_of("sub/moved.json")), 0);
    assert_int_not_equal(edit_file_read(&file, path_of("sub/moved.json"), NULL, &arena), LIMN_OK);
    assert_int_equal(link(path_of("d.safetensors"), path_of("sub/d.safetensors")), 0);
    must(edit_file_read(&file, path_of("sub/moved.json"), NULL, &arena));

    const Text position = text_of("blocks.1.hook_attn_out[pos=0]=zero"),
               keyed = text_of("blocks.1.attn.hook_pattern=zero");
    assert_int_equal(edit_file_write(path_of("bad.json"), model, &(Texts){&position, 1}, "", NULL, &arena), LIMN_USAGE);
    assert_int_equal(edit_file_write(path_of("bad.json"), model, &(Texts){&keyed, 1}, "", NULL, &arena), LIMN_USAGE);
    assert_false(file_exists(path_of("bad.json")));
    model_free(model);
    arena_free(&arena);
}

static void results_name_it_and_verify_knows_it(void **state) {
    Result *result, *again;
    TextBuffer json = TEXT_BUFFER_INIT;
    write_edits("a.json", "\"blocks.1.hook_mlp_out=zero\"", "");
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"5,9\", \"edit\": [\"%s\"]}", model_folder,
                     path_of("a.json")));
    assert_int_equal(result->provenance.n_edits, 1);
    assert_string_equal(result->provenance.edits[0].name.bytes, "a.json");
    assert_string_equal(result->provenance.edits[0].edits.bytes, "blocks.1.hook_mlp_out=zero");
    assert_int_equal(result->provenance.edits[0].hash.length, 64);
    must(result_write_json(&json, result, true));
    write_text("record.json", json.data);
    text_buffer_free(&json);
    result_free(result);

    must(call_method(&again, "verify", "{\"result\": \"%s\"}", path_of("record.json")));
    assert_true(result_passed(again));
    result_free(again);
    assert_int_equal(rename(path_of("a.json"), path_of("b.json")), 0); /* the same under another name */
    must(call_method(&again, "verify", "{\"result\": \"%s\", \"edit\": [\"%s\"]}", path_of("record.json"),
                     path_of("b.json")));
    assert_true(result_passed(again));
    result_free(again);
    write_edits("b.json", "\"blocks.1.hook_mlp_out=times:0\"", ""); /* the same numbers, but it is another file */
    must(call_method(&again, "verify", "{\"result\": \"%s\", \"edit\": [\"%s\"]}", path_of("record.json"),
                     path_of("b.json")));
    assert_false(result_passed(again));
    result_free(again);
}

static void one_that_was_written_anew_is_another(void **state) {
    ModelCache *models;
    must(model_cache_new(&models));
    double lead[2];
    for (int i = 0; i < 2; i++) {
        char params[1400];
        Result *result;
        json_error_t error;
        write_edits("c.json", i == 0 ? "\"blocks.1.hook_mlp_out=zero\"" : "\"blocks.1.hook_mlp_out=1\"", "");
        snprintf(params, sizeof params, "{\"model\": \"%s\", \"ids\": \"5,9\", \"edit\": [\"%s\"]}", model_folder,
                 path_of("c.json"));
        json_t *json = json_loads(params, 0, &error);
        must(method_call(&result, &test_registry, models, "run", json, &(CallListeners){0}));
        lead[i] = table_cell(result_find_block(result, "top")->content, 0, 3)->number;
        json_decref(json);
        result_free(result);
    }
    model_cache_free(models);
    assert_true(lead[0] != lead[1]);
}

static void refused(const char *name, const char *expected) {
    Result *result;
    limn_status status = call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"5,9\", \"edit\": [\"%s\"]}",
                                     model_folder, path_of(name));
    if (status == LIMN_OK || status_exit_code(status) != 2 || strstr(error_message(), expected) == NULL) {
        fail_msg("found '%s' (status %d), expected '%s'", status == LIMN_OK ? "no refusal" : error_message(),
                 (int)status, expected);
    }
    assert_null(strchr(error_message(), '\n'));
}

static void what_is_broken_is_refused(void **state) {
    static const struct {
        const char *edits, *more, *expected;
    } cases[] = {
        {"", "", "expected one edit at least"},
        {"3", "", "expected texts"},
        {"\"blocks.9.hook_mlp_out=zero\"", "", "no site matches"},
        {"\"blocks.1.hook_mlp_out=nothing\"", "", "found 'nothing'"},
        {"\"blocks.1.hook_mlp_out[pos=0]=zero\"", "", "found pos"},
        {"\"blocks.1.attn.hook_pattern=zero\"", "", "an element for each key"},
        {"\"blocks.1.hook_mlp_out[head=0]=zero\"", "", "has no heads"},
        {"\"blocks.1.hook_mlp_out=d.safetensors:d\"", "", "not among its files"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"nite\": 1", "nite"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"frame\": \"tl\"", "expected hf or transformerlens"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"frame\": \"transformerlens\"", "made in the frame transformerlens"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"note\": 3", "note"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"files\": [{\"name\": \"d.safetensors\", \"hash\": \"12\"}]", "64 hex"},
        {"\"blocks.1.hook_mlp_out=zero\"", ", \"adapters\": [1]", "expected objects"},
        {"\"blocks.1.hook_mlp_out=zero\"", ",", "expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_edits("bad.json", cases[i].edits, cases[i].more);
        refused("bad.json", cases[i].expected);
    }
    char more[300];
    snprintf(more, sizeof more, ", \"files\": [{\"name\": \"d.safetensors\", \"hash\": \"%s\"}]", model_hash_text);
    write_edits("bad.json", "\"blocks.1.hook_mlp_out=d.safetensors:d\"", more);
    refused("bad.json", "it was changed");
    write_text("bad.json", "[]");
    refused("bad.json", "expected an object");
    write_text("bad.json", "{\"format\": \"limn.result/1\"}");
    refused("bad.json", "expected 'limn.edits/1'");
    refused("nothing.json", "nothing.json");
}

static void one_of_another_model_is_refused(void **state) {
    char kept[65];
    snprintf(kept, sizeof kept, "%s", model_hash_text);
    model_hash_text[5] = model_hash_text[5] == '0' ? '1' : '0';
    write_edits("bad.json", "\"blocks.1.hook_mlp_out=zero\"", "");
    snprintf(model_hash_text, sizeof model_hash_text, "%s", kept);
    refused("bad.json", "another model");
}

static void one_made_on_an_adapter_says_so_elsewhere(void **state) {
    char more[300];
    Result *result;
    snprintf(more, sizeof more, ", \"adapters\": [{\"name\": \"a\", \"hash\": \"%s\", \"weight\": 1}]",
             model_hash_text);
    write_edits("a.json", "\"blocks.1.hook_mlp_out=zero\"", more);
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": \"5,9\", \"edit\": [\"%s\"]}", model_folder,
                     path_of("a.json")));
    assert_true(result->n_warnings > 0 && strstr(result->warnings[result->n_warnings - 1].bytes, "other adapters"));
    result_free(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gives_the_bits_of_its_edits_by_set),
        cmocka_unit_test(several_files_act_in_their_order),
        cmocka_unit_test(what_is_written_can_be_read_again),
        cmocka_unit_test(results_name_it_and_verify_knows_it),
        cmocka_unit_test(one_that_was_written_anew_is_another),
        cmocka_unit_test(what_is_broken_is_refused),
        cmocka_unit_test(one_of_another_model_is_refused),
        cmocka_unit_test(one_made_on_an_adapter_says_so_elsewhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
