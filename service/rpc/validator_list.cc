#include "service/rpc/validator_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/feed/ledger/fleet.h"
#include "service/reads/page_token.h"
#include "service/records/field_time.h"
#include "service/rpc/enforced_wait.h"

namespace tollgate::service {
namespace {

using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::ValidatorStatus;

constexpr size_t kUsualPage = 1000;
constexpr int32_t kLargestPage = 5000;

ValidatorStatus ToStatus(const SessionView& session, absl::Time now) {
  ValidatorStatus status;
  status.set_validator_id(session.key.validator_id);
  status.set_instance(InstanceOf(session.key));
  status.set_address(session.address);
  status.set_version(session.version);
  if (session.connected_for.has_value()) {
    *status.mutable_connect_time() = base::ToProto(now - *session.connected_for);
  }
  status.set_state(StateOf(session));
  status.set_acknowledged_revision(session.acknowledged);
  status.set_revisions_behind(session.revisions_behind);
  if (session.lag.has_value()) *status.mutable_lag() = base::ToProto(*session.lag);
  if (session.live) *status.mutable_lease_left() = base::ToProto(session.lease_left);
  if (session.last_heard.has_value())
    *status.mutable_last_heard() = base::ToProto(*session.last_heard);
  if (session.fail_open_for > absl::ZeroDuration()) {
    status.set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_OPEN);
    *status.mutable_fail_open_for() = base::ToProto(session.fail_open_for);
  } else {
    status.set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_CLOSED);
  }
  status.set_open_holds(session.open_holds);
  if (session.holds_outlive_lease > absl::ZeroDuration()) {
    *status.mutable_holds_outlive_lease() = base::ToProto(session.holds_outlive_lease);
  }
  status.set_cached_tokens(session.cached_tokens);
  status.set_decisions(session.decisions);
  status.set_decisions_per_second(session.decisions_per_second);
  if (session.ended_for.has_value())
    *status.mutable_ended_for() = base::ToProto(*session.ended_for);
  return status;
}

// Ids hold no 0 byte.
std::string PageKey(const lease::SessionId& key) {
  return absl::StrCat(key.validator_id, std::string(1, '\0'), InstanceOf(key));
}

absl::StatusOr<size_t> PageSize(const ListValidatorsRequest& request) {
  if (request.page_size() > static_cast<int32_t>(kUsualPage)) {
    return static_cast<size_t>(std::min(request.page_size(), kLargestPage));
  }
  return ReadPageSize(request.page_size(), kUsualPage);
}

}  // namespace

absl::StatusOr<ListValidatorsResponse> ListFleet(std::vector<SessionView> sessions,
                                                 const ListValidatorsRequest& request,
                                                 const FleetHead& head) {
  ASSIGN_OR_RETURN(const size_t page_size, PageSize(request));
  const std::string binding =
      absl::StrCat("validators\n", request.problems_only(), "\n", request.include_released());
  ASSIGN_OR_RETURN(const std::string after, ReadPageToken(binding, request.page_token()));
  ListValidatorsResponse response;
  response.set_head_revision(head.head);
  response.set_enforced_revision(head.enforced);
  response.set_epoch(head.epoch);
  int total = 0, in_sync = 0, problems = 0;
  std::string last;
  bool more = false;
  std::vector<SessionView> fleet = FleetOf(std::move(sessions), request.include_released());
  // The sessions come ordered by incarnation; those of one validator are reordered by the name that
  // is shown.
  for (auto first = fleet.begin(); first != fleet.end();) {
    const auto last = std::find_if(first, fleet.end(), [first](const SessionView& other) {
      return other.key.validator_id != first->key.validator_id;
    });
    if (last - first > 1) {
      std::sort(first, last, [](const SessionView& a, const SessionView& b) {
        return InstanceOf(a.key) < InstanceOf(b.key);
      });
    }
    first = last;
  }
  for (const SessionView& session : fleet) {
    const bool problem = IsProblem(session);
    if (StateOf(session) != tollgate::v1::VALIDATOR_STATE_RELEASED) ++total;
    if (StateOf(session) == tollgate::v1::VALIDATOR_STATE_IN_SYNC) ++in_sync;
    if (problem) ++problems;
    if (request.problems_only() && !problem) continue;
    const std::string key = PageKey(session.key);
    if (!after.empty() && key <= after) continue;
    if (static_cast<size_t>(response.validators_size()) == page_size) {
      more = true;
      continue;
    }
    *response.add_validators() = ToStatus(session, head.now);
    last = key;
  }
  response.set_total_count(total);
  response.set_in_sync_count(in_sync);
  response.set_problem_count(problems);
  if (more) response.set_next_page_token(MakePageToken(binding, last));
  return response;
}

}  // namespace tollgate::service
