/* What an edit is, and what else is of its kind. Others are written as edits are, with another layer, head or neuron in
 * the place of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "method/causal/surgery.h"

enum { TRIES_PER_DRAW = 50 };

static limn_status no_memory(const Surgery *surgery) {
    return method_no_memory(surgery->call);
}

/* ---- one cut ---- */

/* The same site in another layer. */
static bool site_in_layer(char name[256], const Cut *cut, int32_t layer) {
    const char *rest = strchr(cut->edit->site + strlen("blocks."), '.');
    return rest != NULL && snprintf(name, 256, "blocks.%d%s", (int)layer, rest) < 256;
}

static CutKind kind_of(const SiteEdit *edit, int32_t layer) {
    bool one_number = edit->expert != EDIT_ALL && edit->shape->n_dims == 1;
    if (layer < 0 || strncmp(edit->site, "blocks.", 7) != 0) {
        return CUT_FIXED;
    }
    if (edit->change == EDIT_PROJECT) {
        return edit->neuron == EDIT_ALL ? CUT_DIRECTION : CUT_FIXED;
    }
    if (edit->neuron != EDIT_ALL && !one_number) {
        return CUT_NEURON;
    }
    return edit->head != EDIT_ALL || one_number ? CUT_UNIT : CUT_BLOCK;
}

/* Parallel and odd layers may lack the site. */
static int32_t layers_with(const Cut *cut, const Model *model) {
    char name[256];
    int32_t n = 0;
    for (int32_t layer = 0; layer < model->config.n_layers; layer++) {
        n += site_in_layer(name, cut, layer) && graph_find_site(&model->graph, name) != NODE_NONE;
    }
    return n;
}

static void describe_cut(Cut *cut, const SiteEdit *edit, const Model *model) {
    const RowShape *shape = &model->graph.nodes[edit->node].op.out;
    int layer = -1;
    if (sscanf(edit->site, "blocks.%d.", &layer) != 1) {
        layer = -1;
    }
    *cut = (Cut){.edit = edit, .layer = layer};
    cut->kind = kind_of(edit, layer);
    cut->n_others = cut->kind == CUT_UNIT     ? shape->dims[0]
                    : cut->kind == CUT_NEURON ? shape->dims[shape->n_dims - 1]
                    : cut->kind == CUT_BLOCK  ? layers_with(cut, model)
                                              : 0;
}

/* Every "blocks.OLD." becomes "blocks.NEW.": of the site, of what is copied, of the name of a tensor. */
static void add_in_layer(TextBuffer *out, const char *text, int32_t old, int32_t layer) {
    char from[32];
    int length = snprintf(from, sizeof from, "blocks.%d.", (int)old);
    for (const char *found; (found = strstr(text, from)) != NULL; text = found + length) {
        text_buffer_add_bytes(out, text, (size_t)(found - text));
        text_buffer_printf(out, "blocks.%d.", (int)layer);
    }
    text_buffer_add(out, text);
}

/* Where something of the kind stands: a layer, and a unit or neuron of it. */
typedef struct Place {
    int32_t layer;
    int64_t unit;
} Place;

static Place place_of(const Cut *cut) {
    const SiteEdit *edit = cut->edit;
    int64_t unit = cut->kind == CUT_NEURON ? edit->neuron : edit->expert != EDIT_ALL ? edit->expert : edit->head;
    return (Place){cut->layer, cut->kind == CUT_BLOCK ? 0 : unit};
}

static void add_selector(TextBuffer *out, const Cut *cut, Place place) {
    const SiteEdit *edit = cut->edit;
    bool unit = cut->kind == CUT_UNIT;
    int64_t neuron = cut->kind == CUT_NEURON ? place.unit : edit->neuron;
    bool numbers = edit->expert != EDIT_ALL && edit->shape->n_dims == 1;
    const char *before = "[";
    if (edit->expert != EDIT_ALL) {
        text_buffer_printf(out, "%sexpert=%lld", before, (long long)(unit ? place.unit : edit->expert));
        before = ",";
    } else if (edit->head != EDIT_ALL) {
        text_buffer_printf(out, "%shead=%lld", before, (long long)(unit ? place.unit : edit->head));
        before = ",";
    }
    if (neuron != EDIT_ALL && !numbers) {
        text_buffer_printf(out, "%sneuron=%lld", before, (long long)neuron);
        before = ",";
    }
    text_buffer_add(out, before[0] == ',' ? "]" : "");
}

