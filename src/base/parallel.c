/* A pool of threads that wait for work, first spinning for a few microseconds, then asleep.
 *
 * A model's step is thousands of short parallel regions. Spinning for long (as OpenMP run times do) is fastest on an
 * idle machine and disastrous on a shared one, where the thread that is waited for may not be running; sleeping at
 * once costs a wake-up each time. A short spin serves both. */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

enum { MAX_THREADS = 256, RANGES_PER_THREAD = 4, SPINS = 1500 };

typedef struct Job {
    ParallelBody body;
    void *context;
    int64_t count;
    int n_ranges;
    atomic_int next_range;
    atomic_int failed;
    ErrorState error; /* of the first failure; written by the thread that set `failed` */
} Job;

/* What a new helper must know: its number, and which jobs are not for it. */
typedef struct HelperStart {
    int worker; /* 1 .. n_helpers */
    unsigned generation;
} HelperStart;

typedef struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* a job was posted */
    pthread_cond_t done;    /* the last helper left a job */
    pthread_mutex_t turn;   /* one job at a time; who finds it taken works alone */
    atomic_uint generation; /* counts jobs; helpers watch it */
    atomic_int busy;        /* helpers that have not finished the current job */
    Job *job;
    int n_helpers; /* started threads, besides the caller */
    int wanted;    /* helpers of the current job */
    HelperStart starts[MAX_THREADS];
} Pool;

static Pool pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
                    .work = PTHREAD_COND_INITIALIZER,
                    .done = PTHREAD_COND_INITIALIZER,
                    .turn = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool inside;

Team team_of(int64_t threads, const Progress *progress) {
    if (threads <= 0) {
        threads = sysconf(_SC_NPROCESSORS_ONLN);
    }
    return (Team){.threads = (int)(threads < 1             ? 1
                                   : threads > MAX_THREADS ? MAX_THREADS
                                                           : threads),
                  .progress = progress};
}

void parallel_stand_aside(void) {
    /* On Linux the calling thread alone becomes nicer. Where that is refused nothing is lost but speed. */
    (void)setpriority(PRIO_PROCESS, 0, 19);
}

/* Takes ranges until none is left. */
static void work_on(Job *job, int worker) {
    inside = true;
    for (;;) {
        int range = atomic_fetch_add(&job->next_range, 1);
        if (range >= job->n_ranges) {
            break;
        }
        int64_t begin = job->count * range / job->n_ranges;
        int64_t end = job->count * (range + 1) / job->n_ranges;
        if (job->body(job->context, begin, end, worker) != LIMN_OK) {
            int none = 0;
            if (atomic_compare_exchange_strong(&job->failed, &none, 1)) {
                error_save(&job->error);
            }
            atomic_store(&job->next_range, job->n_ranges);
        }
    }
    inside = false;
}

/* Waits until the generation is no longer `seen`. */
static unsigned wait_for_work(unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool.generation, memory_order_acquire) != seen) {
            return atomic_load(&pool.generation);
        }
        PAUSE();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.generation) == seen) {
        pthread_cond_wait(&pool.work, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return atomic_load(&pool.generation);
}

static void *helper_main(void *argument) {
    const HelperStart *start = argument;
    int worker = start->worker;
    unsigned seen = start->generation;
    for (;;) {
        seen = wait_for_work(seen);
        if (worker <= pool.wanted) {
            work_on(pool.job, worker);
        }
        if (atomic_fetch_sub(&pool.busy, 1) == 1) {
            pthread_mutex_lock(&pool.lock);
            pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.lock);
        }
    }
    return NULL;
}

/* A child process has the memory of the pool but not its threads. */
static void forget_pool(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_mutex_init(&pool.turn, NULL);
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.done, NULL);
    atomic_store(&pool.generation, 0);
    atomic_store(&pool.busy, 0);
    pool.n_helpers = 0;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forget_pool);
}

/* Called with the turn held: nobody else starts threads or jobs. Fewer than asked for is fine. */
static void start_helpers(int wanted) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    while (pool.n_helpers < wanted) {
        pthread_attr_t attributes;
        pthread_t thread;
        if (pthread_attr_init(&attributes) != 0) {
            return;
        }
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        HelperStart *start = &pool.starts[pool.n_helpers];
        *start = (HelperStart){pool.n_helpers + 1, atomic_load(&pool.generation)};
        int failed = pthread_create(&thread, &attributes, helper_main, start);
        pthread_attr_destroy(&attributes);
        if (failed != 0) {
            return;
        }
        pool.n_helpers++;
    }
}

static void wait_for_helpers(void) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool.busy, memory_order_acquire) == 0) {
            return;
        }
        PAUSE();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.busy) != 0) {
        pthread_cond_wait(&pool.done, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
}

static void run_job(Job *job, int helpers) {
    pool.job = job;
    pool.wanted = helpers;
    atomic_store(&pool.busy, pool.n_helpers);
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.generation, 1);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    work_on(job, 0);
    wait_for_helpers();
}

limn_status parallel_for(Team *team, int64_t count, int64_t grain, ParallelBody body, void *context) {
    if (count <= 0) {
        return LIMN_OK;
    }
    int64_t pieces = (count + (grain < 1 ? 1 : grain) - 1) / (grain < 1 ? 1 : grain);
    int threads = team_threads(team) < MAX_THREADS ? team_threads(team) : MAX_THREADS;
    int workers = pieces < threads ? (int)pieces : threads;
    if (workers <= 1 || inside || pthread_mutex_trylock(&pool.turn) != 0) {
        return body(context, 0, count, 0);
    }
    start_helpers(threads - 1);
    int64_t ranges = (int64_t)workers * RANGES_PER_THREAD;
    Job job = {.body = body, .context = context, .count = count, .n_ranges = (int)(ranges < pieces ? ranges : pieces)};
    int helpers = pool.n_helpers < workers - 1 ? pool.n_helpers : workers - 1;
    run_job(&job, helpers);
    pthread_mutex_unlock(&pool.turn);
    return atomic_load(&job.failed) != 0 ? error_restore(&job.error) : LIMN_OK;
}
