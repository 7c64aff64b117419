/* What `limn attribute` says: the headline, who misleads, who was suspected, the halves, checks. */
#include <math.h>
#include <string.h>

#include "method/data/attribute.h"

enum { SHOWN = 30, SHOWN_LITTLE = 100 };
static const double alarm = 0.05;
static const double plain_tolerance = 1e-3, plain_tolerance_bf16 = 0.5;

/* ---- order ---- */

/* How much is gained without a suspect, and how surely: the gain times the root of the inputs. */
static double reach(const Suspect *suspect) {
    return suspect->gain * sqrt((double)suspect->count);
}

/* Those that are told from chance first. */
static bool before(const Suspect *a, const Suspect *b) {
    bool clear_a = a->p <= alarm, clear_b = b->p <= alarm;
    return clear_a != clear_b ? clear_a : reach(a) > reach(b);
}

static limn_status order_suspects(const Suspect ***order, int32_t *n, const Attributor *attributor) {
    *order = ARENA_ARRAY(attributor->call->arena, const Suspect *, attributor->n_tested + 1);
    *n = 0;
    if (*order == NULL) {
        return method_no_memory(attributor->call);
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        const Suspect *one = &attributor->suspects.items[attributor->tested[i]];
        if (isnan(one->harm)) {
            continue;
        }
        int32_t place = (*n)++;
        while (place > 0 && before(one, (*order)[place - 1])) {
            (*order)[place] = (*order)[place - 1];
            place--;
        }
        (*order)[place] = one;
    }
    return LIMN_OK;
}

/* ---- words ---- */

static const char *kind_name(const Attributor *attributor, PlaceKind kind) {
    static const char *const english[PLACE_KINDS] = {"word", "opening", "ending", "first words", "last words", "field"};
    static const char *const chinese[PLACE_KINDS] = {"词", "开头", "结尾", "前几个词", "末几个词", "字段"};
    return SAY(attributor->call, english[kind], chinese[kind]);
}

/* A place has no words of its own: its name takes their place. */
static Text name_of(const Attributor *attributor, const Suspect *suspect) {
    if (suspect->text.bytes != NULL) {
        return suspect->text;
    }
    char *name = arena_printf(attributor->call->arena, "<%s: %.*s>", kind_name(attributor, suspect->kind),
                              (int)suspect->span.length, suspect->span.bytes);
    return text_of(name == NULL ? "?" : name);
}

/* ---- blocks ---- */

static void show_words(const Attributor *attributor, const Suspect **order, int32_t n) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN}, {TEXT("harm"), COLUMN_BAR},
                                          {TEXT("low"), COLUMN_SIGNED}, {TEXT("high"), COLUMN_SIGNED},
                                          {TEXT("n"), COLUMN_INTEGER},  {TEXT("p"), COLUMN_NUMBER},
                                          {TEXT("where"), COLUMN_TEXT}, {TEXT("gain"), COLUMN_SIGNED}};
    bool labelled = attributor->labelled;
    TableBlock *table = result_add_table(
        attributor->result, "words",
        labelled ? SAY(attributor->call, "What misleads the model", "什么误导了模型")
                 : SAY(attributor->call, "What its decisions hang on: a ranking", "决定取决于什么：排名"),
        columns, 8);
    for (int32_t i = 0; i < n && i < SHOWN; i++) {
        const Suspect *one = order[i];
        Text name = name_of(attributor, one);
        const Value cells[] = {value_bytes(name.bytes, name.length),
                               value_number(one->harm),
                               value_number(one->low),
                               value_number(one->high),
                               value_integer(one->count),
                               value_number(one->p),
                               value_text(kind_name(attributor, one->kind)),
                               value_number(one->gain)};
        table_row(table, cells);
    }
    result_block_unit(attributor->result, "log-probability");
    if (labelled) {
        result_block_note(
            attributor->result,
            SAY(attributor->call,
                "harm: how much the log-probability of the right answer rises, on average over the n inputs that hold "
                "it "
                "(each label weighs alike), when others take its place; low to high: 95%% for all %d tested together; "
                "p: "
                "of no gain, the same in probability, likewise",
                "危害：换成别的之后，正确答案的对数概率平均上升多少（在含有它的 n "
                "条输入上，各标签权重相同）；下限到上限："
                "对检验的全部 %d 个同时成立的 95%% 区间；p "
                "检验概率的上升（增益），也已按全部校正"),
            (int)attributor->family);
    } else {
        result_block_note(
            attributor->result,
            SAY(attributor->call,
                "how much less likely the model's own decision becomes when others take its place; low to high: 95%% "
                "for "
                "all %d together; nothing is tested, since nothing says what is right",
                "换成别的之后，模型自己的决定平均变得多不可能；下限到上限：对全部 %d 个同时成立的 95%% 区间；没有标签，"
                "所以不作检验"),
            (int)attributor->family);
    }
}

