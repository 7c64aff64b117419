/* Tokenizers of several files that do not say the same, against the reference
 * (tests/oracle/tokenizers/make_folders.py); what is refused and what is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/json.h"
#include "text/folder.h"
#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

static json_t *goldens;

static int load_goldens(void **state) {
    /* the library's own reader: one of the cases holds an integer of 31 digits */
    return json_file_load(&goldens, LIMN_TEST_SOURCE_DIR "/tests/text/golden/folders.json", JSON_TOKENIZER_CAP) !=
           LIMN_OK;
}

static int free_goldens(void **state) {
    json_decref(goldens);
    return 0;
}

/* ---- scratch folders ---- */

typedef struct Scratch {
    char path[64];
    char names[8][64];
    int n;
} Scratch;

static void scratch_open(Scratch *scratch) {
    *scratch = (Scratch){.path = "/tmp/limn-folder-XXXXXX"};
    assert_non_null(mkdtemp(scratch->path));
}

static void scratch_write(Scratch *scratch, const char *name, const void *bytes, size_t length) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", scratch->path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_true(scratch->n < 8);
    snprintf(scratch->names[scratch->n++], sizeof scratch->names[0], "%s", name);
}

static void scratch_text(Scratch *scratch, const char *name, const char *text) {
    scratch_write(scratch, name, text, strlen(text));
}

static void scratch_close(Scratch *scratch) {
    for (int i = 0; i < scratch->n; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", scratch->path, scratch->names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(scratch->path), 0);
}

/* A file of a case: JSON as it stands, a base with other values at its top, or bytes in base64. */
static void write_golden_file(Scratch *scratch, const char *name, const json_t *value) {
    const char *base = json_string_value(json_object_get(value, "$base"));
    json_t *made = NULL;
    if (base != NULL) {
        made = json_copy(json_object_get(json_object_get(goldens, "bases"), base));
        assert_non_null(made);
        const json_t *with = json_object_get(value, "with");
        assert_int_equal(with == NULL ? 0 : json_object_update(made, (json_t *)(uintptr_t)with), 0);
        value = made;
    }
    const char *bytes = json_string_value(json_object_get(value, "$bytes"));
    if (bytes != NULL) {
        size_t length;
        unsigned char *decoded = from_base64(bytes, &length);
        scratch_write(scratch, name, decoded, length);
        free(decoded);
    } else {
        char *text = json_dumps(value, JSON_COMPACT);
        assert_non_null(text);
        scratch_text(scratch, name, text);
        free(text);
    }
    json_decref(made);
}

static void check_text(const char *name, const Tokenizer *tokenizer, const char *text, const json_t *ids,
                       const json_t *decoded) {
    Encoding encoding;
    if (tokenizer_encode(&encoding, tokenizer, text, strlen(text), NULL, 0, NULL) != LIMN_OK) {
        fail_msg("%s: '%s': %s", name, text, error_message());
    }
    int32_t *found = calloc((size_t)encoding.n + 1, sizeof *found);
    assert_non_null(found);
    for (int32_t i = 0; i < encoding.n; i++) {
        found[i] = encoding.tokens[i].id;
        json_int_t expected = json_integer_value(json_array_get(ids, (size_t)i));
        if ((size_t)i < json_array_size(ids) && found[i] != expected) {
            fail_msg("%s: '%s': token %d is %d, expected %lld", name, text, (int)i, (int)found[i], (long long)expected);
        }
    }
    if ((size_t)encoding.n != json_array_size(ids)) {
        fail_msg("%s: '%s': %d tokens, expected %zu", name, text, (int)encoding.n, json_array_size(ids));
    }
    char *back;
    size_t length;
    assert_int_equal(tokenizer_decode(&back, &length, tokenizer, found, encoding.n, false), LIMN_OK);
    if (json_is_string(decoded) && strcmp(back, json_string_value(decoded)) != 0) {
        fail_msg("%s: decoded '%s', expected '%s'", name, back, json_string_value(decoded));
    }
    free(back);
    free(found);
    encoding_free(&encoding);
}

static void folders_are_read_as_the_reference_reads_them(void **state) {
    const json_t *cases = json_object_get(goldens, "cases"), *texts = json_object_get(goldens, "texts");
    assert_true(json_array_size(cases) >= 50);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *golden = json_array_get(cases, c);
        const char *name = json_string_value(json_object_get(golden, "name")), *file;
        json_t *value;
        Scratch scratch;
        scratch_open(&scratch);
        json_object_foreach(json_object_get(golden, "files"), file, value) {
            write_golden_file(&scratch, file, value);
        }
        Tokenizer *tokenizer;
        if (tokenizer_open_folder(&tokenizer, scratch.path) != LIMN_OK) {
            fail_msg("%s: %s", name, error_message());
        }
        for (size_t t = 0; t < json_array_size(texts); t++) {
            check_text(name, tokenizer, json_string_value(json_array_get(texts, t)),
                       json_array_get(json_object_get(golden, "ids"), t),
                       json_array_get(json_object_get(golden, "decoded"), t));
        }
        tokenizer_free(tokenizer);
        scratch_close(&scratch);
    }
}

