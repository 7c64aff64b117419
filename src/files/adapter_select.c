/* PEFT's choice of modules: names and name endings, or a regular expression that matches the whole name. */
#include "files/adapter_select.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "files/json.h"

enum { PATTERNS_MAX = 4096, PATTERN_BYTES_MAX = 4096, MATCH_LIMIT = 200000, GROUPS_MAX = 32 };
#define LAYER_GROUP "limn_layer" /* the group that holds a layer's number */

typedef struct Pattern {
    pcre2_code *code;
    const char *text; /* as the configuration has it, borrowed */
    double value;     /* of rank_pattern and alpha_pattern */
} Pattern;

typedef struct PatternList {
    Pattern *items; /* [n] */
    size_t n;
} PatternList;

/* A list of names, or one regular expression. */
typedef struct Names {
    const json_t *list; /* NULL: none, or a regular expression */
    PatternList whole;  /* one pattern: the regular expression */
    bool all_linear;
} Names;

struct AdapterSelect {
    const char *path;
    Names targets, excluded;
    PatternList saved, layer_patterns, ranks, alphas;
    const json_t *layers; /* layers_to_transform: an integer or a list; NULL: every layer */
    bool sequence_classifier;
    pcre2_match_data *match;
    pcre2_match_context *context;
};

static limn_status pattern_fail(const AdapterSelect *select, const char *key, const char *text, const char *why) {
    return fail(LIMN_UNSUPPORTED, "%s: \"%s\": the regular expression '%.200s' cannot be used: %s", select->path, key,
                text, why);
}

/* Compiles before + text + after, to be matched from the start of a name. */
static limn_status compile(Pattern *pattern, const AdapterSelect *select, const char *key, const char *before,
                           const char *text, const char *after) {
    if (strlen(text) > PATTERN_BYTES_MAX) {
        return pattern_fail(select, key, text, "it is longer than 4096 bytes");
    }
    TextBuffer whole = TEXT_BUFFER_INIT;
    text_buffer_printf(&whole, "%s%s%s", before, text, after);
    limn_status status = text_buffer_status(&whole);
    if (status != LIMN_OK) {
        text_buffer_free(&whole);
        return status;
    }
    int error = 0;
    PCRE2_SIZE at = 0;
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C;
    pattern->text = text;
    pattern->code = pcre2_compile((PCRE2_SPTR)whole.data, whole.length, options, &error, &at, NULL);
    text_buffer_free(&whole);
    if (pattern->code == NULL) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(error, why, sizeof why);
        return pattern_fail(select, key, text, (const char *)why);
    }
    return LIMN_OK;
}

/* *layer: where the group of that name begins; NULL when nobody asks. */
static limn_status matches(bool *found, const AdapterSelect *select, const Pattern *pattern, const char *name,
                           size_t *layer) {
    int count = pcre2_match(pattern->code, (PCRE2_SPTR)name, strlen(name), 0, 0, select->match, select->context);
    *found = count >= 0; /* 0: more groups than there is room for */
    if (count < 0 && count != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(count, why, sizeof why);
        return fail(LIMN_UNSUPPORTED, "%s: the regular expression '%.200s' cannot be matched with %.200s: %s",
                    select->path, pattern->text, name, (const char *)why);
    }
    if (*found && layer != NULL) {
        int group = pcre2_substring_number_from_name(pattern->code, (PCRE2_SPTR)LAYER_GROUP);
        if (group <= 0 || group >= GROUPS_MAX) {
            return pattern_fail(select, "layers_pattern", pattern->text, "it has too many groups");
        }
        *layer = pcre2_get_ovector_pointer(select->match)[2 * group];
    }
    return LIMN_OK;
}