/* How often the inputs that hold a suspect are decided wrongly. */
static void show_decisions(const Attributor *attributor, const Suspect **order, int32_t n) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("where"), COLUMN_TEXT},
                                          {TEXT("n"), COLUMN_INTEGER},
                                          {TEXT("wrong"), COLUMN_PROBABILITY},
                                          {TEXT("wrong without"), COLUMN_PROBABILITY}};
    TableBlock *table = result_add_table(
        attributor->result, "decisions",
        SAY(attributor->call, "Wrong decisions, with and without", "有它与没有它时的判错"), columns, 5);
    for (int32_t i = 0; i < n && i < SHOWN; i++) {
        Text name = name_of(attributor, order[i]);
        const Value cells[] = {value_bytes(name.bytes, name.length), value_text(kind_name(attributor, order[i]->kind)),
                               value_integer(order[i]->count), value_number(order[i]->wrong),
                               value_number(order[i]->wrong_without)};
        table_row(table, cells);
    }
    result_block_note(attributor->result, "%s",
                      SAY(attributor->call,
                          "shares of the n inputs that hold it, as they are and with others in its place",
                          "在含有它的 n 条输入中，原样判错的比例，以及换成别的之后判错的比例"));
    result_block_detail(attributor->result);
}

static void show_nominated(const Attributor *attributor) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("where"), COLUMN_TEXT},
                                          {TEXT("weight"), COLUMN_NUMBER},
                                          {TEXT("inputs"), COLUMN_INTEGER}};
    TableBlock *table = result_add_table(attributor->result, "nominated",
                                         SAY(attributor->call, "Who was suspected", "被怀疑的"), columns, 4);
    for (int32_t i = 0; i < attributor->n_tested && i < SHOWN_LITTLE; i++) {
        const Suspect *one = &attributor->suspects.items[attributor->tested[i]];
        Text name = name_of(attributor, one);
        const Value cells[] = {value_bytes(name.bytes, name.length), value_text(kind_name(attributor, one->kind)),
                               value_number(one->weight), value_integer(one->scored)};
        table_row(table, cells);
    }
    result_block_note(
        attributor->result,
        SAY(attributor->call,
            "weight: sum of the sizes of what %s says of it in the inputs that nominate, over the root of how many "
            "inputs hold it; places are tested always",
            "权重：%s 在提名的输入中给它的分数的绝对值之和，除以含有它的输入条数的平方根；位置总是检验"),
        attributor->scorer.name);
    result_block_detail(attributor->result);
}

static void show_halves(const Attributor *attributor) {
    static const TableColumn columns[] = {{TEXT("half"), COLUMN_TEXT},
                                          {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("decided"), COLUMN_INTEGER},
                                          {TEXT("wrong"), COLUMN_INTEGER}};
    TableBlock *table = result_add_table(attributor->result, "halves",
                                         SAY(attributor->call, "The two halves", "数据的两半"), columns, 4);
    const Value first[] = {value_text(SAY(attributor->call, "nominates", "提名")),
                           value_integer(attributor->nominating), value_integer(attributor->decided[0]),
                           attributor->labelled ? value_integer(attributor->wrong[0]) : value_null()};
    const Value second[] = {value_text(SAY(attributor->call, "tests", "检验")),
                            value_integer(attributor->records - attributor->nominating),
                            value_integer(attributor->decided[1]),
                            attributor->labelled ? value_integer(attributor->wrong[1]) : value_null()};
    table_row(table, first);
    table_row(table, second);
    result_block_note(attributor->result, "%s",
                      SAY(attributor->call,
                          "records fall into halves by their prompts and the seed; decided: of the half that tests, "
                          "those that hold something suspected",
                          "记录按提示和随机种子分成两半；“已判定”在检验的一半中只含有嫌疑词或位置的记录"));
    result_block_detail(attributor->result);
}

/* ---- what is said ---- */

static bool holds(Text text, Text part) {
    return part.length > 0 && text.bytes != NULL && memmem(text.bytes, text.length, part.bytes, part.length) != NULL;
}

/* Says the same again: a part of what is named already, or that and something more. */
static bool is_named(const Suspect **order, const int32_t *named, int32_t n, const Suspect *one) {
    for (int32_t i = 0; i < n; i++) {
        const Suspect *other = order[named[i]];
        if (one->text.bytes != NULL && (holds(other->text, one->text) || holds(one->text, other->text))) {
            return true;
        }
    }
    return false;
}

