/* What stands beside a tokenizer's own file: tokenizer_config.json and its older companions, which name special tokens,
 * add tokens and change settings. Private to the folder. */
#ifndef LIMN_TEXT_FOLDER_H
#define LIMN_TEXT_FOLDER_H

#include <jansson.h>

#include "files/keys.h"
#include "text/classes.h"
#include "text/parts.h"

typedef struct TokenizerFolder {
    const char *path;
    char *config_path, *map_path, *added_path; /* malloc'ed; NULL: not there */
    json_t *config;                            /* tokenizer_config.json; NULL: not there */
    json_t *map;                               /* special_tokens_map.json; NULL: not there, or not read beside config */
    json_t *added;                             /* added_tokens.json; the same */
    json_t *listed;                            /* added_tokens of tokenizer.json; NULL: none */
    json_t *settings;                          /* config with what map says over it; an object */
    const char *where;                         /* the file that messages about settings begin with */
    const TokenizerClass *tokenizer_class;     /* NULL: unknown */
    const char *class_name;                    /* as a file says it; NULL: none does */
    bool has_json;                             /* a tokenizer.json was read */
    char *own_path;                            /* the tokenizer's own file, malloc'ed; NULL: none yet */
    limn_status (*end)(Tokenizer *tokenizer, const char *path, const struct TokenizerFolder *folder); /* NULL: none */
} TokenizerFolder;

extern const KeyTable tokenizer_key_table;

limn_status tokenizer_folder_open(TokenizerFolder *folder, const char *path, Tokenizer *tokenizer);
void tokenizer_folder_close(TokenizerFolder *folder);

bool folder_has_rule(const TokenizerFolder *folder, ClassRule rule);

/* A setting that is true, false or nothing: *said is false when it is absent or null. */
limn_status folder_flag(bool *value, bool *said, const TokenizerFolder *folder, const char *key);

/* The spelling of a special token: as the settings name it, else as the class does. NULL: there is none. Borrowed. */
const char *folder_special(const TokenizerFolder *folder, SpecialToken which);

/* Puts what settings and class say into the text of tokenizer.json, before it is read (adjust.c). */
limn_status folder_adjust_json(json_t *json, TokenizerFolder *folder, Tokenizer *tokenizer);

/* Once the tokenizer's own file is read: tokens that the other files add, special tokens by name, what is left of the
 * settings (extend.c). */
limn_status folder_extend(Tokenizer *tokenizer, const TokenizerFolder *folder);

#endif
