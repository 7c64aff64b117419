#include "edit/edits.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit/edit_maps.h"
#include "edit/edit_values.h"
#include "edit/site_names.h"

#define EDIT_FORM "SITE[pos=-1,head=3,neuron=7]=zero|VALUE|mean:FILE:NAME|FILE:NAME|add:...|copy:SITE"

/* ---- the text ---- */

static bool parse_whole(int64_t *value, const char *text, size_t length) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return length > 0 && end == text + length && errno == 0 && !isspace((unsigned char)text[0]);
}

static bool parse_position(EditSpec *spec, const char *text, size_t length) {
    const char *colon = memchr(text, ':', length);
    spec->has_position = true;
    spec->position_end = INT64_MAX;
    if (colon == NULL) {
        spec->position_single = true;
        return parse_whole(&spec->position_begin, text, length);
    }
    size_t before = (size_t)(colon - text);
    size_t after = length - before - 1;
    return (before == 0 || parse_whole(&spec->position_begin, text, before)) &&
           (after == 0 || parse_whole(&spec->position_end, colon + 1, after));
}

/* Where the number of a key but pos goes, EDIT_ALL until it is given; NULL: no such key. */
static int64_t *number_of_key(EditSpec *spec, const char *key, size_t length) {
    bool head = length == 4 && memcmp(key, "head", 4) == 0;
    bool neuron = length == 6 && memcmp(key, "neuron", 6) == 0;
    bool expert = length == 6 && memcmp(key, "expert", 6) == 0;
    return head ? &spec->head : neuron ? &spec->neuron : expert ? &spec->expert : NULL;
}

/* text: "pos=-1,head=3" */
static limn_status parse_selector(EditSpec *spec, const char *text, size_t length) {
    while (length > 0) {
        const char *comma = memchr(text, ',', length);
        size_t n = comma != NULL ? (size_t)(comma - text) : length;
        const char *equals = memchr(text, '=', n);
        size_t key = equals != NULL ? (size_t)(equals - text) : n;
        size_t rest = equals != NULL ? n - key - 1 : 0;
        bool position = key == 3 && memcmp(text, "pos", 3) == 0;
        int64_t *number = position ? NULL : number_of_key(spec, text, key);
        if (!position && number == NULL) {
            return fail(LIMN_USAGE, "edit '%s': found '%.*s' in brackets, expected pos, head, expert or neuron",
                        spec->text, (int)key, text);
        }
        bool again = position ? spec->has_position : *number != EDIT_ALL;
        bool good = equals != NULL && (position ? parse_position(spec, equals + 1, rest)
                                                : parse_whole(number, equals + 1, rest) && *number >= 0);
        if (!good) {
            return fail(LIMN_USAGE, "edit '%s': found '%.*s', expected %.*s= and a whole number%s", spec->text, (int)n,
                        text, (int)key, text, position ? " or a range a:b" : " from 0");
        }
        if (again) {
            return fail(LIMN_USAGE, "edit '%s': '%.*s' is given twice, expected one (a range is pos=a:b)", spec->text,
                        (int)key, text);
        }
        length -= comma != NULL ? n + 1 : n;
        text += comma != NULL ? n + 1 : n;
    }
    return LIMN_OK;
}

static limn_status parse_file(EditSpec *spec, const char *file, Arena *arena) {
    const char *colon = strrchr(file, ':');
    if (colon == NULL || colon == file || colon[1] == '\0') {
        return fail(
            LIMN_USAGE,
            "edit '%s': found '%s', expected zero, a number, mean:FILE:NAME or FILE:NAME, alone or behind add:, "
            "times: or blend:; or affine:FILE:NAME, erase:FILE:NAME, copy:SITE or stop",
            spec->text, file);
    }
    spec->file = arena_strndup(arena, file, (size_t)(colon - file));
    spec->tensor = arena_strdup(arena, colon + 1);
    return spec->file != NULL && spec->tensor != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for an edit");
}

static limn_status parse_plain(EditSpec *spec, const char *value, Arena *arena) {
    char *end;
    if (strcmp(value, "zero") == 0) {
        spec->kind = EDIT_VALUE_NUMBER;
        spec->number = 0;
        return LIMN_OK;
    }
    double number = strtod(value, &end);
    if (end != value && *end == '\0') {
        if (!isfinite(number) || fabs(number) > 3.4e38) {
            return fail(LIMN_RANGE, "edit '%s': %s is not a finite 32-bit number", spec->text, value);
        }
        spec->kind = EDIT_VALUE_NUMBER;
        spec->number = (float)number;
        return LIMN_OK;
    }
    spec->kind = strncmp(value, "mean:", 5) == 0 ? EDIT_VALUE_MEAN : EDIT_VALUE_TENSOR;
    return parse_file(spec, spec->kind == EDIT_VALUE_MEAN ? value + 5 : value, arena);
}

