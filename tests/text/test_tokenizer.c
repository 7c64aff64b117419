/* The calls of tokenizer.h on tokenizers that the test writes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/parallel.h"
#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

/* Byte-level BPE with BOS by template, special and ordinary added tokens. Bytes of U+1F600 (F0 9F 98 80) are four
 * pieces. */
static const char byte_level_json[] =
    "{\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true},"
    "{\"id\":10,\"content\":\"<tool>\",\"special\":false}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\","
    "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
    "\"pair\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
    "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":1}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[9],\"tokens\":[\"<s>\"]}}},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u0120a\":4,\"\\u00f0\":5,"
    "\"\\u0141\":6,\"\\u013a\":7,\"\\u0122\":8,\"<\":11,\"s\":12,\">\":13},"
    "\"merges\":[\"a b\",[\"\\u0120\",\"a\"]]}}";

static Opened open_json(const char *json) {
    char *path = temporary_file("tokenizer.json", json, strlen(json));
    Opened opened = open_tokenizer(path);
    remove_temporary(path);
    return opened;
}

static void test_encode_options(void **state) {
    Opened opened = open_json(byte_level_json);
    const Tokenizer *tokenizer = opened.tokenizer;
    const EncodeOptions bos_no = {.bos = BOS_NO}, no_special = {.bos = BOS_YES, .no_special = true},
                        plain = {.plain_special_text = true}, bos_yes = {.bos = BOS_YES};
    check_ids(tokenizer, "ab a", NULL, (const int32_t[]){9, 2, 4}, 3);
    check_ids(tokenizer, "ab a", &bos_no, (const int32_t[]){2, 4}, 2);
    check_ids(tokenizer, "ab a", &no_special, (const int32_t[]){2, 4}, 2);
    check_ids(tokenizer, "ab a", &bos_yes, (const int32_t[]){9, 2, 4}, 3); /* not twice */
    check_ids(tokenizer, "<s>ab", NULL, (const int32_t[]){9, 9, 2}, 3);
    check_ids(tokenizer, "<s>ab", &bos_no, (const int32_t[]){9, 2}, 2); /* written in the text: stays */
    check_ids(tokenizer, "<s>a<tool>", &plain, (const int32_t[]){9, 11, 12, 13, 0, 10}, 6);
    check_ids(tokenizer, "", NULL, (const int32_t[]){9}, 1);
    check_ids(tokenizer, "", &bos_no, NULL, 0);
    close_opened(&opened);
}

static void test_pair_and_offsets(void **state) {
    Opened opened = open_json(byte_level_json);
    Encoding encoding;
    assert_int_equal(tokenizer_encode(&encoding, opened.tokenizer, "ab a", 4, "b\xF0\x9F\x98\x80", 5, NULL), LIMN_OK);
    const Token expected[] = {{9, 0, 0, true, 0},  {2, 0, 2, false, 0}, {4, 2, 4, false, 0},
                              {9, 0, 0, true, 1},  {1, 0, 1, false, 1}, {5, 1, 5, false, 1},
                              {6, 1, 5, false, 1}, {7, 1, 5, false, 1}, {8, 1, 5, false, 1}};
    assert_int_equal(encoding.n, 9);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(encoding.tokens[i].id, expected[i].id);
        assert_int_equal(encoding.tokens[i].begin, expected[i].begin);
        assert_int_equal(encoding.tokens[i].end, expected[i].end);
        assert_int_equal(encoding.tokens[i].special, expected[i].special);
        assert_int_equal(encoding.tokens[i].type, expected[i].type);
    }
    encoding_free(&encoding);
    close_opened(&opened);
}

static void test_decode(void **state) {
    Opened opened = open_json(byte_level_json);
    char *text;
    size_t length;
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){9, 2, 4, 10}, 4, true),
                     LIMN_OK);
    assert_string_equal(text, "ab a<tool>");
    assert_int_equal(length, 10);
    free(text);
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){9, 2, 5, 6}, 4, false),
                     LIMN_OK);
    assert_string_equal(text, "<s>ab\xEF\xBF\xBD"); /* half a character */
    free(text);
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, NULL, 0, true), LIMN_OK);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){0, 14}, 2, true), LIMN_RANGE);
    assert_string_equal(error_message(), "token id 14 at place 1, expected 0 to 13");
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){-1}, 1, true), LIMN_RANGE);
    close_opened(&opened);
}