/* Room for one more. */
static limn_status reserve_pattern(PatternList *list, const AdapterSelect *select, const char *key) {
    if (list->n == PATTERNS_MAX) {
        return fail(LIMN_UNSUPPORTED, "%s: \"%s\" holds more than %d patterns", select->path, key, PATTERNS_MAX);
    }
    Pattern *grown = realloc(list->items, (list->n + 1) * sizeof *grown);
    if (grown == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for the patterns of \"%s\"", select->path, key);
    }
    list->items = grown;
    return LIMN_OK;
}

static limn_status add_pattern(PatternList *list, const AdapterSelect *select, const char *key, const char *before,
                               const json_t *text, const char *after) {
    const char *bytes = json_string_value(text);
    if (bytes == NULL || strlen(bytes) != json_string_length(text)) {
        return fail(LIMN_FORMAT, "%s: \"%s\" holds something that is no text, expected names", select->path, key);
    }
    TRY(reserve_pattern(list, select, key));
    Pattern made = {0};
    TRY(compile(&made, select, key, before, bytes, after));
    list->items[list->n++] = made;
    return LIMN_OK;
}

static void free_patterns(PatternList *list) {
    for (size_t i = 0; i < list->n; i++) {
        pcre2_code_free(list->items[i].code);
    }
    free(list->items);
}

static limn_status wrong_type(const AdapterSelect *select, const char *key, const json_t *value, const char *expected) {
    char found[80];
    return fail(LIMN_FORMAT, "%s: \"%s\" is %s, expected %s", select->path, key, json_describe(value, found), expected);
}

/* A key whose absence and null are the same. */
static const json_t *take(const json_t *config, const char *key) {
    const json_t *value = json_object_get(config, key);
    return json_is_null(value) ? NULL : value;
}

static limn_status read_names(Names *names, const AdapterSelect *select, const json_t *config, const char *key) {
    const json_t *value = take(config, key);
    if (value == NULL) {
        return LIMN_OK;
    }
    if (json_is_string(value)) {
        names->all_linear = strcasecmp(json_string_value(value), "all-linear") == 0;
        return names->all_linear || json_string_length(value) == 0
                   ? LIMN_OK
                   : add_pattern(&names->whole, select, key, "(?:", value, ")\\z");
    }
    if (!json_is_array(value)) {
        return wrong_type(select, key, value, "a list of module names or a regular expression");
    }
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item) {
        if (!json_is_string(item)) {
            return wrong_type(select, key, item, "names");
        }
    }
    names->list = value;
    return LIMN_OK;
}

/* Each text of a list, or one text, set between `before` and `after`. */
static limn_status read_patterns(PatternList *list, const AdapterSelect *select, const json_t *config, const char *key,
                                 const char *before, const char *after) {
    const json_t *value = take(config, key);
    if (value == NULL || (json_is_string(value) && json_string_length(value) == 0)) {
        return LIMN_OK;
    }
    if (json_is_string(value)) {
        return add_pattern(list, select, key, before, value, after);
    }
    if (!json_is_array(value)) {
        return wrong_type(select, key, value, "a list of names");
    }
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item) {
        TRY(add_pattern(list, select, key, before, item, after));
    }
    return LIMN_OK;
}

/* An object of pattern -> number. */
static limn_status read_pattern_values(PatternList *list, const AdapterSelect *select, json_t *config,
                                       const char *key) {
    json_t *value = json_object_get(config, key);
    if (value == NULL || json_is_null(value)) {
        return LIMN_OK;
    }
    if (!json_is_object(value)) {
        return wrong_type(select, key, value, "an object of patterns and numbers");
    }
    const char *name;
    json_t *number;
    json_object_foreach(value, name, number) {
        if (!json_is_number(number)) {
            return wrong_type(select, key, number, "numbers");
        }
        TRY(reserve_pattern(list, select, key));
        Pattern made = {.value = json_number_value(number)};
        TRY(compile(&made, select, key, "(?:.*\\.)?(?:", name, ")$"));
        list->items[list->n++] = made;
    }
    return LIMN_OK;
}

