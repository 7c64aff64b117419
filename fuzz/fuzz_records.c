/* JSONL, CSV, TSV and text records; the first byte says which, and how long a record may be. */
#include "files/records.h"

#include <string.h>

#include "fuzz.h"

static void use_value(const FieldValue *value) {
    TextBuffer text = TEXT_BUFFER_INIT;
    FieldValue number;
    check(field_text(&text, value) == LIMN_OK, "a field as text");
    if (value->kind == FIELD_TEXT || value->kind == FIELD_CELL) {
        check(text.length == value->length, "all of a text");
    }
    field_number(&number, value);
    text_buffer_free(&text);
}

static void use_record(const Record *record, size_t size) {
    check(record->line > 0 && record->end > 0 && (size_t)record->end <= size, "a place in the file");
    for (size_t i = 0; i < record->n_cells; i++) {
        FieldValue value = record_field(record, record->names[i].bytes, record->names[i].length);
        check(value.kind == FIELD_CELL && value.bytes == record->cells[i].bytes, "the cell of its name");
        use_value(&value);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)record->object, key, member) {
        FieldValue value = record_field(record, key, strlen(key));
        check(value.kind != FIELD_ABSENT, "a member by its name");
        use_value(&value);
    }
    FieldValue inner = record_field(record, "a.b.c", 5);
    use_value(&inner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    static const RecordFormat formats[] = {RECORDS_JSONL, RECORDS_CSV, RECORDS_TSV, RECORDS_TEXT};
    RecordReader *reader;
    const Record *record = NULL;
    size_t most = (data[0] & 4) != 0 ? 64 : 0;
    limn_status status = record_reader_open(&reader, memory_file(data + 1, size - 1), formats[data[0] & 3],
                                            &(RecordLimits){.bytes_max = most});
    if (status != LIMN_OK) {
        check(reader == NULL, "no reader after a failure");
        check_failure(status);
        return 0;
    }
    int64_t number = 0;
    while ((status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL) {
        check(record->number == number++, "numbers without gaps");
        use_record(record, size - 1);
    }
    if (status != LIMN_OK) {
        check_failure(status);
    }
    record_reader_close(reader);
    return 0;
}