static void check_streamed(StreamDecoder *decoder, int32_t id, const char *expected) {
    const char *bytes;
    size_t length;
    assert_int_equal(stream_decoder_add(decoder, id, &bytes, &length), LIMN_OK);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(bytes, expected, length);
}

static void test_stream(void **state) {
    Opened opened = open_json(byte_level_json);
    StreamDecoder *decoder;
    assert_int_equal(stream_decoder_new(&decoder, opened.tokenizer, true), LIMN_OK);
    check_streamed(decoder, 9, "");
    check_streamed(decoder, 4, " a");
    check_streamed(decoder, 5, "");
    check_streamed(decoder, 6, "");
    check_streamed(decoder, 9, ""); /* a special token within a character */
    check_streamed(decoder, 7, "");
    check_streamed(decoder, 8, "\xF0\x9F\x98\x80");
    check_streamed(decoder, 5, "");
    check_streamed(decoder, 6, "");
    check_streamed(decoder, 2,
                   "\xEF\xBF\xBD"
                   "ab");
    check_streamed(decoder, 6, "\xEF\xBF\xBD");
    check_streamed(decoder, 5, "");
    check_streamed(decoder, -1, "\xEF\xBF\xBD");
    check_streamed(decoder, -1, "");
    const char *bytes;
    size_t length;
    assert_int_equal(stream_decoder_add(decoder, 99, &bytes, &length), LIMN_RANGE);
    check_streamed(decoder, 4, " a");
    assert_int_equal(stream_decoder_add(decoder, 14, &bytes, &length), LIMN_RANGE);
    assert_int_equal(stream_decoder_add(decoder, -7, &bytes, &length), LIMN_RANGE);
    check_streamed(decoder, 0, "a");
    stream_decoder_free(decoder);
    close_opened(&opened);
}

#define SPACE "\xE2\x96\x81"
#define SPACED_JSON(normalizer, pre_tokenizer)                                                                         \
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true}],\"normalizer\":" normalizer                   \
    ",\"pre_tokenizer\":" pre_tokenizer ",\"decoder\":{\"type\":\"Metaspace\"},"                                       \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"" SPACE "\":0,\"a\":1,\"" SPACE "a\":2,\"b\":3},\"merges\":[\"" SPACE    \
    " a\"]}}"
#define METASPACE(scheme) "{\"type\":\"Metaspace\",\"prepend_scheme\":\"" scheme "\"}"

/* A text that goes on has the spaces that are written, whichever way the tokenizer puts one before a text. */
static void test_continuation(void **state) {
    static const char *const tokenizers[] = {
        SPACED_JSON("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" SPACE
                    "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" SPACE "\"}]}",
                    "null"),
        SPACED_JSON("null", METASPACE("first")), SPACED_JSON("null", METASPACE("always"))};
    const EncodeOptions continues = {.continues = true};
    for (size_t i = 0; i < sizeof tokenizers / sizeof tokenizers[0]; i++) {
        Opened opened = open_json(tokenizers[i]);
        check_ids(opened.tokenizer, "ab a", NULL, (const int32_t[]){2, 3, 2}, 3);
        check_ids(opened.tokenizer, "ab a", &continues, (const int32_t[]){1, 3, 2}, 3);
        check_ids(opened.tokenizer, " a", &continues, (const int32_t[]){2}, 1);
        StreamDecoder *decoder;
        assert_int_equal(stream_decoder_new(&decoder, opened.tokenizer, true), LIMN_OK);
        check_streamed(decoder, 2, "a");
        check_streamed(decoder, 2, " a");
        check_streamed(decoder, -1, "");
        stream_decoder_continue(decoder);
        check_streamed(decoder, 2, " a");
        stream_decoder_free(decoder);
        close_opened(&opened);
    }
    /* after a special token a text begins, as without the option */
    Opened opened = open_json(tokenizers[0]);
    check_ids(opened.tokenizer, "<s>a", &continues, (const int32_t[]){4, 2}, 2);
    close_opened(&opened);
}

