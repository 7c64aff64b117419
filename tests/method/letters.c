#include "method/letters.h"

#include "method/calls.h"
#include "method/references.h"

char letters[64];

int open_letters(void **state) {
    open_models();
    make_letters_model(letters);
    return 0;
}

int close_letters(void **state) {
    remove_letters_model(letters);
    close_models();
    return 0;
}
