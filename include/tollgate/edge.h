// Tollgate's edge, embedded: "may this token pass?", answered inside your process.
//
//   #include <tollgate/edge.h>
//
//   tollgate::edge::Options options;
//   options.id = "payments/api-7";            // one of its own for every process
//   options.service = "tollgated.internal:7411";
//   options.service_ca = "/etc/tollgate/ca.pem";
//   auto started = tollgate::edge::Edge::Start(options);
//   if (!started.ok()) … started.error().message …
//   std::unique_ptr<tollgate::edge::Edge> edge = std::move(*started);
//
//   const auto may_deploy = tollgate::edge::Requirement().AllOf({"deploy:write"});   // once
//   tollgate::edge::Decision decision;
//   if (!edge->Check(token_string, may_deploy, &decision)) {
//     edge->CheckAsync(token_string, may_deploy, [](const tollgate::edge::Decision& d) { … });
//   }
//   // What stays open because of an admission: a WebSocket, a stream, a long download.
//   auto [who, hold] = edge->HoldBlocking(token_string, may_deploy, [](tollgate::edge::Reason) { … });
//
// An edge follows the service's feed of changes, and holds a lease for as long as it hears from the
// service. Without a lease it admits nothing (unless told to: Options::fail_open). A revocation
// that the service calls enforced is therefore enforced here too: no check that begins afterwards
// admits the token (docs/enforcement.md, I1).
//
// There are three answers:
//   kAdmit        let it pass.
//   kDeny         there is proof against the token (revoked, expired, suspended, no such token, no
//                 token string at all), or it does not allow what is asked for. Answer 401 or 403.
//   kUnavailable  nobody can say now. This accuses nobody (I7): answer 503 with
//                 Decision::retry_after, and never 401, because clients throw good credentials
//                 away on a 401.
//
// An edge keeps nothing of the token string (I6). It reads the string during the call, remembers
// its answer under a keyed hash of it, and sends only a digest to the service. Your own copy is
// yours to wipe: Wipe().
//
// The names here use the standard library only. The library libtollgate-edge.so contains gRPC,
// protobuf and Abseil, and exports none of their names. It installs no signal handler, changes no
// limit of the process, and writes nothing but its log (Options::log). It ends the process only
// where going on would break the promise above: when an invariant does not hold.
#ifndef TOLLGATE_EDGE_H_
#define TOLLGATE_EDGE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#define TOLLGATE_EDGE_EXPORT __attribute__((visibility("default")))

namespace tollgate::edge {

class DecisionWords;  // the library's own

// The outcome of a check. The numbers are stable.
enum class Verdict : std::int32_t {
  kAdmit = 1,        // let it pass
  kDeny = 2,         // refuse: the token is proven bad, or does not allow this
  kUnavailable = 3,  // no answer is possible now: refuse for the moment, blame nobody
};

// The reason of a verdict. The numbers are stable; a newer library may have more: judge by the
// verdict.
enum class Reason : std::int32_t {
  kNone = 0,               // admitted
  kNoToken = 1,            // nothing was presented: 401 without an error code
  kMalformed = 2,          // wrong length, alphabet or checksum: 401 invalid_token
  kUnknown = 3,            // the store holds no such token: 401 invalid_token
  kRevoked = 4,            // revoked, or retired: 401 invalid_token
  kExpired = 5,            // its time ran out: 401 invalid_token
  kSuspended = 6,          // suspended: 401 invalid_token
  kInsufficientScope = 7,  // good, but without a scope asked for: 403 insufficient_scope
  kWrongAudience = 8,      // good, but meant for others: 403
  kWrongWorkspace = 12,    // good, but of another workspace than the request is about: 403
  // These come with kUnavailable: 503.
  kNoLease = 9,              // the service was not heard for too long, or not yet
  kServiceUnavailable = 10,  // the service could not be asked, or answered too late or too old
  kOverloaded = 11,          // too many checks wait for the service
  kTimedOut = 64,            // CheckBlocking: the caller's limit passed first
  kStopped = 65,             // Stop() was called
  kForked = 66,              // this process is a child that was forked after Start()
};

// A reason in words, for a log or an answer to a client. It says no more than RFC 6750 does. Never
// null; lives for ever. Thread-safe.
TOLLGATE_EDGE_EXPORT std::string_view Describe(Reason reason);

// What a reason says of the token: kDeny where it is proven bad, or does not allow what it was
// asked for; kUnavailable where nobody is accused, and for numbers that this library does not know;
// kAdmit for kNone. Thread-safe.
TOLLGATE_EDGE_EXPORT Verdict VerdictOf(Reason reason);

// The library's version, as in "0.1.0". Thread-safe.
TOLLGATE_EDGE_EXPORT std::string_view Version();

// Overwrites a string's bytes, all of its capacity, and empties it: for the buffer that held a
// token string, after the check. Thread-safe for different strings.
TOLLGATE_EDGE_EXPORT void Wipe(std::string* text);

// Why something could not be started.
enum class ErrorCode : std::int32_t {
  kInvalidArgument = 2,     // an option is wrong; `message` names it
  kFailedPrecondition = 3,  // plaintext to another host, TLS files, a fork, an old kernel
  kResourceExhausted = 4,   // no memory
  kInternal = 5,            // anything else
};
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string reason;   // UPPER_SNAKE_CASE, stable: docs/errors.md
  std::string message;  // what was refused, why, and what to do
};

