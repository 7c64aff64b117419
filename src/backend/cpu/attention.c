/* Fused attention (Dao et al. 2022, arXiv:2205.14135): the scores exist one tile at a time.
 *
 * Tiles of keys begin at multiples of ATTENTION_KEYS of the key's index in its sequence, whatever part of the
 * sequence is in the cache and which rows ask; a lane's sums do not see the other lanes. So a row has the same
 * bits in a full pass, in a sweep over a cached prefix and for any number of threads. */
#include "backend/cpu/attention.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/attention_tiles.h"
#include "base/integers.h"

AttentionSizes attention_sizes(const Op *op, Compute compute, bool backward) {
    AttentionSizes sizes = {.heads = op->in[0].dims[0],
                            .groups = op->in[1].dims[0],
                            .key_width = op->in[0].dims[1],
                            .value_width = op->in[2].dims[1]};
    sizes.share = sizes.heads / sizes.groups;
    sizes.tile_rows = larger(1, ATTENTION_LANES / sizes.share);
    sizes.tile_floats = attention_tiles_floats(&sizes, backward ? COMPUTE_F32 : compute);
    return sizes;
}

bool cpu_attention_can(const Op *op, Compute compute, const char **why) {
    (void)compute;
    if (vector_kernels() == NULL) {
        *why = "needs AVX2";
        return false;
    }
    if (op->in[0].n_dims != 2 || op->in[1].n_dims != 2 || op->in[0].dims[0] / op->in[1].dims[0] > ATTENTION_LANES) {
        *why = "more query heads to a key head than a tile has lanes";
        return false;
    }
    return true;
}

size_t attention_cut_bytes(int32_t n_rows) {
    return round_up_bytes((size_t)n_rows * sizeof(QueryTile), 64);
}

int64_t attention_cut(QueryTile *tiles, const KernelArgs *args, const AttentionSizes *sizes) {
    const int32_t *sequence = args->rows->sequence;
    int64_t count = 0;
    int32_t end = args->row_begin + args->n_rows;
    for (int32_t row = args->row_begin; row < end; row++) {
        QueryTile *tile = count > 0 ? &tiles[count - 1] : NULL;
        if (tile != NULL && sequence[tile->row] == sequence[row] && tile->rows < sizes->tile_rows) {
            tile->rows++;
        } else {
            tiles[count++] = (QueryTile){row, 1};
        }
    }
    return count;
}

/* Floats of the parts of a worker's scratch, in the order of AttentionSpace. */
static int64_t lay_out(AttentionSpace *space, float *memory, const AttentionSizes *sizes, int64_t max_keys,
                       bool backward) {
    int64_t lanes = ATTENTION_LANES;
    int64_t width = larger(sizes->key_width, sizes->value_width);
    float *bytes;
    struct {
        float **place;
        int64_t floats;
    } parts[] = {{&space->queries, lanes * sizes->key_width},
                 {&space->scores, ATTENTION_KEYS * lanes},
                 {&space->out, lanes * width},
                 {&space->max, lanes},
                 {&space->sum, lanes},
                 {&space->factor, lanes},
                 {&space->least_key, lanes},
                 {&space->last_key, lanes},
                 {&space->order, lanes},
                 {&space->slopes, lanes},
                 {&space->keys, max_keys * sizes->key_width},
                 {&space->values, max_keys * sizes->value_width},
                 {&bytes, (max_keys + 3) / 4},
                 {&space->tiles, sizes->tile_floats},
                 {&space->blocks,
                  sizes->tile_floats > 0 ? attention_tiles_block_floats(sizes) * (max_keys / ATTENTION_KEYS) : 0},
                 {&space->grads, backward ? lanes * sizes->value_width : 0},
                 {&space->score_grads, backward ? ATTENTION_KEYS * lanes : 0},
                 {&space->query_rows, backward ? lanes * sizes->key_width : 0},
                 {&space->grad_rows, backward ? lanes * sizes->value_width : 0}};
    int64_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].place = memory == NULL ? NULL : memory + used;
        used += round_up(parts[i].floats, 16);
    }
    space->is_key = (uint8_t *)bytes;
    return used;
}

size_t attention_space_bytes(const AttentionSizes *sizes, int64_t max_keys, bool backward) {
    AttentionSpace space;
    return (size_t)lay_out(&space, NULL, sizes, max_keys, backward) * sizeof(float);
}

AttentionSpace attention_space(void *memory, const AttentionSizes *sizes, int64_t max_keys, bool backward) {
    AttentionSpace space;
    lay_out(&space, memory, sizes, max_keys, backward);
    space.sequence = -1;
    return space;
}

size_t cpu_attention_scratch(const Op *op, const KernelSizes *sizes) {
    AttentionSizes widths = attention_sizes(op, sizes->compute, sizes->backward);
    size_t space = attention_space_bytes(&widths, sizes->max_keys, sizes->backward);
    return attention_cut_bytes(sizes->n_rows) + (size_t)sizes->threads * space;
}

