/* A pool of threads that wait for work, first spinning for a few microseconds, then asleep.
 *
 * A model's step is thousands of short parallel regions. Spinning for long (as OpenMP run times do) is fastest on an
 * idle machine and disastrous on a shared one, where the thread that is waited for may not be running; sleeping at
 * once costs a wake-up each time. A short spin serves both.
 *
 * A region is a job in one of a few places. Its owner is the thread that called parallel_for; helpers join where fewest
 * help, take ranges, and leave when none is left or when another job has fewer. No owner waits for a helper to come,
 * only for those at work to leave, and a helper waits for nobody but helpers of jobs it posted itself: so there is no
 * circle of waiting, however calls are nested.
 *
 * Whether a helper may touch a job is settled without a lock. It first writes its number into the place, then looks
 * whether the place is open; the owner first closes the place, then waits until no number is left. Both in one order
 * for all threads (sequential consistency): so either the helper sees that the place is closed, or the owner its
 * number. */
#include "base/parallel.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

enum {
    MAX_THREADS = 256,
    MAX_JOBS = 64, /* bits of a word */
    WORD_BITS = 64,
    NUMBER_WORDS = MAX_THREADS / WORD_BITS,
    RANGES_PER_THREAD = 4,
    RANGES_ALONE = 16, /* between them a thread that works alone asks whether to go on */
    SPINS = 1500
};

typedef struct Job {
    Team *team;
    ParallelBody body;
    void *context;
    int64_t count;
    int n_ranges;
    atomic_int next_range;
    atomic_int failed;
    ErrorState error; /* of the first failure; written by the thread that set `failed` */
} Job;

/* Where a job is found. */
typedef struct Place {
    _Alignas(64) atomic_ullong numbers[NUMBER_WORDS]; /* bit n: a helper is at work as worker n + 1 */
    atomic_int wanted;                                /* helpers at most */
    atomic_bool awaited;                              /* the owner sleeps until no number is left */
    Job *job;                                         /* lies on its owner's stack */
} Place;

typedef struct Pool {
    _Alignas(64) atomic_uint posted; /* counts jobs; idle helpers watch it */
    atomic_int sleepers;
    _Alignas(64) atomic_ullong open;  /* bit i: places[i] has ranges to take */
    _Alignas(64) atomic_ullong taken; /* bit i: places[i] has an owner */
    atomic_int demand;                /* helpers that jobs under way want, all together */
    atomic_int n_helpers;
    pthread_mutex_t lock;
    pthread_cond_t work;      /* a job was posted */
    pthread_cond_t done;      /* the last helper left a job whose owner sleeps */
    pthread_mutex_t starting; /* of threads; who finds it taken starts none */
    Place places[MAX_JOBS];
} Pool;

static Pool pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
                    .work = PTHREAD_COND_INITIALIZER,
                    .done = PTHREAD_COND_INITIALIZER,
                    .starting = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool inside;  /* a body */
static _Thread_local bool helping; /* a thread of the pool */

static int cores(void) {
    static atomic_int known;
    int count = atomic_load_explicit(&known, memory_order_relaxed);
    if (count == 0) {
        long found = sysconf(_SC_NPROCESSORS_ONLN);
        count = found < 1 ? 1 : (int)found;
        atomic_store_explicit(&known, count, memory_order_relaxed);
    }
    return count;
}

/* ---- teams ---- */

Team team_of(int64_t threads, const Progress *progress) {
    if (threads <= 0) {
        threads = cores();
    }
    return (Team){.threads = (int)(threads > MAX_THREADS ? MAX_THREADS : threads), .progress = progress};
}

/* Some milliseconds coarse, and a few nanoseconds to ask. */
static int64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool may_be_stopped(const Team *team) {
    return team != NULL && team->progress != NULL && team->progress->tick != NULL && team->stage != NULL;
}

/* What progress calls is not part of the body that was interrupted: it may use the pool. */
static limn_status ask_progress(Team *team) {
    bool was_inside = inside;
    inside = false;
    limn_status status = progress_tick(team->progress, team->stage, team->done, team->total);
    inside = was_inside;
    team->asked_at = nanoseconds_now();
    atomic_store_explicit(&team->stop, status != LIMN_OK, memory_order_relaxed);
    return status;
}

