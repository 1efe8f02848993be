// The C ABI over the C++ API. No exception leaves it.
#include "tollgate/edge_c.h"

#include <sodium.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/version.h"
#include "tollgate/edge.h"

struct tollgate_edge {
  std::unique_ptr<tollgate::edge::Edge> edge;
};
struct tollgate_edge_requirement {
  tollgate::edge::Requirement requirement;
  // The last try to set this part has failed: no token meets the requirement.
  bool lacks_expression = false;
  bool lacks_workspace = false;
};
struct tollgate_edge_decision {
  tollgate::edge::Decision decision;
};
struct tollgate_edge_hold {
  tollgate::edge::Hold hold;
};

namespace tollgate::edge {
namespace {

using std::chrono::milliseconds;

const edge::Requirement& Needed(const tollgate_edge_requirement* requirement) {
  static const edge::Requirement* const nothing = new edge::Requirement;
  static const edge::Requirement* const unmet =
      new edge::Requirement(edge::Requirement().Workspace(""));
  if (requirement == nullptr) return *nothing;
  const bool lacks = requirement->lacks_expression || requirement->lacks_workspace;
  return lacks ? *unmet : requirement->requirement;
}

// Behaves as snprintf: writes what fits and a NUL, and returns the whole length.
size_t CopyOut(std::string_view text, char* buffer, size_t size) {
  if (buffer == nullptr || size == 0) return text.size();
  const size_t fits = std::min(text.size(), size - 1);
  std::memcpy(buffer, text.data(), fits);
  buffer[fits] = '\0';
  return text.size();
}

edge::Options OptionsFrom(const tollgate_edge_options& o) {
  edge::Options out;
  const auto text = [](const char* from, std::string* to) {
    if (from != nullptr) *to = from;
  };
  const auto time = [](int64_t from, milliseconds* to) {
    if (from != 0) *to = milliseconds(from);
  };
  const auto number = [](int64_t from, int64_t* to) {
    if (from != 0) *to = from;
  };
  text(o.id, &out.id);
  text(o.service, &out.service);
  text(o.service_ca, &out.service_ca);
  text(o.service_cert, &out.service_cert);
  text(o.service_key, &out.service_key);
  text(o.service_spiffe_id, &out.service_spiffe_id);
  text(o.service_host_name, &out.service_host_name);
  text(o.brand, &out.brand);
  out.service_tls = o.service_tls != 0;
  out.allow_plaintext = o.allow_plaintext != 0;
  out.fail_open = o.fail_open != 0;
  time(o.fail_open_for_ms, &out.fail_open_for);
  if (o.drift_bound != 0) out.drift_bound = o.drift_bound;
  number(o.cache_entries, &out.cache_entries);
  number(o.unknown_entries, &out.unknown_entries);
  number(o.max_questions, &out.max_questions);
  number(o.max_waiting, &out.max_waiting);
  time(o.resolve_timeout_ms, &out.resolve_timeout);
  time(o.longest_backoff_ms, &out.longest_backoff);
  number(o.max_holds, &out.max_holds);
  if (o.max_holds == -1) out.max_holds = 0;
  if (o.log != nullptr) {
    out.log = [log = o.log, context = o.log_context](edge::LogLevel level, std::string_view line) {
      log(context, static_cast<int32_t>(level), line.data(), line.size());
    };
  }
  return out;
}

// Reads the caller's structure into this library's: members that the caller's lacks are zero.
// False: the caller has set members that this library does not know.
template <class T>
bool CopyIn(const T* from, T* to) {
  std::memset(static_cast<void*>(to), 0, sizeof(T));
  if (from->struct_size < sizeof(size_t)) return false;
  const char* const bytes = reinterpret_cast<const char*>(from);
  for (size_t i = sizeof(T); i < from->struct_size; ++i) {
    if (bytes[i] != 0) return false;
  }
  std::memcpy(static_cast<void*>(to), bytes, std::min(from->struct_size, sizeof(T)));
  return true;
}

// Writes this library's structure into as much as the caller's has; further members of the caller's
// become zero.
template <class T>
void CopyBack(const T& from, T* to) {
  const size_t size = to->struct_size;
  std::memset(static_cast<void*>(to), 0, size);
  std::memcpy(static_cast<void*>(to), &from, std::min(size, sizeof(T)));
  to->struct_size = size;
}

// Runs `body`; an exception becomes `failure`.
template <class R, class Body>
R Guarded(R failure, Body&& body) noexcept {
  try {
    return body();
  } catch (...) {
    return failure;
  }
}

// Sets a part of a requirement by `set`, which returns why it failed, as "REASON: text", or
// nothing. `*lacks` says afterwards whether it failed.
template <class Set>
tollgate_edge_code SetPart(bool* lacks, char* message, size_t message_size, Set&& set) noexcept {
  *lacks = true;
  CopyOut("NO_MEMORY", message, message_size);
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_RESOURCE_EXHAUSTED, [&] {
    const std::string why = set();
    CopyOut(why, message, message_size);
    *lacks = !why.empty();
    return *lacks ? TOLLGATE_EDGE_INVALID_ARGUMENT : TOLLGATE_EDGE_OK;
  });
}

Edge::HoldEnd EndFor(tollgate_edge_hold_end on_end, void* context) {
  if (on_end == nullptr) return nullptr;
  return [on_end, context](Reason reason) { on_end(context, static_cast<int32_t>(reason)); };
}

bool Checkable(const tollgate_edge* edge, const char* token_string, size_t size) {
  return edge != nullptr && (token_string != nullptr || size == 0);
}

}  // namespace
}  // namespace tollgate::edge