/* ---- what is refused, what is said ---- */

#define WORDS "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nbank\nrun\n"

static void classes_with_a_program_of_their_own_are_refused(void **state) {
    static const struct {
        const char *config, *model, *word;
    } rows[] = {{"{\"tokenizer_class\":\"BertJapaneseTokenizer\"}", NULL, "BertJapaneseTokenizer"},
                {"{\"tokenizer_class\":\"PhobertTokenizer\"}", NULL, "PhobertTokenizer"},
                {"{}", "{\"tokenizer_class\":\"BertweetTokenizer\",\"model_type\":\"roberta\"}", "BertweetTokenizer"},
                {"{\"tokenizer_class\":\"WeltTokenizerFast\"}", NULL, "WeltTokenizerFast"},
                {"{\"tokenizer_class\":\"CLIPTokenizer\"}", NULL, "CLIPTokenizer"},
                {"{}", "{\"model_type\":\"gpt2\"}", "GPT2Tokenizer"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Scratch scratch;
        scratch_open(&scratch);
        scratch_text(&scratch, "vocab.txt", WORDS);
        scratch_text(&scratch, "tokenizer_config.json", rows[i].config);
        if (rows[i].model != NULL) {
            scratch_text(&scratch, "config.json", rows[i].model);
        }
        Tokenizer *tokenizer;
        assert_int_equal(tokenizer_open_folder(&tokenizer, scratch.path), LIMN_UNSUPPORTED);
        if (strstr(error_message(), rows[i].word) == NULL) {
            fail_msg("'%s' does not say %s", error_message(), rows[i].word);
        }
        scratch_close(&scratch);
    }
}

/* Opens a folder of one tokenizer.json and one tokenizer_config.json; the warnings, joined. The caller's. */
static char *warnings_of(const char *json, const char *config) {
    Scratch scratch;
    TextBuffer all = TEXT_BUFFER_INIT;
    scratch_open(&scratch);
    scratch_text(&scratch, "tokenizer.json", json);
    scratch_text(&scratch, "tokenizer_config.json", config);
    Tokenizer *tokenizer;
    if (tokenizer_open_folder(&tokenizer, scratch.path) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    text_buffer_add(&all, "");
    for (size_t i = 0; i < tokenizer_warning_count(tokenizer); i++) {
        text_buffer_printf(&all, "%s\n", tokenizer_warning(tokenizer, i));
    }
    tokenizer_free(tokenizer);
    scratch_close(&scratch);
    return text_buffer_take(&all);
}

#define MODEL   "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0,\"a\":1,\"<s>\":2},\"unk_token\":\"<unk>\"}"
#define PREPEND "\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"_\"}"
#define SPACED  "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"

static void what_is_not_done_is_said(void **state) {
    static const struct {
        const char *json, *config, *words; /* "": nothing is said */
    } rows[] = {
        {"{" MODEL "}", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"model_max_length\":512,\"verbose\":false}",
         ""},
        {"{" MODEL "}", "{\"tokenizer_class\":\"BertTokenizer\"}", ""},
        {"{" MODEL "}", "{\"do_lowercase\":true}",
         "not known and not read: \"do_lowercase\" (meant \"do_lower_case\"?)"},
        {"{" MODEL "}", "{\"tokenizer_class\":\"WeltTokenizer\"}",
         "\"tokenizer_class\" is WeltTokenizer, which is not known"},
        {"{" MODEL "}", "{\"tokenizer_class\":\"BertTokenizer\",\"do_lower_case\":false}",
         "\"do_lower_case\" is false: it is for a BertNormalizer, and the one of tokenizer.json is none"},
        {"{" MODEL "," PREPEND "}", "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false}",
         "\"legacy\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL "," PREPEND "}", "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":true}", ""},
        {"{" MODEL "," SPACED "}", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}",
         "\"add_prefix_space\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL "}", "{\"bos_token\":\"<s>\",\"add_bos_token\":true}",
         "\"add_bos_token\" is true, and tokenizer.json"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":9,\"content\":\"new\"}]}", "{}",
         "the token 'new' has the id 9 there, and 3 in the reference: 3 counts"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":2000000000,\"content\":\"new\"}]}", "{}", "and 3 in the reference"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":0,\"content\":\"a\"}]}", "{}",
         "the token 'a' has the id 0 there, and 1"},
        {"{" MODEL "}", "{\"fix_mistral_regex\":true}", "\"fix_mistral_regex\" is true"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}",
         "\"add_prefix_space\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"add_prefix_space\":true}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"add_prefix_space\":false}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}",
         "\"add_prefix_space\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}",
         "\"add_prefix_space\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"add_prefix_space\":false}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"add_prefix_space\":true}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}",
         "\"add_prefix_space\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}",
         "\"add_prefix_space\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}",
         "\"add_prefix_space\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Whitespace\"}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}", ""},
        {"{" MODEL "}", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}",
         "\"add_prefix_space\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL "}", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}", ""},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"}]}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":false}",
         "\"add_prefix_space\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Prepend\","
         "\"prepend\":\"_\"}]}"
         "}",
         "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_prefix_space\":true}",
         "\"add_prefix_space\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}"
         "}",
         "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":true}",
         "\"legacy\" is true, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}"
         "}",
         "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false}", ""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"always\"}"
         "}",
         "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false}",
         "\"legacy\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\"}"
         "}",
         "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false}",
         "\"legacy\" is false, and tokenizer.json says otherwise"},
        {"{" MODEL "}",
         "{\"tokenizer_class\":\"BertTokenizer\",\"strip_accents\":true,\"tokenize_chinese_chars\":false}",
         "\"strip_accents\" is true: it is for a BertNormalizer"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Lowercase\"}"
         "}",
         "{\"tokenizer_class\":\"BertTokenizer\",\"tokenize_chinese_chars\":false}",
         "\"tokenize_chinese_chars\" is false: it is for a BertNormalizer, and the one of tokenizer.json is Lowercase, "
         "which counts"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *said = warnings_of(rows[i].json, rows[i].config);
        if (rows[i].words[0] == '\0' ? said[0] != '\0' : strstr(said, rows[i].words) == NULL) {
            fail_msg("%s beside %s: said '%s', expected '%s'", rows[i].config, rows[i].json, said, rows[i].words);
        }
        free(said);
    }
}

