/* Site patterns and edits as written, against a small graph made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edit/edits.h"
#include "edit/site_names.h"
#include "files/tensor_files.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { D = 6, H = 2, K = 3, E = 5, PROMPT = 4, RUN = 6 }; /* RUN: with two rows of a target */

typedef struct Fixture {
    Arena arena;
    Graph graph;
    char file[64];
} Fixture;

static void add_node(Graph *graph, int n_dims, int64_t dim0, int64_t dim1, const char *site, int layer) {
    graph->nodes[graph->n_nodes].op.out = (RowShape){n_dims, {dim0, dim1}};
    graph_site(graph, graph->n_nodes++, site, layer);
}

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena);
    Graph *graph = &fixture->graph;
    graph_init(graph, 2);
    graph->nodes = calloc(16, sizeof *graph->nodes);
    graph->capacity = 16;
    add_node(graph, 1, D, 1, "hook_embed", -1);
    for (int layer = 0; layer < 2; layer++) {
        add_node(graph, 2, H, K, "attn.hook_z", layer);
        add_node(graph, 2, H, DIM_KEYS, "attn.hook_pattern", layer);
        add_node(graph, 1, D, 1, "hook_resid_post", layer);
    }
    add_node(graph, 1, E, 1, "mlp.hook_routing_weights", 1);
    add_node(graph, 2, E, K, "mlp.experts.hook_post", 1);
    float values[RUN * RUN * D];
    float pattern[H * RUN * RUN];
    float nothing[D] = {0};
    float span[3 * K] = {3, 4, 0, -6, -8, 0, 1, 0, 2}; /* the second lies along the first */
    for (int i = 0; i < RUN * RUN * D; i++) {
        values[i] = (float)i;
    }
    for (int i = 0; i < H * RUN * RUN; i++) {
        pattern[i] = (float)i;
    }
    Tensor tensors[] = {{.name = "all", .rank = 2, .shape = {PROMPT, D}, .data = values},
                        {.name = "head", .rank = 1, .shape = {K}, .data = values},
                        {.name = "odd", .rank = 1, .shape = {5}, .data = values},
                        {.name = "pattern", .rank = 3, .shape = {H, PROMPT, PROMPT}, .data = pattern},
                        {.name = "z", .rank = 3, .shape = {PROMPT, H, K}, .data = values},
                        {.name = "batch", .rank = 4, .shape = {1, PROMPT, H, K}, .data = values},
                        {.name = "more heads", .rank = 3, .shape = {PROMPT, 2 * H, K}, .data = values},
                        {.name = "logits", .rank = 2, .shape = {PROMPT, 2 * D}, .data = values},
                        {.name = "square", .rank = 2, .shape = {H, K}, .data = values},
                        {.name = "part", .rank = 2, .shape = {2, D}, .data = values},
                        {.name = "run", .rank = 2, .shape = {RUN, D}, .data = values},
                        {.name = "run pattern", .rank = 3, .shape = {H, RUN, RUN}, .data = pattern},
                        {.name = "rows", .rank = 2, .shape = {D, D}, .data = values},
                        {.name = "heads", .rank = 2, .shape = {K, K}, .data = values},
                        {.name = "moved.map", .rank = 2, .shape = {D, D}, .data = values},
                        {.name = "moved.offset", .rank = 1, .shape = {D}, .data = values + 1},
                        {.name = "short.map", .rank = 2, .shape = {D, D}, .data = values},
                        {.name = "short.offset", .rank = 1, .shape = {K}, .data = values},
                        {.name = "span", .rank = 2, .shape = {3, K}, .data = span},
                        {.name = "none", .rank = 1, .shape = {D}, .data = nothing},
                        {.name = "leace.left", .rank = 2, .shape = {D, 2}, .data = values},
                        {.name = "leace.right", .rank = 2, .shape = {2, D}, .data = values + 2},
                        {.name = "leace.mean", .rank = 1, .shape = {D}, .data = values + 3}};
    const int n_tensors = sizeof tensors / sizeof tensors[0];
    for (int i = 0; i < n_tensors; i++) {
        tensors[i].dtype = DTYPE_F32;
        tensors[i].bytes = (size_t)tensor_elements(&tensors[i]) * sizeof(float);
    }
    snprintf(fixture->file, sizeof fixture->file, "/tmp/limn-edits-%d.safetensors", (int)getpid());
    *state = fixture;
    return safetensors_write(fixture->file, tensors, n_tensors, NULL, 0) == LIMN_OK ? 0 : -1;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    unlink(fixture->file);
    arena_free(&fixture->arena);
    graph_free(&fixture->graph);
    free(fixture);
    return 0;
}

