/* What `limn mediate` is asked: options that go together, sites, positions, the cells they come to. */
#include <stdlib.h>
#include <string.h>

#include "method/causal/mediate.h"

static const char *const rule_names[] = {"all", "keys", "last-key", "last"};

/* "A:B" within [0, limit). */
limn_status mediate_parse_span(int32_t *begin, int32_t *end, const char *option, const char *text, int64_t limit) {
    char *at;
    long first = strtol(text, &at, 10);
    bool good = at != text && *at == ':';
    const char *second = at + 1;
    long last = good ? strtol(second, &at, 10) : 0;
    if (!good || at == second || *at != '\0') {
        return fail(LIMN_USAGE, "option '%s': found '%s', expected A:B", option, text);
    }
    if (first < 0 || last <= first || last > limit) {
        return fail(LIMN_RANGE, "option '%s': found %s; expected a begin from 0 and an end up to %lld", option, text,
                    (long long)limit);
    }
    *begin = (int32_t)first;
    *end = (int32_t)last;
    return LIMN_OK;
}

static limn_status parse_rule(Mediate *mediate, WhichPositions *rule, const char *text) {
    for (size_t i = 0; i < sizeof rule_names / sizeof rule_names[0]; i++) {
        if (strcmp(text, rule_names[i]) == 0) {
            *rule = (WhichPositions)i;
            return LIMN_OK;
        }
    }
    *rule = POSITIONS_SPAN;
    if (strchr(text, ':') == NULL) {
        return fail(LIMN_USAGE, "option 'positions': found '%s', expected all, keys, last-key, last or A:B", text);
    }
    return mediate_parse_span(&mediate->span_begin, &mediate->span_end, "positions", text, INT32_MAX);
}

/* ---- what is restored ---- */

static limn_status add_site(Mediate *mediate, const char *name) {
    MediateSite *made = &mediate->sites[mediate->n_sites];
    if (mediate->n_sites == MEDIATE_SITES) {
        return fail(LIMN_USAGE, "mediate: option 'site': found more than %d", MEDIATE_SITES);
    }
    TRY(causal_site_find(&made->site, "site", name));
    TRY(causal_site_nodes(&made->nodes, mediate->call, mediate->model, made->site));
    made->rule = mediate_is_stream(made->site) && mediate->by == MEDIATE_BY_LAYER ? POSITIONS_LAST_KEY : POSITIONS_ALL;
    made->chosen = mediate->params->positions.bytes == NULL;
    if (!made->chosen) {
        TRY(parse_rule(mediate, &made->rule, mediate->params->positions.bytes));
    }
    mediate->n_sites++;
    return LIMN_OK;
}

limn_status mediate_choose_sites(Mediate *mediate) {
    static const char *const by_layer[] = {"mlp_out", "attn_out", "resid_post"};
    static const char *const others[] = {NULL, "resid_post", "z", "mlp_post"};
    const ParamTexts *asked = &mediate->params->sites;
    for (int32_t i = 0; i < asked->n; i++) {
        TRY(add_site(mediate, asked->items[i].bytes));
    }
    if (asked->n == 0 && mediate->by == MEDIATE_BY_LAYER) {
        for (int i = 0; i < MEDIATE_SITES; i++) {
            TRY(add_site(mediate, by_layer[i]));
        }
    } else if (asked->n == 0) {
        TRY(add_site(mediate, others[mediate->by]));
    }
    return mediate->n_sites == 1 || mediate->by == MEDIATE_BY_LAYER
               ? LIMN_OK
               : fail(LIMN_USAGE, "mediate: option 'site': found %d, expected one with --by position, head or neuron",
                      (int)mediate->n_sites);
}

/* How many parts a layer has, and how wide each is. */
static limn_status choose_parts(Mediate *mediate) {
    MediateSite *site = &mediate->sites[0];
    const RowShape *shape = &mediate->model->graph.nodes[site->nodes[0]].op.out;
    mediate->n_parts = 1;
    if (mediate->by == MEDIATE_BY_HEAD) {
        if (shape->n_dims != 2) {
            return fail(LIMN_USAGE, "mediate: option 'by': %s has no heads; expected q, k, v or z", site->site->name);
        }
        mediate->n_parts = (int32_t)shape->dims[0];
        site->part_width = shape->dims[1];
    } else if (mediate->by == MEDIATE_BY_NEURON) {
        mediate->n_parts = (int32_t)row_shape_width(shape, 1);
        site->part_width = 1;
    } else if (mediate->by == MEDIATE_BY_POSITION) {
        if (mediate->params->positions.bytes != NULL) {
            return fail(LIMN_USAGE, "mediate: --by position restores one position after another; found --positions");
        }
        mediate->n_parts = mediate_by_role(mediate) ? ROLE_COUNT : mediate->one.pair.corrupt.sequence.n;
    }
    return LIMN_OK;
}

