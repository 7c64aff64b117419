/* Tokens that other files add to a tokenizer: added_tokens_decoder of tokenizer_config.json, or the older
 * added_tokens.json and special_tokens_map.json, and special tokens that are named and not there yet.
 *
 * As the reference adds them: first those that are listed, by their ids, where one of the same spelling and flags is
 * not there; then named ones that are still missing, in the order of their names; each gets the next id behind what
 * there is, whatever id the file states. A known spelling keeps its id and takes the new flags. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/json.h"
#include "text/folder.h"

/* One token as a file states it. */
typedef struct TokenSpec {
    const char *text; /* borrowed from the JSON */
    size_t length;
    int64_t declared; /* the id that the file states; -1: none */
    AddedToken flags;
} TokenSpec;

typedef struct SpecList {
    TokenSpec *specs; /* [count] */
    size_t count, capacity;
} SpecList;

typedef struct Extending {
    Tokenizer *tokenizer;
    const TokenizerFolder *folder;
    SpecList list;
    Map listed; /* spelling -> place in the list */
    Map named;  /* spellings of special tokens that have a name, or stand in a list of them */
} Extending;

/* ---- one token ---- */

/* A text, or an object with its text and flags. *spec has length 0 when it is neither. */
static limn_status read_spec(TokenSpec *spec, const char *where, const json_t *json, bool special) {
    *spec = (TokenSpec){.declared = -1, .flags = {.special = special}};
    const json_t *content = json_is_object(json) ? json_object_get(json, "content") : json;
    if (!json_is_string(content)) {
        return LIMN_OK;
    }
    spec->text = json_string_value(content);
    spec->length = json_string_length(content);
    if (json_is_object(json)) {
        AddedToken *flags = &spec->flags;
        TRY(json_take_bool(&flags->special, json, where, "special", special));
        flags->special = flags->special || special;
        TRY(json_take_bool(&flags->single_word, json, where, "single_word", false));
        TRY(json_take_bool(&flags->left_strip, json, where, "lstrip", false));
        TRY(json_take_bool(&flags->right_strip, json, where, "rstrip", false));
        TRY(json_take_bool(&flags->normalized, json, where, "normalized", !flags->special));
    }
    return LIMN_OK;
}

static bool same_flags(const AddedToken *a, const AddedToken *b) {
    return a->single_word == b->single_word && a->left_strip == b->left_strip && a->right_strip == b->right_strip &&
           a->normalized == b->normalized && a->special == b->special;
}

static int32_t next_id(const Tokenizer *tokenizer) {
    int32_t model = vocabulary_model_size(&tokenizer->vocabulary), largest = tokenizer->added.largest;
    return largest >= model ? largest + 1 : model;
}

/* The id that the reference gives a new token. Where another piece has it already (the vocabulary has holes), the one
 * that the file states is taken. */
static limn_status choose_id(int32_t *id, Tokenizer *tokenizer, const char *where, const char *text, int64_t declared) {
    const Vocabulary *vocabulary = &tokenizer->vocabulary;
    *id = next_id(tokenizer);
    const Piece *piece = vocabulary_piece(vocabulary, *id);
    if (piece == NULL) {
        return declared < 0 || declared == *id
                   ? LIMN_OK
                   : tokenizer_warn(tokenizer,
                                    "%s: the token '%.60s' has the id %lld there, and %d in the reference: %d counts",
                                    where, text, (long long)declared, (int)*id, (int)*id);
    }
    if (declared < 0 || declared > INT32_MAX || vocabulary_piece(vocabulary, (int32_t)declared) != NULL) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: the token '%.60s' would get the id %d, which '%.60s' has: the vocabulary has holes, expected "
                    "one without, or an id that is free",
                    where, text, (int)*id, piece->text);
    }
    int32_t taken = *id;
    *id = (int32_t)declared;
    return tokenizer_warn(tokenizer,
                          "%s: the token '%.60s' has the id %d there, and in the reference %d, which '%.60s' has too",
                          where, text, (int)*id, (int)taken, piece->text);
}