/* The cut at another place, as an edit is written. */
static limn_status write_cut(Text *text, const Surgery *surgery, const Cut *cut, Place place) {
    TextBuffer out = TEXT_BUFFER_INIT;
    int32_t layer = cut->kind == CUT_FIXED ? cut->layer : place.layer;
    add_in_layer(&out, cut->edit->site, cut->layer, layer);
    add_selector(&out, cut, place);
    text_buffer_add_char(&out, '=');
    add_in_layer(&out, cut->edit->value, cut->layer, layer);
    char *copy = out.data != NULL && !out.failed ? arena_strdup(surgery->call->arena, out.data) : NULL;
    text_buffer_free(&out);
    *text = text_of(copy);
    return copy != NULL ? LIMN_OK : no_memory(surgery);
}

/* ---- plans ---- */

static limn_status plan_texts(EditPlan *plan, const Surgery *surgery, const Texts *texts, Arena *arena) {
    *plan = (EditPlan){0};
    return edit_plan(plan, &surgery->model->graph, texts, 1, 1, arena);
}

limn_status surgery_plan(Surgery *surgery) {
    Arena *arena = surgery->call->arena;
    TRY(plan_texts(&surgery->plan, surgery, &surgery->edits, arena));
    surgery->cuts = ARENA_ARRAY(arena, Cut, surgery->plan.n + 1);
    if (surgery->cuts == NULL) {
        return no_memory(surgery);
    }
    for (int32_t i = 0; i < surgery->plan.n; i++) {
        describe_cut(&surgery->cuts[i], &surgery->plan.items[i], surgery->model);
    }
    return LIMN_OK;
}

limn_status surgery_plan_set(EditPlan *plan, const Surgery *surgery, const CutSet *set, Arena *arena) {
    TRY(plan_texts(plan, surgery, &set->edits, arena));
    for (int32_t i = 0; i < plan->n && set->draw >= 0; i++) {
        const Cut *cut = &surgery->cuts[i];
        if (cut->kind == CUT_DIRECTION) { /* as many directions, orthonormal, drawn as the site's values vary */
            int64_t width = cut->edit->map_per_head || cut->edit->head != EDIT_ALL
                                ? cut->edit->shape->dims[1]
                                : row_shape_width(cut->edit->shape, 0);
            SiteEdit *item = &plan->items[i];
            item->left = NULL;
            item->values = NULL;
            item->right = surgery->directions.drawn[i] + (int64_t)set->draw * cut->edit->rank * width;
        }
    }
    return LIMN_OK;
}

const char *surgery_join(const Texts *edits, Arena *arena) {
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < edits->n; i++) {
        text_buffer_printf(&text, "%s%s", i > 0 ? " " : "", edits->items[i].bytes);
    }
    char *copy = text.data != NULL && !text.failed ? arena_strdup(arena, text.data) : NULL;
    text_buffer_free(&text);
    return copy;
}

/* ---- candidates ---- */

/* What is chosen among: SURGERY_KINDS. */
static const char *const candidate_forms[] = {
    "blocks.%d.hook_mlp_out=zero",
    "blocks.%d.hook_attn_out=zero",
    "blocks.%d.hook_resid_post=copy:blocks.%d.hook_resid_pre",
    "blocks.%d.attn.hook_z[head=%d]=zero",
};
enum { KIND_HEAD = 3 };