/* A finite number up to `stop`; *rest is what follows that. */
static bool parse_amount(float *amount, const char *text, char stop, const char **rest) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != stop || !isfinite(number) || fabs(number) > 3.4e38) {
        return false;
    }
    *amount = (float)number;
    *rest = end + (stop != '\0');
    return true;
}

static limn_status parse_stop(EditSpec *spec, const char *rest) {
    spec->kind = EDIT_VALUE_NONE;
    if (*rest == '\0' || (*rest == ':' && parse_amount(&spec->amount, rest + 1, '\0', &rest))) {
        return LIMN_OK;
    }
    return fail(LIMN_USAGE, "edit '%s': found '%s', expected stop or stop: and a number", spec->text, spec->value);
}

/* What to do with a value comes before it. */
static limn_status parse_value(EditSpec *spec, const char *value, Arena *arena) {
    static const struct {
        const char *word;
        EditKind change;
    } verbs[] = {{"add:", EDIT_ADD},       {"times:", EDIT_MULTIPLY}, {"blend:", EDIT_BLEND}, {"affine:", EDIT_AFFINE},
                 {"erase:", EDIT_PROJECT}, {"copy:", EDIT_COPY},      {"stop", EDIT_STOP}};
    spec->change = EDIT_SET;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && spec->change == EDIT_SET; i++) {
        if (strncmp(value, verbs[i].word, strlen(verbs[i].word)) == 0) {
            spec->change = verbs[i].change;
            value += strlen(verbs[i].word);
        }
    }
    switch (spec->change) {
    case EDIT_STOP:
        return parse_stop(spec, value);
    case EDIT_COPY:
        spec->kind = EDIT_VALUE_NONE;
        spec->source = value;
        return *value != '\0' ? LIMN_OK : fail(LIMN_USAGE, "edit '%s': expected copy: and a site", spec->text);
    case EDIT_AFFINE:
    case EDIT_PROJECT:
        spec->kind = EDIT_VALUE_MAP;
        return parse_file(spec, value, arena);
    case EDIT_ADD:
        spec->change = parse_amount(&spec->amount, value, '*', &value) ? EDIT_STEER : EDIT_ADD;
        break;
    case EDIT_BLEND:
        if (!parse_amount(&spec->amount, value, '*', &value)) {
            return fail(LIMN_USAGE, "edit '%s': found '%s', expected blend:0.3*V, how much of which value", spec->text,
                        spec->value);
        }
        break;
    default:
        break;
    }
    return parse_plain(spec, value, arena);
}

/* Where the site ends and the value begins: the first '=' outside brackets. */
static const char *find_equals(const char *text) {
    int depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        depth += *c == '[' ? 1 : *c == ']' ? -1 : 0;
        if (*c == '=' && depth == 0) {
            return c;
        }
    }
    return NULL;
}

limn_status edit_parse(EditSpec *spec, const char *text, Arena *arena) {
    memset(spec, 0, sizeof *spec);
    spec->head = EDIT_ALL;
    spec->neuron = EDIT_ALL;
    spec->expert = EDIT_ALL;
    spec->text = arena_strdup(arena, text);
    const char *equals = find_equals(text);
    if (spec->text == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for an edit");
    }
    if (equals == NULL || equals == text || equals[1] == '\0') {
        return fail(LIMN_USAGE, "edit '%s': expected %s", text, EDIT_FORM);
    }
    spec->value = spec->text + (equals + 1 - text);
    size_t site = (size_t)(equals - text);
    if (text[site - 1] == ']') {
        const char *open = memrchr(text, '[', site);
        if (open == NULL || open == text) {
            return fail(LIMN_USAGE, "edit '%s': expected %s", text, EDIT_FORM);
        }
        size_t inside = (size_t)(equals - open) - 2;
        site = (size_t)(open - text);
        TRY(parse_selector(spec, open + 1, inside));
    }
    spec->pattern = arena_strndup(arena, text, site);
    if (spec->pattern == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for an edit");
    }
    return parse_value(spec, spec->value, arena);
}

/* ---- against a model ---- */

