/* Tollgate's edge, embedded, for C and for every language that can call C. <tollgate/edge.h> says
 * what an edge is and promises, and what its three answers mean; this header says how to call it.
 *
 *   tollgate_edge_options options = TOLLGATE_EDGE_OPTIONS_INIT;
 *   options.id = "payments/api-7";
 *   options.service = "127.0.0.1:7411";
 *   char message[512];
 *   tollgate_edge* edge = NULL;
 *   if (tollgate_edge_start(&options, &edge, message, sizeof message) != TOLLGATE_EDGE_OK) ...
 *
 *   tollgate_edge_decision* decision = tollgate_edge_decision_new();
 *   if (tollgate_edge_check(edge, token, strlen(token), NULL, decision) == TOLLGATE_EDGE_MISS)
 *     tollgate_edge_check_blocking(edge, token, strlen(token), NULL, 3000, decision);
 *   switch (tollgate_edge_decision_verdict(decision)) ...
 *
 * Every function may be called from any thread, at the same time as any other, with two exceptions:
 * one call at a time fills a decision, and nobody reads the decision meanwhile; no call overlaps or
 * follows a _free of the same object. No C++ exception leaves a function. Times are milliseconds.
 * Text is UTF-8. A function that gets NULL for a handle returns TOLLGATE_EDGE_INVALID_ARGUMENT, or
 * zero where it returns no code; a _free of NULL does nothing.
 *
 * A structure begins with its size as the caller was compiled with; set it by the _INIT macro. A
 * newer library reads and writes no more than that size. An older library answers
 * TOLLGATE_EDGE_INVALID_ARGUMENT for members that it does not know. New members come at the end;
 * zero is each member's default.
 */
#ifndef TOLLGATE_EDGE_C_H_
#define TOLLGATE_EDGE_C_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOLLGATE_EDGE_C_EXPORT __attribute__((visibility("default")))

/* Handles. */
typedef struct tollgate_edge tollgate_edge;
typedef struct tollgate_edge_requirement tollgate_edge_requirement;
typedef struct tollgate_edge_decision tollgate_edge_decision;
typedef struct tollgate_edge_hold tollgate_edge_hold;

/* What functions return. The numbers are stable. */
typedef int32_t tollgate_edge_code;
enum {
  TOLLGATE_EDGE_OK = 0,
  TOLLGATE_EDGE_MISS = 1, /* tollgate_edge_check: not held, so ask the service; not an error */
  TOLLGATE_EDGE_INVALID_ARGUMENT = 2,
  TOLLGATE_EDGE_FAILED_PRECONDITION = 3, /* plaintext, TLS files, a fork, an old kernel */
  TOLLGATE_EDGE_RESOURCE_EXHAUSTED = 4,
  TOLLGATE_EDGE_INTERNAL = 5
};

/* Verdicts: tollgate::edge::Verdict. Treat an unknown verdict as UNAVAILABLE. */
enum {
  TOLLGATE_EDGE_ADMIT = 1,
  TOLLGATE_EDGE_DENY = 2,
  TOLLGATE_EDGE_UNAVAILABLE = 3 /* 503, never 401: nothing is proven against the token */
};

/* Reasons: tollgate::edge::Reason. A newer library may have more: judge by the verdict. */
enum {
  TOLLGATE_EDGE_REASON_NONE = 0,
  TOLLGATE_EDGE_REASON_NO_TOKEN = 1,
  TOLLGATE_EDGE_REASON_MALFORMED = 2,
  TOLLGATE_EDGE_REASON_UNKNOWN = 3,
  TOLLGATE_EDGE_REASON_REVOKED = 4,
  TOLLGATE_EDGE_REASON_EXPIRED = 5,
  TOLLGATE_EDGE_REASON_SUSPENDED = 6,
  TOLLGATE_EDGE_REASON_INSUFFICIENT_SCOPE = 7,
  TOLLGATE_EDGE_REASON_WRONG_AUDIENCE = 8,
  TOLLGATE_EDGE_REASON_NO_LEASE = 9,
  TOLLGATE_EDGE_REASON_SERVICE_UNAVAILABLE = 10,
  TOLLGATE_EDGE_REASON_OVERLOADED = 11,
  TOLLGATE_EDGE_REASON_WRONG_WORKSPACE = 12,
  TOLLGATE_EDGE_REASON_TIMED_OUT = 64,
  TOLLGATE_EDGE_REASON_STOPPED = 65,
  TOLLGATE_EDGE_REASON_FORKED = 66
};

