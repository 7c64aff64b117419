/* `limn audit PLAN --init --model MODEL --data FILE`: a plan to begin with, in which every line says what it is for.
 * What the fields of the data mean is guessed from their names and values; the person who reads the plan decides. */
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "base/map.h"
#include "call/call.h"
#include "files/records.h"

enum { LOOKED_AT = 1000, GROUP_VALUES_MAX = 12, FIELDS_MAX = 64, VALUE_MAX = 40 };

typedef struct FieldSeen {
    char name[VALUE_MAX + 1];
    char values[GROUP_VALUES_MAX][VALUE_MAX + 1]; /* [n_values] */
    int n_values;                                 /* past GROUP_VALUES_MAX: too many for groups */
    int64_t n;
} FieldSeen;

typedef struct DataSeen {
    FieldSeen *fields; /* [n] */
    int n;
    int64_t records;
    const char *prompt, *label, *id; /* NULL: none */
    bool classifier;                 /* the model decides among classes of its own */
} DataSeen;

/* ---- looking ---- */

static FieldSeen *field_seen(DataSeen *seen, const char *name, size_t length) {
    for (int i = 0; i < seen->n; i++) {
        if (strlen(seen->fields[i].name) == length && memcmp(seen->fields[i].name, name, length) == 0) {
            return &seen->fields[i];
        }
    }
    if (seen->n == FIELDS_MAX || length > VALUE_MAX) {
        return NULL;
    }
    memcpy(seen->fields[seen->n].name, name, length);
    return &seen->fields[seen->n++];
}

static void see_value(FieldSeen *field, const char *text, size_t length) {
    field->n++;
    if (field->n_values > GROUP_VALUES_MAX) {
        return;
    }
    if (length > VALUE_MAX) {
        field->n_values = GROUP_VALUES_MAX + 1;
        return;
    }
    for (int i = 0; i < field->n_values; i++) {
        if (strlen(field->values[i]) == length && memcmp(field->values[i], text, length) == 0) {
            return;
        }
    }
    if (field->n_values < GROUP_VALUES_MAX) {
        memcpy(field->values[field->n_values], text, length);
    }
    field->n_values++;
}

static limn_status see_field(DataSeen *seen, const Record *record, const char *name, size_t length) {
    FieldSeen *field = field_seen(seen, name, length);
    FieldValue value = record_field(record, name, length);
    if (field == NULL || value.kind == FIELD_NULL || value.kind == FIELD_JSON || value.kind == FIELD_ABSENT) {
        return LIMN_OK;
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = field_text(&text, &value);
    see_value(field, text.data != NULL ? text.data : "", text.length);
    text_buffer_free(&text);
    return status;
}

static limn_status see_record(DataSeen *seen, const Record *record) {
    seen->records++;
    if (record->object != NULL) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)record->object, name, value) {
            TRY(see_field(seen, record, name, strlen(name)));
        }
        return LIMN_OK;
    }
    for (size_t i = 0; i < record->n_cells; i++) {
        TRY(see_field(seen, record, record->names[i].bytes, record->names[i].length));
    }
    return LIMN_OK;
}

static const char *first_of(const DataSeen *seen, const char *const *names) {
    for (; *names != NULL; names++) {
        for (int i = 0; i < seen->n; i++) {
            if (strcmp(seen->fields[i].name, *names) == 0) {
                return seen->fields[i].name;
            }
        }
    }
    return NULL;
}