static void test_getters(void **state) {
    Opened opened = open_json(byte_level_json);
    const Tokenizer *tokenizer = opened.tokenizer;
    size_t length;
    assert_string_equal(tokenizer_kind(tokenizer), "byte-level BPE");
    assert_int_equal(tokenizer_vocab_size(tokenizer), 14);
    assert_string_equal(tokenizer_piece(tokenizer, 4, &length), "\304\240a");
    assert_int_equal(length, 3);
    assert_string_equal(tokenizer_token_bytes(tokenizer, 4, &length), " a");
    assert_int_equal(length, 2);
    assert_memory_equal(tokenizer_token_bytes(tokenizer, 5, &length), "\xF0", 1);
    assert_null(tokenizer_piece(tokenizer, 14, &length));
    assert_null(tokenizer_token_bytes(tokenizer, -1, &length));
    assert_int_equal(tokenizer_id(tokenizer, "<tool>", 6), 10);
    assert_int_equal(tokenizer_id(tokenizer, "nothing", 7), -1);
    assert_true(tokenizer_is_special(tokenizer, 9));
    assert_false(tokenizer_is_special(tokenizer, 10));
    assert_false(tokenizer_is_special(tokenizer, 99));
    assert_int_equal(tokenizer_special(tokenizer, SPECIAL_BOS), 9);
    assert_int_equal(tokenizer_special(tokenizer, SPECIAL_MASK), -1);
    assert_null(tokenizer_chat_template(tokenizer));
    close_opened(&opened);
}

/* A file that comes without a config: special tokens are those spelled as in the models people have, and no others. */
static void test_usual_specials(void **state) {
    static const struct {
        const char *spelling;
        SpecialToken which;
    } rows[] = {{"<s>", SPECIAL_BOS},           {"<|begin_of_text|>", SPECIAL_BOS},
                {"<bos>", SPECIAL_BOS},         {"</s>", SPECIAL_EOS},
                {"<|endoftext|>", SPECIAL_EOS}, {"<|end_of_text|>", SPECIAL_EOS},
                {"<eos>", SPECIAL_EOS},         {"<unk>", SPECIAL_UNK},
                {"[UNK]", SPECIAL_UNK},         {"<pad>", SPECIAL_PAD},
                {"[PAD]", SPECIAL_PAD},         {"<mask>", SPECIAL_MASK},
                {"[MASK]", SPECIAL_MASK},       {"[SEP]", SPECIAL_SEP},
                {"[CLS]", SPECIAL_CLS},         {"<|other|>", SPECIAL_COUNT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[200];
        snprintf(json, sizeof json,
                 "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"\":0,\"a\":1,\"%s\":2}}}",
                 rows[i].spelling);
        char *path = temporary_file("tokenizer.json", json, strlen(json));
        Opened opened = open_tokenizer(path);
        remove_temporary(path);
        for (int which = SPECIAL_BOS; which <= SPECIAL_CLS; which++) {
            int32_t found = tokenizer_special(opened.tokenizer, (SpecialToken)which);
            if (found != (which == (int)rows[i].which ? 2 : -1)) {
                fail_msg("%s: special token %d is %d", rows[i].spelling, which, (int)found);
            }
        }
        close_opened(&opened);
    }
}

/* A folder: the config names the special tokens and the chat template. */
static void test_folder_config(void **state) {
    static const char config[] = "{\"bos_token\":{\"content\":\"<tool>\"},\"eos_token\":\"<s>\",\"pad_token\":null,"
                                 "\"chat_template\":[{\"name\":\"rag\",\"template\":\"R\"},"
                                 "{\"name\":\"default\",\"template\":\"{{ messages }}\"}],"
                                 "\"model_max_length\":1000000000000000019884624838656}";
    char *path = temporary_file("tokenizer.json", byte_level_json, strlen(byte_level_json));
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    char *config_path = path_join(folder, "tokenizer_config.json");
    char *template_path = path_join(folder, "chat_template.jinja");
    assert_int_equal(file_write_atomic(config_path, config, strlen(config)), LIMN_OK);
    Opened opened = open_tokenizer(folder);
    assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_BOS), 10);
    assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_EOS), 9);
    assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_PAD), -1);
    assert_string_equal(tokenizer_chat_template(opened.tokenizer), "{{ messages }}");
    close_opened(&opened);
    assert_int_equal(file_write_atomic(template_path, "from a file", 11), LIMN_OK);
    opened = open_tokenizer(folder);
    assert_string_equal(tokenizer_chat_template(opened.tokenizer), "from a file");
    close_opened(&opened);
    remove(template_path);
    remove(config_path);
    remove_temporary(path);
    free(template_path);
    free(config_path);
    free(folder);
}

