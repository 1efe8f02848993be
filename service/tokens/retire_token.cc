#include "service/tokens/retire_token.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/tokens/rotation.h"
#include "service/use/replacements.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::Ending;

constexpr size_t kMostNamed = 10;  // edges in one message

// "a, b and 3 more".
std::string NameEdges(const std::vector<std::string>& edges) {
  const size_t named = std::min(edges.size(), kMostNamed);
  std::string text = absl::StrJoin(edges.begin(), edges.begin() + static_cast<long>(named), ", ");
  if (edges.size() > named) absl::StrAppend(&text, " and ", edges.size() - named, " more");
  return text;
}

std::vector<std::string> EdgesOf(const std::vector<EdgeUseRow>& uses) {
  std::vector<std::string> edges;
  edges.reserve(uses.size());
  for (const EdgeUseRow& use : uses) edges.push_back(use.edge);
  return edges;
}

absl::Status RefuseRetirement(const SilenceVerdict& verdict,
                              const std::vector<EdgeUseRow>& replacement_uses,
                              const HeldToken& token, absl::Duration quiet, absl::Time jump,
                              absl::Time now) {
  const std::vector<std::string> replacement_edges = EdgesOf(replacement_uses);
  base::ErrorDetails details;
  details.metadata = {{"token", token.name()},
                      {"replaced_by", token::FormatTokenName(token.record.workspace(),
                                                             token.record.replaced_by_token_id())},
                      {"quiet_period", absl::FormatDuration(quiet)},
                      {"edges", NameEdges(verdict.edges)},
                      {"replacement_edges", NameEdges(replacement_edges)}};
  std::string message;
  switch (verdict.kind) {
    case SilenceVerdict::Kind::kInUse: {
      details.reason = "STILL_IN_USE";
      details.metadata.emplace_back("last_used_edge", verdict.edges.front());
      details.metadata.emplace_back(
          "last_used_time",
          absl::FormatTime(absl::RFC3339_full, verdict.last_used, absl::UTCTimeZone()));
      details.metadata.emplace_back("use_count_today", absl::StrCat(verdict.count_today));
      message = absl::StrCat("still in use. Last used ", RoughDuration(now - verdict.last_used),
                             " ago at ", verdict.edges.front(), " (", verdict.count_today,
                             verdict.count_today == 1 ? " time today)" : " times today)");
      if (verdict.edges.size() > 1) {
        absl::StrAppend(&message, ", also at ",
                        NameEdges({verdict.edges.begin() + 1, verdict.edges.end()}));
      }
      if (replacement_edges.empty()) {
        absl::StrAppend(&message, "; the replacement has not been used anywhere.");
      } else {
        absl::StrAppend(&message, "; the replacement is used at ", NameEdges(replacement_edges),
                        " only.");
      }
      absl::StrAppend(&message, " Move ", NameEdges(verdict.edges),
                      " to the replacement first, or force it.");
      break;
    }
    case SilenceVerdict::Kind::kReplacementNeverSeen:
      details.reason = "REPLACEMENT_NEVER_SEEN";
      message =
          "the replacement has never been used at any edge, so whoever holds the old token has "
          "nothing else yet. Put the replacement in place first, or force it.";
      break;
    case SilenceVerdict::Kind::kResumedLately: {
      const absl::Time resumed = LastResumed(token.record);
      if (jump > resumed) {
        details.reason = "CLOCK_SET_LATELY";
        message =
            absl::StrCat("the service's time was set ", RoughDuration(now - jump),
                         " ago, so for how long the token had been silent before is not known. "
                         "Try again once it has been silent for ",
                         RoughDuration(quiet), " since, or force it.");
        break;
      }
      details.reason = "RESUMED_LATELY";
      details.metadata.emplace_back(
          "resume_time", absl::FormatTime(absl::RFC3339_full, resumed, absl::UTCTimeZone()));
      message = absl::StrCat("was suspended until ", RoughDuration(now - resumed),
                             " ago, so that it was not used before tells nothing about who still "
                             "holds it. Try again once it has been on for ",
                             RoughDuration(quiet), ", or force it.");
      break;
    }
    default:
      details.reason = "EDGES_NOT_HEARD";
      message = verdict.edges.empty()
                    ? std::string(
                          "no edge has reported its use to this service yet, so nothing "
                          "tells whether the token is in use. Try again in a minute, or "
                          "force it.")
                    : absl::StrCat("may still be in use: ", NameEdges(verdict.edges),
                                   " may have admitted it within ", RoughDuration(quiet),
                                   " and has not reported it. Try again once it has, or force it.");
      break;
  }
  return base::Refuse(absl::StatusCode::kFailedPrecondition, message, details);
}

}  // namespace