// A value, or the error for which there is none. Not thread-safe.
template <class T>
class Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Only where ok(); throws std::bad_variant_access otherwise.
  T& operator*() { return std::get<0>(held_); }
  T* operator->() { return &std::get<0>(held_); }
  const T& operator*() const { return std::get<0>(held_); }
  const T* operator->() const { return &std::get<0>(held_); }
  // Only where not ok().
  const Error& error() const { return std::get<1>(held_); }

 private:
  std::variant<T, Error> held_;
};

enum class LogLevel : std::int32_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };
// One line of the log: a JSON object without a newline. It never holds a token string.
using LogCallback = std::function<void(LogLevel level, std::string_view line)>;

// All options. The defaults are right for production.
struct Options {
  // This edge's name in receipts and in `tollgate validators list`: 1 to 128 of A-Z a-z 0-9 . _ / -
  // It must be stable over restarts, and different for every process (workers of one host: add a
  // number). Required.
  std::string id;
  // The service's address: `host:port`, `[v6]:port` or `unix:/path`. The service need not answer
  // yet.
  std::string service = "127.0.0.1:7411";
  // TLS to the service: on when asked for, or when any file is given. Paths of PEM files, read
  // again when they change. An empty `service_ca`: the system's roots. With certificate and key:
  // mutual.
  bool service_tls = false;
  std::string service_ca;
  std::string service_cert;
  std::string service_key;
  // What the service's certificate must bear: a SPIFFE id, otherwise a host name (empty: the
  // address's).
  std::string service_spiffe_id;
  std::string service_host_name;
  // Allow plaintext to a service on another host. Anybody on the network between could then have
  // anything admitted.
  bool allow_plaintext = false;

  // What the edge does without a live lease. False: it admits nothing. True: it goes on admitting
  // from memory for `fail_open_for` past the lease's end (above 0, at most 24 hours), and receipts
  // say that this edge is not covered.
  bool fail_open = false;
  std::chrono::milliseconds fail_open_for = std::chrono::minutes(5);
  // How differently two machines' boot clocks may run, as a fraction: 0 to 0.1.
  double drift_bound = 0.001;

  // How many entries the edge remembers: tokens (512 bytes each), and strings known to be no token
  // (128 bytes each). 1 to 16777216. The memory is reserved at the start, and taken as it is used.
  std::int64_t cache_entries = 65536;
  std::int64_t unknown_entries = 16384;
  // Questions to the service at once, and checks that may wait for them. At least 1.
  std::int64_t max_questions = 1024;
  std::int64_t max_waiting = 16384;
  // How long the service may take to answer a question. A check waits for at most four times this
  // long, because the edge asks again when a change has overtaken an answer.
  std::chrono::milliseconds resolve_timeout = std::chrono::seconds(2);
  // What may be held open at once because a token was admitted (Edge::HoldAsync), about 1 KB
  // each; one more is refused with kOverloaded. 0 to 1000000. 0: none.
  std::int64_t max_holds = 10000;
  // The longest pause before it connects again; the shortest is a tenth of a second.
  std::chrono::milliseconds longest_backoff = std::chrono::seconds(5);
  // The brand, with which token strings begin: 2 to 8 lower-case letters.
  std::string brand = "tg";