/* JSON with ' for ". */
static json_t *quoted(const char *text) {
    char copy[1200];
    json_error_t error;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);
    if (json == NULL) {
        fail_msg("%s: %s", copy, error.text);
    }
    return json;
}

#define LEVEL(space)        "{'type':'ByteLevel','add_prefix_space':" space "}"
#define LISTED(space)       "{'type':'Sequence','pretokenizers':[{'type':'Digits'}," LEVEL(space) "]}"
#define META(space, scheme) "{'type':'Metaspace','add_prefix_space':" space ",'prepend_scheme':'" scheme "'}"
#define ENDS                "'post_processor':{'type':'TemplateProcessing'}"
#define MARK(space, trims)                                                                                             \
    "'post_processor':{'type':'RobertaProcessing','add_prefix_space':" space ",'trim_offsets':" trims "}"
#define BERT(lower, accents, chinese)                                                                                  \
    "{'normalizer':{'type':'BertNormalizer','lowercase':" lower ",'strip_accents':" accents                            \
    ",'handle_chinese_chars':" chinese "}}"
#define PREPENDS                                                                                                       \
    "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'▁'},"                               \
    "{'type':'Replace','pattern':{'String':' '},'content':'▁'}]}"
#define DECODER(more)                                                                                                  \
    "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' '},"            \
    "{'type':'ByteFallback'},{'type':'Fuse'}" more "]}"