static limn_status resolve_rows(SiteEdit *edit, const EditSpec *spec, int32_t n_prompt) {
    edit->row_begin = 0;
    edit->row_end = INT32_MAX;
    if (!spec->has_position) {
        return LIMN_OK;
    }
    int64_t begin = spec->position_begin < 0 ? spec->position_begin + n_prompt : spec->position_begin;
    if (begin < 0 || begin >= n_prompt) {
        return fail(LIMN_RANGE, "edit '%s': position %lld does not exist; the prompt has %d tokens", spec->text,
                    (long long)spec->position_begin, (int)n_prompt);
    }
    edit->row_begin = (int32_t)begin;
    if (spec->position_single) {
        edit->row_end = edit->row_begin + 1;
    } else if (spec->position_end != INT64_MAX) {
        int64_t end = spec->position_end < 0 ? spec->position_end + n_prompt : spec->position_end;
        if (end <= begin || end > n_prompt) {
            return fail(LIMN_RANGE, "edit '%s': the range ends at %lld; expected %lld to %d", spec->text,
                        (long long)spec->position_end, (long long)begin + 1, (int)n_prompt);
        }
        edit->row_end = (int32_t)end;
    }
    return LIMN_OK;
}

/* Does each row hold something for each expert? */
static bool over_experts(const char *site) {
    static const char *const names[] = {".mlp.experts.", ".mlp.hook_router_logits", ".mlp.hook_expert_weights",
                                        ".mlp.hook_routing_weights"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strstr(site, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* An expert is one of the vectors of a row, or one of its numbers. */
static limn_status resolve_expert(SiteEdit *edit, const EditSpec *spec) {
    const RowShape *shape = edit->shape;
    bool vectors = shape->n_dims == 2;
    if (!over_experts(edit->site)) {
        return fail(LIMN_USAGE, "edit '%s': site %s has no experts", spec->text, edit->site);
    }
    if (spec->expert >= shape->dims[0]) {
        return fail(LIMN_RANGE, "edit '%s': expert %lld does not exist; %s has experts 0 to %lld", spec->text,
                    (long long)spec->expert, edit->site, (long long)shape->dims[0] - 1);
    }
    if (!vectors && spec->neuron != EDIT_ALL) {
        return fail(LIMN_USAGE, "edit '%s': %s has one number for each expert, expected expert or neuron", spec->text,
                    edit->site);
    }
    edit->expert = spec->expert;
    edit->head = vectors ? spec->expert : EDIT_ALL;
    edit->neuron = vectors ? spec->neuron : spec->expert;
    return LIMN_OK;
}

static limn_status resolve_elements(SiteEdit *edit, const EditSpec *spec, int32_t n_prompt) {
    const RowShape *shape = edit->shape;
    if (spec->head != EDIT_ALL && (!edit_has_heads(shape) || over_experts(edit->site))) {
        return fail(LIMN_USAGE, "edit '%s': site %s has no heads", spec->text, edit->site);
    }
    if (spec->head != EDIT_ALL && spec->head >= shape->dims[0]) {
        return fail(LIMN_RANGE, "edit '%s': head %lld does not exist; %s has heads 0 to %lld", spec->text,
                    (long long)spec->head, edit->site, (long long)shape->dims[0] - 1);
    }
    int64_t width = edit_over_keys(shape) ? n_prompt : shape->dims[shape->n_dims - 1];
    if (spec->neuron != EDIT_ALL && spec->neuron >= width) {
        return fail(LIMN_RANGE, "edit '%s': neuron %lld does not exist; %s has 0 to %lld", spec->text,
                    (long long)spec->neuron, edit->site, (long long)width - 1);
    }
    edit->head = spec->head;
    edit->neuron = spec->neuron;
    edit->expert = EDIT_ALL;
    return spec->expert == EDIT_ALL ? LIMN_OK : resolve_expert(edit, spec);
}

/* The site that is copied: a * stands for the layer of the edited one. */
static limn_status resolve_source(SiteEdit *edit, const EditSpec *spec, const Graph *graph) {
    int layer = graph->nodes[edit->node].op.layer;
    char name[256];
    size_t n = 0;
    for (const char *c = spec->source; *c != '\0' && n + 16 < sizeof name; c++) {
        if (*c == '*' && layer < 0) {
            return fail(LIMN_USAGE, "edit '%s': %s is in no layer, expected copy: and a site without *", spec->text,
                        edit->site);
        }
        n += *c == '*' ? (size_t)snprintf(name + n, sizeof name - n, "%d", layer) : 1;
        name[n - 1] = *c == '*' ? name[n - 1] : *c;
    }
    name[n] = '\0';
    edit->source = graph_find_site(graph, name);
    return edit->source != NODE_NONE
               ? LIMN_OK
               : fail(LIMN_NOT_FOUND, "edit '%s': there is no site '%s' to copy", spec->text, name);
}

/* What the site becomes. */
static limn_status resolve_change(SiteEdit *edit, const EditSpec *spec, const Graph *graph, EditRows rows,
                                  Arena *arena) {
    switch (spec->kind) {
    case EDIT_VALUE_NUMBER:
        return LIMN_OK;
    case EDIT_VALUE_NONE:
        return spec->change == EDIT_COPY ? resolve_source(edit, spec, graph) : LIMN_OK;
    case EDIT_VALUE_MAP:
        return edit_read_map(edit, spec, arena);
    default:
        return edit_read_values(edit, spec, rows, arena);
    }
}

limn_status edit_plan_add(EditPlan *plan, const Graph *graph, const EditSpec *spec, int32_t n_prompt, int32_t n_rows,
                          Arena *arena) {
    const EditRows rows = {n_prompt, n_rows};
    SiteMatches matches = {0};
    TRY(site_names_match(&matches, graph, spec->pattern, arena));
    SiteEdit *grown = ARENA_ARRAY(arena, SiteEdit, plan->n + matches.n);
    if (grown == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for %d edits", (int)(plan->n + matches.n));
    }
    if (plan->n > 0) {
        memcpy(grown, plan->items, (size_t)plan->n * sizeof *grown);
    }
    plan->items = grown;
    for (int32_t i = 0; i < matches.n; i++) {
        SiteEdit edit = {.site = matches.items[i].name,
                         .value = spec->value,
                         .node = matches.items[i].node,
                         .shape = &graph->nodes[matches.items[i].node].op.out,
                         .change = spec->change,
                         .amount = spec->amount,
                         .scalar = spec->kind == EDIT_VALUE_NUMBER,
                         .number = spec->number};
        TRY(resolve_rows(&edit, spec, rows.prompt));
        TRY(resolve_elements(&edit, spec, rows.prompt));
        TRY(resolve_change(&edit, spec, graph, rows, arena));
        plan->items[plan->n++] = edit;
    }
    return LIMN_OK;
}

limn_status edit_plan(EditPlan *plan, const Graph *graph, const Texts *texts, int32_t n_prompt, int32_t n_rows,
                      Arena *arena) {
    memset(plan, 0, sizeof *plan);
    for (int32_t i = 0; i < texts->n; i++) {
        EditSpec spec;
        TRY(edit_parse(&spec, texts->items[i].bytes, arena));
        TRY(edit_plan_add(plan, graph, &spec, n_prompt, n_rows, arena));
    }
    return LIMN_OK;
}

/* ---- for a run ---- */

static bool is_mapped(const SiteEdit *edit) {
    return edit->map != NULL || edit->right != NULL;
}

/* The edit of one stretch of elements; `at` is where its values begin inside a row of values. */
static Edit bind_stretch(const SiteEdit *edit, int64_t element, int64_t width, int64_t at, int32_t row_offset,
                         int32_t begin, int32_t end) {
    Edit bound = {.node = edit->node,
                  .kind = edit->change,
                  .sequence = -1,
                  .row_begin = begin - row_offset,
                  .row_end = end - row_offset,
                  .element_begin = element,
                  .element_end = element + width,
                  .scalar = edit->scalar,
                  .amount = edit->amount,
                  .map = edit->map,
                  .left = edit->left,
                  .right = edit->right,
                  .rank = edit->rank,
                  .source = edit->source};
    if (edit->scalar) {
        bound.values = &edit->number;
    } else if (is_mapped(edit)) {
        bound.values = edit->values;
    } else if (edit->values != NULL) {
        bool each = edit->n_value_rows > 1;
        bound.row_stride = each ? edit->value_width : 0;
        bound.values = edit->values + (each ? (begin - edit->row_begin) * edit->value_width : 0) + at;
    }
    return bound;
}

/* The edits of one item over rows [begin, end), a stretch for each head where they do not lie side by side. */
static void bind_item(Edit *edits, int32_t *n_edits, const SiteEdit *edit, int32_t n_keys, int32_t row_offset,
                      int32_t begin, int32_t end) {
    int64_t heads = edit_has_heads(edit->shape) ? edit->shape->dims[0] : 1;
    int64_t width = row_shape_width(edit->shape, n_keys) / heads;
    /* A file's values may know of fewer keys than the run has, or of more: a head of theirs is as wide as it was. */
    bool own_keys = edit_over_keys(edit->shape) && edit->values != NULL;
    int64_t value_width = own_keys ? edit->value_keys : width;
    if (edit->head == EDIT_ALL && edit->neuron == EDIT_ALL && value_width == width && !edit->map_per_head) {
        edits[(*n_edits)++] = bind_stretch(edit, 0, heads * width, 0, row_offset, begin, end);
        return;
    }
    int64_t first = edit->head == EDIT_ALL ? 0 : edit->head;
    int64_t last = edit->head == EDIT_ALL ? heads : edit->head + 1;
    int64_t offset = edit->neuron == EDIT_ALL ? 0 : edit->neuron;
    int64_t stretch = edit->neuron != EDIT_ALL ? 1 : value_width < width ? value_width : width;
    for (int64_t h = first; h < last && offset + stretch <= width; h++) {
        int64_t at =
            edit->whole_row ? h * value_width + offset : (h - first) * (edit->neuron == EDIT_ALL ? value_width : 1);
        edits[(*n_edits)++] = bind_stretch(edit, h * width + offset, stretch, at, row_offset, begin, end);
    }
}

limn_status edit_plan_bind(Edit **edits, int32_t *n_edits, const EditPlan *plan, int32_t row_offset, int32_t n_rows,
                           int32_t n_keys, Arena *arena) {
    int64_t most = 0;
    for (int32_t i = 0; i < plan->n; i++) {
        most += edit_has_heads(plan->items[i].shape) ? plan->items[i].shape->dims[0] : 1;
    }
    *n_edits = 0;
    *edits = ARENA_ARRAY(arena, Edit, most + 1);
    if (*edits == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for %lld edits", (long long)most);
    }
    for (int32_t i = 0; i < plan->n; i++) {
        const SiteEdit *edit = &plan->items[i];
        int32_t begin = edit->row_begin > row_offset ? edit->row_begin : row_offset;
        int32_t end = edit->row_end < row_offset + n_rows ? edit->row_end : row_offset + n_rows;
        if (begin >= end) {
            continue;
        }
        bind_item(*edits, n_edits, edit, n_keys, row_offset, begin, end);
    }
    return LIMN_OK;
}

limn_status edit_plan_bind_all(Edit **edits, int32_t *n_edits, const EditPlan *plan, Arena *arena) {
    TRY(edit_plan_bind(edits, n_edits, plan, 0, INT32_MAX, 1, arena));
    for (int32_t i = 0; i < *n_edits; i++) {
        (*edits)[i].row_end = -1;
    }
    return LIMN_OK;
}

void edit_plan_describe(Result *result, const EditPlan *plan, bool chinese) {
    static const TableColumn columns[] = {{TEXT("site"), COLUMN_TEXT},     {TEXT("new value"), COLUMN_TEXT},
                                          {TEXT("from"), COLUMN_INTEGER},  {TEXT("to"), COLUMN_INTEGER},
                                          {TEXT("head"), COLUMN_INTEGER},  {TEXT("neuron"), COLUMN_INTEGER},
                                          {TEXT("expert"), COLUMN_INTEGER}};
    bool experts = false;
    for (int32_t i = 0; i < plan->n; i++) {
        experts = experts || plan->items[i].expert != EDIT_ALL;
    }
    if (plan->n == 0) {
        return;
    }
    TableBlock *table =
        result_add_table(result, "edits", chinese ? "修改了什么" : "What was changed", columns, experts ? 7 : 6);
    const char *english =
        experts ? "positions from, up to but without to (none: to the end); no head, neuron or expert: all"
                : "positions from, up to but without to (none: to the end); no head or neuron: all";
    result_block_note(result, "%s",
                      chinese ? "位置自“从”起，至“至”为止而不含它（无：到末尾）；未注明头、神经元或专家：全部"
                              : english);
    for (int32_t i = 0; i < plan->n; i++) {
        const SiteEdit *edit = &plan->items[i];
        bool vectors = edit->expert != EDIT_ALL && edit->shape->n_dims == 2;
        bool numbers = edit->expert != EDIT_ALL && !vectors;
        Value cells[] = {value_text(edit->site),
                         value_text(edit->value),
                         value_integer(edit->row_begin),
                         edit->row_end == INT32_MAX ? value_null() : value_integer(edit->row_end),
                         edit->head == EDIT_ALL || vectors ? value_null() : value_integer(edit->head),
                         edit->neuron == EDIT_ALL || numbers ? value_null() : value_integer(edit->neuron),
                         edit->expert == EDIT_ALL ? value_null() : value_integer(edit->expert)};
        table_row(table, cells);
    }
}
