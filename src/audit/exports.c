/* Gates and findings for machines: JUnit XML, SARIF 2.1.0, a short JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "base/utf8.h"

/* ---- JUnit ---- */

/* XML 1.0 has no place for control characters, not even escaped. */
static void add_xml(TextBuffer *out, const char *text) {
    for (size_t i = 0, n = strlen(text); i < n;) {
        bool valid;
        uint32_t c;
        size_t step = utf8_read(text + i, n - i, &c, &valid);
        if (c == '&') {
            text_buffer_add(out, "&amp;");
        } else if (c == '<') {
            text_buffer_add(out, "&lt;");
        } else if (c == '>') {
            text_buffer_add(out, "&gt;");
        } else if (c == '"') {
            text_buffer_add(out, "&quot;");
        } else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0xFFFE || c == 0xFFFF || (c >= 0x7F && c < 0xA0)) {
            text_buffer_add(out, "?");
        } else {
            text_buffer_add_codepoint(out, c);
        }
        i += step;
    }
}

static void add_attribute(TextBuffer *out, const char *name, const char *text) {
    text_buffer_printf(out, " %s=\"", name);
    add_xml(out, text);
    text_buffer_add_char(out, '"');
}

static void add_gate_case(TextBuffer *out, const GateOutcome *outcome) {
    text_buffer_add(out, "    <testcase classname=\"gates\"");
    add_attribute(out, "name", outcome->gate->name);
    if (outcome->state == CHECK_PASS) {
        text_buffer_add(out, "/>\n");
        return;
    }
    bool failed = outcome->state == CHECK_FAIL;
    TextBuffer line = TEXT_BUFFER_INIT;
    text_buffer_printf(&line, "found %.6g", outcome->figure.value);
    if (!isnan(outcome->figure.low)) {
        text_buffer_printf(&line, " [%.6g, %.6g]", outcome->figure.low, outcome->figure.high);
    }
    text_buffer_printf(&line, ", demanded %s %s%s%s", gate_sign(outcome->gate->op), outcome->gate->value_text,
                       outcome->why != NULL ? "; " : "", outcome->why != NULL ? outcome->why : "");
    text_buffer_printf(out, ">\n      <%s", failed ? "failure" : "skipped");
    add_attribute(out, "message", line.data != NULL ? line.data : "");
    text_buffer_add(out, failed ? " type=\"gate\"/>\n    </testcase>\n" : "/>\n    </testcase>\n");
    text_buffer_free(&line);
}

static void add_finding_case(TextBuffer *out, const Hypothesis *item) {
    text_buffer_add(out, "    <testcase classname=\"findings\"");
    TextBuffer name = TEXT_BUFFER_INIT;
    text_buffer_printf(&name, "%s %s: %s (%s)", item->id, item->kind, item->what, item->where);
    add_attribute(out, "name", name.data != NULL ? name.data : "");
    text_buffer_free(&name);
    text_buffer_add(out, ">\n      <system-out>");
    text_buffer_printf(&name, "%s: effect %+.6g %s [%.6g, %.6g], p %.3g, n %lld. ", severity_name(item->severity),
                       item->effect.value, item->unit, item->effect.low, item->effect.high, item->adjusted,
                       (long long)item->n);
    text_buffer_add(&name, item->evidence != NULL ? item->evidence : "");
    add_xml(out, name.data != NULL ? name.data : "");
    text_buffer_add(out, "</system-out>\n    </testcase>\n");
    text_buffer_free(&name);
}

static limn_status write_junit(const Audit *audit, TextBuffer *out) {
    int counts[3] = {0, 0, 0};
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        counts[audit->gates[i].state]++;
    }
    int tests = audit->plan.n_gates + audit->findings.n_found;
    text_buffer_printf(out,
                       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                       "<testsuites tests=\"%d\" failures=\"%d\" errors=\"0\">\n  <testsuite",
                       tests, counts[CHECK_FAIL]);
    add_attribute(out, "name", audit->plan.title);
    text_buffer_printf(out, " tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\">\n", tests, counts[CHECK_FAIL],
                       counts[CHECK_INCONCLUSIVE]);
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        add_gate_case(out, &audit->gates[i]);
    }
    for (int32_t i = 0; i < audit->findings.n_found; i++) {
        add_finding_case(out, &audit->findings.items[i]);
    }
    text_buffer_add(out, "  </testsuite>\n</testsuites>\n");
    return text_buffer_status(out);
}

/* ---- JSON ---- */

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static limn_status dump(TextBuffer *out, json_t *document) {
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(document);
    if (text == NULL) {
        return fail(LIMN_NO_MEMORY, "audit: no memory for JSON");
    }
    text_buffer_add(out, text);
    text_buffer_add_char(out, '\n');
    free(text);
    return text_buffer_status(out);
}

/* A text that may not be UTF-8 is repaired. */
static json_t *text(const char *bytes) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    utf8_add_repaired(&clean, bytes, strlen(bytes));
    json_t *made = json_stringn(clean.data != NULL ? clean.data : "", clean.length);
    text_buffer_free(&clean);
    return made;
}

static json_t *finding_json(const Hypothesis *item) {
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:I}", "id", item->id, "severity",
                     severity_name(item->severity), "kind", item->kind, "what", text(item->what), "where",
                     text(item->where), "effect", number(item->effect.value), "low", number(item->effect.low), "high",
                     number(item->effect.high), "unit", item->unit, "p", number(item->adjusted), "n",
                     (json_int_t)item->n);
}

