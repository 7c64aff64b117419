/* Which files of a folder make the tokenizer. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/json.h"
#include "text/parts.h"

static limn_status out_of_memory(const char *folder) {
    return fail(LIMN_NO_MEMORY, "%s: opening the tokenizer", folder);
}

/* A file beside the others; *path is NULL when it is not there. malloc'ed. */
static limn_status find_beside(char **path, const char *folder, const char *name) {
    *path = path_join(folder, name);
    if (*path == NULL) {
        return out_of_memory(folder);
    }
    if (!file_exists(*path)) {
        free(*path);
        *path = NULL;
    }
    return LIMN_OK;
}

/* *json is NULL when the file is not there. */
static limn_status load_beside(json_t **json, char **path, const char *folder, const char *name) {
    *json = NULL;
    TRY(find_beside(path, folder, name));
    return *path == NULL ? LIMN_OK : json_file_load(json, *path, JSON_TOKENIZER_CAP);
}

static limn_status apply_configs(Tokenizer *tokenizer, const char *folder, const json_t *config) {
    if (config != NULL) {
        TRY(load_config(tokenizer, folder, config));
    }
    json_t *map = NULL;
    char *path = NULL;
    limn_status status = load_beside(&map, &path, folder, "special_tokens_map.json");
    if (status == LIMN_OK && map != NULL) {
        status = load_config(tokenizer, path, map);
    }
    if (config == NULL && map == NULL) {
        load_usual_specials(tokenizer);
    }
    json_decref(map);
    free(path);
    return status;
}

static limn_status keep_template_file(Tokenizer *tokenizer, const char *folder, const char *file, const char *name,
                                      size_t name_length) {
    enum { CHAT_TEMPLATE_CAP = 4 << 20 };
    char *path = NULL, *text = NULL;
    size_t length;
    limn_status status = find_beside(&path, folder, file);
    if (status == LIMN_OK && path != NULL) {
        status = file_read(&text, &length, path, CHAT_TEMPLATE_CAP);
        if (status == LIMN_OK) {
            status = tokenizer_keep_template(tokenizer, name, name_length, text, length, true);
        }
    }
    free(text);
    free(path);
    return status;
}

static int is_template(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 6 && strcmp(entry->d_name + length - 6, ".jinja") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* additional_chat_templates/NAME.jinja, in the order of their names. */
static limn_status apply_named_templates(Tokenizer *tokenizer, const char *folder) {
    char *beside = path_join(folder, "additional_chat_templates");
    if (beside == NULL) {
        return out_of_memory(folder);
    }
    struct dirent **entries = NULL;
    int n = folder_exists(beside) ? scandir(beside, &entries, is_template, by_name) : 0;
    limn_status status = n < 0 ? fail(LIMN_IO, "%s: %s", beside, strerror(errno)) : LIMN_OK;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (status == LIMN_OK) {
            status = keep_template_file(tokenizer, beside, name, name, strlen(name) - 6);
        }
        free(entries[i]);
    }
    free(entries);
    free(beside);
    return status;
}

/* chat_template.jinja wins over the config, which wins over chat_template.json. */
static limn_status apply_chat_template(Tokenizer *tokenizer, const char *folder) {
    json_t *json = NULL;
    char *path = NULL;
    TRY(keep_template_file(tokenizer, folder, "chat_template.jinja", "default", 7));
    TRY(apply_named_templates(tokenizer, folder));
    limn_status status = load_beside(&json, &path, folder, "chat_template.json");
    if (status == LIMN_OK && json != NULL) {
        status = load_chat_template(tokenizer, json);
    }
    json_decref(json);
    free(path);
    return status;
}

/* tokenizer.json holds a model, tekken.json a list of pieces. */
static limn_status load_either_json(Tokenizer *tokenizer, const char *path, const json_t *json) {
    bool tekken = json_object_get(json, "model") == NULL && json_is_array(json_object_get(json, "vocab"));
    return tekken ? load_tekken(tokenizer, path, json) : load_tokenizer_json(tokenizer, path, json);
}

static limn_status load_json_path(Tokenizer *tokenizer, const char *path) {
    json_t *json;
    TRY(json_file_load(&json, path, JSON_TOKENIZER_CAP));
    limn_status status = load_either_json(tokenizer, path, json);
    json_decref(json);
    return status;
}

static limn_status load_bytes_path(Tokenizer *tokenizer, const char *path, const json_t *config,
                                   limn_status (*load)(Tokenizer *tokenizer, const char *path, const char *bytes,
                                                       size_t length, const json_t *config)) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, JSON_TOKENIZER_CAP));
    limn_status status = load(tokenizer, path, bytes, length, config);
    free(bytes);
    return status;
}

