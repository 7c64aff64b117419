/* The record: RFC 6962's own values, proofs of every entry, and each changed byte found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "audit/fake.h"
#include "audit/figures.h"
#include "audit/hash.h"
#include "audit/log.h"
#include "base/file.h"
#include "call/call.h"
#include "call/open.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* Roots of the first n of eight entries, as Certificate Transparency's reference implementations have them. */
static void test_merkle(void **state) {
    (void)state;
    static const char *const entries[] = {
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    MerkleHash leaves[8], proof[MERKLE_PROOF_MAX];
    char hex[65];
    for (int i = 0; i < 8; i++) {
        unsigned char bytes[16];
        size_t length;
        assert_int_equal(sodium_hex2bin(bytes, sizeof bytes, entries[i], strlen(entries[i]), NULL, &length, NULL), 0);
        leaves[i] = merkle_leaf(bytes, length);
        MerkleHash root = merkle_root(leaves, i + 1);
        sodium_bin2hex(hex, sizeof hex, root.bytes, MERKLE_BYTES);
        assert_string_equal(hex, roots[i]);
        for (int k = 0; k <= i; k++) {
            int32_t n = merkle_prove(proof, leaves, i + 1, k);
            assert_true(merkle_check(leaves[k], k, i + 1, proof, n, root));
            assert_false(merkle_check(leaves[(k + 1) % 8], k, i + 1, proof, n, root));
            assert_false(merkle_check(leaves[k], k + 1, i + 1, proof, n, root));
            assert_false(n > 0 && merkle_check(leaves[k], k, i + 1, proof, n - 1, root));
            if (n > 0) {
                proof[n - 1].bytes[0] ^= 1;
                assert_false(merkle_check(leaves[k], k, i + 1, proof, n, root));
            }
        }
    }
    MerkleHash nothing = merkle_root(leaves, 0);
    sodium_bin2hex(hex, sizeof hex, nothing.bytes, MERKLE_BYTES);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][200];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[0], "%s/%s", folder, name);
    return path[next];
}

static Result *call(const char *command, const char *format, const char *argument) {
    char text[512];
    snprintf(text, sizeof text, format, argument, argument);
    json_t *params = json_loads(text, 0, NULL);
    assert_non_null(params);
    ModelCache *models;
    Result *result = NULL;
    assert_int_equal(model_cache_new(&models), LIMN_OK);
    CallListeners listeners = {0};
    limn_status status = method_call(&result, &fake_registry, models, command, params, &listeners);
    model_cache_free(models);
    json_decref(params);
    if (status != LIMN_OK) {
        print_message("%s: %s\n", command, error_message());
    }
    return result;
}

static Result *audit(void) {
    return call("audit", "{\"plan\": \"%s/plan.yaml\", \"work\": \"%s/work\"}", folder);
}

/* It comes to its end, and that many of its steps are made anew. */
static void audit_makes(int steps) {
    int before = fake_calls;
    Result *result = audit();
    assert_non_null(result);
    result_free(result);
    assert_int_equal(fake_calls, before + steps);
}

static Result *verify(void) {
    return call("log verify", "{\"folder\": \"%s/work\"}", folder);
}

static void write_text(const char *name, const char *text) {
    assert_int_equal(file_write_atomic(in_folder(name), text, strlen(text)), LIMN_OK);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/limn-record-test-%d", (int)getpid());
    folder_make(folder);
    write_text("m.gguf", "x");
    write_text("d.jsonl", "{\"id\": \"1\", \"text\": \"a\", \"label\": \"yes\", \"wrong\": false}\n");
    write_text("plan.yaml",
               "limn: audit/1\nmodels: {judged: m.gguf}\ndata: {d: {file: d.jsonl, prompt-field: text, "
               "label-field: label, id-field: id}}\nsteps:\n- {run: predict, id: decisions}\n- run: tell\n");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}

static void must_be_whole(void) {
    Result *result = verify();
    assert_non_null(result);
    if (result_verdict(result) != CHECK_PASS) {
        fail_msg("%s", result->headline.bytes);
    }
    result_free(result);
}

/* Flips one byte in the middle; what is said must name `named`. Puts it back. */
static void tamper(const char *file, const char *named) {
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, file, 1 << 20), LIMN_OK);
    bytes[length / 2] ^= 1;
    assert_int_equal(file_write_atomic(file, bytes, length), LIMN_OK);
    Result *result = verify();
    if (result != NULL) { /* else a file that cannot be read at all, which was said */
        bool found = false;
        const TableBlock *problems = result_table(result, "problems");
        for (int32_t i = 0; i < problems->n_rows; i++) {
            found = found || strstr(table_cell(problems, i, 0)->text.bytes, named) != NULL;
        }
        if (result_verdict(result) != CHECK_FAIL || !found) {
            fail_msg("a changed byte of %s was not found: %s", file, result->headline.bytes);
        }
        result_free(result);
    }
    bytes[length / 2] ^= 1;
    assert_int_equal(file_write_atomic(file, bytes, length), LIMN_OK);
    free(bytes);
}

static void test_tampering(void **state) {
    (void)state;
    Result *result = audit();
    assert_non_null(result);
    result_free(result);
    must_be_whole();
    char *index;
    size_t length;
    assert_int_equal(file_read(&index, &length, in_folder("work/index.json"), 1 << 20), LIMN_OK);
    json_t *whole = json_loads(index, 0, NULL), *steps = json_object_get(whole, "steps");
    free(index);
    const char *id;
    json_t *entry;
    json_object_foreach(steps, id, entry) {
        const char *name = json_string_value(json_object_get(entry, "result"));
        char path[256];
        snprintf(path, sizeof path, "%s/work/steps/%s", folder, name);
        tamper(path, name);
    }
    json_decref(whole);
    static const char *const files[][2] = {{"work/log.jsonl", "log.jsonl"},        {"work/checkpoint", "checkpoint"},
                                           {"work/manifest.json", "manifest"},     {"work/report.json", "report.json"},
                                           {"work/index.json", "index.json"},      {"m.gguf", "m.gguf"},
                                           {"work/manifest.json.sig", "manifest"}, {"d.jsonl", "d.jsonl"}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s", in_folder(files[i][0]));
        tamper(path, files[i][1]);
    }
    must_be_whole();
}

