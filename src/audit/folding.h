/* Which findings say the same thing. */
#ifndef LIMN_AUDIT_FOLDING_H
#define LIMN_AUDIT_FOLDING_H

#include "audit/findings.h"

/* The finding, among those found, that stands for this one on the first page: itself, or a stronger one. */
int32_t finding_stands_for(const Findings *findings, int32_t index);

#endif