limn_status tokenizer_put_token(Tokenizer *tokenizer, const char *where, const char *text, size_t length,
                                AddedToken flags, int64_t declared) {
    Vocabulary *vocabulary = &tokenizer->vocabulary;
    flags.id = vocabulary_id(vocabulary, text, length);
    if (flags.id < 0) {
        TRY(choose_id(&flags.id, tokenizer, where, text, declared));
        if (flags.id == next_id(tokenizer) && flags.id >= vocabulary->id_limit) {
            vocabulary->id_limit = flags.id + 1; /* one more than there are: no id that a file makes up */
        }
        TRY(vocabulary_add_token(vocabulary, where, text, length, flags.id));
    } else if (declared >= 0 && declared != flags.id) {
        TRY(tokenizer_warn(tokenizer,
                           "%s: the token '%.60s' has the id %lld there, and %d in the vocabulary: %d counts", where,
                           text, (long long)declared, (int)flags.id, (int)flags.id));
    }
    return added_tokens_add(&tokenizer->added, vocabulary, flags);
}

/* ---- the list ---- */

static limn_status append(Extending *work, TokenSpec spec) {
    SpecList *list = &work->list;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity < 16 ? 16 : 2 * list->capacity;
        TokenSpec *grown = realloc(list->specs, capacity * sizeof *grown);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: %zu added tokens", work->folder->path, capacity);
        }
        list->specs = grown;
        list->capacity = capacity;
    }
    list->specs[list->count++] = spec;
    return LIMN_OK;
}

static bool has(const Map *map, const TokenSpec *spec) {
    uint64_t ignored;
    return map_get(map, spec->text, spec->length, &ignored);
}

static const AddedToken *find_added(const Tokenizer *tokenizer, const TokenSpec *spec) {
    int32_t id = vocabulary_id(&tokenizer->vocabulary, spec->text, spec->length);
    return added_tokens_find(&tokenizer->added, &tokenizer->vocabulary, id);
}

static int by_declared(const void *a, const void *b) {
    int64_t x = ((const TokenSpec *)a)->declared, y = ((const TokenSpec *)b)->declared;
    return x < y ? -1 : x > y;
}

static limn_status read_id(int64_t *id, const char *where, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 0 || value > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: added_tokens_decoder: the key '%.60s', expected a token's id", where, text);
    }
    *id = value;
    return LIMN_OK;
}

/* {"340": {"content": "<|tool|>", "special": true, ...}} */
static limn_status list_decoder(Extending *work) {
    const TokenizerFolder *folder = work->folder;
    const json_t *decoder;
    const char *key;
    json_t *value;
    TRY(json_take_object(&decoder, folder->config, folder->where, "added_tokens_decoder"));
    json_object_foreach((json_t *)(uintptr_t)decoder, key, value) {
        TokenSpec spec;
        int64_t id;
        TRY(read_id(&id, folder->where, key));
        TRY(read_spec(&spec, folder->where, value, false));
        if (spec.text == NULL || !json_is_object(value)) {
            return fail(LIMN_FORMAT, "%s: added_tokens_decoder: '%.60s' has no content", folder->where, key);
        }
        spec.declared = id;
        TRY(append(work, spec));
    }
    return LIMN_OK;
}

/* {"<|pad|>": 340} */
static limn_status list_added_json(Extending *work) {
    const TokenizerFolder *folder = work->folder;
    const char *text;
    size_t length;
    json_t *id;
    json_object_keylen_foreach(folder->added, text, length, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
            char found[80];
            return fail(LIMN_FORMAT, "%s: the id of '%.60s' is %s, expected an integer of 0 or more",
                        folder->added_path, text, json_describe(id, found));
        }
        TokenSpec spec = {.text = text, .length = length, .declared = json_integer_value(id)};
        spec.flags.special = has(&work->named, &spec);
        spec.flags.normalized = !spec.flags.special;
        TRY(append(work, spec));
    }
    return LIMN_OK;
}

