/* Which files of a folder make the tokenizer. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/json.h"
#include "text/folder.h"
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
static limn_status apply_chat_template(Tokenizer *tokenizer, const TokenizerFolder *folder) {
    json_t *json = NULL;
    char *path = NULL;
    TRY(keep_template_file(tokenizer, folder->path, "chat_template.jinja", "default", 7));
    TRY(apply_named_templates(tokenizer, folder->path));
    TRY(load_chat_template(tokenizer, folder->settings));
    TRY(find_beside(&path, folder->path, "chat_template.json"));
    limn_status status = path == NULL ? LIMN_OK : json_file_load(&json, path, JSON_TOKENIZER_CAP);
    if (status == LIMN_OK && json != NULL) {
        status = load_chat_template(tokenizer, json);
    }
    json_decref(json);
    free(path);
    return status;
}

/* tokenizer.json holds a model, tekken.json a list of pieces. */
static bool is_tekken(const json_t *json) {
    return json_object_get(json, "model") == NULL && json_is_array(json_object_get(json, "vocab"));
}

static limn_status load_either_json(Tokenizer *tokenizer, const char *path, const json_t *json) {
    return is_tekken(json) ? load_tekken(tokenizer, path, json) : load_tokenizer_json(tokenizer, path, json);
}

static limn_status load_json_path(Tokenizer *tokenizer, const char *path, TokenizerFolder *folder) {
    json_t *json;
    TRY(json_file_load(&json, path, JSON_TOKENIZER_CAP));
    limn_status status = LIMN_OK;
    if (json_is_object(json) && !is_tekken(json)) {
        folder->has_json = true;
        folder->listed = json_incref(json_object_get(json, "added_tokens"));
        status = folder_adjust_json(json, folder, tokenizer);
    }
    if (status == LIMN_OK) {
        status = load_either_json(tokenizer, path, json);
    }
    json_decref(json);
    return status;
}

static limn_status load_bytes_path(Tokenizer *tokenizer, const char *path, const TokenizerFolder *folder,
                                   limn_status (*load)(Tokenizer *tokenizer, const char *path, const char *bytes,
                                                       size_t length, const TokenizerFolder *folder)) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, JSON_TOKENIZER_CAP));
    limn_status status = load(tokenizer, path, bytes, length, folder);
    free(bytes);
    return status;
}

static limn_status load_vocab_json_path(Tokenizer *tokenizer, const char *path, const TokenizerFolder *folder) {
    char *merges;
    TRY(find_beside(&merges, folder->path, "merges.txt"));
    if (merges == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: there is no merges.txt beside it", path);
    }
    limn_status status = load_vocab_merges(tokenizer, path, merges, folder);
    free(merges);
    return status;
}

typedef enum OwnFile { OWN_JSON, OWN_VOCAB_JSON, OWN_VOCAB_TXT, OWN_SENTENCEPIECE, OWN_TEKKEN } OwnFile;

/* The files that a folder may have, in the order they are preferred. */
static const struct {
    const char *name;
    OwnFile kind;
} own_files[] = {{"tokenizer.json", OWN_JSON},        {"vocab.json", OWN_VOCAB_JSON},
                 {"vocab.txt", OWN_VOCAB_TXT},        {"tokenizer.model", OWN_SENTENCEPIECE},
                 {"spiece.model", OWN_SENTENCEPIECE}, {"sentencepiece.bpe.model", OWN_SENTENCEPIECE},
                 {"tekken.json", OWN_TEKKEN}};

