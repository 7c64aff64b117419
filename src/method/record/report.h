/* What `report` is asked, and its parts. */
#ifndef LIMN_METHOD_RECORD_REPORT_H
#define LIMN_METHOD_RECORD_REPORT_H

#include "call/registry.h"
#include "result/redact.h"

typedef struct ReportParams {
    ParamTexts results;
    Text title;
    Text redact;      /* the file of the key */
    int32_t language; /* Language; -1: that of the first result */
} ReportParams;

/* One of the results. */
typedef struct ReportSource {
    const char *path;
    char hash[65];
    Result *result;
} ReportSource;

typedef struct Report {
    MethodCall *call;
    Result *result;
    ReportSource *sources; /* [n] */
    int32_t n;
    bool chinese;
    Redactor *redactor; /* with what it left out */
} Report;

#define REPORT_SAYS(report, english, chinese_) ((report)->chinese ? (chinese_) : (english))

limn_status joined_sections(const Report *report); /* what each result found */
/* Takes personal data out of the results (report_redact.c). */
limn_status joined_redact(const Report *report, const char *key);
limn_status joined_appendix(const Report *report); /* to repeat it */

#endif