/* Levels of a log line. */
enum {
  TOLLGATE_EDGE_LOG_DEBUG = 0,
  TOLLGATE_EDGE_LOG_INFO = 1,
  TOLLGATE_EDGE_LOG_WARNING = 2,
  TOLLGATE_EDGE_LOG_ERROR = 3
};
/* Gets one line of the log: a JSON object of `size` bytes, without a newline, not NUL-terminated.
 * Called on any thread, never two at a time, also from inside start and stop; must not block, nor
 * call the library. */
typedef void (*tollgate_edge_log)(void* context, int32_t level, const char* line, size_t size);

/* All options; tollgate::edge::Options says what each means. Zero or NULL: the default. Text is
 * NUL-terminated and copied. */
typedef struct tollgate_edge_options {
  size_t struct_size;
  const char* id;      /* required; one of its own for every process */
  const char* service; /* "127.0.0.1:7411" */
  const char* service_ca;
  const char* service_cert;
  const char* service_key;
  const char* service_spiffe_id;
  const char* service_host_name;
  const char* brand;       /* "tg" */
  int32_t service_tls;     /* 0 or 1 */
  int32_t allow_plaintext; /* 0 or 1 */
  int32_t fail_open;       /* 0 or 1 */
  int32_t reserved;        /* zero */
  int64_t fail_open_for_ms;
  double drift_bound; /* a fraction; 0 is the default, 0.001 */
  int64_t cache_entries;
  int64_t unknown_entries;
  int64_t max_questions;
  int64_t max_waiting;
  int64_t resolve_timeout_ms;
  int64_t longest_backoff_ms;
  tollgate_edge_log log; /* NULL: stderr */
  void* log_context;     /* passed to `log`; must live until stop has returned */
  int64_t max_holds;     /* -1: none */
} tollgate_edge_options;
#define TOLLGATE_EDGE_OPTIONS_INIT {.struct_size = sizeof(tollgate_edge_options)}

/* The library's version, as in "0.1.0". Lives for ever. */
TOLLGATE_EDGE_C_EXPORT const char* tollgate_edge_version(void);

/* A reason in words, for a log or an answer to a client. Never NULL; lives for ever. */
TOLLGATE_EDGE_C_EXPORT const char* tollgate_edge_describe(int32_t reason);

/* What a reason says of the token, as a verdict: DENY where it is bad, or does not allow what was
 * asked for; UNAVAILABLE where nobody is accused; ADMIT for NONE. */
TOLLGATE_EDGE_C_EXPORT int32_t tollgate_edge_verdict_of(int32_t reason);

/* Overwrites `size` bytes in a way that no compiler removes: for the buffer that held a token
 * string. */
TOLLGATE_EDGE_C_EXPORT void tollgate_edge_wipe(void* bytes, size_t size);

/* Starts an edge: Edge::Start. On TOLLGATE_EDGE_OK `*edge` is the handle, which tollgate_edge_free
 * frees. On any other code `*edge` is NULL, and `message` (if not NULL, of `message_size` bytes)
 * says why as "REASON: text", cut to fit, always NUL-terminated. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_start(const tollgate_edge_options* options,
                                                              tollgate_edge** edge, char* message,
                                                              size_t message_size);

/* Waits for a live lease, for at most `limit_ms`. 1: there is one; 0: there is none. */
TOLLGATE_EDGE_C_EXPORT int32_t tollgate_edge_wait_until_live(tollgate_edge* edge, int64_t limit_ms);

/* Ends the edge with a goodbye, for at most `limit_ms`: Edge::Stop. 1: the service has taken the
 * goodbye; otherwise 0. Idempotent. Does nothing in a forked child. */
TOLLGATE_EDGE_C_EXPORT int32_t tollgate_edge_stop(tollgate_edge* edge, int64_t limit_ms);

/* Stops the edge if it runs, and frees the handle. Waits for nothing in a forked child. */
TOLLGATE_EDGE_C_EXPORT void tollgate_edge_free(tollgate_edge* edge);

