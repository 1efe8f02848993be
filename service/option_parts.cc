#include "service/option_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bad_flag.h"
#include "base/duration.h"
#include "base/status.h"
#include "net/address.h"
#include "service/access/member.h"
#include "token/token_string.h"

namespace tollgate::service {
namespace {

absl::Status CheckCounts(const ServerOptions& o) {
  struct Count {
    absl::string_view flag;
    int64_t value;
    int64_t least;
  };
  const Count counts[] = {
      {"max-message-bytes", o.max_message_bytes, 64 << 10},
      {"read-threads", o.read_threads, 1},
      {"max-queued-reads", o.max_queued_reads, 0},
      {"scan-threads", o.scan_threads, 1},
      {"max-queued-scans", o.max_queued_scans, 0},
      {"max-watchers", o.max_watchers, 0},
      {"max-queued-watch", o.max_queued_watch, 1},
      {"max-connections", o.max_connections, 0},
      {"ring-revisions", o.ring_revisions, 1},
      {"ring-bytes", o.ring_bytes, 1 << 20},
      {"event-retention-count", o.event_retention_count, 1},
  };
  for (const Count& count : counts) {
    if (count.value < count.least) {
      return base::BadFlag(count.flag, absl::StrCat("must be at least ", count.least));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTimes(const ServerOptions& o) {
  struct Time {
    absl::string_view flag;
    absl::Duration value;
    absl::Duration least;  // zero: above it
    absl::string_view why;
  };
  const Time times[] = {
      {"write-stall-limit", o.write_stall_limit, absl::Seconds(1), ""},
      {"no-progress-limit", o.no_progress_limit, absl::Seconds(1), ""},
      {"max-stream-age", o.max_stream_age, absl::Seconds(1), ""},
      {"disk-hang-limit", o.disk_hang_limit, absl::Seconds(1), ", for a disk that is only busy"},
      {"clock-step-bound", o.clock_step_bound, absl::Seconds(1), ""},
      {"longest-off", o.longest_off, absl::Minutes(1), ""},
      {"clock-edge-bound", o.clock_edge_bound, absl::Seconds(1), ""},
      {"sweep-interval", o.sweep_interval, absl::ZeroDuration(), ""},
      {"event-retention", o.event_retention, absl::ZeroDuration(), ""},
      {"use-retention", o.use_retention, absl::Hours(24), ", the usual quiet period of a rotation"},
  };
  for (const Time& time : times) {
    if (time.least == absl::ZeroDuration() ? time.value > time.least : time.value >= time.least) {
      continue;
    }
    return base::BadFlag(
        time.flag,
        time.least == absl::ZeroDuration()
            ? std::string("must be above 0")
            : absl::StrCat("must be at least ", base::TextFromDuration(time.least), time.why));
  }
  return absl::OkStatus();
}

absl::Status CheckAccess(const ServerOptions& o) {
  const auto check = [](const char* flag, const std::vector<std::string>& members) {
    for (const std::string& member : members) {
      const absl::Status good = CheckMember(member, flag);
      if (!good.ok()) return base::BadFlag(flag, base::DetailsOf(good).fields.front().description);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(check("admin", o.admin));
  return check("validator", o.validator);
}

absl::Status CheckListeners(const ServerOptions& o) {
  if (o.listen.empty())
    return base::BadFlag("listen", "there is none: the service would serve nobody");
  for (const std::string& text : o.listen) {
    const absl::StatusOr<net::Address> address = net::ParseAddress(text);
    if (!address.ok()) return base::BadFlag("listen", address.status().message());
  }
  if (o.client_cert_optional && o.client_ca.empty()) {
    return base::BadFlag("client-cert-optional",
                         "is about callers' certificates, and there is no --client-ca");
  }
  const int given = !o.tls_cert.empty() + !o.tls_key.empty() + !o.client_ca.empty();
  if (given == 0 || given == 3) return absl::OkStatus();
  return base::BadFlag(o.tls_cert.empty()  ? "tls-cert"
                       : o.tls_key.empty() ? "tls-key"
                                           : "client-ca",
                       "is missing: --tls-cert, --tls-key and --client-ca go together");
}

StoreHome::Options HomeOptionsOf(const ServerOptions& o) {
  StoreHome::Options home;
  home.store = o.store;
  home.keyring = o.keyring;
  home.journal = o.journal;
  home.seal = o.seal;
  home.no_journal = o.no_journal;
  if (o.group_readable_secrets) home.secret_readers = token::SecretReaders::kOwnerAndGroup;
  return home;
}

Hub::Options FeedOptionsOf(const ServerOptions& o) {
  Hub::Options hub;
  hub.brand = o.brand;
  hub.lease = o.lease;
  hub.ping_interval = o.ping_interval;
  hub.max_pings_per_second = o.max_pings_per_second;
  hub.usage_interval = o.usage_interval;
  hub.drift_bound = o.drift_bound;
  hub.ack_limit = o.ack_limit;
  hub.max_followers = static_cast<size_t>(std::max(o.max_followers, 0));
  hub.stall_limit = o.write_stall_limit;
  hub.no_progress_limit = o.no_progress_limit;
  hub.max_stream_age = o.max_stream_age;
  hub.min_stream_age = o.max_stream_age / 2;
  hub.ring.max_revisions = static_cast<size_t>(std::max<int64_t>(o.ring_revisions, 0));
  hub.ring.max_bytes = static_cast<size_t>(std::max<int64_t>(o.ring_bytes, 0));
  return hub;
}

}  // namespace

absl::StatusOr<OptionParts> PartsOf(const ServerOptions& o) {
  RETURN_IF_ERROR(CheckListeners(o));
  RETURN_IF_ERROR(CheckAccess(o));
  RETURN_IF_ERROR(CheckCounts(o));
  RETURN_IF_ERROR(CheckTimes(o));
  Hub::Options feed = FeedOptionsOf(o);
  const absl::Status checked = Hub::CheckOptions(feed);
  if (!checked.ok()) return base::BadFlagOf(checked);
  absl::StatusOr<token::TokenFormat> format = token::TokenFormat::ForBrand(o.brand);
  if (!format.ok()) return base::BadFlag("brand", format.status().message());
  if (o.no_journal && !o.journal.empty()) {
    return base::BadFlag("no-journal", "and --journal contradict each other; give one of them");
  }
  ASSIGN_OR_RETURN(StoreHome home, StoreHome::At(HomeOptionsOf(o)));
  return OptionParts{std::move(home), *std::move(format), std::move(feed)};
}

}  // namespace tollgate::service
