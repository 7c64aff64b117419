/* Text being normalised, and for each byte the bytes of the original it came from; and spans of such text. */
#ifndef LIMN_TEXT_ALIGNED_H
#define LIMN_TEXT_ALIGNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Origin {
    uint32_t begin, end; /* bytes of the original text */
} Origin;

/* Valid UTF-8. A failed allocation sticks, as in TextBuffer; aligned_status reports it. */
typedef struct AlignedText {
    char *bytes;     /* [length] */
    Origin *origins; /* [length] */
    size_t length;
    size_t capacity;
    bool failed;
} AlignedText;

/* Texts longer than this are refused: origins are 32 bits wide and normalisers may lengthen text. */
#define ALIGNED_TEXT_MAX ((size_t)1 << 30)

void aligned_free(AlignedText *text);
void aligned_clear(AlignedText *text);
bool aligned_reserve(AlignedText *text, size_t extra);
void aligned_add(AlignedText *text, uint32_t codepoint, Origin origin);
void aligned_add_bytes(AlignedText *text, const char *bytes, size_t length, Origin origin); /* all of one origin */
void aligned_add_slice(AlignedText *text, const AlignedText *from, size_t begin, size_t end);
limn_status aligned_status(const AlignedText *text);
/* Exchanges contents: a component writes to a spare text and swaps. */
void aligned_swap(AlignedText *a, AlignedText *b);

/* Bytes [begin, end) of an AlignedText; id >= 0: an added token that nothing may split. */
typedef struct Span {
    size_t begin, end;
    int32_t id;
} Span;

typedef struct SpanList {
    Span *spans; /* [count] */
    size_t count;
    size_t capacity;
    bool failed;
} SpanList;

void spans_free(SpanList *list);
void spans_clear(SpanList *list);
void spans_add(SpanList *list, size_t begin, size_t end, int32_t id); /* an empty span is left out */
limn_status spans_status(const SpanList *list);
void spans_swap(SpanList *a, SpanList *b);

#endif