static void say_words(const Attributor *attributor, TextBuffer *out, const Suspect **order, int32_t n) {
    enum { NAMED = 5 };
    int32_t named[NAMED], n_named = 0;
    for (int32_t i = 0; i < n && n_named < NAMED; i++) {
        if (is_named(order, named, n_named, order[i])) {
            continue;
        }
        Text name = name_of(attributor, order[i]);
        const char *quote = order[i]->text.bytes == NULL ? "" : "\"";
        text_buffer_printf(out, "%s%s", n_named == 0 ? "" : ", ", quote);
        text_buffer_add_bytes(out, name.bytes, name.length);
        text_buffer_add(out, quote);
        named[n_named++] = i;
    }
}

static void say_headline(const Attributor *attributor, const Suspect **order, int32_t n, int32_t n_clear) {
    const MethodCall *call = attributor->call;
    TextBuffer names = TEXT_BUFFER_INIT;
    const int family = (int)attributor->family;
    if (!attributor->labelled) {
        say_words(attributor, &names, order, n);
        result_headline(attributor->result,
                        SAY(call, "Decisions hang most on %.*s: a ranking, since there are no labels",
                            "决定最取决于 %.*s：没有标签，这只是排名"),
                        (int)names.length, names.data == NULL ? "" : names.data);
    } else if (n_clear == 0) {
        result_headline(attributor->result,
                        SAY(call,
                            "Nothing misleads the model that could be told from chance: %d words and places tested on "
                            "%lld inputs",
                            "没有发现误导模型的词或位置（与偶然无法区分）：检验了 %d 个，%lld 条输入"),
                        family, (long long)attributor->measuring);
    } else {
        say_words(attributor, &names, order, n_clear);
        result_headline(
            attributor->result,
            SAY(call,
                "Misled by %.*s: with others in place of the first, wrong decisions go from %.0f%% to "
                "%.0f%% of %lld inputs (%d of %d words and places tested stand out)",
                "误导模型的是 %.*s：把第一个换成别的，错误从 %.0f%% 变为 %.0f%%（%lld 条输入；%d 个显著，共检验 "
                "%d 个词和位置）"),
            (int)names.length, names.data == NULL ? "" : names.data, 100 * order[0]->wrong,
            100 * order[0]->wrong_without, (long long)order[0]->count, (int)n_clear, family);
    }
    text_buffer_free(&names);
}

static void add_checks(const Attributor *attributor) {
    const MethodCall *call = attributor->call;
    Result *result = attributor->result;
    bool bf16 = engine_compute(attributor->engine) == COMPUTE_BF16;
    if (!isnan(attributor->recheck)) {
        result_check(
            result, "first version alone", attributor->recheck, CHECK_AT_MOST,
            bf16 ? plain_tolerance_bf16 : plain_tolerance, "%s",
            SAY(call, "largest difference of a log-probability of the first changed input when it is scored by itself",
                "首个改动输入单独重算时，对数概率的最大差"));
    }
    if (!attributor->labelled) {
        result_warn(result, "%s",
                    SAY(call,
                        "there are no labels: what carries right and wrong decisions alike is ranked, and nothing is "
                        "tested (--label-field)",
                        "没有标签：对的和错的决定所依赖的都一并排名，不作检验（--label-field）"));
    }
    if (attributor->unlabelled > 0) {
        result_warn(result,
                    SAY(call, "%lld of %lld records have no label and have no part in this",
                        "%lld 条记录没有标签，未计入（共 %lld 条）"),
                    (long long)attributor->unlabelled, (long long)attributor->records);
    }
    if (attributor->n_cut > 0) {
        Truncation way = (Truncation)attributor->params->truncate;
        result_warn(result,
                    SAY(call,
                        "%lld of %lld prompts were longer than the model reads: up to %d tokens of their %s were cut, "
                        "and words there have no part in this",
                        "%lld 条提示（共 %lld 条）超过模型能读的长度：最多截去 %d 个词元（%s），其中的词未计入"),
                    (long long)attributor->n_cut, (long long)attributor->records, (int)attributor->most_cut,
                    truncation_part(call, way));
    }
}

limn_status attribute_report(Attributor *attributor) {
    const Suspect **order;
    int32_t n, n_clear = 0;
    TRY(order_suspects(&order, &n, attributor));
    while (n_clear < n && order[n_clear]->p <= alarm) {
        n_clear++;
    }
    say_headline(attributor, order, n, n_clear);
    add_checks(attributor);
    TRY(data_source_finish(attributor->source, attributor->result));
    show_words(attributor, order, n);
    if (attributor->labelled) {
        show_decisions(attributor, order, n);
    }
    show_nominated(attributor);
    show_halves(attributor);
    return result_status(attributor->result);
}