/* A kept result that was changed is not taken for the model's; one that the log does not know is made again. */
static void test_kept_is_held(void **state) {
    (void)state;
    char command[200], *bytes, path[256] = "";
    size_t length;
    snprintf(command, sizeof command, "ls %s/work/steps/decisions.*.jsonl", folder);
    FILE *list = popen(command, "r");
    assert_non_null(fgets(path, sizeof path, list));
    pclose(list);
    path[strcspn(path, "\n")] = '\0';
    assert_int_equal(file_read(&bytes, &length, path, 1 << 20), LIMN_OK);
    bytes[length / 2] ^= 1;
    assert_int_equal(file_write_atomic(path, bytes, length), LIMN_OK);
    assert_null(audit());
    assert_non_null(strstr(error_message(), "was changed since it was kept"));
    bytes[length / 2] ^= 1;
    assert_int_equal(file_write_atomic(path, bytes, length), LIMN_OK);
    free(bytes);
    audit_makes(0);
    unlink(in_folder("work/log.jsonl"));
    unlink(in_folder("work/checkpoint"));
    audit_makes(2);
    must_be_whole();
}

/* A torn line is cut; a changed log is not gone on with; two audits do not work in one folder. */
static void test_log(void **state) {
    (void)state;
    FILE *file = fopen(in_folder("work/log.jsonl"), "a");
    assert_non_null(file);
    fputs("{\"event\": \"st", file);
    fclose(file);
    audit_makes(0);
    must_be_whole();
    char *signature; /* 64 bytes in Base64 on a line that ends */
    size_t signed_length;
    assert_int_equal(file_read(&signature, &signed_length, in_folder("work/manifest.json.sig"), 1 << 12), LIMN_OK);
    assert_int_equal(signed_length, 88 + 1);
    assert_int_equal(strcspn(signature, "\n"), 88);
    free(signature);
    Arena arena;
    AuditLog log, second;
    arena_init(&arena);
    assert_int_equal(log_open(&log, in_folder("work"), in_folder("work/signing.key"), &arena), LIMN_OK);
    assert_int_equal(log_open(&second, in_folder("work"), in_folder("work/signing.key"), &arena), LIMN_IO);
    log_close(&second);
    assert_int_equal(log_append(&log, json_pack("{s:s}", "event", "more")), LIMN_OK);
    log_close(&log); /* as if it had been killed before the checkpoint */
    must_be_whole();
    assert_int_equal(log_open(&log, in_folder("work"), in_folder("other.key"), &arena), LIMN_FORMAT);
    log_close(&log);
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, in_folder("work/log.jsonl"), 1 << 20), LIMN_OK);
    bytes[3] ^= 1;
    assert_int_equal(file_write_atomic(in_folder("work/log.jsonl"), bytes, length), LIMN_OK);
    assert_int_equal(log_open(&log, in_folder("work"), in_folder("work/signing.key"), &arena), LIMN_FORMAT);
    log_close(&log);
    assert_null(audit());
    free(bytes);
    arena_free(&arena);
}

static void test_key(void **state) {
    (void)state;
    SigningKey key, again;
    unsigned char public[PUBLIC_BYTES];
    char signature[SIGNATURE_TEXT];
    struct stat info;
    assert_int_equal(signing_key_open(&key, in_folder("k")), LIMN_OK);
    assert_int_equal(stat(in_folder("k"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(signing_key_open(&again, in_folder("k")), LIMN_OK);
    assert_memory_equal(key.secret, again.secret, SECRET_BYTES);
    assert_int_equal(signing_public_read(public, in_folder("k.pub")), LIMN_OK);
    signing_sign(signature, &key, "text", 4);
    assert_true(signing_check(public, signature, "text", 4));
    assert_false(signing_check(public, signature, "texT", 4));
    assert_false(signing_check(public, "bm9wZQ==", "text", 4));
    write_text("bad", "limn-key/1 ed25519 c2hvcnQ=\n");
    assert_int_equal(signing_key_open(&key, in_folder("bad")), LIMN_FORMAT);
}

/* Each file is hashed once, and found again however many came since. */
static void test_hashes_are_kept(void **state) {
    (void)state;
    enum { FILES = 70 };
    Arena arena;
    arena_init(&arena);
    Team team = {.threads = 1};
    FileHashes hashes = {.arena = &arena, .team = &team};
    char first[FILES][HASH_HEX];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < FILES; i++) {
            char name[32];
            const char *hex;
            snprintf(name, sizeof name, "hashed-%d", i);
            if (round == 0) {
                write_text(name, name);
            } else {
                unlink(in_folder(name));
            }
            assert_int_equal(file_hashes_get(&hex, &hashes, in_folder(name)), LIMN_OK);
            if (round == 0) {
                snprintf(first[i], HASH_HEX, "%s", hex);
            }
            assert_string_equal(hex, first[i]);
            assert_true(i == 0 || strcmp(first[i], first[i - 1]) != 0);
        }
    }
    assert_int_equal(hashes.n, FILES);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_merkle),       cmocka_unit_test(test_tampering),
                                       cmocka_unit_test(test_kept_is_held), cmocka_unit_test(test_log),
                                       cmocka_unit_test(test_key),          cmocka_unit_test(test_hashes_are_kept)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
