/* What `verify` is asked, and its parts: files that lie elsewhere now, pages that show the result. */
#ifndef LIMN_METHOD_RECORD_VERIFY_H
#define LIMN_METHOD_RECORD_VERIFY_H

#include "call/registry.h"

typedef struct VerifyParams {
    Text file;
    Text model;
    ParamTexts adapters;
    ParamTexts edits;
    Text data;
    ParamTexts moved;
    ParamTexts pages;
    double tolerance;
} VerifyParams;

/* ---- where things lie now (verify_files.c) ---- */

typedef struct MovedFile {
    const char *option;
    const char *was, *is; /* paths */
} MovedFile;

typedef struct MovedFiles {
    MovedFile *items; /* [n] */
    int32_t n;
} MovedFiles;

/* Puts the places that were given into the recorded parameters. Refuses those of what the record did not use. */
limn_status verify_files_move(MovedFiles *files, json_t *params, MethodCall *call, const Result *recorded);

/* Gives the second result the record's paths, and its names wherever the hash is the record's: the hash decides, not
 * the path. Says into `result` what is another thing. */
limn_status verify_files_settle(Result **now, Result *result, const MethodCall *call, const Result *recorded,
                                const MovedFiles *files);

/* ---- pages (verify_page.c) ---- */

/* What a file shows beside what the record looks like. */
typedef struct PageDifference {
    const char *path;
    bool same;
    const char *unit;     /* "line", "page" */
    int64_t line;         /* of the first difference, from 1; 0: in none */
    bool other_setting;   /* a PDF set with other fonts or libraries: its bytes must be others */
    Text found, expected; /* around it, in the arena; "" where the page ends */
} PageDifference;

/* Is this file, by its ending and beginning, the result in a format that has to be rendered again? */
bool verify_is_page(const char *path, const char *bytes, size_t length);
limn_status verify_page(PageDifference *difference, const MethodCall *call, const Result *recorded, const char *path,
                        const char *bytes, size_t length);

/* ---- PDF files (verify_pdf.c): byte `at` is the first that differs ---- */

limn_status verify_pdf(PageDifference *difference, const MethodCall *call, const char *expected, size_t wanted,
                       const char *bytes, size_t length, size_t at);

#endif