/* A class makes its parts by itself where there is no tokenizer.json: only what is known to be so is read. */
static bool class_reads(const TokenizerFolder *folder, OwnFile kind) {
    static const struct {
        ClassRule rule;
        OwnFile kind;
    } readers[] = {{CLASS_BERT, OWN_VOCAB_TXT},     {CLASS_BYTE_LEVEL, OWN_VOCAB_JSON},
                   {CLASS_ROBERTA, OWN_VOCAB_JSON}, {CLASS_GPT_NEOX, OWN_VOCAB_JSON},
                   {CLASS_QWEN2, OWN_VOCAB_JSON},   {CLASS_LLAMA, OWN_SENTENCEPIECE},
                   {CLASS_GEMMA, OWN_SENTENCEPIECE}};
    const TokenizerClass *named = folder->tokenizer_class;
    bool plain = named == NULL ? folder->class_name == NULL
                               : strcmp(named->name, "PreTrainedTokenizer") == 0 ||
                                     strcmp(named->name, "TokenizersBackend") == 0 ||
                                     (strcmp(named->name, "T5Tokenizer") == 0 && kind == OWN_SENTENCEPIECE);
    for (size_t i = 0; i < sizeof readers / sizeof *readers && !plain && named != NULL; i++) {
        plain = readers[i].rule == named->rule && readers[i].kind == kind;
    }
    return kind == OWN_JSON || kind == OWN_TEKKEN || plain;
}

static limn_status load_own(Tokenizer *tokenizer, const char *path, OwnFile kind, TokenizerFolder *folder) {
    if (!class_reads(folder, kind) || strcmp(path_base(path), "sentencepiece.bpe.model") == 0) {
        return fail(LIMN_UNSUPPORTED, "%s: read by a %.80s without a tokenizer.json, which is not implemented", path,
                    folder->tokenizer_class != NULL ? folder->tokenizer_class->name
                    : folder->class_name != NULL    ? folder->class_name
                                                    : "class that nothing names");
    }
    switch (kind) {
    case OWN_JSON:
    case OWN_TEKKEN:
        return load_json_path(tokenizer, path, folder);
    case OWN_VOCAB_JSON:
        folder->end = end_vocab_merges;
        return load_vocab_json_path(tokenizer, path, folder);
    case OWN_VOCAB_TXT:
        folder->end = end_vocab_txt;
        return load_bytes_path(tokenizer, path, folder, load_vocab_txt);
    default:
        folder->end = end_sentencepiece;
        return load_bytes_path(tokenizer, path, folder, load_sentencepiece);
    }
}

static limn_status load_folder(Tokenizer *tokenizer, TokenizerFolder *folder) {
    enum { N = sizeof own_files / sizeof *own_files };
    for (size_t i = 0; i < 2 * N; i++) { /* first what the class reads, then what must be refused */
        char *path;
        OwnFile kind = own_files[i % N].kind;
        TRY(find_beside(&path, folder->path, own_files[i % N].name));
        if (path == NULL || (i < N && !class_reads(folder, kind))) {
            free(path);
            continue;
        }
        folder->own_path = path;
        return load_own(tokenizer, path, kind, folder);
    }
    return fail(LIMN_NOT_FOUND,
                "%s: no tokenizer: expected tokenizer.json, vocab.json with merges.txt, vocab.txt, "
                "tokenizer.model or tekken.json",
                folder->path);
}

static limn_status finish_open(Tokenizer **tokenizer, Tokenizer *made, limn_status status) {
    if (status != LIMN_OK) {
        tokenizer_free(made);
        made = NULL;
    }
    *tokenizer = made;
    return status;
}

limn_status tokenizer_open_folder(Tokenizer **tokenizer, const char *path) {
    *tokenizer = NULL;
    Tokenizer *made;
    TRY(tokenizer_new(&made));
    TokenizerFolder folder;
    limn_status status = tokenizer_folder_open(&folder, path, made);
    if (status == LIMN_OK) {
        status = load_folder(made, &folder);
    }
    if (status == LIMN_OK) {
        status = folder_extend(made, &folder);
    }
    if (status == LIMN_OK && folder.end != NULL) {
        status = folder.end(made, folder.own_path, &folder);
    }
    if (status == LIMN_OK) {
        status = apply_chat_template(made, &folder);
    }
    if (status == LIMN_OK) {
        status = tokenizer_finish(made, path);
    }
    tokenizer_folder_close(&folder);
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
        TRY(load_sentencepiece(tokenizer, path, bytes, length, NULL));
        return end_sentencepiece(tokenizer, path, NULL);
    }
    TRY(load_vocab_txt(tokenizer, path, bytes, length, NULL));
    return end_vocab_txt(tokenizer, path, NULL);
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