static limn_status read_layers(AdapterSelect *select, const json_t *config) {
    const json_t *value = take(config, "layers_to_transform");
    if (value == NULL || (json_is_array(value) && json_array_size(value) == 0)) {
        return LIMN_OK;
    }
    bool good = json_is_integer(value) || json_is_array(value);
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item) {
        good = good && json_is_integer(item);
    }
    select->layers = value;
    return good ? LIMN_OK : wrong_type(select, "layers_to_transform", value, "a layer's number or a list of them");
}

static limn_status fill(AdapterSelect *select, json_t *config) {
    select->match = pcre2_match_data_create(GROUPS_MAX, NULL);
    select->context = pcre2_match_context_create(NULL);
    if (select->match == NULL || select->context == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for its patterns", select->path);
    }
    pcre2_set_match_limit(select->context, MATCH_LIMIT);
    pcre2_set_depth_limit(select->context, MATCH_LIMIT);
    pcre2_set_heap_limit(select->context, 16u << 10);
    TRY(read_names(&select->targets, select, config, "target_modules"));
    TRY(read_names(&select->excluded, select, config, "exclude_modules"));
    TRY(read_patterns(&select->saved, select, config, "modules_to_save", "(?:^|.*\\.)(?:", ")(?:$|\\..*)"));
    TRY(read_patterns(&select->layer_patterns, select, config, "layers_pattern",
                      "(?:^|.*?\\.)(?:", ")\\.(?<" LAYER_GROUP ">\\d+)\\."));
    TRY(read_pattern_values(&select->ranks, select, config, "rank_pattern"));
    TRY(read_pattern_values(&select->alphas, select, config, "alpha_pattern"));
    const json_t *task = take(config, "task_type");
    select->sequence_classifier =
        task != NULL && json_is_string(task) && strcmp(json_string_value(task), "SEQ_CLS") == 0;
    return read_layers(select, config);
}

limn_status adapter_select_new(AdapterSelect **select, const json_t *config, const char *path) {
    *select = NULL;
    AdapterSelect *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for its patterns", path);
    }
    made->path = path;
    /* jansson's iterators take no const object */
    limn_status status = fill(made, (json_t *)(uintptr_t)config);
    if (status != LIMN_OK) {
        adapter_select_free(made);
        return status;
    }
    *select = made;
    return LIMN_OK;
}

void adapter_select_free(AdapterSelect *select) {
    if (select == NULL) {
        return;
    }
    free_patterns(&select->targets.whole);
    free_patterns(&select->excluded.whole);
    free_patterns(&select->saved);
    free_patterns(&select->layer_patterns);
    free_patterns(&select->ranks);
    free_patterns(&select->alphas);
    pcre2_match_data_free(select->match);
    pcre2_match_context_free(select->context);
    free(select);
}

/* The name itself, or an ending of it that begins after a dot. *whole: the name itself. */
static bool listed(const json_t *list, const char *module, bool *whole) {
    size_t i, n = strlen(module);
    bool ends = false;
    const json_t *item;
    *whole = false;
    json_array_foreach(list, i, item) {
        const char *name = json_string_value(item);
        size_t m = json_string_length(item);
        if (m <= n && memcmp(module + n - m, name, m) == 0) {
            *whole = *whole || m == n;
            ends = ends || m == n || module[n - m - 1] == '.';
        }
    }
    return ends;
}

/* Heads are not among "all-linear": the output embedding, and of classifiers what PEFT knows as their heads. */
static bool is_head(const AdapterSelect *select, const char *module) {
    static const char *const outputs[] = {"lm_head", "embed_out", "cls.predictions.decoder", "vocab_projector",
                                          "lm_head.decoder"};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        if (strcmp(module, outputs[i]) == 0) {
            return true;
        }
    }
    return select->sequence_classifier && (strcmp(module, "score") == 0 || strcmp(module, "classifier") == 0);
}

