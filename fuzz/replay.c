/* Runs a fuzz target over every file of the folders and files it is given: the corpus as a test. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "fuzz.h"

enum { CAP = 64 << 20 };

static int replay_file(const char *path) {
    char *bytes;
    size_t length;
    if (file_read(&bytes, &length, path, CAP) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return -1;
    }
    /* A copy of exactly its size, so that the sanitizers see the first byte behind it. */
    uint8_t *exact = malloc(length > 0 ? length : 1);
    if (exact == NULL) {
        free(bytes);
        return -1;
    }
    memcpy(exact, bytes, length);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    return 1;
}

static int replay_folder(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    int ran = 0;
    for (struct dirent *entry; ran >= 0 && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *file = path_join(path, entry->d_name);
        int one = file == NULL ? -1 : replay_file(file);
        free(file);
        ran = one < 0 ? -1 : ran + one;
    }
    closedir(folder);
    return ran;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int ran = folder_exists(argv[i]) ? replay_folder(argv[i]) : replay_file(argv[i]);
        if (ran < 0) {
            return 1;
        }
        total += ran;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 77;
}