static limn_status plan_rows(EditPlan *plan, Fixture *fixture, const char *text, int32_t n_prompt, int32_t n_rows) {
    Text item = {text, strlen(text)};
    Texts texts = {&item, 1};
    return edit_plan(plan, &fixture->graph, &texts, n_prompt, n_rows, &fixture->arena);
}

static limn_status plan_text(EditPlan *plan, Fixture *fixture, const char *text) {
    return plan_rows(plan, fixture, text, PROMPT, PROMPT);
}

static void refuses(Fixture *fixture, const char *text, limn_status expected, const char *words) {
    EditPlan plan;
    assert_int_equal(plan_text(&plan, fixture, text), expected);
    if (strstr(error_message(), words) == NULL) {
        fail_msg("message '%s' does not say '%s'", error_message(), words);
    }
}

static void patterns_match_in_order(void **state) {
    Fixture *fixture = *state;
    SiteMatches matches = {0};
    Text items[] = {{"blocks.*.hook_resid_post,hook_embed", 35}, {"blocks.[01].attn.*", 18}};
    Texts texts = {items, 2};
    assert_int_equal(site_names_match_all(&matches, &fixture->graph, &texts, &fixture->arena), LIMN_OK);
    static const char *const expected[] = {
        "blocks.0.hook_resid_post",  "blocks.1.hook_resid_post",   "hook_embed",
        "blocks.0.attn.hook_z",      "blocks.0.attn.hook_pattern", "blocks.1.attn.hook_z",
        "blocks.1.attn.hook_pattern"};
    assert_int_equal(matches.n, 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(matches.items[i].name, expected[i]);
    }
    assert_int_equal(site_names_match(&matches, &fixture->graph, "blocks.2.hook_resid_post", &fixture->arena),
                     LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "'blocks.0.hook_resid_post'"));
}

static void text_taken_apart(void **state) {
    Fixture *fixture = *state;
    EditSpec spec;
    assert_int_equal(edit_parse(&spec, "blocks.[01].attn.hook_z[pos=-1,head=1,neuron=2]=-0.5", &fixture->arena),
                     LIMN_OK);
    assert_string_equal(spec.pattern, "blocks.[01].attn.hook_z");
    assert_true(spec.position_single && spec.position_begin == -1 && spec.head == 1 && spec.neuron == 2);
    assert_true(spec.kind == EDIT_VALUE_NUMBER && spec.number == -0.5F);
    assert_int_equal(edit_parse(&spec, "hook_embed[pos=1:]=mean:a:b.safetensors:blocks.0", &fixture->arena), LIMN_OK);
    assert_true(!spec.position_single && spec.position_begin == 1 && spec.position_end == INT64_MAX);
    assert_int_equal(spec.kind, EDIT_VALUE_MEAN);
    assert_string_equal(spec.file, "a:b.safetensors");
    assert_string_equal(spec.tensor, "blocks.0");
}