  // Gets the log's lines; empty: lines go to stderr. Called on any thread, also from inside Start()
  // and Stop(), never two at a time; must not block, throw, nor call the library. Not called after
  // Stop() has returned. The library has one log: where a process has several edges, each callback
  // gets every line.
  LogCallback log;
};

// What a request needs of a token. Make one for each kind of request, once, and use it for every
// check: copying is cheap, and a check copies nothing. A value; reading it is thread-safe.
//
//   Requirement()                                    being a good token is enough
//   Requirement().AllOf({"a:read", "b:read"})        all of these scopes
//   Requirement().AnyOf({"a:read", "admin"})         any one of these
//   Requirement().Audience("payments")               and meant for this service
//   Requirement().Workspace("acme")                  and of this workspace
//
// A token's scope `a:*` meets every scope that begins with `a:` (not `a`, nor `ab:read`), and `*`
// meets all. Asked for, `a:*` means all of that: only a token with `a:*` or `*` meets it.
//
// For what the two lists cannot say there is one expression:
//
//   const auto may_write = Requirement().WithExpression("a:read AND (a:write OR admin)");
//   if (!may_write.ok()) … may_write.error().message …
//   edge->Check(token_string, *may_write, &decision)
//
// Where each request is about a workspace of its own, Requirement(*may_write).Workspace(id) is its
// requirement: that copies the lists, and shares the expression.
class TOLLGATE_EDGE_EXPORT Requirement {
 public:
  Requirement();
  ~Requirement();
  Requirement(const Requirement&);
  Requirement& operator=(const Requirement&);
  Requirement(Requirement&&) noexcept;
  Requirement& operator=(Requirement&&) noexcept;

  // Each replaces what an earlier call of the same method set, in this object only.
  Requirement& AllOf(std::vector<std::string> scopes);
  Requirement& AnyOf(std::vector<std::string> scopes);
  // A token that names audiences passes only where this audience is one of them; a token that names
  // none passes everywhere.
  Requirement& Audience(std::string audience);
  // Only tokens of this workspace pass: the one that the request is about. Its id, as in `acme`,
  // and not `workspaces/acme`. With what is no workspace's id, an empty one included, no token
  // passes (kWrongWorkspace): a request that names no workspace never passes as one for any.
  Requirement& Workspace(std::string id);

  // This requirement, and beside all else one expression, in place of an earlier one: scopes joined
  // by AND and OR, as in `a:read AND (a:write OR admin)`, at most 64 of them and 4096 characters.
  // AND beside OR wants parentheses. Error: SCOPE_EXPRESSION_MALFORMED, also for an empty text; the
  // message says what is wrong and what would be right, and quotes the text.
  Result<Requirement> WithExpression(std::string_view scope_expression) const;

  // For the library.
  struct Held;
  const std::shared_ptr<const Held>& held() const { return held_; }

 private:
  Held& Mine();
  std::shared_ptr<const Held> held_;  // null: nothing is needed
};

// The answer to a check. An object that is reused for many checks allocates nothing once it is
// warm. A value; reading it is thread-safe.
class TOLLGATE_EDGE_EXPORT Decision {
 public:
  // kUnavailable, until a check has filled it.
  Verdict verdict() const { return verdict_; }
  Reason reason() const { return reason_; }
  bool admitted() const { return verdict_ == Verdict::kAdmit; }
  // When to try again, with kUnavailable; otherwise zero.
  std::chrono::milliseconds retry_after() const { return retry_after_; }
  // True: admitted without a lease, by Options::fail_open.
  bool fail_open() const { return fail_open_; }

