/* What is done with keys of config.json that no family's file reads. */
#ifndef LIMN_MODEL_CONFIG_KEYS_H
#define LIMN_MODEL_CONFIG_KEYS_H

#include "files/keys.h"
#include "model/arch.h"

/* Refuses or warns of what the log has left. */
limn_status config_keys_check(Build *build, const SettingsLog *log);

extern const KeyTable config_key_table;

#endif