static void refusals(void **state) {
    Fixture *fixture = *state;
    refuses(fixture, "hook_embed", LIMN_USAGE, "expected SITE[");
    refuses(fixture, "=zero", LIMN_USAGE, "expected SITE[");
    refuses(fixture, "hook_embed[pos=1=zero", LIMN_USAGE, "expected SITE[");
    refuses(fixture, "hook_embed=", LIMN_USAGE, "expected SITE[");
    refuses(fixture, "hook_embed[row=1]=zero", LIMN_USAGE, "found 'row' in brackets");
    refuses(fixture, "hook_embed[pos=x]=zero", LIMN_USAGE, "found 'pos=x'");
    refuses(fixture, "hook_embed[pos]=zero", LIMN_USAGE, "found 'pos'");
    refuses(fixture, "hook_embed[pos=1,neuron=2,pos=3]=zero", LIMN_USAGE, "'pos' is given twice");
    refuses(fixture, "hook_embed=nothing", LIMN_USAGE, "found 'nothing'");
    refuses(fixture, "hook_embed=1e99", LIMN_RANGE, "32-bit");
    refuses(fixture, "hook_embedd=zero", LIMN_NOT_FOUND, "nearest: 'hook_embed'");
    refuses(fixture, "hook_embed[pos=4]=zero", LIMN_RANGE, "the prompt has 4 tokens");
    refuses(fixture, "hook_embed[pos=-5]=zero", LIMN_RANGE, "position -5");
    refuses(fixture, "hook_embed[pos=2:2]=zero", LIMN_RANGE, "ends at 2");
    refuses(fixture, "hook_embed[head=0]=zero", LIMN_USAGE, "has no heads");
    refuses(fixture, "blocks.*.attn.hook_z[head=2]=zero", LIMN_RANGE, "heads 0 to 1");
    refuses(fixture, "hook_embed[neuron=6]=zero", LIMN_RANGE, "0 to 5");
    refuses(fixture, "hook_embed=/nowhere.safetensors:x", LIMN_NOT_FOUND, "/nowhere.safetensors");
    char text[128];
    snprintf(text, sizeof text, "hook_embed=%s:missing", fixture->file);
    refuses(fixture, text, LIMN_NOT_FOUND, "has no tensor 'missing'");
    snprintf(text, sizeof text, "hook_embed=%s:odd", fixture->file);
    refuses(fixture, text, LIMN_USAGE, "shape [5]");
}

static void bind(Edit **edits, int32_t *n, Fixture *fixture, const char *text, int32_t offset, int32_t rows,
                 int32_t keys) {
    EditPlan plan;
    assert_int_equal(plan_text(&plan, fixture, text), LIMN_OK);
    assert_int_equal(edit_plan_bind(edits, n, &plan, offset, rows, keys, &fixture->arena), LIMN_OK);
}

static void numbers_become_rectangles(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    bind(&edits, &n, fixture, "blocks.*.attn.hook_z[pos=-2:,head=1,neuron=2]=3", 0, PROMPT, PROMPT);
    assert_int_equal(n, 2);
    assert_int_equal(edits[1].node, fixture->graph.nodes[4].site != NULL ? 4 : 0);
    assert_true(edits[0].row_begin == 2 && edits[0].row_end == 4);
    assert_true(edits[0].element_begin == K + 2 && edits[0].element_end == K + 3);
    assert_true(edits[0].scalar && *edits[0].values == 3.0F);
    /* an element of every head is a stretch for each */
    bind(&edits, &n, fixture, "blocks.0.attn.hook_z[neuron=1]=zero", 0, PROMPT, PROMPT);
    assert_int_equal(n, 2);
    assert_true(edits[1].element_begin == K + 1 && edits[1].element_end == K + 2);
    /* a key position, with the keys of the run */
    bind(&edits, &n, fixture, "blocks.0.attn.hook_pattern[head=1,neuron=3]=zero", 6, 1, 7);
    assert_int_equal(n, 1);
    assert_true(edits[0].element_begin == 7 + 3 && edits[0].row_begin == 0 && edits[0].row_end == 1);
}

static void experts_are_numbers_or_vectors(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    bind(&edits, &n, fixture, "blocks.1.mlp.hook_routing_weights[expert=3]=zero", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].element_begin == 3 && edits[0].element_end == 4);
    bind(&edits, &n, fixture, "blocks.1.mlp.experts.hook_post[expert=3,pos=1]=zero", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].element_begin == 3 * K && edits[0].element_end == 4 * K);
    assert_true(edits[0].row_begin == 1 && edits[0].row_end == 2);
    bind(&edits, &n, fixture, "blocks.1.mlp.experts.hook_post[expert=3,neuron=2]=1", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].element_begin == 3 * K + 2 && edits[0].element_end == 3 * K + 3);
    refuses(fixture, "blocks.1.mlp.experts.hook_post[expert=5]=zero", LIMN_RANGE, "experts 0 to 4");
    refuses(fixture, "blocks.1.mlp.experts.hook_post[head=1]=zero", LIMN_USAGE, "has no heads");
    refuses(fixture, "blocks.1.mlp.hook_routing_weights[expert=1,neuron=1]=zero", LIMN_USAGE, "expert or neuron");
    refuses(fixture, "blocks.0.attn.hook_z[expert=1]=zero", LIMN_USAGE, "has no experts");
    refuses(fixture, "hook_embed[expert=x]=zero", LIMN_USAGE, "found 'expert=x'");
}