  // The identity: whom the token speaks for. Present when admitted, and when refused for scope,
  // audience or workspace only; in every other case a stranger would learn something. The views
  // below are empty where it is absent, and valid until this object is changed or destroyed.
  bool has_identity() const { return !ends_.empty(); }
  // `workspaces/{workspace}/tokens/{token_id}`: no secret, good for logs.
  std::string_view token() const { return Text(0); }
  std::string_view workspace() const { return Text(1); }
  std::string_view token_id() const { return Text(2); }
  // The caller's own id for the owner of the token; may be empty.
  std::string_view owner() const { return Text(3); }
  std::size_t scope_count() const { return ends_.size() > 4 ? ends_.size() - 4 : 0; }
  std::string_view scope(std::size_t i) const { return Text(4 + i); }
  // The token's annotation of this key, where its workspace's policy tells edges of it; else empty.
  std::string_view annotation(std::string_view key) const {
    std::string_view rest = text_;
    rest.remove_prefix(ends_.empty() ? rest.size() : ends_.back());
    while (!rest.empty()) {
      const std::string_view held = rest.substr(0, rest.find('\0'));
      rest.remove_prefix(held.size() + 1);
      const std::string_view value = rest.substr(0, rest.find('\0'));
      rest.remove_prefix(value.size() + 1);
      if (held == key) return value;
    }
    return {};
  }
  // When the token expires; nullopt: never, or there is no identity.
  std::optional<std::chrono::system_clock::time_point> expire_time() const { return expire_time_; }

 private:
  friend class DecisionWords;
  std::string_view Text(std::size_t i) const {
    if (i >= ends_.size()) return {};
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }

  Verdict verdict_ = Verdict::kUnavailable;
  Reason reason_ = Reason::kServiceUnavailable;
  bool fail_open_ = false;
  std::chrono::milliseconds retry_after_{1000};
  std::optional<std::chrono::system_clock::time_point> expire_time_;
  // Token, workspace, token id, owner, scopes, on end; then key and value of each annotation, each
  // with a 0 byte behind it, which neither can hold.
  std::string text_;
  std::vector<std::uint32_t> ends_;  // of each in text_ up to the scopes
};

// What an admission let in, for as long as it stays open: the edge keeps it and its token together,
// and says when the admission is no longer true. Closing or destroying the handle says that what
// was held open is closed; so keep the handle beside the socket, the stream or the call.
//
// There are two ways to hear of the end, for two kinds of host:
// * `on_end` (Edge::HoldEnd) is called by the edge, and can wake a connection that is silent.
// * Good() is asked by the host, before each message that it sends or takes. It costs some tens of
//   nanoseconds, and it is right also where no thread of the edge has run for a while.
//
// A handle may outlive its edge; it is not good then, and keeps the edge's memory until it is
// closed. In a forked child no handle is good, and closing one there does nothing.
//
// Thread-safe are Good and reason, with each other and with what the edge does. Close, the
// destructor and moves are one thread's at a time, which no other call of this handle overlaps.
class TOLLGATE_EDGE_EXPORT Hold {
 public:
  Hold() noexcept;  // holds nothing, and is not good
  // Close().
  ~Hold();
  Hold(Hold&& from) noexcept;
  Hold& operator=(Hold&& from) noexcept;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  // Whether what was admitted may stay open. It takes no lock, allocates nothing, makes no system
  // call. True: at this moment the edge holds a live lease, by a boot clock that goes on while
  // process and machine are suspended, and has not heard of an end. False: close what is held open;
  // nothing makes it good again. `on_end` has been called, is being called, or will be soon.
  bool Good() const;
  // Why it is not good, as `on_end` is told; kNone while it is good, and for a handle that holds
  // nothing. kForked in a forked child. Thread-safe.
  Reason reason() const;
  // Says that what was held open is closed. Afterwards `on_end` is not called any more. Where
  // another thread is calling it just now, this waits until it has returned; on the thread that
  // calls it, inside it, this does not wait. So hold no lock here that `on_end` takes. Idempotent.
  void Close();

  // For the library.
  struct Held;
  explicit Hold(std::shared_ptr<Held> held) noexcept;

 private:
  std::shared_ptr<Held> held_;
};