static limn_status look(DataSeen *seen, const char *path) {
    static const char *const prompts[] = {"prompt", "text", "sentence", "content", "tweet", "question", "input", NULL};
    static const char *const labels[] = {"label", "y", "class", "target", "answer", "gold", NULL};
    static const char *const ids[] = {"id", "uid", "key", "index", NULL};
    RecordReader *reader;
    const Record *record;
    limn_status status;
    TRY(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    while ((status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL && seen->records < LOOKED_AT) {
        status = see_record(seen, record);
        if (status != LIMN_OK) {
            break;
        }
    }
    record_reader_close(reader);
    seen->prompt = first_of(seen, prompts);
    seen->label = first_of(seen, labels);
    seen->id = first_of(seen, ids);
    return status;
}

/* ---- writing ---- */

/* A path that a plan in another folder still finds. */
static const char *lasting_path(const AuditParams *params, const char *path, Arena *arena) {
    if (path[0] == '/' || strchr(params->plan.bytes, '/') == NULL || (!file_exists(path) && !folder_exists(path))) {
        return path;
    }
    char *whole = realpath(path, NULL);
    char *copy = whole != NULL ? arena_strdup(arena, whole) : NULL;
    free(whole);
    return copy != NULL ? copy : path;
}

/* As YAML reads it back whatever stands in it. */
static void add_quoted(TextBuffer *out, const char *text) {
    text_buffer_add_char(out, '\'');
    for (const char *c = text; *c != '\0'; c++) {
        text_buffer_add(out, *c == '\'' ? "'" : "");
        text_buffer_add_char(out, *c);
    }
    text_buffer_add_char(out, '\'');
}

static void add_setting(TextBuffer *out, const char *key, const char *value, const char *comment) {
    text_buffer_printf(out, "    %s%s: ", value == NULL ? "# " : "", key);
    if (value != NULL) {
        add_quoted(out, value);
    }
    text_buffer_printf(out, "  # %s\n", comment);
}

static bool may_be_group(const DataSeen *seen, const FieldSeen *field) {
    bool own = field->name == seen->prompt || field->name == seen->label || field->name == seen->id;
    return !own && field->n_values >= 2 && field->n_values <= GROUP_VALUES_MAX;
}

static void add_groups(TextBuffer *out, const DataSeen *seen) {
    int n = 0;
    text_buffer_add(
        out, "    # fields whose values are groups: are some decided worse than others? Those with few values are:\n"
             "    # [");
    for (int i = 0; i < seen->n; i++) {
        if (may_be_group(seen, &seen->fields[i])) {
            text_buffer_add(out, n++ > 0 ? ", " : "");
            add_quoted(out, seen->fields[i].name);
        }
    }
    text_buffer_add(out, "]\n    groups: []\n");
}

/* Whether the model has classes of its own. */
static limn_status is_classifier(bool *classifier, const MethodCall *call) {
    const char *const path = ((const AuditParams *)call->params)->models.items[0].bytes;
    Result *info = NULL;
    *classifier = false;
    if (registry_find(call->registry, "info") == NULL) {
        return LIMN_OK;
    }
    json_t *params = json_pack("{s:s}", "model", path);
    CallListeners listeners = {0};
    limn_status status = params == NULL ? method_no_memory(call)
                                        : method_call(&info, call->registry, call->models, "info", params, &listeners);
    json_decref(params);
    if (status == LIMN_OK) {
        *classifier = result_find_block(info, "classes") != NULL;
    }
    result_free(info);
    return status;
}

/* The label's field, where its values are few enough to be choices; NULL: it has none such. */
static const FieldSeen *choices_of(const DataSeen *seen) {
    for (int i = 0; i < seen->n; i++) {
        const FieldSeen *field = &seen->fields[i];
        if (field->name == seen->label) {
            return field->n_values >= 2 && field->n_values <= GROUP_VALUES_MAX ? field : NULL;
        }
    }
    return NULL;
}

static void add_choices(TextBuffer *out, const DataSeen *seen) {
    const FieldSeen *label = choices_of(seen);
    bool few = label != NULL;
    if (seen->classifier) {
        text_buffer_add(out, "    # what may be decided: the classes of the model\n");
        return;
    }
    text_buffer_add(out, "    # what the model may answer, the space before it included\n");
    text_buffer_printf(out, "    %schoices: [", few ? "" : "# ");
    for (int i = 0; few && i < label->n_values; i++) {
        char choice[VALUE_MAX + 2] = " ";
        strcat(choice, label->values[i]);
        text_buffer_add(out, i > 0 ? ", " : "");
        add_quoted(out, choice);
    }
    text_buffer_add(out, few ? "]\n" : "' yes', ' no']\n");
}

static void add_head(TextBuffer *out, const AuditParams *params, Arena *arena) {
    text_buffer_add(out,
                    "# A plan for `limn audit`. Check it with --dry-run; docs/audit.md has all keys.\n"
                    "limn: audit/1\n"
                    "title: Audit\n"
                    "language: en  # of the report: en or zh\n"
                    "seed: 1       # of everything random, the split into halves included\n\n"
                    "# What the report says of the system; nothing here is measured. Each line serves a legal duty.\n"
                    "system:\n"
                    "  name: ''\n  version: ''\n  provider: ''\n  contact: ''\n  intended-use: ''\n"
                    "  role: ''        # its part in the decision\n"
                    "  oversight: ''   # who reads its answers, and what they may do\n"
                    "  # regimes: [eu-ai-act, cn, reg-b, sr-26-2, nyc-ll144, iso-42001]  # without it: all\n\n"
                    "models:\n"
                    "  judged:         # the audit is about the first, or the one that `subject: NAME` names\n"
                    "    model: ");
    add_quoted(out, lasting_path(params, params->models.items[0].bytes, arena));
    text_buffer_add(out, "\n");
    if (params->adapter.bytes != NULL) {
        text_buffer_add(out, "    adapter: ");
        add_quoted(out, lasting_path(params, params->adapter.bytes, arena));
        text_buffer_add(out, "\n");
    }
    text_buffer_add(out,
                    "  # previous: {model: PATH, adapter: DIR}  # another version, for a step `compare decisions`\n\n");
}

static void add_data(TextBuffer *out, const AuditParams *params, const DataSeen *seen, Arena *arena) {
    text_buffer_add(out, "data:\n  records:\n    file: ");
    add_quoted(out, lasting_path(params, params->data.items[0].bytes, arena));
    text_buffer_add(out, "\n");
    add_setting(out, "prompt-field", seen->prompt, "or template: 'Text: {text}\\nAnswer:'");
    add_setting(out, "label-field", seen->label, "the right answer; without it nothing is said of errors");
    add_setting(out, "id-field", seen->id, "names a record; the halves are split by it");
    add_setting(out, "cluster-field", NULL, "records that belong together (one author, one template) share it");
    add_choices(out, seen);
    add_groups(out, seen);
    text_buffer_add(out, "\n");
}

static void add_steps(TextBuffer *out, const MethodCall *call, const DataSeen *seen) {
    static const char *const more[] = {"attribute", "sensitive", "mediate", "surgery"};
    text_buffer_add(out, "# Each step is a command with its options (`with:`); its result is a section of the report.\n"
                         "steps:\n");
    if (seen->classifier || choices_of(seen) != NULL) {
        text_buffer_add(out, "  - run: predict\n    id: decisions\n");
    } else { /* nothing says what could be decided */
        text_buffer_add(out, "  - run: reasons  # which words its answers hang on\n    data: records\n"
                             "    with: {limit: 5}\n"
                             "  # - run: predict   # needs choices: above\n  #   id: decisions\n");
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (registry_find(call->registry, more[i]) != NULL) {
            text_buffer_printf(out, "  # - run: %s   # `limn %s --help` has its options\n", more[i], more[i]);
        }
    }
    text_buffer_printf(out, "\n# Misjudged inputs shown one by one.\ncases:\n  count: %d\n  run: why\n\n",
                       registry_find(call->registry, "why") != NULL ? 3 : 0);
    text_buffer_add(out,
                    "findings:\n"
                    "  level: 0.05   # chance of one false alarm among all tests of the audit\n"
                    "  floor: 0.02   # 2 of 100 records: a smaller effect is no finding\n\n"
                    "# What is demanded: the exit code is 0 when all hold, 1 when one fails, 4 when one is undecided.\n"
                    "gates:\n");
    bool judged = seen->label != NULL && (seen->classifier || choices_of(seen) != NULL);
    text_buffer_printf(out, "  %s- {metric: decisions.accuracy, op: '>=', value: 80%%}\n", judged ? "" : "# ");
    text_buffer_printf(out,
                       "  - {metric: %s, op: '<=', value: 0}\n\n"
                       "# budget: 20m   # --dry-run says how many records fit into it\n",
                       judged ? "findings.high" : "checks.failed");
}

limn_status audit_init(MethodCall *call, Result *result) {
    const AuditParams *params = call->params;
    DataSeen seen = {.fields = ARENA_ARRAY(call->arena, FieldSeen, FIELDS_MAX)};
    TextBuffer out = TEXT_BUFFER_INIT;
    if (params->models.n != 1 || params->data.n != 1) {
        return fail(LIMN_USAGE, "audit: --init needs --model MODEL and --data FILE");
    }
    if (file_exists(params->plan.bytes)) {
        return fail(LIMN_USAGE, "audit: %s is there already; --init writes a new plan", params->plan.bytes);
    }
    if (seen.fields == NULL) {
        return method_no_memory(call);
    }
    TRY(file_check_output(params->plan.bytes));
    TRY(look(&seen, params->data.items[0].bytes));
    TRY(is_classifier(&seen.classifier, call));
    add_head(&out, params, call->arena);
    add_data(&out, params, &seen, call->arena);
    add_steps(&out, call, &seen);
    limn_status status = text_buffer_status(&out);
    status = status == LIMN_OK ? file_write_atomic(params->plan.bytes, out.data, out.length) : status;
    text_buffer_free(&out);
    TRY(status);
    result_headline(result, "%s is written: read it, then limn audit %s --dry-run", params->plan.bytes,
                    params->plan.bytes);
    return result_status(result);
}