/* ---- special tokens by name ---- */

/* In the order in which the reference adds them. */
static const struct SpecialName {
    const char *key;
    SpecialToken which;
} special_names[] = {
    {"bos_token", SPECIAL_BOS},   {"eos_token", SPECIAL_EOS}, {"unk_token", SPECIAL_UNK},
    {"sep_token", SPECIAL_SEP},   {"pad_token", SPECIAL_PAD}, {"cls_token", SPECIAL_CLS},
    {"mask_token", SPECIAL_MASK}, {"eot_token", SPECIAL_EOT}, {"eom_token", SPECIAL_EOM},
};
enum { NAMES = sizeof special_names / sizeof *special_names };

/* The name's token; text NULL: none. What nobody names has the class's name for it, unless it is said to be null. */
static limn_status named_spec(TokenSpec *spec, const TokenizerFolder *folder, const struct SpecialName *name) {
    const json_t *value = json_object_get(folder->settings, name->key);
    TRY(read_spec(spec, folder->where, value, true));
    const char *usual = class_special(folder->tokenizer_class, name->which);
    if (value == NULL && usual != NULL) {
        *spec = (TokenSpec){.text = usual, .length = strlen(usual), .declared = -1, .flags = {.special = true}};
    }
    return LIMN_OK;
}

const char *folder_special(const TokenizerFolder *folder, SpecialToken which) {
    for (size_t i = 0; i < NAMES; i++) {
        TokenSpec spec;
        if (special_names[i].which == which && named_spec(&spec, folder, &special_names[i]) == LIMN_OK) {
            return spec.text;
        }
    }
    return NULL;
}

/* Calls `visit` for each list or object that names more special tokens. */
typedef limn_status (*VisitSpec)(void *context, const TokenSpec *spec);

static limn_status visit_many(const TokenizerFolder *folder, const json_t *many, VisitSpec visit, void *context) {
    TokenSpec spec;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < json_array_size(many); i++) {
        TRY(read_spec(&spec, folder->where, json_array_get(many, i), true));
        TRY(spec.length > 0 ? visit(context, &spec) : LIMN_OK);
    }
    json_object_foreach((json_t *)(uintptr_t)many, key, value) {
        TRY(read_spec(&spec, folder->where, value, true));
        TRY(spec.length > 0 ? visit(context, &spec) : LIMN_OK);
    }
    return LIMN_OK;
}