static void test_no_tokenizer_in_folder(void **state) {
    char *path = temporary_file("other.json", "{}", 2);
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    Tokenizer *tokenizer;
    assert_int_equal(tokenizer_open_folder(&tokenizer, folder), LIMN_NOT_FOUND);
    assert_null(tokenizer);
    assert_non_null(strstr(error_message(), folder));
    assert_int_equal(tokenizer_open_file(&tokenizer, "/nowhere/tokenizer.json"), LIMN_NOT_FOUND);
    assert_null(tokenizer);
    free(folder);
    remove_temporary(path);
}

#define TEKKEN(config, vocab, specials)                                                                                \
    "{\"config\":{" config "},\"vocab\":[" vocab "],\"special_tokens\":[" specials "]}"
#define TEKKEN_CONFIG   "\"pattern\":\"\\\\p{L}+|\\\\s\",\"default_num_special_tokens\":4"
#define TEKKEN_SPECIALS "{\"rank\":0,\"token_str\":\"<unk>\"},{\"rank\":1,\"token_str\":\"<s>\"}"
#define TEKKEN_VOCAB                                                                                                   \
    "{\"rank\":0,\"token_bytes\":\"YQ==\"},{\"rank\":1,\"token_bytes\":\"Yg==\"},{\"rank\":2,\"token_bytes\":\"IA=="   \
    "\"},"                                                                                                             \
    "{\"rank\":3,\"token_bytes\":\"YWI=\"},{\"rank\":4,\"token_bytes\":\"YWJhYg==\"}"

static void test_tekken(void **state) {
    static const char good[] = TEKKEN(TEKKEN_CONFIG, TEKKEN_VOCAB, TEKKEN_SPECIALS);
    char *path = temporary_file("tekken.json", good, strlen(good));
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    Opened opened = open_tokenizer(folder);
    /* "ab" and then "abab" by their ranks, which "ab ab" has a cut in; ids of pieces follow four special ones */
    check_ids(opened.tokenizer, "abab ab<s>ba", NULL, (const int32_t[]){1, 8, 6, 7, 1, 5, 4}, 7);
    size_t length;
    assert_string_equal(tokenizer_piece(opened.tokenizer, 3, &length), "<SPECIAL_3>");
    close_opened(&opened);
    free(folder);
    remove_temporary(path);
    static const struct {
        const char *json;
        limn_status status;
        const char *word;
    } rows[] = {
        {TEKKEN("\"x\":1", TEKKEN_VOCAB, TEKKEN_SPECIALS), LIMN_FORMAT, "pattern"},
        {TEKKEN("\"pattern\":\"[a\"", TEKKEN_VOCAB, TEKKEN_SPECIALS), LIMN_UNSUPPORTED, "[a"},
        {TEKKEN(TEKKEN_CONFIG, TEKKEN_VOCAB, ""), LIMN_UNSUPPORTED, "special_tokens"},
        {TEKKEN(TEKKEN_CONFIG, TEKKEN_VOCAB, "{\"rank\":7,\"token_str\":\"<s>\"}"), LIMN_FORMAT, "rank"},
        {TEKKEN(TEKKEN_CONFIG, TEKKEN_VOCAB, "{\"rank\":0,\"token_str\":\"\"}"), LIMN_FORMAT, "is empty"},
        {TEKKEN(TEKKEN_CONFIG, "{\"rank\":1,\"token_bytes\":\"YQ==\"}", TEKKEN_SPECIALS), LIMN_FORMAT, "element 0"},
        {TEKKEN(TEKKEN_CONFIG, "{\"rank\":0,\"token_bytes\":\"Y%==\"}", TEKKEN_SPECIALS), LIMN_FORMAT, "base64"},
        {TEKKEN(TEKKEN_CONFIG, "{\"rank\":0,\"token_bytes\":\"YQ\"}", TEKKEN_SPECIALS), LIMN_FORMAT, "base64"},
        {TEKKEN(TEKKEN_CONFIG, "{\"rank\":0}", TEKKEN_SPECIALS), LIMN_FORMAT, "base64"},
        {TEKKEN(TEKKEN_CONFIG ",\"default_vocab_size\":3", TEKKEN_VOCAB, TEKKEN_SPECIALS), LIMN_FORMAT,
         "default_vocab_size"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Tokenizer *tokenizer;
        path = temporary_file("tekken.json", rows[i].json, strlen(rows[i].json));
        assert_int_equal(tokenizer_open_file(&tokenizer, path), rows[i].status);
        assert_non_null(strstr(error_message(), rows[i].word));
        assert_non_null(strstr(error_message(), "tekken.json"));
        remove_temporary(path);
    }
}

/* No pre-tokenizer cuts an added token, the first of the vocabulary neither. */
static void test_added_tokens_stay_whole(void **state) {
    static const char *const cutters[] = {
        "{\"type\":\"Whitespace\"}",
        "{\"type\":\"WhitespaceSplit\"}",
        "{\"type\":\"BertPreTokenizer\"}",
        "{\"type\":\"Digits\",\"individual_digits\":true}",
        "{\"type\":\"Punctuation\",\"behavior\":\"Isolated\"}",
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[ <>0-9]\"},\"behavior\":\"Removed\",\"invert\":false}",
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},\"behavior\":\"Isolated\",\"invert\":false}",
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
        "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"}"};
    for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
        for (int first = 0; first < 2; first++) {
            char json[900];
            snprintf(json, sizeof json,
                     "{\"added_tokens\":[{\"id\":%d,\"content\":\"<x 1.>\"}],\"pre_tokenizer\":{\"type\":\"Sequence\","
                     "\"pretokenizers\":[%s,%s]},\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\","
                     "\"vocab\":{\"<x 1.>\":%d,\"a\":%d,\"b\":2,\"?\":3}}}",
                     first ? 0 : 1, cutters[i], cutters[0], first ? 0 : 1, first ? 1 : 0);
            Opened opened = open_json(json);
            const int32_t token = first ? 0 : 1, a = first ? 1 : 0;
            check_ids(opened.tokenizer, "a<x 1.>b<x 1.>", NULL, (const int32_t[]){a, token, 2, token}, 4);
            close_opened(&opened);
        }
    }
}