/* The files that a folder may have, in the order they are preferred. */
static limn_status load_vocab_json_path(Tokenizer *tokenizer, const char *folder, const char *path,
                                        const json_t *config) {
    char *merges;
    TRY(find_beside(&merges, folder, "merges.txt"));
    if (merges == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: there is no merges.txt beside it", path);
    }
    limn_status status = load_vocab_merges(tokenizer, path, merges, config);
    free(merges);
    return status;
}

static limn_status load_folder(Tokenizer *tokenizer, const char *folder, const json_t *config) {
    static const char *const names[] = {"tokenizer.json",  "vocab.json",   "vocab.txt",
                                        "tokenizer.model", "spiece.model", "tekken.json"};
    enum { JSON, VOCAB_JSON, VOCAB_TXT, TOKENIZER_MODEL, SPIECE_MODEL, TEKKEN };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path;
        TRY(find_beside(&path, folder, names[i]));
        if (path == NULL) {
            continue;
        }
        limn_status status = i == JSON || i == TEKKEN ? load_json_path(tokenizer, path)
                             : i == VOCAB_JSON        ? load_vocab_json_path(tokenizer, folder, path, config)
                             : i == VOCAB_TXT         ? load_bytes_path(tokenizer, path, config, load_vocab_txt)
                                                      : load_bytes_path(tokenizer, path, config, load_sentencepiece);
        free(path);
        return status;
    }
    return fail(LIMN_NOT_FOUND,
                "%s: no tokenizer: expected tokenizer.json, vocab.json with merges.txt, vocab.txt, "
                "tokenizer.model or tekken.json",
                folder);
}

static limn_status finish_open(Tokenizer **tokenizer, Tokenizer *made, limn_status status) {
    if (status != LIMN_OK) {
        tokenizer_free(made);
        made = NULL;
    }
    *tokenizer = made;
    return status;
}

limn_status tokenizer_open_folder(Tokenizer **tokenizer, const char *folder) {
    *tokenizer = NULL;
    Tokenizer *made;
    TRY(tokenizer_new(&made));
    json_t *config = NULL;
    char *config_path = NULL;
    limn_status status = load_beside(&config, &config_path, folder, "tokenizer_config.json");
    if (status == LIMN_OK) {
        status = load_folder(made, folder, config);
    }
    if (status == LIMN_OK) {
        status = apply_configs(made, folder, config);
    }
    if (status == LIMN_OK) {
        status = apply_chat_template(made, folder);
    }
    if (status == LIMN_OK) {
        status = tokenizer_finish(made, folder);
    }
    json_decref(config);
    free(config_path);
    return finish_open(tokenizer, made, status);
}

/* ---- one file ---- */

/* Told by the first bytes: JSON begins with a brace, a SentencePiece model with its first piece (field 1, a
 * message), anything else is taken for a list of pieces. */
static limn_status load_contents(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length) {
    size_t at = strspn(bytes, " \t\r\n");
    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        at = 3;
    }
    if (bytes[at] == '{') {
        json_t *json;
        TRY(json_text_load(&json, path, bytes + at, length - at));
        limn_status status = load_either_json(tokenizer, path, json);
        json_decref(json);
        return status;
    }
    if (length > 2 && bytes[0] == 0x0A && memchr(bytes, '\0', length) != NULL) {
        return load_sentencepiece(tokenizer, path, bytes, length, NULL);
    }
    return load_vocab_txt(tokenizer, path, bytes, length, NULL);
}

limn_status tokenizer_open_file(Tokenizer **tokenizer, const char *path) {
    *tokenizer = NULL;
    Tokenizer *made;
    TRY(tokenizer_new(&made));
    char *bytes = NULL;
    size_t length;
    limn_status status = file_read(&bytes, &length, path, JSON_TOKENIZER_CAP);
    if (status == LIMN_OK) {
        status = load_contents(made, path, bytes, length);
    }
    free(bytes);
    if (status == LIMN_OK) {
        load_usual_specials(made);
        status = tokenizer_finish(made, path);
    }
    return finish_open(tokenizer, made, status);
}

limn_status tokenizer_open_gguf(Tokenizer **tokenizer, const Gguf *gguf) {
    *tokenizer = NULL;
    Tokenizer *made;
    TRY(tokenizer_new(&made));
    return finish_open(tokenizer, made, load_gguf(made, gguf));
}