#define STRIP ",{'type':'Strip','content':' ','start':1,'stop':0}"
#define SPACES(scheme)                                                                                                 \
    "'normalizer':null,'pre_tokenizer':{'type':'Metaspace','replacement':'▁','prepend_scheme':'" scheme                \
    "','split':false}"

/* What each class writes into the parts of tokenizer.json for a setting, as the reference's class does. */
static void settings_are_written_into_the_parts(void **state) {
    static const struct {
        const char *class_name, *settings, *from, *to; /* to NULL: as it is */
    } rows[] = {
        /* GPT-NeoX: no ends unless asked for; a lone ByteLevel has no space unless asked for, a listed one stays */
        {"GPTNeoXTokenizer", "{}", "{'pre_tokenizer':" LEVEL("true") "," ENDS "}",
         "{'pre_tokenizer':" LEVEL("false") ",'post_processor':null}"},
        {"GPTNeoXTokenizer", "{'add_bos_token':true}", "{" ENDS "}", NULL},
        {"GPTNeoXTokenizer", "{'add_eos_token':true,'add_bos_token':false}", "{" ENDS "}", NULL},
        {"GPTNeoXTokenizer", "{'add_eos_token':false,'add_bos_token':false}", "{" ENDS "}", "{'post_processor':null}"},
        {"GPTNeoXTokenizer", "{}", "{'post_processor':{'type':'ByteLevel'}}", NULL},
        {"GPTNeoXTokenizer", "{}", "{}", NULL},
        {"GPTNeoXTokenizer", "{'add_prefix_space':true}", "{'pre_tokenizer':" LEVEL("false") "}",
         "{'pre_tokenizer':" LEVEL("true") "}"},
        {"GPTNeoXTokenizer", "{}", "{'pre_tokenizer':" LISTED("true") "}", NULL},
        {"GPTNeoXTokenizer", "{'add_prefix_space':false}", "{'pre_tokenizer':" LISTED("true") "}",
         "{'pre_tokenizer':" LISTED("false") "}"},
        {"GPT2Tokenizer", "{}", "{'pre_tokenizer':" LEVEL("true") "," ENDS "}",
         "{'pre_tokenizer':" LEVEL("false") "," ENDS "}"},
        {"GPT2Tokenizer", "{'trim_offsets':false}", "{" MARK("true", "true") "}", NULL}, /* RoBERTa's alone */
        {"Qwen2Tokenizer", "{'add_prefix_space':true}", "{'pre_tokenizer':{'type':'Sequence'}}", NULL},
        {"Qwen2Tokenizer", "{'add_prefix_space':true}",
         "{'pre_tokenizer':{'type':'Sequence','pretokenizers':[" LEVEL("false") ",{'type':'Digits'}]}}",
         "{'pre_tokenizer':{'type':'Sequence','pretokenizers':[" LEVEL("true") ",{'type':'Digits'}]}}"},
        {"Qwen2Tokenizer", "{}", "{'pre_tokenizer':" LEVEL("true") "}", "{'pre_tokenizer':" LEVEL("false") "}"},
        {"Qwen2Tokenizer", "{'add_prefix_space':true}",
         "{'pre_tokenizer':{'type':'Split','pretokenizers':[" LEVEL("false") "]}}", NULL},
        /* RoBERTa: the post-processor, too; offsets are trimmed unless it is said that they are not */
        {"RobertaTokenizer", "{}", "{'pre_tokenizer':" LEVEL("true") "," MARK("true", "false") "}",
         "{'pre_tokenizer':" LEVEL("false") "," MARK("false", "true") "}"},
        {"RobertaTokenizer", "{'add_prefix_space':true,'trim_offsets':false}", "{" MARK("false", "true") "}",
         "{" MARK("true", "false") "}"},
        {"RobertaTokenizer", "{'trim_offsets':true}", "{" MARK("true", "false") "}", "{" MARK("false", "true") "}"},
        {"RobertaTokenizer", "{'trim_offsets':false}", "{" ENDS "}", NULL},
        /* XLM-R: each Metaspace, alone or listed, of cutter and decoder; nothing where nothing is said */
        {"XLMRobertaTokenizer", "{'add_prefix_space':false}",
         "{'pre_tokenizer':" META("true", "always") ",'decoder':" META("true", "always") "}",
         "{'pre_tokenizer':" META("false", "never") ",'decoder':" META("false", "never") "}"},
        {"XLMRobertaTokenizer", "{'add_prefix_space':true}",
         "{'pre_tokenizer':{'type':'Sequence','pretokenizers':[" META(
             "false", "first") ",{'type':'WhitespaceSplit'}," META("false", "never") "]}}",
         "{'pre_tokenizer':{'type':'Sequence','pretokenizers':[" META(
             "true", "always") ",{'type':'WhitespaceSplit'}," META("true", "always") "]}}"},
        {"XLMRobertaTokenizer", "{}", "{'pre_tokenizer':" META("false", "first") "}", NULL},
        {"XLMRobertaTokenizer", "{'add_prefix_space':null}", "{'decoder':" META("false", "first") "}", NULL},
        {"XLMRobertaTokenizer", "{'add_prefix_space':true}", "{'normalizer':" META("false", "first") "}", NULL},
        /* BERT: what is absent is lower case, Chinese characters apart, accents as the case */
        {"BertTokenizer", "{}", BERT("false", "true", "false"), BERT("true", "null", "true")},
        {"BertTokenizer", "{'do_lower_case':false}", BERT("true", "true", "false"), BERT("false", "null", "true")},
        {"BertTokenizer", "{'strip_accents':false,'tokenize_chinese_chars':false}", BERT("false", "null", "true"),
         BERT("true", "false", "false")},
        {"BertTokenizer", "{'strip_accents':true,'tokenize_chinese_chars':true}", BERT("false", "null", "false"),
         BERT("true", "true", "true")},
        {"BertTokenizer", "{'do_lower_case':true}", "{'normalizer':{'type':'Lowercase'}}", NULL},
        /* Llama: parts made anew where add_prefix_space decides them, with legacy's way where both are said */
        {"LlamaTokenizer", "{'add_prefix_space':false}", "{" PREPENDS "}", "{" SPACES("never") "," DECODER("") "}"},
        {"LlamaTokenizer", "{'add_prefix_space':false,'legacy':true}", "{'pre_tokenizer':null}",
         "{" SPACES("never") "," DECODER("") "}"},
        {"LlamaTokenizer", "{'add_prefix_space':true,'legacy':false}", "{" PREPENDS "}",
         "{" SPACES("first") "," DECODER(STRIP) "}"},
        {"LlamaTokenizer", "{'add_prefix_space':true,'legacy':true}", "{'pre_tokenizer':" META("true", "first") "}",
         "{" PREPENDS ",'pre_tokenizer':null," DECODER(STRIP) "}"},
        {"LlamaTokenizer", "{'add_prefix_space':true}", "{" PREPENDS "}", NULL},
        {"LlamaTokenizer", "{'legacy':true}", "{" PREPENDS "}", NULL},
        {"LlamaTokenizer", "{'add_prefix_space':false,'legacy':true}", "{'pre_tokenizer':" LEVEL("true") "}",
         NULL}, /* Llama 3 */
        {"LlamaTokenizer", "{'add_prefix_space':false,'legacy':true}", "{'pre_tokenizer':" LISTED("true") "}", NULL},
        {"LlamaTokenizer", "{'add_prefix_space':false,'legacy':true}", "{'decoder':" LEVEL("true") "}", NULL},
        {"PreTrainedTokenizerFast", "{'add_prefix_space':false}", "{'pre_tokenizer':" LEVEL("true") "}",
         NULL}, /* only said */
    };
    Tokenizer *tokenizer = NULL;
    Scratch scratch;
    scratch_open(&scratch); /* a tokenizer that takes the warnings */
    scratch_text(&scratch, "tokenizer.json", "{" MODEL "}");
    assert_int_equal(tokenizer_open_folder(&tokenizer, scratch.path), LIMN_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *json = quoted(rows[i].from), *expected = quoted(rows[i].to != NULL ? rows[i].to : rows[i].from);
        TokenizerFolder folder = {.path = "p",
                                  .where = "w",
                                  .settings = quoted(rows[i].settings),
                                  .class_name = rows[i].class_name,
                                  .tokenizer_class = class_find(rows[i].class_name)};
        assert_non_null(folder.tokenizer_class);
        assert_int_equal(folder_adjust_json(json, &folder, tokenizer), LIMN_OK);
        if (!json_equal(json, expected)) {
            char *found = json_dumps(json, JSON_COMPACT);
            print_error("row %zu, %s %s: %s became %s\n", i, rows[i].class_name, rows[i].settings, rows[i].from, found);
            free(found);
            fail();
        }
        json_decref(json);
        json_decref(expected);
        json_decref(folder.settings);
    }
    tokenizer_free(tokenizer);
    scratch_close(&scratch);
}

