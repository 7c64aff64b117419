/* NFC, NFD, NFKC, NFKD that remember where each character came from. */
#ifndef LIMN_TEXT_NORMAL_FORMS_H
#define LIMN_TEXT_NORMAL_FORMS_H

#include "text/component.h"

limn_status normal_form_apply(AlignedText *text, Workspace *workspace, bool compatibility, bool compose);

#endif