static limn_status in_names(bool *chosen, bool *whole, const AdapterSelect *select, const Names *names,
                            const char *module) {
    *chosen = listed(names->list, module, whole) || (names->all_linear && !is_head(select, module));
    return names->whole.n == 0 ? LIMN_OK : matches(chosen, select, &names->whole.items[0], module, NULL);
}

/* The number of the layer a module stands in; -1: none. */
static limn_status layer_of(int64_t *layer, const AdapterSelect *select, const char *module) {
    *layer = -1;
    if (select->layer_patterns.n == 0) {
        /* the first number between dots, after two names or more */
        const char *dot = strchr(module, '.');
        for (const char *at = dot; at != NULL; at = strchr(at + 1, '.')) {
            size_t digits = strspn(at + 1, "0123456789");
            if (at != dot && digits > 0 && at[1 + digits] == '.') {
                *layer = strtoll(at + 1, NULL, 10);
                return LIMN_OK;
            }
        }
        return LIMN_OK;
    }
    for (size_t i = 0; i < select->layer_patterns.n; i++) {
        bool found;
        size_t begin = 0;
        TRY(matches(&found, select, &select->layer_patterns.items[i], module, &begin));
        if (found) {
            *layer = strtoll(module + begin, NULL, 10);
            return LIMN_OK;
        }
    }
    return LIMN_OK;
}

static limn_status in_layers(bool *chosen, const AdapterSelect *select, const char *module) {
    int64_t layer;
    TRY(layer_of(&layer, select, module));
    *chosen = false;
    if (json_is_integer(select->layers)) {
        *chosen = layer >= 0 && json_integer_value(select->layers) == layer;
        return LIMN_OK;
    }
    size_t i;
    const json_t *item;
    json_array_foreach(select->layers, i, item) {
        *chosen = *chosen || (layer >= 0 && json_integer_value(item) == layer);
    }
    return LIMN_OK;
}

limn_status adapter_select_target(bool *chosen, const AdapterSelect *select, const char *module) {
    bool excluded, whole;
    *chosen = false;
    TRY(in_names(&excluded, &whole, select, &select->excluded, module));
    if (excluded) {
        return LIMN_OK;
    }
    TRY(adapter_select_saved(&excluded, select, module));
    if (excluded) {
        return LIMN_OK;
    }
    TRY(in_names(chosen, &whole, select, &select->targets, module));
    /* layers_to_transform is for lists, and not for a module that is listed by its whole name, as all-linear does */
    whole = whole || select->targets.all_linear;
    bool by_layer = select->layers != NULL && select->targets.whole.n == 0 && !whole;
    return *chosen && by_layer ? in_layers(chosen, select, module) : LIMN_OK;
}

static limn_status find(const Pattern **found, const AdapterSelect *select, const PatternList *list,
                        const char *module) {
    *found = NULL;
    for (size_t i = 0; i < list->n; i++) {
        bool match;
        TRY(matches(&match, select, &list->items[i], module, NULL));
        if (match) {
            *found = &list->items[i];
            return LIMN_OK;
        }
    }
    return LIMN_OK;
}

limn_status adapter_select_saved(bool *chosen, const AdapterSelect *select, const char *module) {
    const Pattern *found;
    TRY(find(&found, select, &select->saved, module));
    *chosen = found != NULL;
    return LIMN_OK;
}

limn_status adapter_select_rank(double *rank, const AdapterSelect *select, const char *module, double fallback) {
    const Pattern *found;
    TRY(find(&found, select, &select->ranks, module));
    *rank = found != NULL ? found->value : fallback;
    return LIMN_OK;
}

limn_status adapter_select_alpha(double *alpha, const AdapterSelect *select, const char *module, double fallback) {
    const Pattern *found;
    TRY(find(&found, select, &select->alphas, module));
    *alpha = found != NULL ? found->value : fallback;
    return LIMN_OK;
}
