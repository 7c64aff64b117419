/* Personal data out of results before they are put together (result/redact.h), by the key of a file
 * (files/commitment.h). */
#include "files/commitment.h"
#include "method/record/report.h"

static limn_status commit(void *context, char hex[65], const char *bytes, size_t length) {
    return commitment_of(hex, context, bytes, length);
}

limn_status joined_redact(const Report *report, const char *key_path) {
    CommitmentKey key;
    TRY(commitment_key_open(&key, key_path));
    Redactor *redactor = report->redactor;
    *redactor = (Redactor){.commit = commit, .context = &key, .arena = report->call->arena};
    for (int32_t i = 0; i < report->n; i++) {
        TRY(redact_result(redactor, report->sources[i].result, true));
    }
    redactor->context = NULL;
    return LIMN_OK;
}
