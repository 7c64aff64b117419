#include "model/adapter_base.h"

#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "model/files.h"

enum { NAME_MAX_BYTES = 128 };

/* "Q4_K_M", "F16", "IQ3_XS": how a file's weights are stored, at the end of its name. */
static bool is_number_type(const char *word) {
    static const char *const plain[] = {"f16", "f32", "bf16", "fp16", "fp32"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(word, plain[i]) == 0) {
            return true;
        }
    }
    word += word[0] == 'i';
    return word[0] == 'q' && isdigit((unsigned char)word[1]);
}

/* The last part of a name or path, in lower case: letters and digits only. */
static void plain_name(char out[NAME_MAX_BYTES], const char *name, size_t length) {
    while (length > 0 && (name[length - 1] == '/' || name[length - 1] == '.')) {
        length--;
    }
    size_t begin = length;
    while (begin > 0 && name[begin - 1] != '/') {
        begin--;
    }
    char lower[NAME_MAX_BYTES];
    size_t n = 0;
    for (size_t i = begin; i < length && n + 1 < sizeof lower; i++) {
        lower[n++] = (char)tolower((unsigned char)name[i]);
    }
    lower[n] = '\0';
    if (n > 5 && strcmp(lower + n - 5, ".gguf") == 0) {
        lower[n - 5] = '\0';
    }
    size_t at = strlen(lower);
    while (at > 0 && lower[at - 1] != '.' && lower[at - 1] != '-') {
        at--;
    }
    if (at > 1 && is_number_type(lower + at)) {
        lower[at - 1] = '\0';
    }
    size_t kept = 0;
    for (const char *c = lower; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || ((unsigned char)*c & 0x80) != 0) {
            out[kept++] = *c;
        }
    }
    out[kept] = '\0';
}

static bool same_name(const char *wanted, const char *name, size_t length) {
    char own[NAME_MAX_BYTES];
    plain_name(own, name, length);
    return own[0] != '\0' && strcmp(own, wanted) == 0;
}

/* ".../models--org--name/snapshots/HASH" of the Hugging Face cache. */
static bool same_cached_name(const char *wanted, const char *path) {
    const char *folder = strstr(path, "models--"), *name = folder;
    size_t end = folder != NULL ? strcspn(folder, "/") : 0;
    for (size_t i = 0; i + 2 < end; i++) {
        name = memcmp(folder + i, "--", 2) == 0 ? folder + i + 2 : name;
    }
    return folder != NULL && same_name(wanted, name, (size_t)(folder + end - name));
}

AdapterBase adapter_base_compare(const Build *build, const char *base) {
    const Model *model = build->model;
    char wanted[NAME_MAX_BYTES];
    plain_name(wanted, base, strlen(base));
    if (wanted[0] == '\0') {
        return ADAPTER_BASE_UNSAID;
    }
    const char *written = json_string_value(json_object_get(model->files->config, "_name_or_path"));
    const char *general = NULL;
    size_t length = 0;
    if (model->files->gguf != NULL && !gguf_get_string(model->files->gguf, "general.name", &general, &length)) {
        length = 0;
    }
    bool same = same_name(wanted, model->name, strlen(model->name)) ||
                same_name(wanted, model->path, strlen(model->path)) || same_cached_name(wanted, model->path) ||
                (written != NULL && same_name(wanted, written, strlen(written))) ||
                same_name(wanted, general != NULL ? general : "", length);
    return same ? ADAPTER_BASE_SAME : ADAPTER_BASE_OTHER;
}
