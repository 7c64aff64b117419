/* parallel_for: each item once, workers told apart, many callers, helpers that go where they are missed, calls from
 * within calls, and work that ends soon after it is asked to. */
#include "base/parallel.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A failure of the library, made before cmocka takes the name. */
static limn_status fail_with(limn_status status, const char *text) {
    return fail(status, "%s", text);
}

#include <cmocka.h>

enum { MOST_ITEMS = 400, MOST_WORKERS = 256 };

typedef struct Work {
    Team *team;
    atomic_int visits[MOST_ITEMS];
    int64_t fail_at;
    atomic_bool busy[MOST_WORKERS]; /* by worker: in the body just now */
    atomic_bool seen[MOST_WORKERS];
    int item_microseconds;
    bool nests; /* each item is a parallel_for of ten items, on this thread */
    bool checks;
} Work;

static void pause_for(int microseconds) {
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    nanosleep(&time, NULL);
}

static limn_status visit(void *context, int64_t begin, int64_t end, int worker);

static limn_status visit_item(Work *work, int64_t i) {
    if (work->nests) {
        Work *inner = calloc(1, sizeof *inner);
        inner->team = work->team;
        inner->fail_at = -1;
        limn_status status = parallel_for(work->team, 10, 1, visit, inner);
        for (int k = 0; k < 10; k++) {
            atomic_fetch_add(&work->visits[10 * i + k], atomic_load(&inner->visits[k]));
        }
        free(inner);
        return status;
    }
    if (work->item_microseconds > 0) {
        pause_for(work->item_microseconds);
    }
    atomic_fetch_add(&work->visits[i], 1);
    return i == work->fail_at ? fail_with(LIMN_RANGE, "item of the worker") : LIMN_OK;
}

static limn_status visit(void *context, int64_t begin, int64_t end, int worker) {
    Work *work = context;
    if (worker < 0 || worker >= team_threads(work->team) || atomic_exchange(&work->busy[worker], true)) {
        return fail_with(LIMN_INTERNAL, "worker number");
    }
    atomic_store(&work->seen[worker], true);
    limn_status status = LIMN_OK;
    for (int64_t i = begin; i < end && status == LIMN_OK; i++) {
        status = work->checks ? team_check(work->team) : LIMN_OK;
        status = status == LIMN_OK ? visit_item(work, i) : status;
    }
    atomic_store(&work->busy[worker], false);
    return status;
}

static Work *work_of(Team *team) {
    Work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    work->team = team;
    work->fail_at = -1;
    return work;
}

static int visited(const Work *work) {
    int count = 0;
    for (int i = 0; i < MOST_ITEMS; i++) {
        count += atomic_load(&work->visits[i]) > 0;
    }
    return count;
}

static void check_each_once(const Work *work, int64_t n) {
    for (int64_t i = 0; i < MOST_ITEMS; i++) {
        assert_int_equal(atomic_load(&work->visits[i]), i < n);
    }
}

static void test_each_item_once(void **state) {
    for (int threads = 1; threads <= 5; threads += 2) {
        Team team = team_of(threads, NULL);
        assert_int_equal(team_threads(&team), threads);
        for (int64_t n = 0; n < 40; n++) {
            Work *work = work_of(&team);
            assert_int_equal(parallel_for(&team, n, 3, visit, work), LIMN_OK);
            check_each_once(work, n);
            free(work);
            work = work_of(&team);
            work->nests = true;
            assert_int_equal(parallel_for(&team, n, 1, visit, work), LIMN_OK);
            check_each_once(work, 10 * n);
            free(work);
        }
        Work *work = work_of(&team);
        work->fail_at = 39;
        error_clear();
        assert_int_equal(parallel_for(&team, 40, 1, visit, work), LIMN_RANGE);
        assert_string_equal(error_message(), "item of the worker"); /* carried home from its thread */
        free(work);
    }
    assert_true(team_of(0, NULL).threads >= 1);
    assert_int_equal(team_threads(NULL), 1);
}

/* ---- many callers ---- */

typedef struct Caller {
    pthread_t thread;
    int threads;
    int rounds;
    bool good;
} Caller;

