/* The memory of one call of encode. */
#ifndef LIMN_TEXT_WORKSPACE_H
#define LIMN_TEXT_WORKSPACE_H

#include "text/component.h"

limn_status workspace_init(Workspace *workspace);
void workspace_free(Workspace *workspace);

#endif
