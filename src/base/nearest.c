#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/integers.h"

enum { NAME_MAX_LENGTH = 96 };

/* Edits (insert, delete, replace, swap of neighbours) between two names, letters of either case being equal. */
static int64_t edit_distance(const char *a, const char *b) {
    int64_t rows[3][NAME_MAX_LENGTH + 1];
    size_t n = strnlen(a, NAME_MAX_LENGTH);
    size_t m = strnlen(b, NAME_MAX_LENGTH);
    int64_t *before = rows[0];
    int64_t *last = rows[1];
    int64_t *now = rows[2];
    for (size_t j = 0; j <= m; j++) {
        last[j] = (int64_t)j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int64_t)i;
        for (size_t j = 1; j <= m; j++) {
            int ca = tolower((unsigned char)a[i - 1]);
            int cb = tolower((unsigned char)b[j - 1]);
            now[j] = smaller(smaller(last[j], now[j - 1]) + 1, last[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2])) {
                now[j] = smaller(now[j], before[j - 2] + 1);
            }
        }
        int64_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[m];
}

/* A name that holds what was typed (or the other way round) is nearer than its length says. */
static int64_t distance(const char *wanted, const char *name) {
    int64_t edits = 2 * edit_distance(wanted, name);
    if (wanted[0] != '\0' && name[0] != '\0' && (strstr(name, wanted) != NULL || strstr(wanted, name) != NULL)) {
        edits = smaller(edits, 3);
    }
    return edits;
}

char *nearest_names(char *out, size_t size, int most, const char *wanted, NameAt name_at, const void *context,
                    size_t count) {
    const char *best[NEAREST_MOST] = {0};
    int64_t best_distance[NEAREST_MOST] = {0};
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = name_at(context, i);
        if (name == NULL) {
            continue;
        }
        int64_t d = distance(wanted, name);
        int place = found;
        while (place > 0 && d < best_distance[place - 1]) {
            place--;
        }
        if (place == most) {
            continue;
        }
        found = found < most ? found + 1 : found;
        for (int k = found - 1; k > place; k--) {
            best[k] = best[k - 1];
            best_distance[k] = best_distance[k - 1];
        }
        best[place] = name;
        best_distance[place] = d;
    }
    if (size > 0) {
        out[0] = '\0';
    }
    size_t used = 0;
    for (int k = 0; k < found && used < size; k++) {
        int n = snprintf(out + used, size - used, "%s'%s'", k > 0 ? ", " : "", best[k]);
        if (n < 0 || (size_t)n >= size - used) {
            out[used] = '\0';
            break;
        }
        used += (size_t)n;
    }
    return out;
}

bool name_is_misspelt(const char *wanted, const char *name) {
    int64_t length = (int64_t)strnlen(wanted, NAME_MAX_LENGTH);
    return edit_distance(wanted, name) <= (length < 6 ? 1 : 2);
}