limn_status team_tick(Team *team, const char *stage, int64_t done, int64_t total) {
    if (team == NULL) {
        return LIMN_OK;
    }
    team->stage = stage;
    team->done = done;
    team->total = total;
    return may_be_stopped(team) ? ask_progress(team) : LIMN_OK;
}

bool team_check_is_due(const Team *team) {
    if (!may_be_stopped(team)) {
        return false;
    }
    if (atomic_load_explicit(&team->stop, memory_order_relaxed)) {
        return true;
    }
    return !helping && nanoseconds_now() - team->asked_at >= TEAM_CHECK_NANOSECONDS;
}

limn_status team_check(Team *team) {
    if (!team_check_is_due(team)) {
        return LIMN_OK;
    }
    if (atomic_load_explicit(&team->stop, memory_order_relaxed)) {
        return fail(LIMN_CANCELLED, "stopped during %s", team->stage);
    }
    return ask_progress(team);
}

void parallel_stand_aside(void) {
    /* On Linux the calling thread alone becomes nicer. Where that is refused nothing is lost but speed. */
    (void)setpriority(PRIO_PROCESS, 0, 19);
}

/* ---- places and the helpers in them ---- */

static unsigned long long bit_of(int index) {
    return 1ULL << index;
}

static int lowest_bit(unsigned long long bits) {
    return __builtin_ctzll(bits);
}

static bool is_open(int index) {
    return (atomic_load(&pool.open) & bit_of(index)) != 0;
}

/* Nobody else joins. Called by who is at work there: else the place could have become another job's. */
static void close_place(int index) {
    if (is_open(index)) {
        atomic_fetch_and(&pool.open, ~bit_of(index));
    }
}

/* A guess, for who looks for work. */
static int helpers_in(const Place *place) {
    int count = 0;
    for (int word = 0; word < NUMBER_WORDS; word++) {
        count += __builtin_popcountll(atomic_load_explicit(&place->numbers[word], memory_order_relaxed));
    }
    return count;
}

static bool take_this_number(Place *place, int number) {
    unsigned long long bit = bit_of(number % WORD_BITS);
    return (atomic_fetch_or(&place->numbers[number / WORD_BITS], bit) & bit) == 0;
}

/* A number of 0..wanted-1 that nobody has, `usual` if it is free; -1: none. */
static int take_number(Place *place, int wanted, int usual) {
    if (usual < wanted && take_this_number(place, usual)) {
        return usual;
    }
    for (int first = 0; first < wanted; first += WORD_BITS) {
        unsigned long long within = wanted - first >= WORD_BITS ? ~0ULL : bit_of(wanted - first) - 1;
        unsigned long long left;
        while ((left = within & ~atomic_load(&place->numbers[first / WORD_BITS])) != 0) {
            if (take_this_number(place, first + lowest_bit(left))) {
                return first + lowest_bit(left);
            }
        }
    }
    return -1;
}

static void leave(Place *place, int number) {
    atomic_fetch_and(&place->numbers[number / WORD_BITS], ~bit_of(number % WORD_BITS));
    if (atomic_load(&place->awaited)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.done);
        pthread_mutex_unlock(&pool.lock);
    }
}

/* The helper's number there; -1: there is nothing to do. */
static int join(int index, int usual) {
    Place *place = &pool.places[index];
    int number = take_number(place, atomic_load(&place->wanted), usual);
    if (number < 0) {
        return -1;
    }
    /* The place may have become another job's, with fewer helpers, before the number was written. */
    if (is_open(index) && number < atomic_load(&place->wanted)) {
        return number;
    }
    leave(place, number);
    return -1;
}

/* The open place where fewest help, of those with fewer than `fewer` helpers and room for one; -1: none. */
static int choose_place(unsigned long long among, int fewer) {
    int best = -1;
    for (; among != 0; among &= among - 1) {
        const Place *place = &pool.places[lowest_bit(among)];
        int helpers = helpers_in(place);
        if (helpers < fewer && helpers < atomic_load_explicit(&place->wanted, memory_order_relaxed)) {
            best = lowest_bit(among);
            fewer = helpers;
        }
    }
    return best;
}