static bool is_plain_name(const char *key) {
    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(special_names[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Named tokens of a model's own ("image_token"; what an object of names says of the same name wins), then the lists:
 * those of tokenizer_config.json before those of the other file. */
static limn_status visit_extra(const TokenizerFolder *folder, VisitSpec visit, void *context) {
    static const char ending[] = "_token";
    static const char *const lists[] = {"model_specific_special_tokens", "extra_special_tokens",
                                        "additional_special_tokens"};
    const json_t *objects[] = {json_object_get(folder->settings, lists[0]),
                               json_object_get(folder->settings, lists[1])};
    const char *key;
    json_t *value;
    json_object_foreach(folder->settings, key, value) {
        size_t n = strlen(key), m = sizeof ending - 1;
        if (n <= m || strcmp(key + n - m, ending) != 0 || is_plain_name(key)) {
            continue;
        }
        TokenSpec spec;
        for (size_t i = 0; i < 2; i++) {
            const json_t *other = json_object_get(objects[i], key);
            value = other != NULL ? (json_t *)(uintptr_t)other : value;
        }
        TRY(read_spec(&spec, folder->where, value, true));
        TRY(spec.length > 0 ? visit(context, &spec) : LIMN_OK);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        TRY(visit_many(folder, json_object_get(folder->config, lists[i]), visit, context));
        TRY(visit_many(folder, json_object_get(folder->map, lists[i]), visit, context));
    }
    return LIMN_OK;
}

static limn_status note_named(void *context, const TokenSpec *spec) {
    Extending *work = context;
    return map_put(&work->named, spec->text, spec->length, 0);
}

static limn_status append_missing(void *context, const TokenSpec *spec) {
    Extending *work = context;
    if (find_added(work->tokenizer, spec) != NULL || has(&work->listed, spec)) {
        return LIMN_OK;
    }
    TRY(map_put(&work->listed, spec->text, spec->length, 0));
    return append(work, *spec);
}

/* Calls `visit` for each special token that has a name or stands in a list of them. */
static limn_status visit_named(Extending *work, VisitSpec visit) {
    for (size_t i = 0; i < NAMES; i++) {
        TokenSpec spec;
        TRY(named_spec(&spec, work->folder, &special_names[i]));
        TRY(spec.length > 0 ? visit(work, &spec) : LIMN_OK);
    }
    return visit_extra(work->folder, visit, work);
}

/* ---- all of it ---- */

/* Of added_tokens.json what states the id of an added token of tokenizer.json gives way to it. Both lists by ids. */
static limn_status give_way(Extending *work) {
    SpecList *list = &work->list;
    Map ids;
    map_init(&ids);
    limn_status status = LIMN_OK;
    char(*keys)[24] = NULL;
    size_t n = json_array_size(work->folder->listed);
    if (work->folder->added != NULL && n > 0) {
        keys = calloc(n, sizeof *keys);
        status = keys != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: %zu added tokens", work->folder->path, n);
    }
    for (size_t i = 0; keys != NULL && i < n && status == LIMN_OK; i++) {
        const json_t *id = json_object_get(json_array_get(work->folder->listed, i), "id");
        int length = snprintf(keys[i], sizeof keys[i], "%" JSON_INTEGER_FORMAT, json_integer_value(id));
        status = map_put(&ids, keys[i], (size_t)length, 0);
    }
    size_t kept = 0;
    for (size_t i = 0; keys != NULL && i < list->count; i++) {
        char key[24];
        uint64_t ignored;
        int length = snprintf(key, sizeof key, "%lld", (long long)list->specs[i].declared);
        if (!map_get(&ids, key, (size_t)length, &ignored)) {
            list->specs[kept++] = list->specs[i];
        }
    }
    list->count = keys != NULL ? kept : list->count;
    map_free(&ids);
    free(keys);
    return status;
}

/* Without what is there already, spelled and flagged the same. */
static limn_status drop_known(Extending *work) {
    SpecList *list = &work->list;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const TokenSpec *spec = &list->specs[i];
        const AddedToken *known = find_added(work->tokenizer, spec);
        if (spec->length > 0 && (known == NULL || !same_flags(known, &spec->flags))) {
            TRY(map_put(&work->listed, spec->text, spec->length, 0));
            list->specs[kept++] = *spec;
        }
    }
    list->count = kept;
    return LIMN_OK;
}

static limn_status list_all(Extending *work) {
    TRY(visit_named(work, note_named));
    TRY(list_decoder(work));
    TRY(list_added_json(work));
    TRY(give_way(work));
    if (work->list.count > VOCABULARY_COUNT_MAX) {
        return fail(LIMN_FORMAT, "%s: %zu added tokens", work->folder->where, work->list.count);
    }
    if (work->list.count > 0) {
        qsort(work->list.specs, work->list.count, sizeof *work->list.specs, by_declared);
    }
    TRY(drop_known(work));
    return visit_named(work, append_missing);
}

static limn_status put_all(Extending *work) {
    Tokenizer *tokenizer = work->tokenizer;
    const TokenizerFolder *folder = work->folder;
    const char *end = class_special(folder->tokenizer_class, SPECIAL_EOS);
    bool has_end = end == NULL || vocabulary_id(&tokenizer->vocabulary, end, strlen(end)) >= 0;
    for (size_t i = 0; i < work->list.count; i++) {
        TokenSpec *spec = &work->list.specs[i];
        spec->flags.special = spec->flags.special || has(&work->named, spec);
        TRY(tokenizer_put_token(tokenizer, folder->where, spec->text, spec->length, spec->flags, spec->declared));
    }
    for (size_t i = 0; i < NAMES; i++) {
        TokenSpec spec;
        TRY(named_spec(&spec, folder, &special_names[i]));
        bool said = json_object_get(folder->settings, special_names[i].key) != NULL;
        if (!said && special_names[i].which == SPECIAL_EOS && !has_end) {
            continue; /* a class's name for it that no model has learnt: it ends no text */
        }
        if (spec.length > 0 || said) {
            tokenizer->special[special_names[i].which] =
                spec.length > 0 ? vocabulary_id(&tokenizer->vocabulary, spec.text, spec.length) : -1;
        }
    }
    return LIMN_OK;
}

/* tokenizer.json states which tokens stand around a text; the older keys are read where there is no such file. */
static limn_status warn_of_ends(Tokenizer *tokenizer, const TokenizerFolder *folder) {
    static const struct {
        const char *key;
        SpecialToken which;
    } ends[] = {{"add_bos_token", SPECIAL_BOS}, {"add_eos_token", SPECIAL_EOS}};
    const PostProcessor *processor = &tokenizer->post_processor;
    for (size_t i = 0; i < 2 && folder->has_json; i++) {
        bool wanted, said, adds = false;
        int32_t id = tokenizer->special[ends[i].which];
        TRY(folder_flag(&wanted, &said, folder, ends[i].key));
        for (int32_t k = 0; k < processor->n_single; k++) {
            bool edge = ends[i].which == SPECIAL_BOS ? k == 0 : k == processor->n_single - 1;
            adds = adds || (edge && processor->single[k].id == id);
        }
        if (said && id >= 0 && wanted != adds) {
            TRY(tokenizer_warn(tokenizer, "%s: \"%s\" is %s, and tokenizer.json says otherwise: tokenizer.json counts",
                               folder->where, ends[i].key, wanted ? "true" : "false"));
        }
    }
    return LIMN_OK;
}

static limn_status apply_rest(Tokenizer *tokenizer, const TokenizerFolder *folder) {
    bool cleans, forced, said;
    TRY(folder_flag(&tokenizer->splits_special, &said, folder, "split_special_tokens"));
    TRY(folder_flag(&cleans, &said, folder, "clean_up_tokenization_spaces"));
    TRY(folder_flag(&forced, &said, folder, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"));
    tokenizer->cleans_up = cleans && (forced || tokenizer->model.kind != &model_bpe);
    const json_t *inputs;
    TRY(json_take_array(&inputs, folder->settings, folder->where, "model_input_names"));
    bool types = inputs == NULL;
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const char *name = json_string_value(json_array_get(inputs, i));
        types = types || (name != NULL && strcmp(name, "token_type_ids") == 0);
    }
    tokenizer->post_processor.one_type = tokenizer->post_processor.one_type || !types;
    return warn_of_ends(tokenizer, folder);
}

limn_status folder_extend(Tokenizer *tokenizer, const TokenizerFolder *folder) {
    Extending work = {.tokenizer = tokenizer, .folder = folder};
    map_init(&work.listed);
    map_init(&work.named);
    limn_status status = list_all(&work);
    if (status == LIMN_OK) {
        status = put_all(&work);
    }
    free(work.list.specs);
    map_free(&work.listed);
    map_free(&work.named);
    TRY(status);
    if (folder->config == NULL && folder->map == NULL && folder->tokenizer_class == NULL) {
        load_usual_specials(tokenizer);
    }
    return apply_rest(tokenizer, folder);
}
