#include "validator/core/edge_reader.h"

#include <algorithm>

#include "base/mutation.h"
#include "token/token_state.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::VerdictReason;

// Whether the reason accuses the token, so that a client throws the token away.
bool Accuses(VerdictReason reason) {
  return reason == tollgate::v1::VERDICT_REASON_REVOKED ||
         reason == tollgate::v1::VERDICT_REASON_EXPIRED ||
         reason == tollgate::v1::VERDICT_REASON_SUSPENDED;
}

void SetDenied(VerdictReason reason, Decision* decision) {
  decision->verdict = tollgate::v1::VERDICT_DENY;
  decision->reason = reason;
  decision->retry_after = absl::ZeroDuration();
  decision->fail_open = false;
}

}  // namespace

int64_t EdgeReader::Moment::service_ms() const {
  return std::max<int64_t>(absl::ToUnixMillis(service), 1);
}

EdgeReader::Moment EdgeReader::ReadMoment() const {
  Moment m;
  for (int attempt = 0; attempt < 3; ++attempt) {
    // R13: the clocks first, then the lease.
    m.boot = clock_.Now();
    m.wall = clock_.WallNow();
    m.lease = lease_.Read();
    m.state = lease_.StateAt(m.lease, m.boot, m.wall);
    if (TOLLGATE_MUTATED("r13_cached_clock") && m.lease.lease_ns > 0) m.state = LeaseState::kLive;
    // A thread that was suspended between the two readings sees clocks that disagree, so it reads
    // again.
    if (m.state == LeaseState::kLive || m.lease.lease_ns == 0) break;
  }
  m.service = TOLLGATE_MUTATED("r18_own_clock") ? m.wall : lease_.ServiceTimeAt(m.lease, m.boot);
  return m;
}

void EdgeReader::SetUnavailable(VerdictReason reason, Decision* decision) const {
  decision->verdict = tollgate::v1::VERDICT_UNAVAILABLE;
  decision->reason = reason;
  decision->retry_after = retry_after_;
  decision->fail_open = false;
}

bool EdgeReader::HoldGrant(absl::string_view packed, Decision* decision, token::GrantView* grant) {
  return decision->grant_.Assign(packed) && token::GrantView::Over(decision->grant_.bytes(), grant);
}

bool EdgeReader::RefuseMalformed(absl::string_view token_string, Decision* decision) const {
  token::TokenFormat::Parsed parsed;
  if (token_string.empty()) {
    SetDenied(tollgate::v1::VERDICT_REASON_NO_TOKEN, decision);
  } else if (format_.Parse(token_string, &parsed) == token::TokenDefect::kNone &&
             token::MayPassAnEdge(parsed.kind)) {
    return false;
  } else if (!table_.brand_agreed()) {
    // With another brand the string may be a good token (I7).
    SetUnavailable(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE, decision);
  } else {
    SetDenied(tollgate::v1::VERDICT_REASON_MALFORMED, decision);
  }
  return true;
}

void EdgeReader::DecideOnGrant(const token::GrantView& grant, const Moment& moment,
                               const token::Requirement& requirement, Of of,
                               Decision* decision) const {
  const VerdictReason reason = token::Decide(grant, requirement, moment.service);
  // A final state is denied with or without a lease, because final never goes stale (I7). A time
  // that has passed is not final: an event that this edge has not heard may have moved it.
  if (token::IsFinal(grant.state())) return SetDenied(reason, decision);
  // Without a lease the held entry may be out of date, so nothing is said of it that can change.
  // Fail-open goes on admitting from the entry, but accuses nobody by it: a suspended token may
  // have been resumed, and one whose time has passed may have been given more (I7).
  if (moment.state == LeaseState::kNone ||
      (moment.state == LeaseState::kFailOpen && Accuses(reason))) {
    return SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
  }
  // A state that this build does not know is neither admitted nor accused.
  if (reason == tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE) {
    return SetUnavailable(reason, decision);
  }
  if (reason != tollgate::v1::VERDICT_REASON_UNSPECIFIED) return SetDenied(reason, decision);
  if (moment.state == LeaseState::kFailOpen && of == Of::kOpening) {
    return SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
  }
  decision->verdict = tollgate::v1::VERDICT_ADMIT;
  decision->reason = reason;
  decision->retry_after = absl::ZeroDuration();
  decision->fail_open = moment.state == LeaseState::kFailOpen;
}

void EdgeReader::DecideOnUnknown(const Moment& moment, Decision* decision) const {
  // Without a lease: the token may exist by now.
  if (moment.state != LeaseState::kLive) {
    return SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
  }
  SetDenied(tollgate::v1::VERDICT_REASON_UNKNOWN, decision);
}

bool EdgeReader::Decide(absl::string_view token_string, const token::Requirement& requirement,
                        Of of, TokenKey* key, Decision* decision) const {
  // The string's length tells where its public id would lie. The form is checked only where the
  // table does not hold the string: no malformed string is ever held (no question is asked about
  // one), and a held string is recognised by the whole of it.
  if (token_string.size() != format_.length()) return RefuseMalformed(token_string, decision);
  *key = table_.KeyOf(token_string, token_string.substr(token_string.size() - token::kBodyLength,
                                                        token::kPublicIdLength));
  Moment moment;
  switch (DecideFromTable(*key, requirement, of, &moment, decision)) {
    case Looked::kDecided:
      return true;
    case Looked::kMiss:
      if (RefuseMalformed(token_string, decision)) return true;
      // Without a lease no answer could be used, so none is asked for.
      if (moment.state != LeaseState::kNone) return false;
      SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
      return true;
    case Looked::kMoving:
      break;
  }
  SetUnavailable(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE, decision);  // not as it was left
  return false;
}

bool EdgeReader::DecideOpeningAgain(const TokenKey& key, const token::Requirement& requirement,
                                    Decision* decision) const {
  Moment moment;
  return DecideFromTable(key, requirement, Of::kOpening, &moment, decision) == Looked::kDecided;
}

EdgeReader::Looked EdgeReader::DecideFromTable(const TokenKey& key,
                                               const token::Requirement& requirement, Of of,
                                               Moment* moment, Decision* decision) const {
  for (int attempt = 0; attempt < 4; ++attempt) {
    const uint64_t collection = table_.collection();
    *moment = ReadMoment();
    DecisionCache::Place place;
    switch (table_.Find(key, &decision->grant_, &place)) {
      case DecisionCache::Found::kMiss:
        return Looked::kMiss;
      case DecisionCache::Found::kUnknown:
        DecideOnUnknown(*moment, decision);
        return Looked::kDecided;
      case DecisionCache::Found::kGrant:
        break;
    }
    token::GrantView grant;
    if (!token::GrantView::Over(decision->grant_.bytes(), &grant)) break;
    DecideOnGrant(grant, *moment, requirement, of, decision);
    if (!decision->admitted()) return Looked::kDecided;
    // The entry was dropped since it was read: the table does not hold what is true now.
    if (!table_.RecordAdmit(place, moment->service_ms())) continue;
    // Use was collected meanwhile, so decide again with a later reading. Otherwise this admission
    // would lie before the report's complete_until and be in no report up to it.
    if (table_.collection() == collection) return Looked::kDecided;
  }
  return Looked::kMoving;
}

}  // namespace tollgate::validator