/* What a request needs of a token. Make one for each kind of request, once. `all_of` and `any_of`
 * are arrays of NUL-terminated scopes (NULL where the count is 0); `audience` is NULL where the
 * audience is not checked. All are copied. Returns NULL when there is no memory, or a NULL among
 * the scopes. The caller frees it, and not while a check reads it. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_requirement* tollgate_edge_requirement_new(
    const char* const* all_of, size_t all_count, const char* const* any_of, size_t any_count,
    const char* audience);
/* What a requirement asks for beside that: one expression over scopes, as in
 * "a:read AND (a:write OR admin)" (tollgate::edge::Requirement::WithExpression), and the id of the
 * only workspace whose tokens pass, as in "acme". Each is copied, and takes the place of an earlier
 * one; no check reads the requirement meanwhile. An id that is no workspace's is met by no token;
 * NULL, "" and a resource's name ("workspaces/acme") are an error. On any code but TOLLGATE_EDGE_OK
 * `message` (if not NULL, of `message_size` bytes) says why as "REASON: text", cut to fit, always
 * NUL-terminated; and no token meets the requirement until the same function has succeeded: a code
 * that nobody looked at lets nobody in. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_requirement_set_scope_expression(
    tollgate_edge_requirement* requirement, const char* expression, char* message,
    size_t message_size);
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_requirement_set_workspace(
    tollgate_edge_requirement* requirement, const char* id, char* message, size_t message_size);

TOLLGATE_EDGE_C_EXPORT void tollgate_edge_requirement_free(tollgate_edge_requirement* requirement);

/* Room for one answer, for many checks one after the other; the caller frees it. UNAVAILABLE until
 * a check has filled it. NULL: no memory. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_decision* tollgate_edge_decision_new(void);
TOLLGATE_EDGE_C_EXPORT void tollgate_edge_decision_free(tollgate_edge_decision* decision);

/* Decides from memory: Edge::Check. `token_string` of `size` bytes, as presented; it is not kept.
 * `requirement` NULL: being a good token is enough. TOLLGATE_EDGE_OK: `decision` is the answer.
 * TOLLGATE_EDGE_MISS: the edge holds nothing about the string; call one of the next two functions,
 * and do not take `decision`, which is UNAVAILABLE, for an answer. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code
tollgate_edge_check(tollgate_edge* edge, const char* token_string, size_t size,
                    const tollgate_edge_requirement* requirement, tollgate_edge_decision* decision);

/* Decides, and waits for the service for at most `limit_ms` where needed: Edge::CheckBlocking. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code
tollgate_edge_check_blocking(tollgate_edge* edge, const char* token_string, size_t size,
                             const tollgate_edge_requirement* requirement, int64_t limit_ms,
                             tollgate_edge_decision* decision);

/* Decides, and asks the service where needed: Edge::CheckAsync. On TOLLGATE_EDGE_OK `callback` runs
 * exactly once, here or on another thread; on any other code it never runs. The decision is valid
 * during the callback. The callback must not block, nor call check_blocking, wait_until_live, stop
 * or free. */
typedef void (*tollgate_edge_callback)(void* context, const tollgate_edge_decision* decision);
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_check_async(
    tollgate_edge* edge, const char* token_string, size_t size,
    const tollgate_edge_requirement* requirement, tollgate_edge_callback callback, void* context);

/* Holds: what an admission let in, for as long as it stays open (tollgate::edge::Hold). Decides as
 * a check does; on an admission the edge keeps what is open and its token together, until the host
 * frees the hold, which says that what was open is closed.
 *
 * `on_end` (may be NULL) runs at most once, when the admission is no longer true, on the edge's
 * thread for holds, one call at a time; never after tollgate_edge_hold_free has returned. `reason`
 * is what a new check would say; tollgate_edge_verdict_of tells whether it accuses the token. It
 * may free the hold. It must not block, nor call check_blocking, hold_blocking, wait_until_live,
 * stop or tollgate_edge_free. */
typedef void (*tollgate_edge_hold_end)(void* context, int32_t reason);
/* On an admission `*hold` is the handle, which tollgate_edge_hold_free frees; else it is NULL, and
 * `decision` says why. Waits for the service for at most `limit_ms` where needed. `on_end` may run
 * before this returns. */
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_hold_blocking(
    tollgate_edge* edge, const char* token_string, size_t size,
    const tollgate_edge_requirement* requirement, int64_t limit_ms, tollgate_edge_hold_end on_end,
    void* context, tollgate_edge_decision* decision, tollgate_edge_hold** hold);
/* The same without a wait. On TOLLGATE_EDGE_OK `opened` runs exactly once, here or on the edge's
 * thread for holds, and before `on_end`; on any other code neither runs. `hold` is the caller's to
 * free, and NULL where `decision`, which is valid during the callback, is no admission. */
typedef void (*tollgate_edge_hold_opened)(void* context, const tollgate_edge_decision* decision,
                                          tollgate_edge_hold* hold);
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_hold_async(
    tollgate_edge* edge, const char* token_string, size_t size,
    const tollgate_edge_requirement* requirement, tollgate_edge_hold_end on_end,
    tollgate_edge_hold_opened opened, void* context);
/* 1: what was admitted may stay open. For every message: it costs some tens of nanoseconds, and is
 * right also after the process was suspended. 0: close it; also for NULL. Hold::Good. */
