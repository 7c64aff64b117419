/* Post-processors of tokenizer.json, read into one plan: which special tokens stand around the texts. */
#include <string.h>

#include "files/json.h"
#include "text/component.h"

/* ---- TemplateProcessing ---- */

typedef struct ItemList {
    TemplateItem *items; /* [count] */
    int32_t count;
} ItemList;

/* {"SpecialToken": {"id": "<s>", "type_id": 0}}: its ids are listed under special_tokens. */
static limn_status add_special(ItemList *list, Loading *loading, const json_t *item, const json_t *tokens) {
    const char *name;
    int64_t type;
    TRY(json_need_string(&name, item, loading->where, "id"));
    TRY(json_take_integer(&type, item, loading->where, "type_id", 0, 255, 0));
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids");
    if (!json_is_array(ids)) {
        return fail(LIMN_FORMAT, "%s: TemplateProcessing: special token '%s' is not among special_tokens",
                    loading->where, name);
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || id > INT32_MAX) {
            return fail(LIMN_FORMAT, "%s: TemplateProcessing: special token '%s' has a wrong id", loading->where, name);
        }
        list->items[list->count++] = (TemplateItem){(int32_t)id, 0, (uint8_t)type};
    }
    return LIMN_OK;
}

static limn_status add_sequence(ItemList *list, Loading *loading, const json_t *item) {
    const char *name;
    int64_t type;
    TRY(json_need_string(&name, item, loading->where, "id"));
    TRY(json_take_integer(&type, item, loading->where, "type_id", 0, 255, 0));
    if (strcmp(name, "A") != 0 && strcmp(name, "B") != 0) {
        return fail(LIMN_FORMAT, "%s: TemplateProcessing: sequence '%s', expected A or B", loading->where, name);
    }
    list->items[list->count++] = (TemplateItem){-1, name[0] == 'B', (uint8_t)type};
    return LIMN_OK;
}

static size_t count_items(const json_t *template, const json_t *tokens) {
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(template); i++) {
        const json_t *special = json_object_get(json_array_get(template, i), "SpecialToken");
        const char *name = json_string_value(json_object_get(special, "id"));
        size_t ids = name == NULL ? 0 : json_array_size(json_object_get(json_object_get(tokens, name), "ids"));
        count += ids > 1 ? ids : 1;
    }
    return count;
}

static limn_status take_template(ItemList *list, Loading *loading, const json_t *json, const char *key) {
    const json_t *template, *tokens = json_object_get(json, "special_tokens");
    TRY(json_need_array(&template, json, loading->where, key));
    void *memory;
    TRY(pool_new(&memory, loading->pool, (count_items(template, tokens) + 1) * sizeof(TemplateItem)));
    *list = (ItemList){memory, 0};
    bool seen[2] = {false, false};
    for (size_t i = 0; i < json_array_size(template); i++) {
        const json_t *item = json_array_get(template, i);
        const json_t *special = json_object_get(item, "SpecialToken");
        const json_t *sequence = json_object_get(item, "Sequence");
        if (special != NULL) {
            TRY(add_special(list, loading, special, tokens));
        } else if (sequence != NULL) {
            TRY(add_sequence(list, loading, sequence));
            TemplateItem *added = &list->items[list->count - 1];
            if (seen[added->sequence]) {
                return fail(LIMN_UNSUPPORTED, "%s: TemplateProcessing: '%s' names a sequence twice", loading->where,
                            key);
            }
            seen[added->sequence] = true;
        } else {
            return fail(LIMN_UNSUPPORTED,
                        "%s: TemplateProcessing: item %zu of '%s' is neither SpecialToken nor Sequence", loading->where,
                        i, key);
        }
    }
    return LIMN_OK;
}

static limn_status set_template(PostProcessor *processor, Loading *loading, ItemList single, ItemList pair) {
    if (processor->has_template) {
        return fail(LIMN_UNSUPPORTED, "%s: two post-processors that add tokens", loading->where);
    }
    processor->has_template = true;
    processor->single = single.items;
    processor->n_single = single.count;
    processor->pair = pair.items;
    processor->n_pair = pair.count;
    return LIMN_OK;
}

static limn_status parse_template(PostProcessor *processor, Loading *loading, const json_t *json) {
    ItemList single, pair;
    TRY(take_template(&single, loading, json, "single"));
    TRY(take_template(&pair, loading, json, "pair"));
    return set_template(processor, loading, single, pair);
}

/* ---- the fixed layouts ---- */

static const TemplateItem A = {-1, 0, 0}, B = {-1, 1, 1};

static limn_status fixed(PostProcessor *processor, Loading *loading, const TemplateItem *single, int32_t n_single,
                         const TemplateItem *pair, int32_t n_pair) {
    void *memory;
    TRY(pool_new(&memory, loading->pool, (size_t)(n_single + n_pair) * sizeof(TemplateItem)));
    TemplateItem *items = memory;
    memcpy(items, single, (size_t)n_single * sizeof *items);
    memcpy(items + n_single, pair, (size_t)n_pair * sizeof *items);
    return set_template(processor, loading, (ItemList){items, n_single}, (ItemList){items + n_single, n_pair});
}

