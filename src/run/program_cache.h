/* Programs made so far, by the question each answers. */
#ifndef LIMN_RUN_PROGRAM_CACHE_H
#define LIMN_RUN_PROGRAM_CACHE_H

#include "plan/program.h"

enum { MAX_PROGRAMS = 64 };

/* A program with its question as a flat list of numbers. */
typedef struct CachedProgram {
    int32_t *signature;
    size_t signature_length;
    uint64_t used; /* for dropping the least recently used */
    Program *program;
} CachedProgram;

typedef struct ProgramCache {
    CachedProgram programs[MAX_PROGRAMS];
    int n;
    uint64_t clock;
    int32_t *signature; /* of the question looked for last */
    size_t signature_length, signature_capacity;
} ProgramCache;

/* The program that answers the question; NULL: none yet. */
limn_status program_cache_find(ProgramCache *cache, const Question *question, Program **program);
/* Keeps the program of the question looked for last, the least recently used giving way; on failure it is freed. */
limn_status program_cache_add(ProgramCache *cache, Program *program);
void program_cache_free(ProgramCache *cache);

#endif