static limn_status add_set(CutSets *sets, const Surgery *surgery, Text *edits, int32_t n, int32_t draw) {
    CutSet *set = &sets->items[sets->n];
    *set = (CutSet){.edits = {edits, n}, .draw = draw};
    set->text = surgery_join(&set->edits, surgery->call->arena);
    sets->n++;
    return set->text != NULL ? LIMN_OK : no_memory(surgery);
}

limn_status surgery_list_candidates(Surgery *surgery) {
    const ModelConfig *config = &surgery->model->config;
    Arena *arena = surgery->call->arena;
    int32_t kind = surgery->params->choose, each = kind == KIND_HEAD ? config->n_heads : 1;
    CutSets *sets = &surgery->candidates;
    sets->items = ARENA_ARRAY(arena, CutSet, config->n_layers * each + 1);
    if (sets->items == NULL) {
        return no_memory(surgery);
    }
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        for (int32_t head = 0; head < each; head++) {
            char text[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, candidate_forms[kind], (int)layer, kind == KIND_HEAD ? (int)head : (int)layer);
#pragma GCC diagnostic pop
            Text *edit = ARENA_NEW(arena, Text);
            char *copy = arena_strdup(arena, text);
            if (edit == NULL || copy == NULL) {
                return no_memory(surgery);
            }
            *edit = text_of(copy);
            TRY(add_set(sets, surgery, edit, 1, -1));
        }
    }
    return LIMN_OK;
}

/* ---- controls ---- */

static bool stands_already(const CutSets *sets, const char *text, const char *own) {
    bool found = strcmp(text, own) == 0;
    for (int32_t i = 0; i < sets->n && !found; i++) {
        found = strcmp(sets->items[i].text, text) == 0;
    }
    return found;
}

/* A set whose places are those given, one for each cut. Nothing is added where it stands already. */
static limn_status add_places(CutSets *sets, const Surgery *surgery, const Place *places, int32_t draw,
                              const char *own) {
    Arena *arena = surgery->call->arena;
    int32_t n = surgery->plan.n;
    Text *edits = ARENA_ARRAY(arena, Text, n);
    if (edits == NULL) {
        return no_memory(surgery);
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(write_cut(&edits[i], surgery, &surgery->cuts[i], places[i]));
    }
    const Texts texts = {edits, n};
    const char *text = surgery_join(&texts, arena);
    if (text == NULL) {
        return no_memory(surgery);
    }
    return draw < 0 && stands_already(sets, text, own) ? LIMN_OK : add_set(sets, surgery, edits, n, draw);
}

static bool has_site(const Surgery *surgery, const Cut *cut, int32_t layer) {
    char name[256];
    return site_in_layer(name, cut, layer) && graph_find_site(&surgery->model->graph, name) != NODE_NONE;
}

/* Is the place that of an earlier cut of the same site? */
static bool is_taken(const Surgery *surgery, const Place *places, int32_t i) {
    for (int32_t j = 0; j < i; j++) {
        const Cut *a = &surgery->cuts[i], *b = &surgery->cuts[j];
        const char *rest_a = strchr(a->edit->site + 7, '.'), *rest_b = strchr(b->edit->site + 7, '.');
        bool same_site = a->kind == b->kind && rest_a != NULL && rest_b != NULL && strcmp(rest_a, rest_b) == 0;
        if (same_site && places[j].layer == places[i].layer && places[j].unit == places[i].unit) {
            return true;
        }
    }
    return false;
}

/* Units stay in their layer, blocks move to any. Edits of one place, one behind the other, move together. */
static Place draw_place(const Surgery *surgery, const Cut *cut, Random *random) {
    Place place = place_of(cut);
    if (cut->kind == CUT_BLOCK) {
        do {
            place.layer = (int32_t)random_below(random, (uint64_t)surgery->model->config.n_layers);
        } while (!has_site(surgery, cut, place.layer));
    } else if (cut->kind == CUT_UNIT || cut->kind == CUT_NEURON) {
        place.unit = (int64_t)random_below(random, (uint64_t)cut->n_others);
    }
    return place;
}