/* Marks behind a letter in their canonical order: by class, those of one class as they stood (Unicode, 3.11). */
static void test_order_of_marks(void **state) {
    static const struct {
        const char *bytes;
        int class;
    } marks[] = {{"\xCC\xB4", 1},   {"\xCC\xA7", 202}, {"\xCC\xA3", 220}, {"\xCC\x96", 220},
                 {"\xCC\x81", 230}, {"\xCC\x88", 230}, {"\xCD\x85", 240}}; /* 334 327 323 316 301 308 345 */
    unsigned draw = 1;
    for (int round = 0; round < 100; round++) {
        int order[12], n = 2 + round % 11;
        char text[40] = "q", sorted[40] = "q", json[300];
        for (int i = 0; i < n; i++) {
            draw = draw * 1103515245u + 12345u;
            int mark = (int)(draw >> 16) % 7, at = i;
            strcat(text, marks[mark].bytes);
            for (; at > 0 && marks[order[at - 1]].class > marks[mark].class; at--) {
                order[at] = order[at - 1];
            }
            order[at] = mark;
        }
        for (int i = 0; i < n; i++) {
            strcat(sorted, marks[order[i]].bytes);
        }
        snprintf(json, sizeof json,
                 "{\"normalizer\":{\"type\":\"NFD\"},\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\","
                 "\"vocab\":{\"?\":0,\"%s\":1}}}",
                 sorted);
        Opened opened = open_json(json);
        check_ids(opened.tokenizer, text, NULL, (const int32_t[]){1}, 1);
        close_opened(&opened);
    }
}

static void test_vocab_txt(void **state) {
    static const char uncased[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\nworld\n,\ncafe\n\xE4\xB8\x96\n";
    char *path = temporary_file("vocab.txt", uncased, strlen(uncased));
    Opened opened = open_tokenizer(path);
    assert_string_equal(tokenizer_kind(opened.tokenizer), "WordPiece");
    check_ids(opened.tokenizer, "HELLOs, caf\xC3\xA9 \xE4\xB8\x96qq[MASK]", NULL,
              (const int32_t[]){2, 5, 6, 8, 9, 10, 1, 4, 3}, 9);
    assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_CLS), 2);
    Encoding special;
    assert_int_equal(tokenizer_encode(&special, opened.tokenizer, "qq[MASK]", 8, NULL, 0, NULL), LIMN_OK);
    assert_int_equal(special.n, 4);
    assert_true(special.tokens[0].special);
    assert_false(special.tokens[1].special); /* an unknown word is the text's own */
    assert_true(special.tokens[2].special);
    encoding_free(&special);
    const EncodeOptions bos = {.bos = BOS_YES};
    Encoding encoding;
    assert_int_equal(tokenizer_encode(&encoding, opened.tokenizer, "hello", 5, NULL, 0, &bos), LIMN_NOT_FOUND);
    assert_null(encoding.tokens);
    char *text;
    size_t length;
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){2, 5, 6, 8, 9, 3}, 6, true),
                     LIMN_OK);
    assert_string_equal(text, "hellos, cafe");
    free(text);
    assert_string_equal(tokenizer_token_bytes(opened.tokenizer, 7, &length), " world");
    assert_string_equal(tokenizer_token_bytes(opened.tokenizer, 6, &length), "s");
    close_opened(&opened);
    remove_temporary(path);

    static const char cased[] = "[UNK]\nHello\nhello\n";
    path = temporary_file("vocab.txt", cased, strlen(cased));
    opened = open_tokenizer(path);
    check_ids(opened.tokenizer, "Hello hello", NULL, (const int32_t[]){1, 2}, 2);
    close_opened(&opened);
    remove_temporary(path);
}