TOLLGATE_EDGE_C_EXPORT int32_t tollgate_edge_hold_good(const tollgate_edge_hold* hold);
/* Why it is not good; TOLLGATE_EDGE_REASON_NONE while it is. */
TOLLGATE_EDGE_C_EXPORT int32_t tollgate_edge_hold_reason(const tollgate_edge_hold* hold);
/* What was held is closed. Where another thread is in `on_end` of this hold, waits until it has
 * returned; so hold no lock here that `on_end` takes. A hold may be freed after its edge. */
TOLLGATE_EDGE_C_EXPORT void tollgate_edge_hold_free(tollgate_edge_hold* hold);

/* What an answer says. */
TOLLGATE_EDGE_C_EXPORT int32_t
tollgate_edge_decision_verdict(const tollgate_edge_decision* decision);
TOLLGATE_EDGE_C_EXPORT int32_t
tollgate_edge_decision_reason(const tollgate_edge_decision* decision);
/* When to try again, with UNAVAILABLE; otherwise 0. */
TOLLGATE_EDGE_C_EXPORT int64_t
tollgate_edge_decision_retry_after_ms(const tollgate_edge_decision* decision);
/* 1: admitted without a lease, as options.fail_open asks for. */
TOLLGATE_EDGE_C_EXPORT int32_t
tollgate_edge_decision_fail_open(const tollgate_edge_decision* decision);
/* When the token expires, in milliseconds since 1970; 0: never, or there is no identity. */
TOLLGATE_EDGE_C_EXPORT int64_t
tollgate_edge_decision_expire_time_ms(const tollgate_edge_decision* decision);

/* The identity: whom the token speaks for. Present when admitted, and when refused for scope,
 * audience or workspace. */
enum {
  TOLLGATE_EDGE_TOKEN = 0, /* workspaces/{workspace}/tokens/{token_id} */
  TOLLGATE_EDGE_WORKSPACE = 1,
  TOLLGATE_EDGE_TOKEN_ID = 2,
  TOLLGATE_EDGE_OWNER = 3,
  TOLLGATE_EDGE_SCOPES = 4 /* all of them, a space between two */
};
/* Writes one of these texts into `buffer`, cut to fit, NUL-terminated where `size` is above 0.
 * Returns the text's whole length without the NUL, as snprintf does; 0: the decision does not have
 * it. `buffer` may be NULL where `size` is 0. */
TOLLGATE_EDGE_C_EXPORT size_t tollgate_edge_decision_text(const tollgate_edge_decision* decision,
                                                          int32_t field, char* buffer, size_t size);

/* The states of an edge: tollgate::edge::State. */
enum {
  TOLLGATE_EDGE_STATE_CONNECTING = 0,
  TOLLGATE_EDGE_STATE_LIVE = 1,
  TOLLGATE_EDGE_STATE_FAIL_OPEN = 2,
  TOLLGATE_EDGE_STATE_NO_LEASE = 3,
  TOLLGATE_EDGE_STATE_STOPPED = 4,
  TOLLGATE_EDGE_STATE_FORKED = 5
};
/* tollgate::edge::Status, without its texts. */
typedef struct tollgate_edge_status {
  size_t struct_size;
  int32_t state;
  int32_t following; /* 0 or 1 */
  int64_t lease_left_ms;
  int64_t applied_revision;
  int64_t cached_tokens;
  int64_t cached_unknown;
  int64_t questions_in_flight;
  int64_t resets;
  int64_t reconnects;
  int64_t open_holds;
  int64_t holds_in_doubt;
} tollgate_edge_status;
#define TOLLGATE_EDGE_STATUS_INIT {.struct_size = sizeof(tollgate_edge_status)}
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_get_status(tollgate_edge* edge,
                                                                   tollgate_edge_status* status);

/* tollgate::edge::Totals. */
typedef struct tollgate_edge_totals {
  size_t struct_size;
  int64_t admitted;
  int64_t admitted_fail_open;
  int64_t denied;
  int64_t unavailable;
  int64_t from_memory;
  int64_t misses;
  int64_t by_reason[32];
  int64_t holds_opened;
  int64_t holds_closed;
  int64_t holds_ended;
} tollgate_edge_totals;
#define TOLLGATE_EDGE_TOTALS_INIT {.struct_size = sizeof(tollgate_edge_totals)}
TOLLGATE_EDGE_C_EXPORT tollgate_edge_code tollgate_edge_get_totals(tollgate_edge* edge,
                                                                   tollgate_edge_totals* totals);

/* Writes the edge's metrics, in Prometheus' text format, into `buffer`, as
 * tollgate_edge_decision_text does. Returns their whole length. */
TOLLGATE_EDGE_C_EXPORT size_t tollgate_edge_metrics(tollgate_edge* edge, char* buffer, size_t size);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOLLGATE_EDGE_C_H_ */
