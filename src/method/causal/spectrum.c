#include "method/causal/spectrum.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* OpenBLAS takes the number of its threads from OpenMP's of the calling thread, and keeps it in one place for the whole
 * process: so one decomposition at a time. */
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

/* The library is the caller's, with so many threads, until give_library_back; *before is for that. Who waits for it
 * can be stopped. */
static limn_status take_library(int *before, Team *team, int threads) {
    enum { WAIT_NANOSECONDS = 20 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 };
    struct timespec until;
    do {
        TRY(team_check(team));
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WAIT_NANOSECONDS;
        until.tv_sec += until.tv_nsec / SECOND;
        until.tv_nsec %= SECOND;
    } while (pthread_mutex_timedlock(&library_lock, &until) != 0);
    *before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return LIMN_OK;
}

/* The number of threads belongs to the calling thread, which may be of a program that uses OpenMP itself. */
static void give_library_back(int before) {
    omp_set_num_threads(before);
    pthread_mutex_unlock(&library_lock);
}

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "no memory for a spectrum");
}

void spectrum_free(Spectrum *spectrum) {
    free(spectrum->values);
    *spectrum = (Spectrum){0};
}

limn_status spectrum_of_matrix(Spectrum *spectrum, float *values, int64_t rows, int64_t columns, Team *team) {
    int64_t n = rows < columns ? rows : columns;
    *spectrum = (Spectrum){0};
    if (rows > INT32_MAX || columns > INT32_MAX) {
        return fail(LIMN_RANGE, "a matrix of %lld x %lld is too large for a spectrum", (long long)rows,
                    (long long)columns);
    }
    float *singular = malloc(((size_t)n + 1) * sizeof *singular), none = 0;
    spectrum->values = malloc(((size_t)n + 1) * sizeof *spectrum->values);
    if (singular == NULL || spectrum->values == NULL) {
        free(singular);
        spectrum_free(spectrum);
        return no_memory();
    }
    int before;
    limn_status status = take_library(&before, team, team_threads(team));
    if (status != LIMN_OK) {
        free(singular);
        spectrum_free(spectrum);
        return status;
    }
    /* [rows, columns] by rows is its transpose by columns, with the same singular values */
    lapack_int info = LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'N', (lapack_int)columns, (lapack_int)rows, values,
                                     (lapack_int)columns, singular, &none, 1, &none, 1);
    give_library_back(before);
    for (int64_t i = 0; i < n; i++) {
        spectrum->values[i] = (double)singular[i];
    }
    spectrum->n = (int32_t)n;
    free(singular);
    if (info != 0) {
        spectrum_free(spectrum);
        return info == LAPACK_WORK_MEMORY_ERROR
                   ? no_memory()
                   : fail(LIMN_INTERNAL, "singular values: sgesdd ends with %d", (int)info);
    }
    return LIMN_OK;
}

/* out = S R S, S the symmetric root of L'L, whose eigenvalues and vectors (one a row) are given: with W the vectors
 * times the roots of their values, row by row, out has the eigenvalues of W R W'. vectors becomes W. */
static void between_roots(double *out, const double *values, double *vectors, const double *right, int32_t n,
                          double *scratch) {
    for (int32_t a = 0; a < n; a++) {
        cblas_dscal(n, sqrt(values[a] > 0 ? values[a] : 0), vectors + (size_t)a * (size_t)n, 1);
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0, vectors, n, right, n, 0.0, scratch, n);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1.0, scratch, n, vectors, n, 0.0, out, n);
}

static limn_status eigen(double *matrix, double *values, int32_t n, char job, Team *team) {
    int before;
    TRY(take_library(&before, team, 1)); /* small matrices: more threads cost more than they bring */
    lapack_int info = LAPACKE_dsyev(LAPACK_COL_MAJOR, job, 'U', n, matrix, n, values);
    give_library_back(before);
    if (info == 0) {
        return LIMN_OK;
    }
    return info == LAPACK_WORK_MEMORY_ERROR ? no_memory()
                                            : fail(LIMN_INTERNAL, "eigenvalues: dsyev ends with %d", (int)info);
}

limn_status spectrum_of_product(Spectrum *spectrum, const double *left_gram, const double *right_gram, int32_t rank,
                                Team *team) {
    size_t n = (size_t)rank, square = n * n;
    *spectrum = (Spectrum){.values = malloc((n + 1) * sizeof(double)), .n = rank};
    double *work = malloc((3 * square + n + 1) * sizeof *work);
    if (work == NULL || spectrum->values == NULL) {
        free(work);
        spectrum_free(spectrum);
        return no_memory();
    }
    double *vectors = work, *middle = work + square, *scratch = work + 2 * square, *values = work + 3 * square;
    memcpy(vectors, left_gram, square * sizeof *vectors);
    limn_status status = eigen(vectors, values, rank, 'V', team);
    if (status == LIMN_OK) {
        int before;
        status = take_library(&before, team, 1);
        if (status == LIMN_OK) {
            between_roots(middle, values, vectors, right_gram, rank, scratch);
            give_library_back(before);
            status = eigen(middle, values, rank, 'N', team);
        }
    }
    for (int32_t i = 0; i < rank && status == LIMN_OK; i++) { /* dsyev gives the smallest first */
        double square_value = values[rank - 1 - i];
        spectrum->values[i] = sqrt(square_value > 0 ? square_value : 0);
    }
    free(work);
    if (status != LIMN_OK) {
        spectrum_free(spectrum);
    }
    return status;
}

double spectrum_effective_rank(const Spectrum *spectrum) {
    double sum = 0, entropy = 0;
    for (int32_t i = 0; i < spectrum->n; i++) {
        sum += spectrum->values[i];
    }
    for (int32_t i = 0; i < spectrum->n && sum > 0; i++) {
        double share = spectrum->values[i] / sum;
        entropy -= share > 0 ? share * log(share) : 0;
    }
    return sum > 0 ? exp(entropy) : 0;
}

double spectrum_energy(const Spectrum *spectrum, int32_t k) {
    double top = 0, sum = 0;
    for (int32_t i = 0; i < spectrum->n; i++) {
        double square = spectrum->values[i] * spectrum->values[i];
        top += i < k ? square : 0;
        sum += square;
    }
    return sum > 0 ? top / sum : (double)NAN;
}
