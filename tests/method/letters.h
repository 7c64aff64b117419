/* Tests that share one model of letters: what is done before and after them. */
#ifndef LIMN_TESTS_METHOD_LETTERS_H
#define LIMN_TESTS_METHOD_LETTERS_H

extern char letters[64]; /* its folder, from open_letters to close_letters */
int open_letters(void **state);
int close_letters(void **state);

#endif
