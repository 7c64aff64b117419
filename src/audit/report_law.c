/* Which parts of the report serve which duty, for the regimes that the plan names; all where it names none. */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"

typedef struct Regime {
    const char *id, *english, *chinese, *remark, *remark_chinese;
} Regime;

typedef struct Duty {
    const char *regime, *place, *english, *chinese, *sections;
} Duty;

static const char version[] =
#define REGIMES_VERSION(day) day
#define REGIME(id, english, chinese, remark, remark_chinese)
#define DUTY(regime, place, english, chinese, sections)
#include "audit/regimes.def"
#undef REGIMES_VERSION
#undef REGIME
#define REGIMES_VERSION(day)
    ;
static const Regime regimes[] = {
#define REGIME(id, english, chinese, remark, remark_chinese) {id, english, chinese, remark, remark_chinese},
#include "audit/regimes.def"
#undef REGIME
#undef DUTY
};
static const Duty duties[] = {
#define REGIME(id, english, chinese, remark, remark_chinese)
#define DUTY(regime, place, english, chinese, sections) {regime, place, english, chinese, sections},
#include "audit/regimes.def"
#undef REGIME
#undef DUTY
};
enum { REGIMES = sizeof regimes / sizeof regimes[0], DUTIES = sizeof duties / sizeof duties[0] };

const char *regime_name(size_t index) {
    return index < REGIMES ? regimes[index].id : NULL;
}

bool regime_is_known(const char *id) {
    bool known = false;
    for (int i = 0; i < REGIMES; i++) {
        known = known || strcmp(regimes[i].id, id) == 0;
    }
    return known;
}

static bool is_asked(const Audit *audit, const Regime *regime) {
    bool asked = audit->plan.n_regimes == 0;
    for (int32_t i = 0; i < audit->plan.n_regimes; i++) {
        asked = asked || strcmp(audit->plan.regimes[i], regime->id) == 0;
    }
    return asked;
}

/* The sections that are in this report; those that are not stand in brackets: the duty has nothing there. */
static void add_sections(const Audit *audit, TextBuffer *out, const char *sections) {
    char name[64];
    for (const char *at = sections; *at != '\0';) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        bool there = result_find_block(audit->result, name) != NULL || strcmp(name, "appendix") == 0 ||
                     strcmp(name, "steps") == 0 || strcmp(name, "hypotheses") == 0;
        text_buffer_printf(out, there ? "%s%s" : "%s(%s)", out->length > 0 ? ", " : "", name);
        at += length;
        at += strspn(at, ", ");
    }
}

static void add_regime(const Audit *audit, const Regime *regime) {
    static const TableColumn columns[] = {
        {TEXT("place"), COLUMN_TEXT}, {TEXT("asked"), COLUMN_TEXT}, {TEXT("answered by"), COLUMN_TEXT}};
    char id[64];
    snprintf(id, sizeof id, "regime-%s", regime->id);
    TableBlock *table =
        result_add_table(audit->result, id, AUDIT_SAYS(audit, regime->english, regime->chinese), columns, 3);
    for (int i = 0; i < DUTIES; i++) {
        if (strcmp(duties[i].regime, regime->id) == 0) {
            TextBuffer where = TEXT_BUFFER_INIT;
            add_sections(audit, &where, duties[i].sections);
            const Value cells[] = {value_text(duties[i].place),
                                   value_text(AUDIT_SAYS(audit, duties[i].english, duties[i].chinese)),
                                   value_text(where.data != NULL ? where.data : "")};
            table_row(table, cells);
            text_buffer_free(&where);
        }
    }
    result_block_note(audit->result, "%s", AUDIT_SAYS(audit, regime->remark, regime->remark_chinese));
}

limn_status report_law(Audit *audit) {
    result_add_section(audit->result, "law", AUDIT_SAYS(audit, "Which duty each part serves", "各部分对应的义务"), 1);
    result_block_detail(audit->result);
    char text[512];
    snprintf(text, sizeof text,
             AUDIT_SAYS(
                 audit,
                 "The table of duties is of %s. It says where a report has something to show for a duty, not that the "
                 "duty is met; parts in brackets are not in this report.",
                 "义务对照表的版本为 "
                 "%s。表中所列仅表示报告在何处提供相应材料，并不表示义务已经履行；括号内的部分不在本报告中。"),
             version);
    result_add_text(audit->result, "law-version", "", text, strlen(text), false);
    for (int i = 0; i < REGIMES; i++) {
        if (is_asked(audit, &regimes[i])) {
            add_regime(audit, &regimes[i]);
        }
    }
    return result_status(audit->result);
}
