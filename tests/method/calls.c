#include "method/calls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "call/open.h"
#include "method/methods.h"

const Registry test_registry = {.methods = &method_table};

limn_status call_method(Result **result, const char *command, const char *format, ...) {
    char json[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    json_error_t error;
    json_t *params = json_loads(json, JSON_ALLOW_NUL, &error);
    if (params == NULL) {
        return fail(LIMN_INTERNAL, "the test's JSON is broken: %s", error.text);
    }
    ModelCache *models;
    limn_status status = model_cache_new(&models);
    if (status == LIMN_OK) {
        CallListeners listeners = {0};
        status = method_call(result, &test_registry, models, command, params, &listeners);
        model_cache_free(models);
    }
    json_decref(params);
    return status;
}

const char *golden_folder(const char *name) {
    static char folder[1024];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", LIMN_TEST_SOURCE_DIR, name);
    return folder;
}

static const char tokenizer_head[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,\"vocab\":{\"\xC4\xA0\":0";

static void copy_file(const char *from, const char *folder, const char *name) {
    char *bytes;
    size_t length;
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", from, name);
    if (file_read(&bytes, &length, path, (size_t)1 << 30) == LIMN_OK) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        file_write_atomic(path, bytes, length);
        free(bytes);
    }
}

static const char spaces_head[] =
    "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
    "{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xE2\x96\x81\":0";

/* tail: the rest of tokenizer.json after the pieces "a" to "z". */
static void make_model(char *folder, const char *head, const char *tail) {
    snprintf(folder, 64, "/tmp/limn-letters-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return;
    }
    copy_file(golden_folder("llama-old"), folder, "config.json");
    copy_file(golden_folder("llama-old"), folder, "model.safetensors");
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add(&text, head);
    for (int i = 0; i < 26; i++) {
        text_buffer_printf(&text, ",\"%c\":%d", 'a' + i, 1 + i);
    }
    text_buffer_add(&text, tail);
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    file_write_atomic(path, text.data, text.length);
    text_buffer_free(&text);
}

void make_letters_model(char *folder) {
    make_model(folder, tokenizer_head, ",\"bc\":27},\"merges\":[\"b c\"]}}");
}

void make_bytes_model(char *folder) {
    /* as byte-level BPE writes them: what has no sign of its own stands from U+0100 on */
    make_model(folder, tokenizer_head,
               ",\"bc\":27,\"\u00e4\":28,\"\u00b8\":29,\"\u0143\":30,\"\u00e5\":31,\"\u00bd\":32,\"\u00f0\":33,"
               "\"\u0141\":34},\"merges\":[\"b c\"]}}");
}

void make_spaces_model(char *folder) {
    TextBuffer tail = TEXT_BUFFER_INIT;
    for (int i = 0; i < 26; i++) {
        text_buffer_printf(&tail, ",\"\xE2\x96\x81%c\":%d", 'a' + i, 27 + i);
    }
    text_buffer_add(&tail, "},\"merges\":[");
    for (int i = 0; i < 26; i++) {
        text_buffer_printf(&tail, "%s\"\xE2\x96\x81 %c\"", i > 0 ? "," : "", 'a' + i);
    }
    text_buffer_add(&tail, "]}}");
    make_model(folder, spaces_head, tail.data);
    text_buffer_free(&tail);
}

/* A file of tensors whose `name` keeps its first row alone. */
static void cut_tensor(const char *from, const char *to, const char *name) {
    char *bytes;
    const char *key;
    size_t length;
    uint64_t head;
    if (file_read(&bytes, &length, from, (size_t)1 << 26) != LIMN_OK) {
        return;
    }
    memcpy(&head, bytes, sizeof head);
    json_t *tensors = json_loadb(bytes + 8, (size_t)head, 0, NULL), *tensor;
    json_object_del(tensors, "__metadata__");
    TextBuffer data = TEXT_BUFFER_INIT, file = TEXT_BUFFER_INIT;
    json_object_foreach(tensors, key, tensor) {
        json_t *offsets = json_object_get(tensor, "data_offsets"), *shape = json_object_get(tensor, "shape");
        json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
                   end = json_integer_value(json_array_get(offsets, 1));
        if (strcmp(key, name) == 0) {
            end = begin + (end - begin) / json_integer_value(json_array_get(shape, 0));
            json_array_set_new(shape, 0, json_integer(1));
        }
        json_array_set_new(offsets, 0, json_integer((json_int_t)data.length));
        text_buffer_add_bytes(&data, bytes + 8 + head + begin, (size_t)(end - begin));
        json_array_set_new(offsets, 1, json_integer((json_int_t)data.length));
    }
    char *header = json_dumps(tensors, JSON_COMPACT);
    head = (strlen(header) + 7) / 8 * 8; /* what follows is aligned */
    text_buffer_add_bytes(&file, &head, sizeof head);
    text_buffer_printf(&file, "%-*s", (int)head, header);
    text_buffer_add_bytes(&file, data.data, data.length);
    file_write_atomic(to, file.data, file.length);
    text_buffer_free(&data);
    text_buffer_free(&file);
    json_decref(tensors);
    free(header);
    free(bytes);
}

void make_number_model(char *folder) {
    char path[128], from[1200];
    snprintf(folder, 64, "/tmp/limn-number-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return;
    }
    snprintf(from, sizeof from, "%s/config.json", golden_folder("gpt2-classifier"));
    json_t *config = json_load_file(from, 0, NULL);
    json_object_del(config, "id2label");
    json_object_del(config, "label2id");
    json_object_set_new(config, "num_labels", json_integer(1));
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_dump_file(config, path, 0);
    json_decref(config);
    snprintf(from, sizeof from, "%s/model.safetensors", golden_folder("gpt2-classifier"));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    cut_tensor(from, path, "score.weight");
}

void remove_letters_model(const char *folder) {
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static bool has_column(const Result *result, const char *id, const char *name) {
    const Block *block = result_find_block(result, id);
    const TableBlock *table = block != NULL && block->kind == BLOCK_TABLE ? block->content : NULL;
    for (int32_t i = 0; table != NULL && i < table->n_columns; i++) {
        if (text_is(table->columns[i].name, name)) {
            return true;
        }
    }
    return false;
}

const char *missing_column(const Result *result, const char *const *columns) {
    for (; *columns != NULL; columns++) {
        char id[64];
        const char *dot = strchr(*columns, '.');
        snprintf(id, sizeof id, "%.*s", (int)(dot - *columns), *columns);
        if (!has_column(result, id, dot + 1)) {
            return *columns;
        }
    }
    return NULL;
}
