#include "audit/figures.h"

#include <math.h>
#include <string.h>

#include "base/nearest.h"

typedef struct FigureRow {
    const char *command, *name, *table, *key, *row, *value, *low, *high;
} FigureRow;

typedef struct TableRow {
    const char *command, *table, *columns;
} TableRow;

static const FigureRow figures[] = {
#define FIGURE(command, name, table, key, row, value, low, high) {command, name, table, key, row, value, low, high},
#define TABLE(command, table, columns)
#include "audit/figures.def"
#undef FIGURE
#undef TABLE
};
static const TableRow tables[] = {
#define FIGURE(command, name, table, key, row, value, low, high)
#define TABLE(command, table, columns) {command, table, columns},
#include "audit/figures.def"
#undef FIGURE
#undef TABLE
};
enum { FIGURES = sizeof figures / sizeof figures[0], TABLES = sizeof tables / sizeof tables[0] };

/* ---- results ---- */

const TableBlock *result_table(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    return block != NULL && block->kind == BLOCK_TABLE ? block->content : NULL;
}

int32_t table_column(const TableBlock *table, const char *name) {
    for (int32_t i = 0; table != NULL && i < table->n_columns; i++) {
        if (text_is(table->columns[i].name, name)) {
            return i;
        }
    }
    return -1;
}

double number_in_cell(const Value *cell) {
    return cell->kind == VALUE_NUMBER    ? cell->number
           : cell->kind == VALUE_INTEGER ? (double)cell->integer
           : cell->kind == VALUE_BOOL    ? (double)cell->boolean
                                         : (double)NAN;
}

double table_number(const TableBlock *table, int32_t row, const char *column) {
    int32_t place = table_column(table, column);
    return place >= 0 && row >= 0 ? number_in_cell(table_cell(table, row, place)) : (double)NAN;
}

Text table_text(const TableBlock *table, int32_t row, const char *column) {
    int32_t place = table_column(table, column);
    const Value *value = place >= 0 ? table_cell(table, row, place) : NULL;
    return value != NULL && value->kind == VALUE_TEXT ? value->text : text_of("");
}

void figure_column(double *values, int32_t *n, const Result *result, const char *table_id, const char *column) {
    const TableBlock *table = result_table(result, table_id);
    int32_t place = table_column(table, column);
    *n = place >= 0 ? table->n_rows : 0;
    for (int32_t i = 0; values != NULL && i < *n; i++) {
        values[i] = number_in_cell(table_cell(table, i, place));
    }
}

/* "recall:yes" asks the row "recall" with what: "yes". NULL: this is not the row's name. "": no row is asked for. */
static const char *asked_row(const FigureRow *row, const char *name) {
    size_t length = strlen(row->name);
    char sign = row->row[0] == '*' ? ':' : row->row[0] == '@' ? '@' : '\0';
    if (strncmp(name, row->name, length) != 0 || name[length] != sign) {
        return NULL;
    }
    return sign == '\0' ? row->row : name + length + 1;
}

static bool read_figure(Interval *figure, const Result *result, const FigureRow *row, const char *wanted) {
    const TableBlock *table = result_table(result, row->table);
    int32_t key = table_column(table, row->key);
    for (int32_t i = 0; key >= 0 && i < table->n_rows; i++) {
        const Value *cell = table_cell(table, i, key);
        if (cell->kind == VALUE_TEXT && text_is(cell->text, wanted)) {
            *figure = (Interval){table_number(table, i, row->value), table_number(table, i, row->low),
                                 table_number(table, i, row->high)};
            return true;
        }
    }
    return false;
}

void figure_of_result(Interval *figure, bool *found, const Result *result, const char *command, const char *name) {
    *figure = (Interval){(double)NAN, (double)NAN, (double)NAN};
    *found = false;
    for (size_t i = 0; i < FIGURES && !*found; i++) {
        const char *wanted = strcmp(figures[i].command, command) == 0 ? asked_row(&figures[i], name) : NULL;
        *found = wanted != NULL && read_figure(figure, result, &figures[i], wanted);
    }
    for (int32_t i = 0; i < result->n_checks && !*found; i++) {
        *found = text_is(result->checks[i].name, name);
        figure->value = *found ? result->checks[i].value : figure->value;
    }
}

