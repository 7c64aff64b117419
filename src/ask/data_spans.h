/* What of a record's prompt is its own: the fields of the template, what its messages say. The rest is the same for all
 * records. */
#ifndef LIMN_ASK_DATA_SPANS_H
#define LIMN_ASK_DATA_SPANS_H

#include "ask/text_span.h"
#include "chat/chat.h"
#include "data/template.h"

typedef struct TextSpans {
    TextSpan *items; /* [n] in the order of the text */
    int32_t n;
} TextSpans;

/* edges: [2 * fields] of template_fill. */
limn_status spans_of_fields(TextSpans *spans, const Template *made, const size_t *edges, Arena *arena);

/* What the messages of a rendered chat say, each by its role. made: a text that was given as a message; where it stands
 * as it is, the spans inside of it take its place, and other messages have none; absent: there is no such. */
limn_status spans_of_chat(TextSpans *spans, const ChatText *text, const json_t *messages, Text made,
                          const TextSpans *inside, Arena *arena);

#endif
