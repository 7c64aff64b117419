/* Where the documents that a chat answers from stand in the text its template made of them. */
#ifndef LIMN_ASK_DOCUMENTS_H
#define LIMN_ASK_DOCUMENTS_H

#include "ask/prompt.h"
#include "ask/text_span.h"

/* One span for each document of --documents whose longest text the prompt holds, in the order of the text. *n 0: there
 * are none, or the template does not write them out. */
limn_status documents_in_prompt(TextSpan **spans, int32_t *n, MethodCall *call, const Prompt *prompt,
                                const PromptParams *params);

#endif