absl::StatusOr<std::shared_ptr<RetireTokenCommand>> RetireTokenCommand::Make(
    const tollgate::v1::RetireTokenRequest& request, absl::string_view actor,
    SilenceEvidence evidence) {
  ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.name(), "name"));
  if (!request.force()) {
    RETURN_IF_ERROR(RefuseByUse(name.workspace, "retirement without force"));
  }
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  if (request.has_quiet_period()) {
    RETURN_IF_ERROR(DurationFromField(request.quiet_period(), "quiet_period", kShortest,
                                      "QUIET_PERIOD_TOO_SHORT")
                        .status());
  }
  Context context{"retire_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(request)};
  return std::shared_ptr<RetireTokenCommand>(new RetireTokenCommand(
      std::move(context), std::move(name.token_id), request, std::move(evidence)));
}

absl::Status RetireTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  const bool retired_before = token.record.ending().kind() == Ending::KIND_RETIRED;
  if (!retired_before) {
    RETURN_IF_ERROR(RefuseFinal(token, slot.now));
    if (token.record.replaced_by_token_id().empty()) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "NOT_ROTATED",
          absl::StrCat(token.name(),
                       " has no replacement, so it cannot be retired; rotate it first, "
                       "or revoke it"));
    }
    ASSIGN_OR_RETURN(const auto uses, ReadUses(view, workspace(), token_id_, slot.now));
    if (!request_.force()) {
      absl::Duration quiet = kUsualQuietPeriod;
      if (request_.has_quiet_period()) {
        ASSIGN_OR_RETURN(quiet, DurationFromField(request_.quiet_period(), "quiet_period",
                                                  kShortest, "QUIET_PERIOD_TOO_SHORT"));
      } else if (token.record.retirement().quiet_period_us() != 0) {
        quiet = absl::Microseconds(token.record.retirement().quiet_period_us());
      }
      ASSIGN_OR_RETURN(const auto replacement_uses,
                       ReadReplacementUses(view, token.record, slot.now));
      // A token that is suspended now is retired by a person, who looks at it.
      const absl::Time resumed =
          token.record.suspended() ? absl::InfinitePast() : LastResumed(token.record);
      ASSIGN_OR_RETURN(const absl::Time jump, LastTimeJump(view));
      const SilenceVerdict verdict =
          JudgeSilence(uses, replacement_uses, evidence_, std::max(resumed, jump), quiet, slot.now);
      if (verdict.kind != SilenceVerdict::Kind::kSilent) {
        return RefuseRetirement(verdict, replacement_uses, token, quiet, jump, slot.now);
      }
    }
    EndToken(token, Ending::KIND_RETIRED, actor(), slot, effects);
    auto entry = AuditOf(actor(), "token.retire", token.record);
    (*entry.mutable_details())["forced"] = request_.force() ? "true" : "false";
    for (const auto& [name, value] : LastUseFacts(uses)) {
      (*entry.mutable_details())[name] = value;
    }
    effects.Audit(std::move(entry));
  }
  response_.set_unchanged(retired_before);
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(token.record.ending().revision());
  return absl::OkStatus();
}

}  // namespace tollgate::service