static void rows_decoded_later(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    bind(&edits, &n, fixture, "hook_embed[pos=-1]=zero", PROMPT, 1, PROMPT + 1);
    assert_int_equal(n, 0);
    bind(&edits, &n, fixture, "hook_embed[pos=3:]=zero", PROMPT, 1, PROMPT + 1);
    assert_int_equal(n, 1);
    bind(&edits, &n, fixture, "hook_embed=zero", PROMPT + 2, 1, PROMPT + 3);
    assert_true(n == 1 && edits[0].row_begin == 0 && edits[0].row_end == 1);
}

static void tensors_become_values(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    char text[128];
    snprintf(text, sizeof text, "hook_embed=%s:all", fixture->file); /* a row for each position */
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].row_stride == D && edits[0].values[D] == (float)D);
    snprintf(text, sizeof text, "blocks.0.attn.hook_z[head=1]=%s:head", fixture->file); /* one head's row */
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].row_stride == 0 && edits[0].element_begin == K && edits[0].values[2] == 2.0F);
    snprintf(text, sizeof text, "blocks.0.attn.hook_z[head=1]=mean:%s:all", fixture->file); /* its part of a row */
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].values[0] == 9.0F + K); /* rows 0, 6, 12, 18 and the head's first element */
    snprintf(text, sizeof text, "blocks.0.attn.hook_pattern=%s:pattern", fixture->file); /* [H, T, S] in the file */
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].row_stride == H * PROMPT);
    assert_true(edits[0].values[PROMPT] == (float)(PROMPT * PROMPT)); /* head 1 of row 0 */
}

/* SITE=[mean:]FILE:NAME over the rows of a run; the edits of its pass. */
static int32_t bind_tensor(Edit **edits, Fixture *fixture, const char *site, const char *name, int32_t n_prompt,
                           int32_t n_rows) {
    EditPlan plan;
    char text[192];
    int32_t n;
    bool mean = strncmp(name, "mean:", 5) == 0;
    snprintf(text, sizeof text, "%s=%s%s:%s", site, mean ? "mean:" : "", fixture->file, name + (mean ? 5 : 0));
    if (plan_rows(&plan, fixture, text, n_prompt, n_rows) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    assert_int_equal(edit_plan_bind(edits, &n, &plan, 0, n_rows, n_rows, &fixture->arena), LIMN_OK);
    return n;
}

static void refuses_tensor(Fixture *fixture, const char *site, const char *name, const char *words) {
    char text[192];
    bool mean = strncmp(name, "mean:", 5) == 0;
    snprintf(text, sizeof text, "%s=%s%s:%s", site, mean ? "mean:" : "", fixture->file, name + (mean ? 5 : 0));
    refuses(fixture, text, LIMN_USAGE, words);
}

/* Each of these has a number of elements that would fit. */
static void the_shape_decides(void **state) {
    Fixture *fixture = *state;
    refuses_tensor(fixture, "hook_embed", "mean:logits", "has shape [4, 12]; expected [6] or [T, 6] with any number");
    refuses_tensor(fixture, "hook_embed", "mean:z", "has shape [4, 2, 3]; expected [6] or [T, 6]");
    refuses_tensor(fixture, "hook_embed", "z", "has shape [4, 2, 3]; expected [6] or [T, 6] with T = 4 positions");
    refuses_tensor(fixture, "hook_embed", "square", "has shape [2, 3]");
    refuses_tensor(fixture, "blocks.0.attn.hook_z", "mean:more heads",
                   "has shape [4, 4, 3]; expected [2, 3] or [T, 2, 3]");
    refuses_tensor(fixture, "blocks.0.attn.hook_z[head=1]", "mean:more heads",
                   "expected [2, 3] or [T, 2, 3], or [3] or [T, 3]");
    refuses_tensor(fixture, "blocks.0.attn.hook_pattern", "mean:z", "expected [2, 4] or [2, T, 4]");
    refuses_tensor(fixture, "hook_embed[pos=1:3]", "logits", "with T = 2 or 4 positions");
    refuses_tensor(fixture, "hook_embed", "run", "has shape [6, 6]; expected [6] or [T, 6] with T = 4 positions");
}

static void a_batch_of_one_and_flat_heads_are_the_same_values(void **state) {
    Fixture *fixture = *state;
    static const char *const names[] = {"z", "batch", "all"};
    Edit *edits;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z", names[i], PROMPT, PROMPT), 1);
        assert_true(edits[0].row_stride == D && edits[0].values[D] == (float)D);
    }
}