using tollgate::edge::CopyBack;
using tollgate::edge::CopyIn;
using tollgate::edge::CopyOut;
using tollgate::edge::Guarded;
using tollgate::edge::Needed;
using tollgate::edge::SetPart;

extern "C" {

const char* tollgate_edge_version(void) { return tollgate::base::kVersion; }

const char* tollgate_edge_describe(int32_t reason) {
  // Literals all of them, so NUL-terminated.
  return tollgate::edge::Describe(static_cast<tollgate::edge::Reason>(reason)).data();
}

int32_t tollgate_edge_verdict_of(int32_t reason) {
  return static_cast<int32_t>(
      tollgate::edge::VerdictOf(static_cast<tollgate::edge::Reason>(reason)));
}

void tollgate_edge_wipe(void* bytes, size_t size) {
  if (bytes != nullptr) sodium_memzero(bytes, size);
}

tollgate_edge_code tollgate_edge_start(const tollgate_edge_options* options, tollgate_edge** edge,
                                       char* message, size_t message_size) {
  CopyOut("", message, message_size);
  if (edge == nullptr) return TOLLGATE_EDGE_INVALID_ARGUMENT;
  *edge = nullptr;
  try {
    tollgate_edge_options known;
    if (options == nullptr || !CopyIn(options, &known)) {
      CopyOut(
          "STRUCT_SIZE: begin with TOLLGATE_EDGE_OPTIONS_INIT; an option set beyond what this "
          "library knows wants a newer library",
          message, message_size);
      return TOLLGATE_EDGE_INVALID_ARGUMENT;
    }
    auto handle = std::make_unique<tollgate_edge>();
    auto started = tollgate::edge::Edge::Start(tollgate::edge::OptionsFrom(known));
    if (!started.ok()) {
      CopyOut(started.error().reason + ": " + started.error().message, message, message_size);
      return static_cast<tollgate_edge_code>(started.error().code);
    }
    handle->edge = std::move(*started);
    *edge = handle.release();
    return TOLLGATE_EDGE_OK;
  } catch (const std::bad_alloc&) {
    CopyOut("NO_MEMORY", message, message_size);
    return TOLLGATE_EDGE_RESOURCE_EXHAUSTED;
  } catch (const std::exception& e) {
    CopyOut(e.what(), message, message_size);
  } catch (...) {
    CopyOut("an exception that says nothing", message, message_size);
  }
  return TOLLGATE_EDGE_INTERNAL;
}

int32_t tollgate_edge_wait_until_live(tollgate_edge* edge, int64_t limit_ms) {
  if (edge == nullptr) return 0;
  return Guarded<int32_t>(
      0, [&] { return edge->edge->WaitUntilLive(std::chrono::milliseconds(limit_ms)) ? 1 : 0; });
}

int32_t tollgate_edge_stop(tollgate_edge* edge, int64_t limit_ms) {
  if (edge == nullptr) return 0;
  return Guarded<int32_t>(
      0, [&] { return edge->edge->Stop(std::chrono::milliseconds(limit_ms)) ? 1 : 0; });
}

void tollgate_edge_free(tollgate_edge* edge) {
  Guarded<int>(0, [&] {
    delete edge;
    return 0;
  });
}

tollgate_edge_requirement* tollgate_edge_requirement_new(const char* const* all_of,
                                                         size_t all_count,
                                                         const char* const* any_of,
                                                         size_t any_count, const char* audience) {
  return Guarded<tollgate_edge_requirement*>(nullptr, [&]() -> tollgate_edge_requirement* {
    std::vector<std::string> all, any;
    for (size_t i = 0; i < all_count; ++i) {
      if (all_of == nullptr || all_of[i] == nullptr) return nullptr;
      all.emplace_back(all_of[i]);
    }
    for (size_t i = 0; i < any_count; ++i) {
      if (any_of == nullptr || any_of[i] == nullptr) return nullptr;
      any.emplace_back(any_of[i]);
    }
    auto made = std::make_unique<tollgate_edge_requirement>();
    made->requirement.AllOf(std::move(all)).AnyOf(std::move(any));
    if (audience != nullptr) made->requirement.Audience(audience);
    return made.release();
  });
}

tollgate_edge_code tollgate_edge_requirement_set_scope_expression(
    tollgate_edge_requirement* requirement, const char* expression, char* message,
    size_t message_size) {
  CopyOut("", message, message_size);
  if (requirement == nullptr) return TOLLGATE_EDGE_INVALID_ARGUMENT;
  return SetPart(&requirement->lacks_expression, message, message_size, [&]() -> std::string {
    auto with = requirement->requirement.WithExpression(expression != nullptr ? expression : "");
    if (!with.ok()) return with.error().reason + ": " + with.error().message;
    requirement->requirement = std::move(*with);
    return "";
  });
}

tollgate_edge_code tollgate_edge_requirement_set_workspace(tollgate_edge_requirement* requirement,
                                                           const char* id, char* message,
                                                           size_t message_size) {
  CopyOut("", message, message_size);
  if (requirement == nullptr) return TOLLGATE_EDGE_INVALID_ARGUMENT;
  return SetPart(&requirement->lacks_workspace, message, message_size, [&]() -> std::string {
    const std::string_view given = id != nullptr ? id : "";
    if (given.empty() || given.substr(0, 11) == "workspaces/") {
      return "WORKSPACE_ID_MALFORMED: must be the workspace's id alone: acme, and not "
             "workspaces/acme";
    }
    requirement->requirement.Workspace(std::string(given));
    return "";
  });
}

void tollgate_edge_requirement_free(tollgate_edge_requirement* requirement) { delete requirement; }

tollgate_edge_decision* tollgate_edge_decision_new(void) {
  return new (std::nothrow) tollgate_edge_decision;
}

void tollgate_edge_decision_free(tollgate_edge_decision* decision) { delete decision; }

tollgate_edge_code tollgate_edge_check(tollgate_edge* edge, const char* token_string, size_t size,
                                       const tollgate_edge_requirement* requirement,
                                       tollgate_edge_decision* decision) {
  if (!tollgate::edge::Checkable(edge, token_string, size) || decision == nullptr) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    return edge->edge->Check(std::string_view(token_string, size), Needed(requirement),
                             &decision->decision)
               ? TOLLGATE_EDGE_OK
               : TOLLGATE_EDGE_MISS;
  });
}