/* ---- GGUF ---- */

static Opened open_gguf(GgufBuilder *builder) {
    size_t length;
    char *bytes = gguf_finish(builder, &length);
    char *path = temporary_file("vocab.gguf", bytes, length);
    Opened opened = open_tokenizer(path);
    free(bytes);
    remove_temporary(path);
    return opened;
}

/* OPT: GPT-2's class on RoBERTa's pieces, with a BOS token of its own. */
static void test_bos_of_plain_vocabulary(void **state) {
    static const char vocabulary[] = "{\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3,\"t\":4,\"h\":5,\"e\":6,"
                                     "\"he\":7,\"<\":8,\"m\":9,\"a\":10,\"s\":11,\"k\":12,\">\":13,\"<mask>\":14}";
    static const struct {
        const char *config;
        int32_t n, ids[8];
    } rows[] = {
        {"{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_bos_token\":true,\"bos_token\":\"</s>\",\"unk_token\":\"</s>\"}",
         5,
         {2, 4, 7, 2, 10}},
        {"{\"tokenizer_class\":\"GPT2Tokenizer\",\"bos_token\":{\"content\":\"</s>\"}}", 4, {4, 7, 2, 10}},
        {"{\"tokenizer_class\":\"RobertaTokenizer\",\"bos_token\":\"<s>\"}", 6, {0, 4, 7, 2, 10, 2}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = temporary_file("vocab.json", vocabulary, strlen(vocabulary));
        char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
        char *merges = path_join(folder, "merges.txt"), *config = path_join(folder, "tokenizer_config.json");
        assert_int_equal(file_write_atomic(merges, "#version: 0.2\nh e\n", 18), LIMN_OK);
        assert_int_equal(file_write_atomic(config, rows[i].config, strlen(rows[i].config)), LIMN_OK);
        Opened opened = open_tokenizer(folder);
        check_ids(opened.tokenizer, "the</s>a", NULL, rows[i].ids, rows[i].n);
        close_opened(&opened);
        remove(merges);
        remove(config);
        remove_temporary(path);
        free(merges);
        free(config);
        free(folder);
    }
}

static void test_gguf_byte_level(void **state) {
    static const char *const tokens[] = {"<s>", "1", "2", "a", "\xC4\xA0", "\304\240a", "12", "<user>"};
    static const int32_t types[] = {3, 1, 1, 1, 1, 1, 1, 4};
    static const char *const merges[] = {"\xC4\xA0 a", "1 2"};
    GgufBuilder builder = {{0}, 0};
    gguf_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_add_string(&builder, "tokenizer.ggml.pre", "smollm");
    gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 8);
    gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 8);
    gguf_add_strings(&builder, "tokenizer.ggml.merges", merges, 2);
    gguf_add_u32(&builder, "tokenizer.ggml.bos_token_id", 0);
    gguf_add_u32(&builder, "tokenizer.ggml.eos_token_id", 0);
    gguf_add_bool(&builder, "tokenizer.ggml.add_bos_token", true);
    gguf_add_string(&builder, "tokenizer.chat_template", "{{ x }}");
    Opened opened = open_gguf(&builder);
    /* smollm sets digits apart, so "12" is never one token */
    check_ids(opened.tokenizer, "12 a<user><s>", NULL, (const int32_t[]){0, 1, 2, 5, 7, 0}, 6);
    assert_string_equal(tokenizer_chat_template(opened.tokenizer), "{{ x }}");
    assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_EOS), 0);
    assert_true(tokenizer_is_special(opened.tokenizer, 0));
    assert_false(tokenizer_is_special(opened.tokenizer, 7));
    close_opened(&opened);
}