/* [2, 3] for a head of 3: two positions of it where there are two, else both heads of one row. */
static void a_row_for_each_position_is_preferred(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z[head=1]", "square", 2, 2), 1);
    assert_true(edits[0].row_stride == K && edits[0].values[0] == 0 && edits[0].values[K] == (float)K);
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z[head=1]", "square", PROMPT, PROMPT), 1);
    assert_true(edits[0].row_stride == 0 && edits[0].values[0] == (float)K);
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z", "square", 2, 2), 1);
    assert_true(edits[0].row_stride == 0 && edits[0].element_end == D);
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z[head=1]", "mean:square", 2, 2), 1);
    assert_true(edits[0].values[0] == (float)K / 2);
}

static void positions_pick_their_rows(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed[pos=2]", "all", PROMPT, PROMPT), 1);
    assert_true(edits[0].row_begin == 2 && edits[0].row_end == 3 && edits[0].values[1] == 2 * D + 1);
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_z[pos=-1,head=1]", "z", PROMPT, PROMPT), 1);
    assert_true(edits[0].row_begin == 3 && edits[0].element_begin == K && edits[0].values[0] == 3 * D + K);
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed[pos=1:3,neuron=4]", "all", PROMPT, PROMPT), 1);
    assert_true(edits[0].row_begin == 1 && edits[0].row_end == 3 && edits[0].row_stride == D);
    assert_true(edits[0].values[0] == D + 4 && edits[0].values[D] == 2 * D + 4);
    /* as many rows as the range has positions are those of the range */
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed[pos=1:3]", "part", PROMPT, PROMPT), 1);
    assert_true(edits[0].row_end == 3 && edits[0].row_stride == D && edits[0].values[0] == 0);
    /* row 2 of head 1 of [H, T, S] */
    assert_int_equal(
        bind_tensor(&edits, fixture, "blocks.0.attn.hook_pattern[pos=2,head=1]", "pattern", PROMPT, PROMPT), 1);
    assert_true(edits[0].element_begin == PROMPT && edits[0].element_end == 2 * PROMPT);
    assert_true(edits[0].values[0] == PROMPT * PROMPT + 2 * PROMPT);
}

/* ---- what to do with a value ---- */

static void verbs_say_what_happens(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    bind(&edits, &n, fixture, "hook_embed=add:2", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].kind == EDIT_ADD && edits[0].scalar && edits[0].values[0] == 2.0F);
    bind(&edits, &n, fixture, "hook_embed=add:-0.5*2", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].kind == EDIT_STEER && edits[0].amount == -0.5F && edits[0].values[0] == 2.0F);
    bind(&edits, &n, fixture, "hook_embed[pos=1]=times:zero", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].kind == EDIT_MULTIPLY && edits[0].values[0] == 0.0F);
    bind(&edits, &n, fixture, "blocks.0.attn.hook_z[head=1]=stop:0.25", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].kind == EDIT_STOP && edits[0].amount == 0.25F && edits[0].values == NULL);
    assert_true(edits[0].element_begin == K && edits[0].element_end == 2 * K);
    bind(&edits, &n, fixture, "blocks.0.attn.hook_pattern=stop", 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].amount == 0.0F && edits[0].element_end == H * PROMPT);
    char text[160];
    snprintf(text, sizeof text, "hook_embed[pos=1:]=blend:0.75*%s:all", fixture->file);
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 1 && edits[0].kind == EDIT_BLEND && edits[0].amount == 0.75F && edits[0].row_stride == D);
    assert_true(edits[0].values[0] == (float)D);
    snprintf(text, sizeof text, "blocks.*.attn.hook_z[head=1]=add:3*mean:%s:head", fixture->file);
    bind(&edits, &n, fixture, text, 0, PROMPT, PROMPT);
    assert_true(n == 2 && edits[1].kind == EDIT_STEER && edits[1].values[2] == 2.0F && edits[1].element_begin == K);
    refuses(fixture, "hook_embed=blend:1", LIMN_USAGE, "expected blend:0.3*V");
    refuses(fixture, "hook_embed=stop:x", LIMN_USAGE, "expected stop or stop: and a number");
    refuses(fixture, "hook_embed=stopped", LIMN_USAGE, "expected stop or stop: and a number");
    refuses(fixture, "hook_embed=add:nothing", LIMN_USAGE, "found 'nothing', expected zero, a number");
    refuses(fixture, "hook_embed=add:1e99*2", LIMN_USAGE, "found '1e99*2'");
}