// The state of an edge.
enum class State : std::int32_t {
  kConnecting = 0,  // it has held no lease yet: every answer is unavailable
  kLive = 1,        // decisions are covered by a lease
  kFailOpen = 2,    // the lease has run out; the edge goes on from memory, as asked for
  kNoLease = 3,     // the lease has run out: all but final refusals are unavailable
  kStopped = 4,     // Stop() was called
  kForked = 5,      // this process is a forked child: start an edge of its own (after the fork)
};

// A reading. Each field is right; together they are not as of one moment.
struct Status {
  State state = State::kConnecting;
  std::chrono::milliseconds lease_left{0};  // zero without a live lease
  bool following = false;                   // its stream to the service is up
  std::string epoch;                        // of the service's store; empty: not heard yet
  std::int64_t applied_revision = 0;        // all changes up to here are applied
  std::int64_t cached_tokens = 0;
  std::int64_t cached_unknown = 0;
  std::int64_t questions_in_flight = 0;
  std::int64_t resets = 0;          // how often everything held was dropped to begin anew
  std::int64_t reconnects = 0;      // streams tried after the first
  std::int64_t open_holds = 0;      // what is held open
  std::int64_t holds_in_doubt = 0;  // of these, what a change may be about; the service is asked
  // What keeps the service from being reached: a reason (docs/errors.md), and in words. Empty while
  // it is reached, and for the first second or two without it.
  std::string unreached_reason;
  std::string unreached_why;
};

// Sums since the start. Not counted: answers with kTimedOut, kStopped or kForked.
struct Totals {
  std::int64_t admitted = 0;
  std::int64_t admitted_fail_open = 0;  // of those, without a lease
  std::int64_t denied = 0;
  std::int64_t unavailable = 0;
  std::int64_t from_memory = 0;              // decisions that needed no question
  std::int64_t misses = 0;                   // checks that had to ask the service
  std::array<std::int64_t, 32> by_reason{};  // of denied and unavailable, by Reason's number
  std::int64_t holds_opened = 0;
  std::int64_t holds_closed = 0;  // by the host, while they were good
  std::int64_t holds_ended = 0;   // by the edge
};

// One edge: it follows the service's feed, holds what the feed and the answers say, and decides
// from that. A process usually has one. Thread-safe, but for the destructor, which no other call
// may overlap.
//
// Threads: one of the edge's own for timers, one that watches the lease, one that finds out why the
// service cannot be reached, one that calls back about holds, and gRPC's pool (shared with a host
// that uses gRPC).
//
// Fork: an edge belongs to the process that started it. In a forked child the lease is wiped
// memory, every check is unavailable (kForked), and Stop and the destructor do nothing. gRPC does
// not outlive a fork either: a child whose parent had started an edge, or used gRPC in any other
// way, cannot start one (Start: FORKED_AFTER_START). A Start that was refused counts for nothing
// here. So a server of many processes starts its edges in the children, after the fork, and none in
// the parent. A child that execs is free to do as it likes.
class TOLLGATE_EDGE_EXPORT Edge {
 public:
  using Callback = std::function<void(const Decision& decision)>;

  // Starts to follow the service, and returns at once. Every check is unavailable until the service
  // has been heard (see WaitUntilLive). A service that cannot be reached is no error. Errors, by
  // reason: VALIDATOR_ID_MALFORMED, OUT_OF_RANGE, ADDRESS_INVALID, BRAND_MALFORMED,
  // PLAINTEXT_REFUSED, TLS_FILES_INVALID, NO_WIPE_ON_FORK (Linux before 4.14), NO_MEMORY,
  // FORKED_AFTER_START. Nothing is left running after an error. Thread-safe.
  static Result<std::unique_ptr<Edge>> Start(Options options);
  // Stop(), with its default limit, where it was not called: then not in a callback, nor on any
  // other thread of gRPC's. Whoever shares the edge with what gRPC owns (grpc_guard.h) calls Stop
  // first.
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // Decides from memory: takes no lock, makes no system call, waits for nothing, and allocates
  // nothing once `*decision` is warm. Uses about 15 KB of stack. False: the edge holds nothing
  // about this string, and the service must be asked (CheckAsync, CheckBlocking); `*decision` is
  // then unavailable, and must not be taken for an answer. `token_string`: as presented, without
  // "Bearer "; any bytes. `decision` is not null.
  [[nodiscard]] bool Check(std::string_view token_string, const Requirement& requirement,
                           Decision* decision);