/* ---- before any work ---- */

const char *figure_step(int32_t *step, const Plan *plan, const char *name) {
    const char *dot = strchr(name, '.');
    *step = dot != NULL ? plan_step_place(plan, name, (size_t)(dot - name)) : -1;
    return dot != NULL ? dot + 1 : "";
}

static bool is_known_figure(const char *command, const char *name, bool *any) {
    for (size_t i = 0; i < FIGURES; i++) {
        bool same = strcmp(figures[i].command, command) == 0;
        const char *wanted = same ? asked_row(&figures[i], name) : NULL;
        *any = *any || same;
        if (wanted != NULL && wanted[0] != '\0') {
            return true;
        }
    }
    return false;
}

/* "a" in "a|b|c"; "*" has all. */
static bool has_column(const char *columns, const char *name) {
    size_t length = strlen(name);
    for (const char *at = columns; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL) {
        const char *end = strchr(at, '|');
        size_t n = end != NULL ? (size_t)(end - at) : strlen(at);
        if (strcmp(at, "*") == 0 || (n == length && memcmp(at, name, n) == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_known_column(const char *command, const char *name, bool *any) {
    const char *dot = strchr(name, '.');
    for (size_t i = 0; dot != NULL && i < TABLES; i++) {
        bool same = strcmp(tables[i].command, command) == 0;
        *any = *any || same;
        if (same && strlen(tables[i].table) == (size_t)(dot - name) &&
            strncmp(tables[i].table, name, (size_t)(dot - name)) == 0 && has_column(tables[i].columns, dot + 1)) {
            return true;
        }
    }
    return false;
}

static const char *figure_at(const void *context, size_t index) {
    const char *command = context;
    return strcmp(figures[index].command, command) == 0 ? figures[index].name : NULL;
}

static const char *step_at(const void *context, size_t index) {
    return ((const Plan *)context)->steps[index].id;
}

static bool is_count(const char *name) {
    return strncmp(name, "findings.", 9) == 0 || strcmp(name, "checks.failed") == 0;
}

limn_status figure_check(const Plan *plan, const char *name, bool rows) {
    bool drift = strncmp(name, DRIFT_PREFIX, sizeof DRIFT_PREFIX - 1) == 0;
    name += drift ? sizeof DRIFT_PREFIX - 1 : 0;
    char near[256];
    int32_t step;
    if (is_count(name) && !drift) {
        return rows ? fail(LIMN_USAGE, "'%.80s' is one number: it has no rows to aggregate", name) : LIMN_OK;
    }
    const char *figure = figure_step(&step, plan, name);
    if (step < 0) {
        const char *dot = strchr(name, '.');
        char *id = arena_strndup(plan->arena, name, dot != NULL ? (size_t)(dot - name) : strlen(name));
        nearest_names(near, sizeof near, NEAREST_USUAL, id != NULL ? id : "", step_at, plan, (size_t)plan->n_steps);
        return fail(LIMN_USAGE, "no step makes '%.80s'; steps are: %s", name, near);
    }
    const char *command = plan->steps[step].method->command.name;
    bool any = false;
    bool known = rows ? is_known_column(command, figure, &any) : is_known_figure(command, figure, &any);
    if (known || (rows && !any && strchr(figure, '.') != NULL)) {
        return LIMN_OK; /* of a command without rows in figures.def nothing is known beforehand */
    }
    if (rows) {
        return fail(LIMN_USAGE, "%s makes no '%.80s' with rows: expected STEP.TABLE.COLUMN", command, figure);
    }
    if (!any && figure[0] != '\0') {
        return LIMN_OK; /* a check of its result, perhaps */
    }
    nearest_names(near, sizeof near, NEAREST_MOST, figure, figure_at, command, FIGURES);
    return fail(LIMN_USAGE, "the step '%s' makes no figure '%.80s'; nearest: %s", plan->steps[step].id, figure, near);
}