limn_status post_processor_surround(PostProcessor *processor, Loading *loading, int32_t prefix, int32_t suffix) {
    TemplateItem single[3], pair[6];
    int32_t n_single = 0, n_pair = 0;
    for (uint8_t sequence = 0; sequence < 2; sequence++) {
        TemplateItem around[3];
        int32_t n = 0;
        if (prefix >= 0) {
            around[n++] = (TemplateItem){prefix, 0, sequence};
        }
        around[n++] = sequence == 0 ? A : B;
        if (suffix >= 0) {
            around[n++] = (TemplateItem){suffix, 0, sequence};
        }
        for (int32_t i = 0; i < n; i++) {
            pair[n_pair++] = around[i];
            if (sequence == 0) {
                single[n_single++] = around[i];
            }
        }
    }
    return fixed(processor, loading, single, n_single, pair, n_pair);
}

limn_status post_processor_surround_bert(PostProcessor *processor, Loading *loading, int32_t cls, int32_t sep) {
    TemplateItem items[5] = {{cls, 0, 0}, A, {sep, 0, 0}, B, {sep, 0, 1}}, pair[5];
    const bool present[5] = {cls >= 0, true, sep >= 0, true, sep >= 0};
    int32_t n_single = 0, n_pair = 0;
    for (int i = 0; i < 5; i++) {
        if (present[i]) {
            pair[n_pair++] = items[i];
            n_single += i < 3;
        }
    }
    return fixed(processor, loading, pair, n_single, pair, n_pair);
}

/* ["[SEP]", 102] */
static limn_status take_pair(int32_t *id, Loading *loading, const json_t *json, const char *key) {
    const json_t *pair = json_object_get(json, key);
    const json_t *number = json_array_get(pair, 1);
    if (!json_is_integer(number) || json_integer_value(number) < 0 || json_integer_value(number) > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: '%s' must be [token, id]", loading->where, key);
    }
    *id = (int32_t)json_integer_value(number);
    return LIMN_OK;
}

static limn_status parse_bert(PostProcessor *processor, Loading *loading, const json_t *json) {
    int32_t sep, cls;
    TRY(take_pair(&sep, loading, json, "sep"));
    TRY(take_pair(&cls, loading, json, "cls"));
    const TemplateItem single[] = {{cls, 0, 0}, A, {sep, 0, 0}};
    const TemplateItem pair[] = {{cls, 0, 0}, A, {sep, 0, 0}, B, {sep, 0, 1}};
    return fixed(processor, loading, single, 3, pair, 5);
}

static limn_status parse_roberta(PostProcessor *processor, Loading *loading, const json_t *json) {
    int32_t sep, cls;
    TRY(take_pair(&sep, loading, json, "sep"));
    TRY(take_pair(&cls, loading, json, "cls"));
    TRY(json_take_bool(&processor->trims, json, loading->where, "trim_offsets", true));
    TRY(json_take_bool(&processor->trim_prefix_space, json, loading->where, "add_prefix_space", true));
    processor->one_type = true;
    const TemplateItem single[] = {{cls, 0, 0}, A, {sep, 0, 0}};
    const TemplateItem pair[] = {{cls, 0, 0}, A, {sep, 0, 0}, {sep, 0, 0}, {-1, 1, 0}, {sep, 0, 0}};
    return fixed(processor, loading, single, 3, pair, 6);
}

static limn_status parse_byte_level(PostProcessor *processor, Loading *loading, const json_t *json) {
    TRY(json_take_bool(&processor->trims, json, loading->where, "trim_offsets", true));
    return json_take_bool(&processor->trim_prefix_space, json, loading->where, "add_prefix_space", true);
}

static limn_status parse_one(PostProcessor *processor, Loading *loading, const json_t *json);

static limn_status parse_sequence(PostProcessor *processor, Loading *loading, const json_t *json) {
    const json_t *items;
    TRY(json_need_array(&items, json, loading->where, "processors"));
    loading->depth++;
    for (size_t i = 0; i < json_array_size(items); i++) {
        TRY(parse_one(processor, loading, json_array_get(items, i)));
    }
    loading->depth--;
    return LIMN_OK;
}

/* ---- the table ---- */

static const struct PostProcessorKind {
    const char *name;
    limn_status (*parse)(PostProcessor *processor, Loading *loading, const json_t *json);
} kinds[] = {
    {"BertProcessing", parse_bert}, {"ByteLevel", parse_byte_level},        {"RobertaProcessing", parse_roberta},
    {"Sequence", parse_sequence},   {"TemplateProcessing", parse_template},
};

static limn_status parse_one(PostProcessor *processor, Loading *loading, const json_t *json) {
    size_t row;
    TRY(loading_kind(&row, loading, json, "post_processor", KIND_TABLE(kinds)));
    return kinds[row].parse(processor, loading, json);
}

limn_status post_processor_parse(PostProcessor *processor, Loading *loading, const json_t *json) {
    *processor = (PostProcessor){0};
    return json == NULL || json_is_null(json) ? LIMN_OK : parse_one(processor, loading, json);
}