static json_t *gate_json(const GateOutcome *outcome) {
    return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:s, s:o}", "name", text(outcome->gate->name), "metric",
                     outcome->gate->metric, "outcome", check_state_name(outcome->state), "found",
                     number(outcome->figure.value), "low", number(outcome->figure.low), "high",
                     number(outcome->figure.high), "op", gate_sign(outcome->gate->op), "value",
                     number(outcome->gate->value));
}

static limn_status write_summary(const Audit *audit, TextBuffer *out) {
    json_t *gates = json_array(), *found = json_array();
    for (int32_t i = 0; gates != NULL && i < audit->plan.n_gates; i++) {
        json_array_append_new(gates, gate_json(&audit->gates[i]));
    }
    for (int32_t i = 0; found != NULL && i < audit->findings.n_found; i++) {
        json_array_append_new(found, finding_json(&audit->findings.items[i]));
    }
    return dump(out, json_pack("{s:s, s:o, s:s, s:s, s:o, s:o}", "format", "limn.audit-summary/1", "title",
                               text(audit->plan.title), "version", LIMN_VERSION, "verdict",
                               check_state_name(result_verdict(audit->result)), "gates", gates, "findings", found));
}

/* ---- SARIF ---- */

/* Where the plan lies as a URI reference (RFC 3986): what is not unreserved is escaped. */
static json_t *uri_of(const char *path) {
    static const char unreserved[] = "-._~/";
    TextBuffer out = TEXT_BUFFER_INIT;
    text_buffer_add(&out, path[0] == '/' ? "file://" : "");
    for (const char *c = path; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     strchr(unreserved, *c) != NULL;
        text_buffer_printf(&out, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    json_t *made = json_string(out.data != NULL ? out.data : "");
    text_buffer_free(&out);
    return made;
}

static json_t *sarif_result(const char *rule, const char *level, const char *message, const char *plan,
                            const char *print) {
    return json_pack("{s:s, s:s, s:{s:o}, s:[{s:{s:{s:o}, s:{s:i}}}], s:{s:s}}", "ruleId", rule, "level", level,
                     "message", "text", text(message), "locations", "physicalLocation", "artifactLocation", "uri",
                     uri_of(plan), "region", "startLine", 1, "partialFingerprints", "limn/v1", print);
}

static void add_gate_result(json_t *results, const Audit *audit, const GateOutcome *outcome) {
    TextBuffer line = TEXT_BUFFER_INIT;
    char hex[HASH_HEX];
    text_buffer_printf(&line, "%s: found %.6g, demanded %s %s%s%s", outcome->gate->name, outcome->figure.value,
                       gate_sign(outcome->gate->op), outcome->gate->value_text, outcome->why != NULL ? "; " : "",
                       outcome->why != NULL ? outcome->why : "");
    sha256_hex(hex, outcome->gate->name, strlen(outcome->gate->name));
    const char *level = outcome->state == CHECK_FAIL ? "error" : "warning";
    json_t *made = sarif_result("gate", level, line.data != NULL ? line.data : "", audit->plan.name, hex);
    json_t *region = json_object_get(
        json_object_get(json_array_get(json_object_get(made, "locations"), 0), "physicalLocation"), "region");
    json_object_set_new(region, "startLine", json_integer(outcome->gate->node->line));
    json_array_append_new(results, made);
    text_buffer_free(&line);
}

static void add_finding_result(json_t *results, json_t *rules, const Audit *audit, const Hypothesis *item) {
    static const char *const levels[] = {"note", "warning", "error"};
    TextBuffer line = TEXT_BUFFER_INIT;
    bool known = false;
    for (size_t i = 0; i < json_array_size(rules); i++) {
        known = known || strcmp(json_string_value(json_object_get(json_array_get(rules, i), "id")), item->kind) == 0;
    }
    if (!known) {
        json_array_append_new(rules, json_pack("{s:s}", "id", item->kind));
    }
    text_buffer_printf(&line, "%s (%s): %+.6g %s [%.6g, %.6g], p %.3g, n %lld", item->what, item->where,
                       item->effect.value, item->unit, item->effect.low, item->effect.high, item->adjusted,
                       (long long)item->n);
    json_array_append_new(results, sarif_result(item->kind, levels[item->severity], line.data != NULL ? line.data : "",
                                                audit->plan.name, item->id));
    text_buffer_free(&line);
}

static limn_status write_sarif(const Audit *audit, TextBuffer *out) {
    json_t *rules = json_pack("[{s:s}]", "id", "gate"), *results = json_array();
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        if (audit->gates[i].state != CHECK_PASS) {
            add_gate_result(results, audit, &audit->gates[i]);
        }
    }
    for (int32_t i = 0; i < audit->findings.n_found; i++) {
        add_finding_result(results, rules, audit, &audit->findings.items[i]);
    }
    return dump(out, json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:o}]}", "$schema",
                               "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs", "tool",
                               "driver", "name", "limn", "version", LIMN_VERSION, "rules", rules, "results", results));
}

/* ---- all ---- */

static limn_status write_one(const Audit *audit, const Text *file,
                             limn_status (*write)(const Audit *audit, TextBuffer *out)) {
    if (file->bytes == NULL) {
        return LIMN_OK;
    }
    TextBuffer out = TEXT_BUFFER_INIT;
    limn_status status = write(audit, &out);
    status = status == LIMN_OK ? file_write_atomic(file->bytes, out.data, out.length) : status;
    text_buffer_free(&out);
    return status;
}

limn_status audit_write_files(const Audit *audit) {
    TRY(result_status(audit->result));
    TRY(write_one(audit, &audit->params->junit, write_junit));
    TRY(write_one(audit, &audit->params->sarif, write_sarif));
    return write_one(audit, &audit->params->summary, write_summary);
}