static void copies_name_their_site(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    int32_t n;
    bind(&edits, &n, fixture, "blocks.*.hook_resid_post=copy:hook_embed", 0, PROMPT, PROMPT);
    assert_true(n == 2 && edits[1].kind == EDIT_COPY && edits[1].source == 0 && edits[1].values == NULL);
    fixture->graph.nodes[3].op.layer = 0; /* blocks.0.hook_resid_post, blocks.1.hook_resid_post */
    fixture->graph.nodes[6].op.layer = 1;
    bind(&edits, &n, fixture, "blocks.*.hook_resid_post[pos=1]=copy:blocks.*.attn.hook_z", 0, PROMPT, PROMPT);
    assert_true(n == 2 && edits[0].source == 1 && edits[1].source == 4);
    assert_true(edits[1].row_begin == 1 && edits[1].row_end == 2 && edits[1].element_end == D);
    refuses(fixture, "blocks.1.hook_resid_post=copy:", LIMN_USAGE, "expected copy: and a site");
    refuses(fixture, "blocks.1.hook_resid_post=copy:hook_embedd", LIMN_NOT_FOUND, "there is no site 'hook_embedd'");
    fixture->graph.nodes[0].op.layer = -1;
    refuses(fixture, "hook_embed=copy:blocks.*.hook_resid_post", LIMN_USAGE, "hook_embed is in no layer");
}

static int32_t bind_map(Edit **edits, Fixture *fixture, const char *site, const char *verb, const char *name) {
    char text[192];
    int32_t n;
    snprintf(text, sizeof text, "%s=%s:%s:%s", site, verb, fixture->file, name);
    bind(edits, &n, fixture, text, 0, PROMPT, PROMPT);
    return n;
}

static void refuses_map(Fixture *fixture, const char *site, const char *verb, const char *name, limn_status status,
                        const char *words) {
    char text[192];
    snprintf(text, sizeof text, "%s=%s:%s:%s", site, verb, fixture->file, name);
    refuses(fixture, text, status, words);
}

static void maps_take_rows_or_heads(void **state) {
    Fixture *fixture = *state;
    const char *z = "blocks.0.attn.hook_z";
    Edit *edits;
    assert_int_equal(bind_map(&edits, fixture, "hook_embed", "affine", "rows"), 1);
    assert_true(edits[0].kind == EDIT_AFFINE && edits[0].map[D] == (float)D && edits[0].values == NULL);
    assert_true(edits[0].element_begin == 0 && edits[0].element_end == D);
    assert_int_equal(bind_map(&edits, fixture, "hook_embed", "affine", "moved"), 1);
    assert_true(edits[0].map[1] == 1.0F && edits[0].values[0] == 1.0F && edits[0].row_stride == 0);
    assert_int_equal(bind_map(&edits, fixture, z, "affine", "rows"), 1);
    assert_true(edits[0].element_end == D);
    assert_int_equal(bind_map(&edits, fixture, z, "affine", "heads"), H);
    assert_true(edits[1].element_begin == K && edits[1].element_end == 2 * K && edits[1].map[K] == (float)K);
    assert_int_equal(bind_map(&edits, fixture, "blocks.0.attn.hook_z[head=1]", "affine", "heads"), 1);
    assert_true(edits[0].element_begin == K && edits[0].element_end == 2 * K);
    refuses_map(fixture, "blocks.0.attn.hook_z[head=1]", "affine", "rows", LIMN_USAGE, "expected rows of 3");
    refuses_map(fixture, "hook_embed", "affine", "heads", LIMN_USAGE, "has shape [3, 3]; expected rows of 6");
    refuses_map(fixture, "hook_embed", "affine", "all", LIMN_USAGE, "has shape [4, 6]; expected [6, 6]");
    refuses_map(fixture, "hook_embed[neuron=1]", "affine", "rows", LIMN_USAGE, "not single elements");
    refuses_map(fixture, "blocks.0.attn.hook_pattern", "affine", "rows", LIMN_USAGE, "not single elements or keys");
    refuses_map(fixture, "hook_embed", "affine", "short", LIMN_USAGE, "has shape [3]; expected [6]");
    refuses_map(fixture, "hook_embed", "affine", "nowhere", LIMN_NOT_FOUND, "no tensor 'nowhere' or 'nowhere.map'");
}

