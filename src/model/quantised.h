/* Folders whose weights are quantised: refused by name. */
#ifndef LIMN_MODEL_QUANTISED_H
#define LIMN_MODEL_QUANTISED_H

#include "model/settings.h"

/* LIMN_UNSUPPORTED with the form's name when config.json says that the weights are quantised. */
limn_status quantised_refuse_config(const Settings *settings);
/* For a tensor that is missing: "<layer>.weight" may be there as "<layer>.qweight" and the like. Answers that
 * tensor's suffix when `has` knows it, else NULL. */
const char *quantised_suffix(const char *name, bool (*has)(const void *context, const char *name), const void *context);

#endif