/* A file that gives a wrong id to each of many tokens is not answered with as many lines. */
static void warnings_are_counted(void **state) {
    TextBuffer json = TEXT_BUFFER_INIT;
    text_buffer_add(&json, "{" MODEL ",\"added_tokens\":[");
    for (int i = 0; i < 5000; i++) {
        text_buffer_printf(&json, "%s{\"id\":%d,\"content\":\"t%d\"}", i > 0 ? "," : "", 100000 + i, i);
    }
    text_buffer_add(&json, "]}");
    char *said = warnings_of(json.data, "{}");
    assert_non_null(strstr(said, "4985 more warnings about the tokenizer"));
    free(said);
    text_buffer_free(&json);
}

static void broken_companions_are_refused(void **state) {
    static const struct {
        const char *name, *text, *word;
    } rows[] = {
        {"tokenizer_config.json", "[]", "expected an object"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}", "the key 'x'"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"-1\":{\"content\":\"a\"}}}", "the key '-1'"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"3\":\"a\"}}", "'3' has no content"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":[]}", "added_tokens_decoder"},
        {"tokenizer_config.json", "{\"tokenizer_class\":\"BertTokenizer\",\"do_lower_case\":1}", "do_lower_case"},
        {"tokenizer_config.json", "{\"pad_token\":{\"content\":\"a\",\"lstrip\":3}}", "lstrip"},
        {"added_tokens.json", "{\"a\":\"3\"}", "the id of 'a' is the text '3'"},
        {"added_tokens.json", "{\"a\":-3}", "the id of 'a'"},
        {"special_tokens_map.json", "3", "expected an object"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Scratch scratch;
        scratch_open(&scratch);
        scratch_text(&scratch, "vocab.txt", WORDS);
        scratch_text(&scratch, rows[i].name, rows[i].text);
        Tokenizer *tokenizer;
        limn_status status = tokenizer_open_folder(&tokenizer, scratch.path);
        if (status != LIMN_FORMAT || strstr(error_message(), rows[i].word) == NULL) {
            fail_msg("%s %s: '%s' does not say '%s'", rows[i].name, rows[i].text,
                     status == LIMN_OK ? "" : error_message(), rows[i].word);
        }
        scratch_close(&scratch);
    }
}

