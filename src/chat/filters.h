/* Filters of lists (list_filters.c), for the table in filters.c. */
#ifndef LIMN_CHAT_FILTERS_H
#define LIMN_CHAT_FILTERS_H

#include "chat/evaluate.h"

limn_status filter_first(Call *call, Value *result);
limn_status filter_last(Call *call, Value *result);
limn_status filter_join(Call *call, Value *result);
limn_status filter_list(Call *call, Value *result);
limn_status filter_reverse(Call *call, Value *result);
limn_status filter_sort(Call *call, Value *result);
limn_status filter_unique(Call *call, Value *result);
limn_status filter_map(Call *call, Value *result);
limn_status filter_select(Call *call, Value *result);
limn_status filter_reject(Call *call, Value *result);
limn_status filter_selectattr(Call *call, Value *result);
limn_status filter_rejectattr(Call *call, Value *result);
limn_status filter_sum(Call *call, Value *result);
limn_status filter_min(Call *call, Value *result);
limn_status filter_max(Call *call, Value *result);
limn_status filter_items(Call *call, Value *result);
limn_status filter_dictsort(Call *call, Value *result);
limn_status filter_batch(Call *call, Value *result);

#endif