/* Short jobs of changing sizes, one after the other: places are taken, left and taken again all the time. */
static void *call_often(void *argument) {
    Caller *caller = argument;
    Team team = team_of(caller->threads, NULL);
    caller->good = true;
    for (int round = 0; round < caller->rounds && caller->good; round++) {
        Work *work = calloc(1, sizeof *work);
        *work = (Work){.team = &team, .fail_at = round % 7 == 3 ? 11 : -1, .nests = round % 5 == 1};
        int64_t n = 1 + round * 13 % 40;
        limn_status status = parallel_for(&team, n, 1 + round % 3, visit, work);
        bool fails = work->fail_at >= 0 && work->fail_at < n && !work->nests;
        caller->good = status == (fails ? LIMN_RANGE : LIMN_OK);
        for (int64_t i = 0; i < n && !fails && !work->nests; i++) {
            caller->good = caller->good && atomic_load(&work->visits[i]) == 1;
        }
        free(work);
    }
    return NULL;
}

static void test_callers_do_not_mix(void **state) {
    enum { CALLERS = 6 };
    Caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){.threads = 1 + i, .rounds = 2000};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].good);
    }
}

/* More callers than there are places: the last ones work alone. */
static void test_more_callers_than_places(void **state) {
    enum { CALLERS = 70 };
    static Caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){.threads = 2, .rounds = 40};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].good);
    }
}

typedef struct LongJob {
    Team team;
    Work *work;
} LongJob;

static void *run_long_job(void *argument) {
    LongJob *job = argument;
    parallel_for(&job->team, MOST_ITEMS, 1, visit, job->work);
    return NULL;
}

typedef struct SecondJob {
    Work *work;
    const Work *first;
    atomic_int helped; /* ranges that helpers took while the first job had many left */
} SecondJob;

static limn_status visit_second(void *context, int64_t begin, int64_t end, int worker) {
    SecondJob *second = context;
    if (worker > 0 && visited(second->first) < MOST_ITEMS * 3 / 4) {
        atomic_fetch_add(&second->helped, 1);
    }
    return visit(second->work, begin, end, worker);
}

/* All helpers are at work in a long job when a second one comes: some go over to it. Each job asks for more threads
 * than the pool would start for both, so none is idle. */
static void test_helpers_go_where_they_are_missed(void **state) {
    int threads = team_of(0, NULL).threads + 10;
    LongJob first = {.team = team_of(threads, NULL)};
    first.work = work_of(&first.team);
    first.work->item_microseconds = 1000 * threads; /* 400 ms in all */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_long_job, &first), 0);
    while (visited(first.work) < 2 * threads) {
        pause_for(1000);
    }
    Team team = team_of(threads, NULL);
    SecondJob second = {.work = work_of(&team), .first = first.work};
    second.work->item_microseconds = 2000;
    assert_int_equal(parallel_for(&team, 200, 1, visit_second, &second), LIMN_OK);
    pthread_join(thread, NULL);
    check_each_once(first.work, MOST_ITEMS);
    check_each_once(second.work, 200);
    assert_true(atomic_load(&second.helped) > 0);
    free(first.work);
    free(second.work);
}

/* ---- stopping ---- */

typedef struct Listener {
    pthread_t caller;
    int asked;
    int refuse_at;     /* the tick that asks to stop; 0: none */
    bool elsewhere;    /* heard on another thread than the caller's */
    bool calls;        /* makes a parallel_for of its own at each tick */
    bool calls_helped; /* of which a helper did some */
} Listener;

static bool listen_to(void *context, const char *stage, int64_t done, int64_t total) {
    Listener *listener = context;
    assert_string_equal(stage, "sleeping");
    assert_true(done == 3 && total == 7);
    listener->elsewhere = listener->elsewhere || !pthread_equal(pthread_self(), listener->caller);
    if (listener->calls) {
        Team team = team_of(3, NULL);
        Work *work = work_of(&team);
        work->item_microseconds = 500;
        assert_int_equal(parallel_for(&team, 30, 1, visit, work), LIMN_OK);
        check_each_once(work, 30);
        listener->calls_helped = listener->calls_helped || atomic_load(&work->seen[1]) || atomic_load(&work->seen[2]);
        free(work);
    }
    listener->asked++;
    return listener->asked != listener->refuse_at;
}

