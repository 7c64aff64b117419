/* Filters of lists (list_filters.c), for the table in filters.c. */
#ifndef LIMN_CHAT_FILTERS_H
#define LIMN_CHAT_FILTERS_H

#include "chat/evaluate.h"

limn_status filter_first(Call *call, TemplateValue *result);
limn_status filter_last(Call *call, TemplateValue *result);
limn_status filter_join(Call *call, TemplateValue *result);
limn_status filter_list(Call *call, TemplateValue *result);
limn_status filter_reverse(Call *call, TemplateValue *result);
limn_status filter_sort(Call *call, TemplateValue *result);
limn_status filter_unique(Call *call, TemplateValue *result);
limn_status filter_map(Call *call, TemplateValue *result);
limn_status filter_select(Call *call, TemplateValue *result);
limn_status filter_reject(Call *call, TemplateValue *result);
limn_status filter_selectattr(Call *call, TemplateValue *result);
limn_status filter_rejectattr(Call *call, TemplateValue *result);
limn_status filter_sum(Call *call, TemplateValue *result);
limn_status filter_min(Call *call, TemplateValue *result);
limn_status filter_max(Call *call, TemplateValue *result);
limn_status filter_items(Call *call, TemplateValue *result);
limn_status filter_dictsort(Call *call, TemplateValue *result);
limn_status filter_batch(Call *call, TemplateValue *result);

#endif