/* Directions become orthonormal: (3, 4, 0) / 5, then what (1, 0, 2) has beside it; the one between adds nothing. */
static void erasers_are_spans_or_factors(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    assert_int_equal(bind_map(&edits, fixture, "blocks.0.attn.hook_z[head=0]", "erase", "span"), 1);
    assert_true(edits[0].kind == EDIT_PROJECT && edits[0].rank == 2 && edits[0].left == NULL);
    const float *right = edits[0].right;
    static const float first[K] = {0.6F, 0.8F, 0};
    for (int i = 0; i < K; i++) {
        assert_true(right[i] == first[i]);
    }
    float dot = 0, square = 0;
    for (int i = 0; i < K; i++) {
        dot += right[i] * right[K + i];
        square += right[K + i] * right[K + i];
    }
    assert_true(dot * dot < 1e-12F && (square - 1) * (square - 1) < 1e-12F && right[K + 2] > 0.9F);
    assert_int_equal(bind_map(&edits, fixture, "blocks.0.attn.hook_z", "erase", "span"), H);
    assert_int_equal(bind_map(&edits, fixture, "hook_embed", "erase", "leace"), 1);
    assert_true(edits[0].rank == 2 && edits[0].left[2] == 2.0F && edits[0].right[0] == 2.0F);
    assert_true(edits[0].values[0] == 3.0F && edits[0].row_stride == 0);
    refuses_map(fixture, "hook_embed", "erase", "none", LIMN_USAGE, "the directions none are all 0");
    refuses_map(fixture, "hook_embed", "erase", "odd", LIMN_USAGE, "has shape [5]; expected rows of 6");
    refuses_map(fixture, "hook_embed", "erase", "nowhere", LIMN_NOT_FOUND, "nor 'nowhere.left' [n, k]");
}

/* A run with a target has more rows than the prompt has tokens, and so have the tensors it saves. */
static void rows_of_a_target_fit_too(void **state) {
    Fixture *fixture = *state;
    Edit *edits;
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed", "run", PROMPT, RUN), 1);
    assert_true(edits[0].row_begin == 0 && edits[0].row_end == RUN && edits[0].row_stride == D);
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed", "all", PROMPT, RUN), 1);
    assert_true(edits[0].row_begin == 0 && edits[0].row_end == PROMPT);
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed[pos=-1]", "run", PROMPT, RUN), 1);
    assert_true(edits[0].row_begin == 3 && edits[0].row_end == 4 && edits[0].values[0] == 3 * D);
    assert_int_equal(bind_tensor(&edits, fixture, "hook_embed[pos=2:]", "run", PROMPT, RUN), 1);
    assert_true(edits[0].row_begin == 2 && edits[0].row_end == RUN && edits[0].values[0] == 2 * D);
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_pattern", "run pattern", PROMPT, RUN), 1);
    assert_true(edits[0].row_end == RUN && edits[0].row_stride == H * RUN && edits[0].values[RUN] == RUN * RUN);
    /* the prompt's own pattern has fewer keys than the run: each head is set as far as it goes */
    assert_int_equal(bind_tensor(&edits, fixture, "blocks.0.attn.hook_pattern", "pattern", PROMPT, RUN), H);
    for (int h = 0; h < H; h++) {
        assert_true(edits[h].row_end == PROMPT && edits[h].row_stride == H * PROMPT);
        assert_true(edits[h].element_begin == h * RUN && edits[h].element_end == h * RUN + PROMPT);
        assert_true(edits[h].values[0] == (float)(h * PROMPT * PROMPT));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(patterns_match_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_taken_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_become_rectangles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(experts_are_numbers_or_vectors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_decoded_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tensors_become_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_shape_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_of_one_and_flat_heads_are_the_same_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_for_each_position_is_preferred, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_pick_their_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verbs_say_what_happens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_name_their_site, set_up, tear_down),
        cmocka_unit_test_setup_teardown(maps_take_rows_or_heads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erasers_are_spans_or_factors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_of_a_target_fit_too, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("edits", tests, NULL, NULL);
}