/* ---- the tables ---- */

static void keys_and_classes_of_the_reference_have_rows(void **state) {
    json_error_t error;
    json_t *keys = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/keys.json", 0, &error), *section, *own;
    assert_non_null(keys);
    const char *version, *name;
    size_t n_own = 0;
    json_object_foreach(keys, version, section) {
        const json_t *list = json_object_get(section, "tokenizer");
        assert_true(json_array_size(list) > 50);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *key = json_string_value(json_array_get(list, i));
            if (keys_find(&tokenizer_key_table, key) == NULL) {
                fail_msg("%s: \"%s\" of tokenizer_config.json is not known", version, key);
            }
        }
        json_object_foreach(json_object_get(section, "classes"), name, own) {
            const TokenizerClass *found = class_find(name);
            if (found == NULL) {
                fail_msg("%s: the class %s has no row", version, name);
            }
            n_own += json_is_true(own);
        }
    }
    /* what the newer version cuts by a program is refused */
    json_object_foreach(json_object_get(json_object_get(keys, "transformers 5.24.0"), "classes"), name, own) {
        if (json_is_true(own) && class_find(name)->rule != CLASS_OWN) {
            fail_msg("%s cuts text by a program of its own, and its row says a file does", name);
        }
    }
    assert_true(n_own > 60);
    json_decref(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_read_as_the_reference_reads_them),
        cmocka_unit_test(classes_with_a_program_of_their_own_are_refused),
        cmocka_unit_test(what_is_not_done_is_said),
        cmocka_unit_test(settings_are_written_into_the_parts),
        cmocka_unit_test(warnings_are_counted),
        cmocka_unit_test(broken_companions_are_refused),
        cmocka_unit_test(keys_and_classes_of_the_reference_have_rows),
    };
    return cmocka_run_group_tests(tests, load_goldens, free_goldens);
}
