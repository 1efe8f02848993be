#include "service/feed/hello_rules.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/mutation.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/limits.h"
#include "lease/proof.h"
#include "token/field_rules.h"

namespace tollgate::service {

using tollgate::v1::Hello;

namespace {

constexpr size_t kMaxVersionBytes = 64;
constexpr size_t kMaxTermBytes = 64;
constexpr size_t kMaxBrandBytes = 16;
// At one synced commit a microsecond, the store reaches this revision in 285 years. A higher number
// is neither a revision of this store, nor of the store before a roll-back (R11).
constexpr int64_t kMaxRevision = int64_t{1} << 53;
constexpr size_t kMaxEpochBytes = 64;
// Somebody has to do something first.
constexpr absl::Duration kComeBackMended = absl::Seconds(30);

absl::Status RefuseHistory(absl::string_view reason, absl::string_view field,
                           absl::string_view what, absl::string_view message) {
  base::ErrorDetails details;
  details.reason = std::string(reason);
  details.fields = {{std::string(field), std::string(what)}};
  return Refuse(absl::StatusCode::kFailedPrecondition, std::string(message), details);
}

absl::Status RefuseForked(const v1::Proof& proof, int64_t head) {
  return RefuseHistory(
      "STORE_ROLLED_BACK", "hello.proof.revision",
      absl::StrCat("proves revision ", proof.revision(), "; this store is at ", head,
                   " and knows another history, or none so far"),
      absl::StrCat("refused: this service told the validator of revision ", proof.revision(),
                   ", and its store, now at ", head,
                   ", does not hold that history: it was put back to an older state, or is a copy. "
                   "Begin a new history on it: tollgated new-epoch"));
}

absl::Status RefuseUnproven(const v1::Proof& proof) {
  return RefuseHistory(
      "HISTORY_UNPROVEN", "hello.proof.mac", "was not made with this service's sealing key",
      absl::StrCat(
          "refused: the validator follows another history of this epoch (revision ",
          proof.revision(),
          "), and cannot prove that this service told it. Start the "
          "validator again without its state folder; if the service lost its sealing key, "
          "or runs on an old copy of its store, begin a new history: tollgated new-epoch"));
}

absl::Status RefuseUnprovenFuture(int64_t applied, int64_t head) {
  return RefuseHistory(
      "REVISION_FROM_THE_FUTURE", "hello.applied_revision",
      absl::StrCat("is ", applied, ", above the newest revision of this epoch, ", head,
                   ", and no proof says that this service told it"),
      "refused: this validator claims to have applied more of the epoch than the store holds. "
      "Start the validator again; if the store was put back to an older state, begin a new "
      "history: tollgated new-epoch");
}

absl::Status RefuseUnknownEpoch(absl::string_view epoch) {
  return RefuseHistory(
      "EPOCH_UNKNOWN", "hello.epoch", absl::StrCat("is ", epoch, ", which this store never had"),
      "refused: the validator follows another service's history. Is it a drill's, or a stranger's "
      "address? To take over its validators on purpose name the epoch: tollgated new-epoch "
      "--accept-epoch EPOCH; or start the validator again, without its state folder");
}

HelloVerdict Stranger(absl::Status refusal) {
  return {HelloVerdict::Kind::kStranger, std::move(refusal), kComeBackMended};
}

}  // namespace

absl::Status CheckHello(const Hello& hello) {
  RETURN_IF_ERROR(token::CheckValidatorId(hello.validator_id(), "hello.validator_id"));
  if (hello.incarnation().size() != lease::kIncarnationBytes) {
    return base::RefuseField("INCARNATION_MALFORMED", "hello.incarnation",
                             "must be 16 random bytes, new for each process");
  }
  if (hello.epoch().size() > kMaxEpochBytes) {
    return base::RefuseField("EPOCH_MALFORMED", "hello.epoch", "is no epoch of this service's");
  }
  if (hello.applied_revision() < 0 || hello.applied_revision() > kMaxRevision) {
    return base::RefuseField("REVISION_MALFORMED", "hello.applied_revision",
                             "must be from 0 to 2^53: no store gets further");
  }
  if (hello.answered_revision() < 0 || hello.answered_revision() > kMaxRevision) {
    return base::RefuseField("REVISION_MALFORMED", "hello.answered_revision",
                             "must be from 0 to 2^53: no store gets further");
  }
  if (hello.has_proof()) {
    RETURN_IF_ERROR(lease::CheckProof(hello.proof()));
    if (hello.proof().revision() > kMaxRevision) {
      return base::RefuseField("PROOF_MALFORMED", "hello.proof.revision",
                               "must be from 0 to 2^53: no store gets further");
    }
    if (!hello.epoch().empty() && hello.epoch() != hello.proof().epoch()) {
      return base::RefuseField("PROOF_MALFORMED", "hello.proof.epoch",
                               "is not that of hello.epoch");
    }
  }
  if (hello.answered_term().size() > kMaxTermBytes) {
    return base::RefuseField("REVISION_MALFORMED", "hello.answered_term",
                             "is no term of this service's");
  }
  if (hello.brand().size() > kMaxBrandBytes) {
    return base::RefuseField("BRAND_TOO_LONG", "hello.brand", "must be at most 16 bytes");
  }
  if (hello.version().size() > kMaxVersionBytes) {
    return base::RefuseField("VERSION_TOO_LONG", "hello.version", "must be at most 64 bytes");
  }
  if (hello.stale_policy() == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    const absl::Duration open_for = base::IsValid(hello.fail_open_for())
                                        ? base::FromProto(hello.fail_open_for())
                                        : absl::ZeroDuration();
    if (open_for <= absl::ZeroDuration() || open_for > lease::kLongestFailOpen) {
      return base::RefuseField("FAIL_OPEN_OUT_OF_RANGE", "hello.fail_open_for",
                               "must be above 0 and at most 24 h with STALE_POLICY_FAIL_OPEN");
    }
  }
  if (hello.has_holds_outlive_lease()) {
    const absl::Duration past = base::IsValid(hello.holds_outlive_lease())
                                    ? base::FromProto(hello.holds_outlive_lease())
                                    : absl::ZeroDuration();
    if (past <= absl::ZeroDuration() || past > lease::kLongestHoldsPastLease) {
      return base::RefuseField("HOLDS_OUTLIVE_OUT_OF_RANGE", "hello.holds_outlive_lease",
                               "must be above 0 and at most 24 h, or unset: holds then end with "
                               "the lease");
    }
  }
  return absl::OkStatus();
}

HelloVerdict DecideHello(const Hello& hello, const History& history, const ProofMaker* proofs,
                         int64_t head, const KnownFingerprint& known) {
  switch (JudgeHello(hello, history, head, known)) {
    case Agreement::kNeedsFingerprint:
      return {HelloVerdict::Kind::kReadFingerprint, absl::OkStatus(), absl::ZeroDuration()};
    case Agreement::kContradiction:
      if (TOLLGATE_MUTATED("r11_future_let_in")) break;
      // Whoever may follow the feed may tell of a contradiction, and is bound to no session; but
      // only our own seal makes it true.
      if (proofs == nullptr || !proofs->IsSealed(hello.proof())) {
        return Stranger(RefuseUnproven(hello.proof()));
      }
      return {HelloVerdict::Kind::kForked, RefuseForked(hello.proof(), head), kComeBackLater};
    case Agreement::kUnknownEpoch:
      return Stranger(
          RefuseUnknownEpoch(hello.has_proof() ? hello.proof().epoch() : hello.epoch()));
    case Agreement::kUnprovenFuture:
      return Stranger(RefuseUnprovenFuture(hello.applied_revision(), head));
    case Agreement::kSame:
      break;
    case Agreement::kFresh:
    case Agreement::kElsewhere:
    case Agreement::kUnproven:
      return {HelloVerdict::Kind::kReset, absl::OkStatus(), absl::ZeroDuration()};
  }
  return {HelloVerdict::Kind::kMayResume, absl::OkStatus(), absl::ZeroDuration()};
}

absl::Status RefuseOtherCaller() {
  return base::Refuse(
      absl::StatusCode::kPermissionDenied, "SESSION_OF_ANOTHER",
      "refused: this process of the validator has followed as another caller. Only that one may "
      "speak for it; a validator whose certificate names it anew has to be started again.");
}

}  // namespace tollgate::service