/* Whether a helper would do more good at another job: where, with it, fewer help than here. */
static bool is_missed_elsewhere(int index) {
    unsigned long long others = atomic_load_explicit(&pool.open, memory_order_relaxed) & ~bit_of(index);
    return others != 0 && choose_place(others, helpers_in(&pool.places[index]) - 1) >= 0;
}

/* ---- work ---- */

static void note_failure(Job *job) {
    int none = 0;
    if (atomic_compare_exchange_strong(&job->failed, &none, 1)) {
        error_save(&job->error);
    }
    atomic_store(&job->next_range, job->n_ranges);
}

/* One range; false: none was left, or the job has failed. */
static bool take_range(Job *job, int worker) {
    int range = atomic_fetch_add(&job->next_range, 1);
    if (range >= job->n_ranges) {
        return false;
    }
    limn_status status = team_check(job->team);
    if (status == LIMN_OK) {
        int64_t begin = job->count * range / job->n_ranges;
        int64_t end = job->count * (range + 1) / job->n_ranges;
        status = job->body(job->context, begin, end, worker);
    }
    if (status != LIMN_OK) {
        note_failure(job);
    }
    return status == LIMN_OK;
}

/* Takes ranges until none is left, or until another job needs this helper more. */
static void work_in(int index, int worker) {
    Job *job = pool.places[index].job;
    inside = true;
    bool left = true;
    while ((left = take_range(job, worker)) && (worker == 0 || !is_missed_elsewhere(index))) {
    }
    inside = false;
    if (!left) {
        close_place(index);
    }
}

static void wait_for_work(unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool.posted, memory_order_acquire) != seen) {
            return;
        }
        PAUSE();
    }
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.posted) == seen) {
        pthread_cond_wait(&pool.work, &pool.lock);
    }
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *helper_main(void *argument) {
    int usual = (int)(intptr_t)argument; /* the number it takes where that is free */
    helping = true;
    for (;;) {
        unsigned seen = atomic_load(&pool.posted);
        int index = choose_place(atomic_load(&pool.open), MAX_THREADS);
        int number = index < 0 ? -1 : join(index, usual);
        if (number >= 0) {
            work_in(index, number + 1);
            leave(&pool.places[index], number);
        } else if (index < 0) {
            wait_for_work(seen);
        }
    }
    return NULL;
}

/* ---- the pool's own threads ---- */

/* A child process has the memory of the pool but not its threads. */
static void forget_pool(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_mutex_init(&pool.starting, NULL);
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.done, NULL);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.taken, 0);
    atomic_store(&pool.open, 0);
    atomic_store(&pool.demand, 0);
    atomic_store(&pool.n_helpers, 0);
    for (int i = 0; i < MAX_JOBS; i++) {
        for (int word = 0; word < NUMBER_WORDS; word++) {
            atomic_store(&pool.places[i].numbers[word], 0);
        }
    }
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, forget_pool);
}

static bool start_helper(int usual) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, helper_main, (void *)(intptr_t)usual);
    pthread_attr_destroy(&attributes);
    return failed == 0;
}

/* As many as one job asks for, whatever the machine; jobs beside each other share what the machine has. Fewer than
 * asked for is fine. */
static void start_helpers(int wanted, int demand) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int most = cores() - 1 > wanted ? cores() - 1 : wanted;
    int target = demand < most ? demand : most;
    target = target < MAX_THREADS - 1 ? target : MAX_THREADS - 1;
    if (atomic_load(&pool.n_helpers) >= target || pthread_mutex_trylock(&pool.starting) != 0) {
        return;
    }
    pthread_once(&once, watch_forks);
    while (atomic_load(&pool.n_helpers) < target && start_helper(atomic_load(&pool.n_helpers))) {
        atomic_fetch_add(&pool.n_helpers, 1);
    }
    pthread_mutex_unlock(&pool.starting);
}

/* ---- owners ---- */

