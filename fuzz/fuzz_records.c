/* JSONL, CSV, TSV and text records, and arrays of JSON; the first byte says which, and how long a record may be. */
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
    if (field_number(&number, value)) {
        FieldValue zero = {.kind = FIELD_INTEGER};
        check(field_number_order(&number, &number) == 0, "a number is itself");
        check((field_number_order(&number, &zero) < 0) == (field_number_order(&zero, &number) > 0), "one order");
    }
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
    RecordFormat format = (data[0] & 8) != 0 ? RECORDS_JSON : formats[data[0] & 3];
    limn_status status =
        record_reader_open(&reader, memory_file(data + 1, size - 1), format, &(RecordLimits){.bytes_max = most});
    if (status != LIMN_OK) {
        check(reader == NULL, "no reader after a failure");
        check_failure(status);
        return 0;
    }
    int64_t number = 0;
    do { /* past bad records too, as long as the reader can */
        while ((status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL) {
            check(record->number == number++, "numbers without gaps");
            use_record(record, size - 1);
        }
        if (status != LIMN_OK) {
            check_failure(status);
            record = record_reader_bad(reader);
            check(record == NULL || (record->number == number++ && record->line > 0), "the bad record's place");
        }
    } while (status != LIMN_OK && record != NULL);
    record_reader_close(reader);
    return 0;
}
