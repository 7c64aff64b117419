/* Spectra against known answers, from many threads at once, and the threads of the library left as they were. */
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "method/causal/spectrum.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 96, COLUMNS = 72 };

/* Q D, Q with orthonormal columns (a Householder reflection of the identity), D diagonal: its singular values are
 * |D|. */
static float *known_matrix(void) {
    float *matrix = malloc(ROWS * COLUMNS * sizeof *matrix);
    double v[ROWS], square = 0;
    for (int i = 0; i < ROWS; i++) {
        v[i] = sin(i + 1.0);
        square += v[i] * v[i];
    }
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
            double reflected = (i == j ? 1.0 : 0.0) - 2.0 * v[i] * v[j] / square;
            matrix[i * COLUMNS + j] = (float)(reflected * (j % 2 == 0 ? 1.0 : -1.0) * (1.0 + j));
        }
    }
    return matrix;
}

static bool is_known_spectrum(const Spectrum *spectrum) {
    bool good = spectrum->n == COLUMNS;
    for (int32_t i = 0; i < spectrum->n && good; i++) {
        good = fabs(spectrum->values[i] - (COLUMNS - i)) < 1e-3;
    }
    return good;
}

/* L'L and R R' of L = a, R = b (1 x 1 columns apart): diagonal, so the singular values are products of roots. */
static bool product_is_right(Team *team) {
    const double left[] = {4, 0, 0, 0, 9, 0, 0, 0, 1}, right[] = {1, 0, 0, 0, 16, 0, 0, 0, 25};
    Spectrum spectrum;
    bool good = spectrum_of_product(&spectrum, left, right, 3, team) == LIMN_OK && spectrum.n == 3;
    good = good && fabs(spectrum.values[0] - 12) < 1e-9 && fabs(spectrum.values[1] - 5) < 1e-9 &&
           fabs(spectrum.values[2] - 2) < 1e-9;
    spectrum_free(&spectrum);
    return good;
}

typedef struct Caller {
    pthread_t thread;
    int threads;
    bool good;
} Caller;

static void *decompose(void *argument) {
    Caller *caller = argument;
    Team team = team_of(caller->threads, NULL);
    int own = 3 + caller->threads; /* of this thread, as a program that uses OpenMP would set it */
    omp_set_num_threads(own);
    caller->good = true;
    for (int round = 0; round < 20 && caller->good; round++) {
        float *matrix = known_matrix();
        Spectrum spectrum;
        caller->good = spectrum_of_matrix(&spectrum, matrix, ROWS, COLUMNS, &team) == LIMN_OK &&
                       is_known_spectrum(&spectrum) && product_is_right(&team) && omp_get_max_threads() == own;
        spectrum_free(&spectrum);
        free(matrix);
    }
    return NULL;
}

static void test_spectra_beside_each_other(void **state) {
    enum { CALLERS = 4 };
    Caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){.threads = 1 + i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, decompose, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].good);
    }
}

static bool refuse(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    ++*(int *)context;
    return false;
}

static void test_a_spectrum_can_be_stopped(void **state) {
    int asked = 0;
    Progress progress = {refuse, &asked};
    Team team = team_of(2, &progress);
    team.stage = "weights";
    float *matrix = known_matrix();
    Spectrum spectrum;
    assert_int_equal(spectrum_of_matrix(&spectrum, matrix, ROWS, COLUMNS, &team), LIMN_CANCELLED);
    assert_int_equal(asked, 1);
    assert_null(spectrum.values);
    free(matrix);
}

int main(void) {
#if defined(__SANITIZE_THREAD__)
    return 77; /* which does not know OpenMP's own locks */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spectra_beside_each_other),
        cmocka_unit_test(test_a_spectrum_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