  // Decides, and asks the service where needed; many checks of one token ask once. `callback` runs
  // exactly once: here, before this returns, or on one of gRPC's threads; at the latest after four
  // times Options::resolve_timeout, or when Stop() is called. It must not block, throw, nor call
  // CheckBlocking, WaitUntilLive or Stop. The decision is valid during the callback; copy it to
  // keep it. The token string is not kept.
  void CheckAsync(std::string_view token_string, const Requirement& requirement, Callback callback);

  // Decides, and waits for the service where needed, for at most `limit`; after that the answer is
  // unavailable (kTimedOut). For servers with a thread a request: not on an event loop, nor in a
  // callback.
  Decision CheckBlocking(std::string_view token_string, const Requirement& requirement,
                         std::chrono::milliseconds limit = std::chrono::seconds(3));

  // Is called when what was held is no longer good, at most once, on the edge's thread for holds,
  // one call at a time, with no lock of the edge held; never after the hold was closed. The reason
  // is what a new check would say: kRevoked, kExpired, kSuspended, kInsufficientScope and the like
  // are about the token (VerdictOf: kDeny). kNoLease, kServiceUnavailable and kStopped accuse
  // nobody: the client may come again with the same token. It may close or destroy the handle,
  // and ask CheckAsync or HoldAsync. It must not block, because the ends of other holds wait; nor
  // throw, nor call CheckBlocking, HoldBlocking, WaitUntilLive or Stop. Close what is held open in
  // it, or give the order to.
  using HoldEnd = std::function<void(Reason reason)>;
  using HoldOpened = std::function<void(const Decision& decision, Hold hold)>;

  // Decides as CheckAsync does, and holds what is admitted: `opened` gets the decision, and a hold
  // that is good unless the decision is another one than admit. It runs exactly once: here, before
  // this returns, where nothing can be held (kStopped, kForked, kOverloaded); else on the edge's
  // thread for holds, and then before `on_end` of the same hold. It must not block, as `on_end`
  // must not. The requirement is what the hold needs of its token for as long as it is open: a
  // scope that is taken away ends it. Without a live lease nothing is held, nor stays held, also at
  // a fail-open edge. A hold is a use of its token, for as long as it is good. The token string is
  // not kept. `on_end` may be empty.
  void HoldAsync(std::string_view token_string, const Requirement& requirement, HoldEnd on_end,
                 HoldOpened opened);
  // The same; waits for the service where needed, for at most `limit` (kTimedOut), as CheckBlocking
  // does. `on_end` may be called before this returns.
  std::pair<Decision, Hold> HoldBlocking(std::string_view token_string,
                                         const Requirement& requirement, HoldEnd on_end,
                                         std::chrono::milliseconds limit = std::chrono::seconds(3));

  // Waits until there is a live lease, for at most `limit`. True: there is one. For programs that
  // report themselves ready only then. Not in a callback.
  bool WaitUntilLive(std::chrono::milliseconds limit);

  edge::Status Status() const;
  edge::Totals Totals() const;
  // The edge's metrics in Prometheus' text format 0.0.4; names `tollgate_validator_…`, as a
  // sidecar's. Empty in a forked child.
  std::string Metrics() const;

  // Ends the edge. From now on every check is unavailable (kStopped), and the checks that wait are
  // answered so. Every hold ends (kStopped), and Stop waits for each `on_end` to return, beyond
  // `limit` too; a handle that is closed later says nothing any more. Use is reported and the
  // service gets a goodbye (R4), so that no receipt waits for this edge's lease to run out; that
  // takes at most `limit`. First end the callers that ask the edge: Stop does not wait for an
  // answer that another thread is giving. Returns once nothing of the edge runs. True: the service
  // has taken the goodbye. Idempotent (later calls: false). Not in a callback.
  bool Stop(std::chrono::milliseconds limit = std::chrono::seconds(2));

 private:
  class Impl;
  explicit Edge(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_EDGE_H_