tollgate_edge_code tollgate_edge_check_blocking(tollgate_edge* edge, const char* token_string,
                                                size_t size,
                                                const tollgate_edge_requirement* requirement,
                                                int64_t limit_ms,
                                                tollgate_edge_decision* decision) {
  if (!tollgate::edge::Checkable(edge, token_string, size) || decision == nullptr) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    decision->decision =
        edge->edge->CheckBlocking(std::string_view(token_string, size), Needed(requirement),
                                  std::chrono::milliseconds(limit_ms));
    return TOLLGATE_EDGE_OK;
  });
}

tollgate_edge_code tollgate_edge_check_async(tollgate_edge* edge, const char* token_string,
                                             size_t size,
                                             const tollgate_edge_requirement* requirement,
                                             tollgate_edge_callback callback, void* context) {
  if (!tollgate::edge::Checkable(edge, token_string, size) || callback == nullptr) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    edge->edge->CheckAsync(std::string_view(token_string, size), Needed(requirement),
                           [callback, context](const tollgate::edge::Decision& decision) {
                             const tollgate_edge_decision copy{decision};
                             callback(context, &copy);
                           });
    return TOLLGATE_EDGE_OK;
  });
}

tollgate_edge_code tollgate_edge_hold_blocking(tollgate_edge* edge, const char* token_string,
                                               size_t size,
                                               const tollgate_edge_requirement* requirement,
                                               int64_t limit_ms, tollgate_edge_hold_end on_end,
                                               void* context, tollgate_edge_decision* decision,
                                               tollgate_edge_hold** hold) {
  if (hold == nullptr) return TOLLGATE_EDGE_INVALID_ARGUMENT;
  *hold = nullptr;
  if (!tollgate::edge::Checkable(edge, token_string, size) || decision == nullptr) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    auto handle = std::make_unique<tollgate_edge_hold>();
    std::tie(decision->decision, handle->hold) = edge->edge->HoldBlocking(
        std::string_view(token_string, size), Needed(requirement),
        tollgate::edge::EndFor(on_end, context), std::chrono::milliseconds(limit_ms));
    if (decision->decision.admitted()) *hold = handle.release();
    return TOLLGATE_EDGE_OK;
  });
}