static bool same_place(const Cut *a, const Cut *b) {
    return a->edit->node == b->edit->node && a->kind == b->kind && place_of(a).unit == place_of(b).unit;
}

static bool draw_places(const Surgery *surgery, Place *places, Random *random) {
    for (int32_t i = 0; i < surgery->plan.n; i++) {
        const Cut *cut = &surgery->cuts[i];
        int32_t twin = 0;
        while (twin < i && !same_place(&surgery->cuts[twin], cut)) {
            twin++;
        }
        places[i] = twin < i ? places[twin] : draw_place(surgery, cut, random);
        bool moves = cut->kind != CUT_FIXED && cut->kind != CUT_DIRECTION;
        if (twin == i && moves && is_taken(surgery, places, i)) {
            return false;
        }
    }
    return true;
}

/* One block: every other one. */
static limn_status list_blocks(Surgery *surgery, Place *places, const char *own) {
    for (int32_t layer = 0; layer < surgery->model->config.n_layers; layer++) {
        if (layer != surgery->cuts[0].layer && has_site(surgery, &surgery->cuts[0], layer)) {
            for (int32_t i = 0; i < surgery->plan.n; i++) {
                places[i] = place_of(&surgery->cuts[i]);
                places[i].layer = layer;
            }
            TRY(add_places(&surgery->controls, surgery, places, -1, own));
        }
    }
    return LIMN_OK;
}

static bool is_one_block(const Surgery *surgery) {
    for (int32_t i = 0; i < surgery->plan.n; i++) {
        if (surgery->cuts[i].kind != CUT_BLOCK || !same_place(&surgery->cuts[i], &surgery->cuts[0])) {
            return false;
        }
    }
    return surgery->plan.n > 0;
}

static bool has_kind(const Surgery *surgery, bool directions) {
    for (int32_t i = 0; i < surgery->plan.n; i++) {
        CutKind kind = surgery->cuts[i].kind;
        bool wanted = directions ? kind == CUT_DIRECTION : kind != CUT_DIRECTION && kind != CUT_FIXED;
        if (wanted) {
            return true;
        }
    }
    return false;
}

static limn_status draw_sets(Surgery *surgery, Place *places, const char *own) {
    Random random;
    random_seed(&random, (uint64_t)surgery->call->common.seed ^ 0x5347ULL);
    int32_t draws = (int32_t)surgery->params->draws;
    bool directions = has_kind(surgery, true);
    if (!directions && !has_kind(surgery, false)) {
        return LIMN_OK;
    }
    for (int64_t tries = 0; surgery->controls.n < draws && tries < (int64_t)draws * TRIES_PER_DRAW; tries++) {
        if (draw_places(surgery, places, &random)) {
            TRY(add_places(&surgery->controls, surgery, places, directions ? surgery->controls.n : -1, own));
        }
    }
    return LIMN_OK;
}

limn_status surgery_list_controls(Surgery *surgery) {
    Arena *arena = surgery->call->arena;
    int32_t most = (int32_t)surgery->params->draws;
    most = most < surgery->model->config.n_layers ? surgery->model->config.n_layers : most;
    surgery->controls.items = ARENA_ARRAY(arena, CutSet, most + 1);
    Place *places = ARENA_ARRAY(arena, Place, surgery->plan.n + 1);
    const char *own = surgery_join(&surgery->edits, arena);
    if (surgery->controls.items == NULL || places == NULL || own == NULL) {
        return no_memory(surgery);
    }
    for (int32_t i = 0; i < surgery->plan.n; i++) { /* as it is written when each site stands by itself */
        places[i] = place_of(&surgery->cuts[i]);
    }
    if (is_one_block(surgery)) {
        return list_blocks(surgery, places, own);
    }
    CutSets none = {.items = ARENA_ARRAY(arena, CutSet, 1)};
    TRY(none.items != NULL ? add_places(&none, surgery, places, -1, "") : no_memory(surgery));
    return draw_sets(surgery, places, none.items[0].text);
}
