// The attempts on a token that edges refused: who still tries it, and why it was refused. Pure.
#ifndef TOLLGATE_SERVICE_USE_ATTEMPTS_H_
#define TOLLGATE_SERVICE_USE_ATTEMPTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/repeated_field.h"
#include "service/use/silence.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/token.pb.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::service {

// The reasons that an edge reports: those of a token that the service knows.
inline constexpr std::array kReportedReasons = {
    tollgate::v1::VERDICT_REASON_REVOKED,        tollgate::v1::VERDICT_REASON_EXPIRED,
    tollgate::v1::VERDICT_REASON_SUSPENDED,      tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE,
    tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE, tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE};
bool IsReportedReason(int reason);

// The attempts that one edge refused for one reason. Times by the service's wall clock.
struct AttemptsRow {
  std::string edge;
  tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  int64_t count = 0;
  absl::Time first;
  absl::Time last;
  // From where, where the workspace asks for that; latest first.
  google::protobuf::RepeatedPtrField<tollgate::store::v1::AddressRecord> addresses;
};

// Of the reports the refused attempts, latest first.
std::vector<AttemptsRow> AttemptsIn(const std::vector<EdgeReport>& reports);

// The rows of the `most` edges that were tried latest, and for each reason one row that sums up the
// others, with the rows folded before (kEarlierEdges). `rows` are latest first.
std::vector<AttemptsRow> NameLatestAttempts(std::vector<AttemptsRow> rows,
                                            size_t most = kMaxNamedEdges);

// When an edge last refused the token for being what it is now: revoked, expired or suspended.
// InfinitePast: no edge has reported that, or it is none of these. A suspended token's attempts
// count from `resumed` (InfinitePast: never), because those before belong to an earlier suspension.
absl::Time LastTried(const std::vector<AttemptsRow>& rows, tollgate::v1::TokenState state,
                     absl::Time resumed);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_ATTEMPTS_H_