/* 400 items of a millisecond each; the progress hears of them every 20. */
static void check_stopping(int threads, bool checks) {
    Listener listener = {.caller = pthread_self(), .refuse_at = 3};
    Progress progress = {listen_to, &listener};
    Team team = team_of(threads, &progress);
    Work *work = work_of(&team);
    work->item_microseconds = 1000;
    work->checks = checks;
    assert_int_equal(team_tick(&team, "sleeping", 3, 7), LIMN_OK);
    assert_int_equal(parallel_for(&team, MOST_ITEMS, 1, visit, work), LIMN_CANCELLED);
    assert_string_equal(error_message(), "stopped during sleeping");
    assert_int_equal(listener.asked, 3);
    assert_false(listener.elsewhere);
    assert_true(visited(work) < MOST_ITEMS);
    if (checks) { /* about 40 ms of work for each thread; sleeping takes longer, never less */
        assert_true(visited(work) <= 60 * threads);
    }
    free(work);
    work = work_of(&team); /* the team is as good as before */
    listener.refuse_at = 0;
    assert_int_equal(parallel_for(&team, MOST_ITEMS, 1, visit, work), LIMN_OK);
    check_each_once(work, MOST_ITEMS);
    free(work);
}

static void test_work_can_be_stopped(void **state) {
    for (int threads = 1; threads <= 3; threads++) {
        check_stopping(threads, false); /* between ranges */
        check_stopping(threads, true);  /* within them */
    }
}

/* What nobody told of asks nobody; what must not end half done is not asked about. */
static void test_who_is_not_asked(void **state) {
    Listener listener = {.caller = pthread_self(), .refuse_at = 1};
    Progress progress = {listen_to, &listener};
    for (int threads = 1; threads <= 2; threads++) {
        Team team = team_of(threads, &progress);
        Team undisturbed = team_undisturbed(&team);
        Work *work = work_of(&team);
        work->item_microseconds = 100;
        work->checks = true;
        assert_int_equal(parallel_for(&team, MOST_ITEMS, 1, visit, work), LIMN_OK);
        work->team = &undisturbed;
        team.stage = "sleeping";
        assert_int_equal(parallel_for(&undisturbed, MOST_ITEMS, 1, visit, work), LIMN_OK);
        team_rest(&team);
        work->team = &team;
        assert_int_equal(parallel_for(&team, MOST_ITEMS, 1, visit, work), LIMN_OK);
        free(work);
    }
    assert_int_equal(listener.asked, 0);
}

/* The caller's callback makes a call of its own, in the middle of a body: it gets helpers too. */
static void test_calls_from_within_calls(void **state) {
    for (int threads = 1; threads <= 4; threads++) {
        Listener listener = {.caller = pthread_self(), .calls = true};
        Progress progress = {listen_to, &listener};
        Team team = team_of(threads, &progress);
        Work *work = work_of(&team);
        work->item_microseconds = 1000;
        work->checks = true;
        team.stage = "sleeping";
        team.done = 3;
        team.total = 7;
        assert_int_equal(parallel_for(&team, MOST_ITEMS, 1, visit, work), LIMN_OK);
        check_each_once(work, MOST_ITEMS);
        assert_true(listener.asked > 1);
        assert_true(listener.calls_helped);
        assert_false(listener.elsewhere);
        free(work);
    }
}

/* ---- a child process, which has no threads of the pool ---- */

static void test_a_child_process_works(void **state) {
#ifdef LIMN_SANITIZED
    skip(); /* the thread sanitizer ends a child that starts threads */
#endif
    Team team = team_of(3, NULL);
    Work *work = work_of(&team);
    assert_int_equal(parallel_for(&team, 40, 1, visit, work), LIMN_OK);
    free(work);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work = work_of(&team);
        work->item_microseconds = 1000;
        bool good = parallel_for(&team, 40, 1, visit, work) == LIMN_OK && visited(work) == 40;
        good = good && (atomic_load(&work->seen[1]) || atomic_load(&work->seen[2]));
        _exit(good ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_once),           cmocka_unit_test(test_callers_do_not_mix),
        cmocka_unit_test(test_more_callers_than_places), cmocka_unit_test(test_helpers_go_where_they_are_missed),
        cmocka_unit_test(test_work_can_be_stopped),      cmocka_unit_test(test_who_is_not_asked),
        cmocka_unit_test(test_calls_from_within_calls),  cmocka_unit_test(test_a_child_process_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