/* Where a turn ends: by its key, else by how such tokens are spelled, and then only a control token that is not EOS. */
static void test_gguf_turn_end(void **state) {
    static const char *const tokens[] = {"<s>", "a", "<|im_end|>", "<|eot_id|>", "<|done|>"};
    static const struct {
        int32_t type, key, eos, expected;
    } rows[] = {{3, -1, 0, 3}, {3, 4, 0, 4}, {3, -1, 3, 2}, {1, -1, 0, -1}, {3, 4, 4, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int32_t types[] = {3, 1, rows[i].type, rows[i].type, 3};
        static const char *const merges[] = {"a a"};
        GgufBuilder builder = {{0}, 0};
        gguf_add_string(&builder, "tokenizer.ggml.model", "gpt2");
        gguf_add_string(&builder, "tokenizer.ggml.pre", "llama-bpe");
        gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 5);
        gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 5);
        gguf_add_strings(&builder, "tokenizer.ggml.merges", merges, 0);
        gguf_add_u32(&builder, "tokenizer.ggml.eos_token_id", (uint32_t)rows[i].eos);
        if (rows[i].key >= 0) {
            gguf_add_u32(&builder, "tokenizer.ggml.eot_token_id", (uint32_t)rows[i].key);
            gguf_add_u32(&builder, "tokenizer.ggml.eom_token_id", 1);
        }
        Opened opened = open_gguf(&builder);
        assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_EOT), rows[i].expected);
        assert_int_equal(tokenizer_special(opened.tokenizer, SPECIAL_EOM), rows[i].key >= 0 ? 1 : -1);
        close_opened(&opened);
    }
}

static void test_gguf_scores(void **state) {
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x21>",       "\xE2\x96\x81",
                                         "a",     "b",   "ab",   "\342\226\201a"};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1};
    static const float scores[] = {0, 0, 0, 0, -10, -11, -12, -2, -1};
    GgufBuilder builder = {{0}, 0};
    gguf_add_string(&builder, "tokenizer.ggml.model", "llama");
    gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 9);
    gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 9);
    gguf_add_f32s(&builder, "tokenizer.ggml.scores", scores, 9);
    gguf_add_u32(&builder, "tokenizer.ggml.bos_token_id", 1);
    gguf_add_u32(&builder, "tokenizer.ggml.eos_token_id", 2);
    gguf_add_u32(&builder, "tokenizer.ggml.unknown_token_id", 0);
    Opened opened = open_gguf(&builder);
    assert_string_equal(tokenizer_kind(opened.tokenizer), "SentencePiece BPE");
    /* "_a" has the greater score and goes before "ab"; '!' falls back to its byte, '?' is unknown */
    check_ids(opened.tokenizer, "abab!?", NULL, (const int32_t[]){1, 8, 6, 7, 3, 0}, 6);
    const EncodeOptions continues = {.bos = BOS_NO, .continues = true};
    check_ids(opened.tokenizer, "abab", &continues, (const int32_t[]){7, 7}, 2);
    check_ids(opened.tokenizer, " ab", &continues, (const int32_t[]){8, 6}, 2);
    char *text;
    size_t length;
    assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, (const int32_t[]){1, 8, 6, 4, 7, 3}, 6, true),
                     LIMN_OK);
    assert_string_equal(text, "ab ab!");
    free(text);
    close_opened(&opened);
}

/* Phi-3's added tokens take the white space after them, which no GGUF file says; "<s>" does not. */
static void test_gguf_phi3_strips(void **state) {
    static const char *const tokens[] = {"<unk>", "<s>", "<|end|>", "\xE2\x96\x81", "a", "\342\226\201a", "</s>"};
    static const int32_t types[] = {2, 3, 3, 1, 1, 1, 4};
    static const float scores[] = {0, 0, 0, -10, -11, -1, 0};
    for (int phi = 0; phi < 2; phi++) {
        GgufBuilder builder = {{0}, 0};
        gguf_add_string(&builder, "general.architecture", phi ? "phi3" : "llama");
        gguf_add_string(&builder, "tokenizer.ggml.model", "llama");
        gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 7);
        gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 7);
        gguf_add_f32s(&builder, "tokenizer.ggml.scores", scores, 7);
        gguf_add_u32(&builder, "tokenizer.ggml.unknown_token_id", 0);
        gguf_add_bool(&builder, "tokenizer.ggml.add_bos_token", false);
        gguf_add_bool(&builder, "tokenizer.ggml.add_space_prefix", false);
        Opened opened = open_gguf(&builder);
        const int32_t stripped[] = {2, 4, 1, 5, 6, 4}, kept[] = {2, 3, 5, 1, 5, 6, 5};
        check_ids(opened.tokenizer, "<|end|>  a<s> a</s> a", NULL, phi ? stripped : kept, phi ? 6 : 7);
        close_opened(&opened);
    }
}