limn_status mediate_make_cells(Mediate *mediate) {
    TRY(choose_parts(mediate));
    int64_t n = (int64_t)mediate->n_sites * (mediate->layer_end - mediate->layer_begin) * mediate->n_parts;
    if (n > INT32_MAX / 8) {
        return fail(LIMN_RANGE, "mediate: %lld parts to restore; fewer layers (--layers A:B) have less", (long long)n);
    }
    mediate->cells = ARENA_ARRAY(mediate->call->arena, MediateCell, n + 1);
    if (mediate->cells == NULL) {
        return method_no_memory(mediate->call);
    }
    for (int32_t site = 0; site < mediate->n_sites; site++) {
        for (int32_t layer = mediate->layer_begin; layer < mediate->layer_end; layer++) {
            for (int32_t part = 0; part < mediate->n_parts; part++) {
                mediate->cells[mediate->n_cells++] = (MediateCell){site, layer, part};
            }
        }
    }
    return LIMN_OK;
}

/* ---- what was asked ---- */

/* What would silently do nothing. */
static limn_status refuse_data(const DataParams *data) {
    const char *unused = data->words_field.bytes != NULL      ? "subject-field"
                         : data->other_field.bytes != NULL    ? "corrupt-field"
                         : data->other_template.bytes != NULL ? "corrupt-template"
                         : data->label_field.bytes != NULL    ? "label-field"
                         : data->prompt_field.bytes != NULL   ? "prompt-field"
                         : data->template_text.bytes != NULL  ? "template"
                         : data->messages_field.bytes != NULL ? "messages-field"
                         : data->as_chat                      ? "as-chat"
                         : data->system.bytes != NULL         ? "system"
                         : data->where.bytes != NULL          ? "where"
                         : data->limit != PARAM_NO_INTEGER    ? "limit"
                         : data->sample != PARAM_NO_INTEGER   ? "sample"
                         : data->on_error == ON_ERROR_SKIP    ? "on-error"
                                                              : NULL;
    return unused == NULL ? LIMN_OK : fail(LIMN_USAGE, "mediate: option '%s' goes with --data", unused);
}

static limn_status check_data(const MediateParams *params) {
    const DataParams *data = &params->data;
    if (params->pair.prompt.prompt.bytes != NULL || params->pair.prompt.ids.ids != NULL ||
        params->pair.prompt.file.bytes != NULL || pair_has_corrupt(&params->pair)) {
        return fail(LIMN_USAGE, "mediate: found both a prompt and --data, expected one of them");
    }
    if (params->subject_span.bytes != NULL || params->noise_values.bytes != NULL || params->tokens.ids != NULL) {
        return fail(LIMN_USAGE, "mediate: option '%s' goes with one prompt",
                    params->subject_span.bytes != NULL   ? "subject-span"
                    : params->noise_values.bytes != NULL ? "noise-values"
                                                         : "tokens");
    }
    if (params->subject.bytes != NULL) {
        return fail(LIMN_USAGE, "mediate: option 'subject' goes with one prompt; expected --subject-field FIELD");
    }
    bool chat = data->as_chat || data->messages_field.bytes != NULL;
    return chat && (data->other_field.bytes != NULL || data->other_template.bytes != NULL)
               ? fail(LIMN_USAGE, "mediate: a corrupt prompt beside a chat is not made; expected --subject-field FIELD")
               : LIMN_OK;
}

limn_status mediate_check_options(const Mediate *mediate) {
    const MediateParams *params = mediate->params;
    bool data = params->data.file.bytes != NULL;
    bool corrupt = pair_has_corrupt(&params->pair) || params->data.other_field.bytes != NULL ||
                   params->data.other_template.bytes != NULL;
    bool subject =
        params->subject.bytes != NULL || params->subject_span.bytes != NULL || params->data.words_field.bytes != NULL;
    if (corrupt == subject) {
        return fail(LIMN_USAGE,
                    "mediate: %s; expected the key words (--subject TEXT, of a data set --subject-field) for noise, or "
                    "a corrupt prompt (--corrupt TEXT, --corrupt-field)",
                    corrupt ? "found key words and a corrupt prompt" : "what is spoilt?");
    }
    TRY(data ? check_data(params) : refuse_data(&params->data));
    if (subject && params->noise_values.bytes == NULL && !(params->noise > 0)) {
        return fail(LIMN_RANGE,
                    "mediate: option 'noise': found %g, which leaves the words as they are; expected more "
                    "than 0",
                    params->noise);
    }
    if (params->onward && params->window > 1) {
        return fail(LIMN_USAGE, "mediate: --onward restores every layer from one on; found --window too");
    }
    return LIMN_OK;
}