tollgate_edge_code tollgate_edge_hold_async(tollgate_edge* edge, const char* token_string,
                                            size_t size,
                                            const tollgate_edge_requirement* requirement,
                                            tollgate_edge_hold_end on_end,
                                            tollgate_edge_hold_opened opened, void* context) {
  if (!tollgate::edge::Checkable(edge, token_string, size) || opened == nullptr) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    // Made here, where a lack of memory can be told. Shared, because a callback has to be copyable.
    auto handle = std::make_shared<std::unique_ptr<tollgate_edge_hold>>(new tollgate_edge_hold);
    edge->edge->HoldAsync(std::string_view(token_string, size), Needed(requirement),
                          tollgate::edge::EndFor(on_end, context),
                          [opened, context, handle](const tollgate::edge::Decision& decision,
                                                    tollgate::edge::Hold hold) {
                            const tollgate_edge_decision copy{decision};
                            if (!decision.admitted()) return opened(context, &copy, nullptr);
                            (*handle)->hold = std::move(hold);
                            opened(context, &copy, handle->release());
                          });
    return TOLLGATE_EDGE_OK;
  });
}

int32_t tollgate_edge_hold_good(const tollgate_edge_hold* hold) {
  return hold != nullptr && hold->hold.Good() ? 1 : 0;
}
int32_t tollgate_edge_hold_reason(const tollgate_edge_hold* hold) {
  return hold == nullptr ? 0 : static_cast<int32_t>(hold->hold.reason());
}
void tollgate_edge_hold_free(tollgate_edge_hold* hold) {
  Guarded<int>(0, [&] {
    delete hold;
    return 0;
  });
}