/* -1: all are taken. */
static int take_place(void) {
    unsigned long long left;
    while ((left = ~atomic_load(&pool.taken)) != 0) {
        unsigned long long bit = left & (~left + 1);
        if ((atomic_fetch_or(&pool.taken, bit) & bit) == 0) {
            return lowest_bit(bit);
        }
    }
    return -1;
}

static void wake_helpers(int wanted) {
    int sleepers = atomic_load(&pool.sleepers);
    if (sleepers == 0) {
        return;
    }
    pthread_mutex_lock(&pool.lock);
    if (wanted >= sleepers) {
        pthread_cond_broadcast(&pool.work);
    }
    for (int i = 0; i < wanted && wanted < sleepers; i++) {
        pthread_cond_signal(&pool.work);
    }
    pthread_mutex_unlock(&pool.lock);
}

/* The owner's own look, in the one order of all threads: what is empty after it was closed stays so. */
static bool is_empty(const Place *place) {
    for (int word = 0; word < NUMBER_WORDS; word++) {
        if (atomic_load(&place->numbers[word]) != 0) {
            return false;
        }
    }
    return true;
}

static void wait_for_helpers(Place *place) {
    for (int i = 0; i < SPINS; i++) {
        if (is_empty(place)) {
            return;
        }
        PAUSE();
    }
    pthread_mutex_lock(&pool.lock);
    atomic_store(&place->awaited, true);
    while (!is_empty(place)) {
        pthread_cond_wait(&pool.done, &pool.lock);
    }
    atomic_store(&place->awaited, false);
    pthread_mutex_unlock(&pool.lock);
}

static void run_job(Job *job, int index, int wanted) {
    Place *place = &pool.places[index];
    int demand = atomic_fetch_add(&pool.demand, wanted) + wanted;
    start_helpers(wanted, demand);
    place->job = job;
    atomic_store(&place->wanted, wanted);
    atomic_fetch_or(&pool.open, bit_of(index));
    atomic_fetch_add(&pool.posted, 1);
    wake_helpers(wanted);
    work_in(index, 0);
    wait_for_helpers(place);
    atomic_fetch_sub(&pool.demand, wanted);
    atomic_fetch_and(&pool.taken, ~bit_of(index));
}

/* Nobody helps: only so many ranges that a caller who wants to stop the work is heard. */
static limn_status work_alone(Team *team, int64_t count, int64_t pieces, ParallelBody body, void *context) {
    if (pieces <= 1 || !may_be_stopped(team)) {
        TRY(team_check(team));
        return body(context, 0, count, 0);
    }
    int64_t ranges = pieces < RANGES_ALONE ? pieces : RANGES_ALONE;
    for (int64_t range = 0; range < ranges; range++) {
        TRY(team_check(team));
        TRY(body(context, count * range / ranges, count * (range + 1) / ranges, 0));
    }
    return LIMN_OK;
}

limn_status parallel_for(Team *team, int64_t count, int64_t grain, ParallelBody body, void *context) {
    if (count <= 0) {
        return LIMN_OK;
    }
    int64_t pieces = (count + (grain < 1 ? 1 : grain) - 1) / (grain < 1 ? 1 : grain);
    int threads = team_threads(team) < MAX_THREADS ? team_threads(team) : MAX_THREADS;
    int workers = pieces < threads ? (int)pieces : threads;
    if (inside) {
        return body(context, 0, count, 0);
    }
    if (team != NULL) {
        atomic_store_explicit(&team->stop, false, memory_order_relaxed);
    }
    int index = workers > 1 ? take_place() : -1;
    if (index < 0) {
        inside = true;
        limn_status status = work_alone(team, count, pieces, body, context);
        inside = false;
        return status;
    }
    int64_t ranges = (int64_t)workers * RANGES_PER_THREAD;
    Job job; /* its message is long: not worth clearing */
    job.team = team;
    job.body = body;
    job.context = context;
    job.count = count;
    job.n_ranges = (int)(ranges < pieces ? ranges : pieces);
    atomic_init(&job.next_range, 0);
    atomic_init(&job.failed, 0);
    run_job(&job, index, workers - 1);
    return atomic_load(&job.failed) != 0 ? error_restore(&job.error) : LIMN_OK;
}
