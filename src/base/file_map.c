/* Mapped files and the registry that names them for a SIGBUS handler. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/integers.h"
#include "base/parallel.h"

/* A map beyond these is usable but nameless: a model has at most a few hundred shards. */
enum { REGISTRY_PLACES = 4096 };

enum { DROPPED_AT_ONCE = 32 << 20 /* bytes */ };

/* Guarded by being atomic: a place is claimed by exchanging NULL for the map. */
static _Atomic(FileMap *) registry[REGISTRY_PLACES];

static int registry_add(FileMap *map) {
    for (int i = 0; i < REGISTRY_PLACES; i++) {
        FileMap *free_place = NULL;
        if (atomic_compare_exchange_strong(&registry[i], &free_place, map)) {
            return i;
        }
    }
    return -1;
}

const char *file_map_at(const void *address) {
    uintptr_t wanted = (uintptr_t)address;
    long page = sysconf(_SC_PAGESIZE);
    for (int i = 0; i < REGISTRY_PLACES; i++) {
        const FileMap *map = atomic_load(&registry[i]);
        if (map == NULL) {
            continue;
        }
        uintptr_t start = (uintptr_t)map->data;
        uintptr_t whole_pages = (map->size + (uintptr_t)page - 1) / (uintptr_t)page * (uintptr_t)page;
        if (wanted >= start && wanted - start < whole_pages) {
            return map->path;
        }
    }
    return NULL;
}

static limn_status map_descriptor(FileMap *map, int descriptor) {
    struct stat info;
    if (fstat(descriptor, &info) != 0) {
        return fail(LIMN_IO, "%s: cannot read its size: %s", map->path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(LIMN_IO, "%s: is %s, expected a regular file", map->path,
                    S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    }
    map->size = (size_t)info.st_size;
    if (map->size == 0) {
        map->data = (const unsigned char *)"";
        return LIMN_OK;
    }
    void *data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
        limn_status status = errno == ENOMEM ? LIMN_NO_MEMORY : LIMN_IO;
        return fail(status, "%s: cannot map %zu bytes: %s", map->path, map->size, strerror(errno));
    }
    map->data = data;
    map->slot = registry_add(map);
    return LIMN_OK;
}

limn_status file_map_open(FileMap **out, const char *path) {
    *out = NULL;
    FileMap *map = calloc(1, sizeof *map);
    char *copy = strdup(path);
    if (map == NULL || copy == NULL) {
        free(map);
        free(copy);
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    map->path = copy;
    map->slot = -1;
    limn_status status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    if (descriptor < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        status = fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot open: %s", path, strerror(errno));
    } else {
        status = map_descriptor(map, descriptor);
        close(descriptor);
    }
    if (status != LIMN_OK) {
        file_map_close(map);
        return status;
    }
    *out = map;
    return LIMN_OK;
}

#ifdef MADV_DONTNEED
static limn_status drop_pages(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const FileMap *map = context;
    size_t from = (size_t)begin * DROPPED_AT_ONCE;
    size_t to = (size_t)end * DROPPED_AT_ONCE;
    to = to < map->size ? to : map->size;
    (void)madvise((void *)(map->data + from), to - from, MADV_DONTNEED); /* what stays goes with the map */
    return LIMN_OK;
}
#endif

/* The pages of a large map are given back on all cores: munmap holds a lock that lets one at a time. */
static void unmap(FileMap *map) {
#ifdef MADV_DONTNEED
    if (map->size > DROPPED_AT_ONCE) {
        Team all = team_of(0, NULL);
        (void)parallel_for(&all, blocks_of((int64_t)map->size, DROPPED_AT_ONCE), 1, drop_pages, map); /* cannot fail */
    }
#endif
    munmap((void *)map->data, map->size);
}

void file_map_close(FileMap *map) {
    if (map == NULL) {
        return;
    }
    if (map->slot >= 0) {
        atomic_store(&registry[map->slot], NULL);
    }
    if (map->size > 0 && map->data != NULL) {
        unmap(map);
    }
    free(map->path);
    free(map);
}