static void test_gguf_word_piece(void **state) {
    static const char *const tokens[] = {"[UNK]", "[CLS]", "[SEP]", "\xE2\x96\x81hello", "s"};
    static const int32_t types[] = {3, 3, 3, 1, 1};
    GgufBuilder builder = {{0}, 0};
    gguf_add_string(&builder, "tokenizer.ggml.model", "bert");
    gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 5);
    gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 5);
    gguf_add_u32(&builder, "tokenizer.ggml.cls_token_id", 1);
    gguf_add_u32(&builder, "tokenizer.ggml.seperator_token_id", 2);
    Opened opened = open_gguf(&builder);
    check_ids(opened.tokenizer, "Hellos hello x", NULL, (const int32_t[]){1, 3, 4, 3, 0, 2}, 6);
    size_t length;
    assert_string_equal(tokenizer_piece(opened.tokenizer, 4, &length), "##s");
    close_opened(&opened);
}

static void test_gguf_unigram(void **state) {
    static const char *const tokens[] = {"<pad>", "</s>", "<unk>", "\xE2\x96\x81", "a", "b", "ab", "\342\226\201ab"};
    static const int32_t types[] = {3, 3, 2, 1, 1, 1, 1, 1};
    static const float scores[] = {0, 0, 0, -2, -3, -3, -4, -7};
    GgufBuilder builder = {{0}, 0};
    gguf_add_string(&builder, "tokenizer.ggml.model", "t5");
    gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 8);
    gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 8);
    gguf_add_f32s(&builder, "tokenizer.ggml.scores", scores, 8);
    gguf_add_u32(&builder, "tokenizer.ggml.eos_token_id", 1);
    gguf_add_u32(&builder, "tokenizer.ggml.unknown_token_id", 2);
    Opened opened = open_gguf(&builder);
    assert_string_equal(tokenizer_kind(opened.tokenizer), "Unigram");
    /* -2 + -4 beats -7; runs of spaces are one; unknown neighbours are one token */
    check_ids(opened.tokenizer, "  ab  ??ab ", NULL, (const int32_t[]){3, 6, 3, 2, 6, 1}, 6);
    close_opened(&opened);
}

/* One tokenizer, many threads. */
static limn_status encode_again(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        Encoding encoding;
        TRY(tokenizer_encode(&encoding, context, "ab a ab<s> ba", 13, NULL, 0, NULL));
        bool right = encoding.n == 9 && encoding.tokens[5].id == 9 && encoding.tokens[8].id == 0;
        encoding_free(&encoding);
        if (!right) {
            return LIMN_INTERNAL;
        }
    }
    return LIMN_OK;
}

static void test_threads(void **state) {
    Opened opened = open_json(byte_level_json);
    check_ids(opened.tokenizer, "ab a ab<s> ba", NULL, (const int32_t[]){9, 2, 4, 3, 2, 9, 3, 1, 0}, 9);
    Team team = {.threads = 4};
    assert_int_equal(parallel_for(&team, 1000, 1, encode_again, opened.tokenizer), LIMN_OK);
    close_opened(&opened);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_options),
        cmocka_unit_test(test_pair_and_offsets),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_continuation),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_usual_specials),
        cmocka_unit_test(test_folder_config),
        cmocka_unit_test(test_no_tokenizer_in_folder),
        cmocka_unit_test(test_tekken),
        cmocka_unit_test(test_added_tokens_stay_whole),
        cmocka_unit_test(test_order_of_marks),
        cmocka_unit_test(test_vocab_txt),
        cmocka_unit_test(test_bos_of_plain_vocabulary),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_gguf_byte_level),
        cmocka_unit_test(test_gguf_turn_end),
        cmocka_unit_test(test_gguf_scores),
        cmocka_unit_test(test_gguf_phi3_strips),
        cmocka_unit_test(test_gguf_word_piece),
        cmocka_unit_test(test_gguf_unigram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