LaneRange attention_lanes(AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes, QueryTile tile,
                          int64_t group) {
    const OpAttributes *attributes = &args->op->attributes;
    const SequenceRows *sequence = &args->rows->sequences[args->rows->sequence[tile.row]];
    int64_t total = (sequence->prefix != NULL ? sequence->prefix_length : 0) + sequence->n_rows;
    LaneRange range = {.lanes = tile.rows * sizes->share, .begin = total, .end = 0, .all_begin = 0, .all_end = total};
    for (int64_t lane = 0; lane < ATTENTION_LANES; lane++) {
        bool there = lane < range.lanes;
        int64_t order = args->rows->order[tile.row + (there ? lane / sizes->share : 0)];
        int64_t last = attributes->causal ? smaller(order, total - 1) : total - 1;
        int64_t least = attributes->window > 0 ? larger(0, order - attributes->window + 1) : 0;
        space->order[lane] = (float)order;
        space->last_key[lane] = (float)last;
        space->least_key[lane] = (float)least;
        space->slopes[lane] = attributes->alibi_slopes == NULL
                                  ? 0.0F
                                  : attributes->alibi_slopes[group * sizes->share + (there ? lane % sizes->share : 0)];
        if (there) {
            range.begin = smaller(range.begin, least);
            range.end = larger(range.end, last + 1);
            range.all_begin = larger(range.all_begin, least);
            range.all_end = smaller(range.all_end, last + 1);
        }
    }
    return range;
}

static void copy_vector(float *out, const float *in, int64_t width) {
    memcpy(out, in, sizeof(float) * (size_t)width);
}

bool attention_gather(AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes, int32_t sequence_id,
                      int64_t group, bool all) {
    const SequenceRows *sequence = &args->rows->sequences[sequence_id];
    const KvCache *cache = sequence->prefix;
    int64_t prefix = cache != NULL ? sequence->prefix_length : 0;
    int64_t total = prefix + sequence->n_rows;
    int64_t from = all ? 0 : prefix / ATTENTION_KEYS * ATTENTION_KEYS;
    int64_t to = all ? total : smaller(total, from + ATTENTION_KEYS);
    if (space->sequence == sequence_id && space->group == group && space->from == from && space->to == to) {
        return false;
    }
    space->sequence = sequence_id;
    space->group = group;
    space->from = from;
    space->to = to;
    space->n_blocks = 0;
    for (int64_t key = from; key < to; key++) {
        bool cached = key < prefix;
        int64_t place = ((cached ? key : sequence->row_begin + key - prefix) * sizes->groups + group);
        const float *keys = cached ? cache->keys[args->op->layer] : args->in[1];
        const float *values = cached ? cache->values[args->op->layer] : args->in[2];
        copy_vector(space->keys + key * sizes->key_width, keys + place * sizes->key_width, sizes->key_width);
        copy_vector(space->values + key * sizes->value_width, values + place * sizes->value_width, sizes->value_width);
        const uint8_t *is_key = cached ? cache->is_key : args->key_rows->is_key;
        space->is_key[key] = is_key == NULL ? 1 : is_key[cached ? key : sequence->row_begin + key - prefix];
    }
    return true;
}

KeyTile attention_keys(const AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes,
                       int32_t sequence_id, int64_t group, int64_t first, int64_t end) {
    const SequenceRows *sequence = &args->rows->sequences[sequence_id];
    int64_t prefix = sequence->prefix != NULL ? sequence->prefix_length : 0;
    KeyTile tile = {.first = first, .count = smaller(ATTENTION_KEYS, end - first)};
    tile.own_skip = smaller(larger(0, prefix - first), tile.count);
    tile.own_row = sequence->row_begin + larger(0, first - prefix);
    if (first >= space->from && first + tile.count <= space->to) {
        tile.keys = space->keys + first * sizes->key_width;
        tile.values = space->values + first * sizes->value_width;
        tile.key_stride = sizes->key_width;
        tile.value_stride = sizes->value_width;
        tile.is_key = space->is_key + first;
        return tile;
    }
    bool cached = tile.own_skip > 0;
    int64_t row = cached ? first : tile.own_row;
    const float *k = cached ? sequence->prefix->keys[args->op->layer] : args->in[1];
    const float *v = cached ? sequence->prefix->values[args->op->layer] : args->in[2];
    const uint8_t *is_key = cached ? sequence->prefix->is_key : args->key_rows->is_key;
    tile.key_stride = sizes->groups * sizes->key_width;
    tile.value_stride = sizes->groups * sizes->value_width;
    tile.keys = k + row * tile.key_stride + group * sizes->key_width;
    tile.values = v + row * tile.value_stride + group * sizes->value_width;
    tile.is_key = is_key == NULL ? NULL : is_key + row;
    return tile;
}

AttentionTile attention_tile(const AttentionSpace *space, const Op *op, const LaneRange *range, const KeyTile *keys) {
    bool all = keys->is_key == NULL || memchr(keys->is_key, 0, (size_t)keys->count) == NULL;
    return (AttentionTile){.scores = space->scores,
                           .grad = space->score_grads,
                           .keys = keys->count,
                           .lanes = range->lanes,
                           .first_key = keys->first,
                           .scale = op->attributes.scale,
                           .softcap = op->attributes.softcap,
                           .masked =
                               !all || keys->first < range->all_begin || keys->first + keys->count > range->all_end,
                           .is_key = all ? NULL : keys->is_key,
                           .least_key = space->least_key,
                           .last_key = space->last_key,
                           .order = space->order,
                           .slopes = op->attributes.alibi_slopes == NULL ? NULL : space->slopes,
                           .slopes_bf16 = op->attributes.alibi_bf16,
                           .max = space->max,
                           .sum = space->sum,
                           .factor = space->factor};
}