int32_t tollgate_edge_decision_verdict(const tollgate_edge_decision* d) {
  return d == nullptr ? 0 : static_cast<int32_t>(d->decision.verdict());
}
int32_t tollgate_edge_decision_reason(const tollgate_edge_decision* d) {
  return d == nullptr ? 0 : static_cast<int32_t>(d->decision.reason());
}
int64_t tollgate_edge_decision_retry_after_ms(const tollgate_edge_decision* d) {
  return d == nullptr ? 0 : d->decision.retry_after().count();
}
int32_t tollgate_edge_decision_fail_open(const tollgate_edge_decision* d) {
  return d != nullptr && d->decision.fail_open() ? 1 : 0;
}
int64_t tollgate_edge_decision_expire_time_ms(const tollgate_edge_decision* d) {
  if (d == nullptr) return 0;
  const auto time = d->decision.expire_time();
  if (!time.has_value()) return 0;
  return std::chrono::duration_cast<std::chrono::milliseconds>(time->time_since_epoch()).count();
}

size_t tollgate_edge_decision_text(const tollgate_edge_decision* d, int32_t field, char* buffer,
                                   size_t size) {
  CopyOut("", buffer, size);
  if (d == nullptr) return 0;
  const tollgate::edge::Decision& decision = d->decision;
  switch (field) {
    case TOLLGATE_EDGE_TOKEN:
      return CopyOut(decision.token(), buffer, size);
    case TOLLGATE_EDGE_WORKSPACE:
      return CopyOut(decision.workspace(), buffer, size);
    case TOLLGATE_EDGE_TOKEN_ID:
      return CopyOut(decision.token_id(), buffer, size);
    case TOLLGATE_EDGE_OWNER:
      return CopyOut(decision.owner(), buffer, size);
    case TOLLGATE_EDGE_SCOPES:
      return Guarded<size_t>(0, [&] {
        std::string scopes;
        for (size_t i = 0; i < decision.scope_count(); ++i) {
          if (i > 0) scopes.push_back(' ');
          scopes.append(decision.scope(i));
        }
        return CopyOut(scopes, buffer, size);
      });
    default:
      return 0;
  }
}

tollgate_edge_code tollgate_edge_get_status(tollgate_edge* edge, tollgate_edge_status* status) {
  if (edge == nullptr || status == nullptr || status->struct_size < sizeof(size_t)) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    const tollgate::edge::Status s = edge->edge->Status();
    tollgate_edge_status out = TOLLGATE_EDGE_STATUS_INIT;
    out.state = static_cast<int32_t>(s.state);
    out.following = s.following ? 1 : 0;
    out.lease_left_ms = s.lease_left.count();
    out.applied_revision = s.applied_revision;
    out.cached_tokens = s.cached_tokens;
    out.cached_unknown = s.cached_unknown;
    out.questions_in_flight = s.questions_in_flight;
    out.resets = s.resets;
    out.reconnects = s.reconnects;
    out.open_holds = s.open_holds;
    out.holds_in_doubt = s.holds_in_doubt;
    CopyBack(out, status);
    return TOLLGATE_EDGE_OK;
  });
}

tollgate_edge_code tollgate_edge_get_totals(tollgate_edge* edge, tollgate_edge_totals* totals) {
  if (edge == nullptr || totals == nullptr || totals->struct_size < sizeof(size_t)) {
    return TOLLGATE_EDGE_INVALID_ARGUMENT;
  }
  return Guarded<tollgate_edge_code>(TOLLGATE_EDGE_INTERNAL, [&] {
    const tollgate::edge::Totals t = edge->edge->Totals();
    tollgate_edge_totals out = TOLLGATE_EDGE_TOTALS_INIT;
    out.admitted = t.admitted;
    out.admitted_fail_open = t.admitted_fail_open;
    out.denied = t.denied;
    out.unavailable = t.unavailable;
    out.from_memory = t.from_memory;
    out.misses = t.misses;
    std::copy(t.by_reason.begin(), t.by_reason.end(), out.by_reason);
    out.holds_opened = t.holds_opened;
    out.holds_closed = t.holds_closed;
    out.holds_ended = t.holds_ended;
    CopyBack(out, totals);
    return TOLLGATE_EDGE_OK;
  });
}

size_t tollgate_edge_metrics(tollgate_edge* edge, char* buffer, size_t size) {
  CopyOut("", buffer, size);
  if (edge == nullptr) return 0;
  return Guarded<size_t>(0, [&] { return CopyOut(edge->edge->Metrics(), buffer, size); });
}

}  // extern "C"
