#include "files/hf_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/helpers.h"

static void fill_repository(const char *below, const char *commit, const char *reference) {
    char path[512];
    snprintf(path, sizeof path, "%s/snapshots/%s", below, commit);
    assert_ok(folder_make(scratch_path(path)));
    if (reference != NULL) {
        snprintf(path, sizeof path, "%s/refs", below);
        assert_ok(folder_make(scratch_path(path)));
        snprintf(path, sizeof path, "%s/refs/%s", below, reference);
        char line[128];
        snprintf(line, sizeof line, "%s\n", commit);
        write_text(scratch_path(path), line);
    }
}

static void only_home(void) {
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_HOME");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", scratch_path("home"), 1);
}

static void assert_resolves(const char *model, const char *below) {
    char *path;
    assert_ok(hf_cache_resolve(&path, model));
    assert_string_equal(path, scratch_path(below));
    free(path);
}

static void test_paths_stay(void **state) {
    only_home();
    write_text(scratch_path("model.gguf"), "");
    char *path;
    assert_ok(hf_cache_resolve(&path, scratch_path("model.gguf")));
    assert_string_equal(path, scratch_path("model.gguf"));
    free(path);
    assert_ok(hf_cache_resolve(&path, "/tmp"));
    assert_string_equal(path, "/tmp");
    free(path);
}

static void test_names(void **state) {
    only_home();
    fill_repository("home/.cache/huggingface/hub/models--org--name", "abc123", "main");
    fill_repository("home/.cache/huggingface/hub/models--org--name", "def456", "v2");
    fill_repository("home/.cache/huggingface/hub/models--gpt2", "0001", NULL);
    assert_resolves("org/name", "home/.cache/huggingface/hub/models--org--name/snapshots/abc123");
    assert_resolves("org/name@v2", "home/.cache/huggingface/hub/models--org--name/snapshots/def456");
    assert_resolves("org/name@def456", "home/.cache/huggingface/hub/models--org--name/snapshots/def456");
    assert_resolves("gpt2", "home/.cache/huggingface/hub/models--gpt2/snapshots/0001"); /* the only snapshot */
    /* The variables come first, in their order. */
    fill_repository("hub/models--org--name", "999", "main");
    setenv("HF_HOME", scratch_path("hfhome"), 1);
    assert_resolves("org/name", "home/.cache/huggingface/hub/models--org--name/snapshots/abc123");
    fill_repository("hfhome/hub/models--org--name", "777", "main");
    assert_resolves("org/name", "hfhome/hub/models--org--name/snapshots/777");
    setenv("HF_HUB_CACHE", scratch_path("hub"), 1);
    assert_resolves("org/name", "hub/models--org--name/snapshots/999");
}

static void test_what_is_not_there(void **state) {
    only_home();
    setenv("HF_HOME", scratch_path("elsewhere"), 1);
    char *path;
    assert_refused(hf_cache_resolve(&path, "org/absent"), LIMN_NOT_FOUND, "org/absent",
                   "elsewhere/hub/models--org--absent", "home/.cache/huggingface/hub/models--org--absent");
    assert_null(path);
    assert_refused(hf_cache_resolve(&path, "./no/such/folder"), LIMN_NOT_FOUND, "./no/such/folder: no such file");
    assert_refused(hf_cache_resolve(&path, "../x"), LIMN_NOT_FOUND, "no such file");
    assert_refused(hf_cache_resolve(&path, ""), LIMN_NOT_FOUND, "no such file");
    assert_refused(hf_cache_resolve(&path, "org/name@../../x"), LIMN_NOT_FOUND, "no such file");
    /* A reference that points out of the cache is no reference. */
    fill_repository("home/.cache/huggingface/hub/models--org--evil", "a", NULL);
    fill_repository("home/.cache/huggingface/hub/models--org--evil", "b", NULL);
    assert_ok(folder_make(scratch_path("home/.cache/huggingface/hub/models--org--evil/refs")));
    write_text(scratch_path("home/.cache/huggingface/hub/models--org--evil/refs/main"), "../../models--gpt2");
    assert_refused(hf_cache_resolve(&path, "org/evil"), LIMN_NOT_FOUND, "org/evil");
    unsetenv("HF_HOME");
    unsetenv("HOME");
    assert_refused(hf_cache_resolve(&path, "org/name"), LIMN_NOT_FOUND, "HOME is not set");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_stay),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
