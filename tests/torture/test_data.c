/* Filters, samples and templates, without memory. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/template.h"
#include "torture/torture.h"

enum { LONG = 40000 }; /* more than a block of the arena */

static limn_status read_set(void *context) {
    static char filter[LONG + 100];
    int n = snprintf(filter, sizeof filter,
                     "(text > 'b' or length(text) == 2) and text !~ 'x' and split(text) >= 0 and "
                     "text != '%0*d'",
                     LONG, 0);
    Dataset *dataset;
    TRY(dataset_open(&dataset, context, &(DatasetOptions){.where = filter, .where_length = (size_t)n, .sample = 1500}));
    const Record *record;
    limn_status status;
    while ((status = dataset_next(dataset, &record)) == LIMN_OK && record != NULL) {
    }
    dataset_close(dataset);
    return status;
}

static limn_status refuse_name(void *context) {
    static char filter[LONG + 100];
    int n = snprintf(filter, sizeof filter, "text > 'b' and n%0*d == 1", LONG, 0);
    Dataset *dataset;
    limn_status status = dataset_open(&dataset, context, &(DatasetOptions){.where = filter, .where_length = (size_t)n});
    return status == LIMN_NOT_FOUND ? LIMN_OK : status;
}

/* Every format, a record that is broken in each. */
static limn_status read_formats(void *context) {
    const char *const *paths = context;
    for (int i = 0; paths[i] != NULL; i++) {
        Dataset *dataset;
        TRY(dataset_open(&dataset, paths[i], &(DatasetOptions){0}));
        const Record *record = NULL;
        limn_status status;
        do {
            status = dataset_next(dataset, &record);
        } while (status == LIMN_OK ? record != NULL : status == LIMN_FORMAT && dataset_bad(dataset) != NULL);
        dataset_close(dataset);
        TRY(status);
    }
    return LIMN_OK;
}

static limn_status filled(TextBuffer *out, const Template *made, const char *path) {
    RecordReader *reader;
    const Record *record;
    TRY(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    limn_status status = record_reader_next(reader, &record);
    status = status == LIMN_OK ? template_fill(out, NULL, made, path, record) : status;
    record_reader_close(reader);
    return status;
}

static limn_status fill_template(void *context) {
    static char text[LONG];
    memset(text, 'x', sizeof text);
    memcpy(text, "{text} and {text}", 17);
    Arena arena;
    Template made, field;
    TextBuffer out = TEXT_BUFFER_INIT;
    arena_init(&arena);
    limn_status status = template_parse(&made, text, sizeof text, &arena);
    status = status == LIMN_OK ? template_of_field(&field, "text", 4, &arena) : status;
    status = status == LIMN_OK ? filled(&out, &made, context) : status;
    status = status == LIMN_OK ? filled(&out, &field, context) : status;
    text_buffer_free(&out);
    arena_free(&arena);
    return status;
}

int main(void) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/limn-torture-%d.txt", (int)getpid());
    TextBuffer lines = TEXT_BUFFER_INIT;
    for (int i = 0; i < 3000; i++) {
        text_buffer_printf(&lines, "line %d\n", i);
    }
    if (file_write_atomic(path, lines.data, lines.length) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    text_buffer_free(&lines);
    torture("a filtered sample", read_set, path);
    torture("a filter that is refused", refuse_name, path);
    torture("a template", fill_template, path);
    static const char *const texts[] = {"a,b\n1,\"2 \"\"\"\n3\n4,5\n", "a\tb\n1\t2\n3\n",
                                        "{\"a\": \"x\"}\n[1]\n{\n{\"a\": 12345678901234567890123}\n",
                                        "[{\"a\": 1}, {\"a\": [2]}]"};
    static const char *const endings[] = {"csv", "tsv", "jsonl", "json"};
    char names[4][80];
    const char *paths[5] = {NULL};
    for (int i = 0; i < 4; i++) {
        snprintf(names[i], sizeof names[i], "%s.%s", path, endings[i]);
        paths[i] = names[i];
        if (file_write_atomic(names[i], texts[i], strlen(texts[i])) != LIMN_OK) {
            fprintf(stderr, "%s\n", error_message());
            return 1;
        }
    }
    torture("all formats", read_formats, paths);
    for (int i = 0; i < 4; i++) {
        unlink(names[i]);
    }
    return unlink(path) == 0 ? 0 : 1;
}
