/* JSON text and the typed getters, on every object inside it. */
#include "files/json.h"

#include "fuzz.h"

static void note(limn_status status) {
    if (status != LIMN_OK) {
        check_failure(status);
    }
}

static void use_member(const json_t *object, const char *key) {
    int64_t integer;
    double real;
    bool flag;
    const char *text;
    const json_t *value;
    char buffer[80];
    check(json_describe(json_object_get(object, key), buffer) != NULL, "a description");
    if (json_need_integer(&integer, object, "f", key, -5, 1000) == LIMN_OK) {
        check(integer >= -5 && integer <= 1000, "an integer within its bounds");
    }
    note(json_take_integer(&integer, object, "f", key, INT64_MIN, INT64_MAX, 3));
    note(json_need_real(&real, object, "f", key));
    note(json_take_real(&real, object, "f", key, 1.0));
    note(json_take_bool(&flag, object, "f", key, true));
    note(json_need_string(&text, object, "f", key));
    note(json_take_string(&text, object, "f", key, "x"));
    note(json_need_array(&value, object, "f", key));
    note(json_take_array(&value, object, "f", key));
    note(json_need_object(&value, object, "f", key));
    note(json_take_object(&value, object, "f", key));
}

static void use_value(const json_t *value) {
    use_member(value, "hidden_size");
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member) {
        use_member(value, key);
        use_value(member);
    }
    size_t index;
    json_array_foreach(value, index, member) {
        use_value(member);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *json;
    limn_status status = json_text_load(&json, "config.json", (const char *)data, size);
    if (status != LIMN_OK) {
        check(json == NULL, "nothing after a failure");
        check_failure(status);
        return 0;
    }
    use_value(json);
    json_decref(json);
    return 0;
}
