/* The choices of a step, however the plan lists them. */
#include <string.h>

#include "audit/plan.h"

const char *plan_choice(const Plan *plan, const json_t *choices, int32_t wanted) {
    if (json_is_array(choices) && json_array_size(choices) > 1) {
        return json_string_value(json_array_get(choices, (size_t)wanted));
    }
    const json_t *only = json_is_array(choices) ? json_array_get(choices, 0) : choices;
    const char *at = json_is_string(only) ? json_string_value(only) : NULL;
    for (int32_t i = 0; at != NULL; i++) {
        size_t length = strcspn(at, ",");
        if (i == wanted) {
            return arena_strndup(plan->arena, at, length);
        }
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return NULL;
}

static bool same_trimmed(const char *a, const char *b) {
    static const char blanks[] = " \t\r\n";
    a += strspn(a, blanks);
    b += strspn(b, blanks);
    size_t n = strlen(a), m = strlen(b);
    while (n > 0 && strchr(blanks, a[n - 1]) != NULL) {
        n--;
    }
    while (m > 0 && strchr(blanks, b[m - 1]) != NULL) {
        m--;
    }
    return n == m && memcmp(a, b, n) == 0;
}

const char *plan_choice_called(const Plan *plan, const PlanStep *of, const char *name) {
    const json_t *choices = json_object_get(of->params, "choices"), *labels = json_object_get(of->params, "labels");
    for (int32_t i = 0; name != NULL && choices != NULL; i++) {
        const char *choice = plan_choice(plan, choices, i);
        const char *spelled = labels != NULL ? plan_choice(plan, labels, i) : choice;
        if (choice == NULL || spelled == NULL) {
            return NULL;
        }
        if (same_trimmed(spelled, name)) {
            return choice;
        }
    }
    return NULL;
}
