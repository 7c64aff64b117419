/* Commands that answer at once, for tests of what stands above commands. */
#ifndef LIMN_TESTS_AUDIT_FAKE_H
#define LIMN_TESTS_AUDIT_FAKE_H

#include "call/registry.h"

/* "predict": decisions on a data set, wrong where the record's field "wrong" is true or the
 * prompt holds "quagga"; "tell": a table "figures" of its
 * option "value"; "stuck": cannot be asked; "verify": says nothing of a model. */
extern const Registry fake_registry;
extern int fake_calls; /* so far */

#endif
