#include "tests/simulation/oracle.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tollgate::simulation {

using tollgate::v1::VerdictReason;

std::shared_ptr<History> History::Fork(const std::shared_ptr<History>& from, int64_t revision,
                                       std::string epoch) {
  auto fork = std::make_shared<History>(std::move(epoch));
  fork->parent_ = from;
  fork->forked_at_ = revision;
  fork->head_ = revision;
  for (const auto& [token, versions] : from->tokens_) {
    for (const auto& [at, truth] : versions) {
      if (at <= revision) fork->tokens_[token][at] = truth;
    }
  }
  for (const auto& [at, count] : from->events_) {
    if (at <= revision) fork->events_[at] = count;
  }
  for (const auto& [workspace, versions] : from->keys_) {
    for (const auto& [at, keys] : versions) {
      if (at <= revision) fork->keys_[workspace][at] = keys;
    }
  }
  fork->acknowledged = std::min(from->acknowledged, revision);
  return fork;
}

void History::OnCommit(int64_t revision, int events) {
  head_ = revision;
  if (events > 0) events_[revision] = events;
}

void History::Set(int token, int64_t revision, const TokenTruth& truth) {
  tokens_[token][revision] = truth;
}

void History::SetKeys(const std::string& workspace, int64_t revision,
                      const std::set<std::string>& keys) {
  keys_[workspace][revision] = keys;
  std::vector<std::pair<int, TokenTruth>> changed;
  for (const auto& [token, versions] : tokens_) {
    const TokenTruth& truth = At(token, revision);
    if (truth.exists && truth.workspace == workspace) changed.emplace_back(token, truth);
  }
  for (auto& [token, truth] : changed) {
    truth.told = Told(workspace, revision, truth.annotations);
    Set(token, revision, truth);
  }
}

std::map<std::string, std::string> History::Told(
    const std::string& workspace, int64_t revision,
    const std::map<std::string, std::string>& annotations) {
  std::map<std::string, std::string> told;
  const auto& versions = keys_[workspace];
  const auto after = versions.upper_bound(revision);
  if (after == versions.begin()) return told;
  for (const std::string& key : std::prev(after)->second) {
    const auto found = annotations.find(key);
    if (found != annotations.end()) told.insert(*found);
  }
  return told;
}

void History::Lose(int64_t revision) {
  for (auto& [workspace, versions] : keys_) versions.erase(revision);
  for (auto& [token, versions] : tokens_) versions.erase(revision);
  events_.erase(revision);
  head_ = std::min(head_, revision - 1);
}

const TokenTruth& History::At(int token, int64_t revision) const {
  static const TokenTruth kNothing;
  auto found = tokens_.find(token);
  if (found == tokens_.end()) return kNothing;
  auto after = found->second.upper_bound(revision);
  return after == found->second.begin() ? kNothing : std::prev(after)->second;
}

bool History::SomeRevision(int token, int64_t from, int64_t to,
                           const std::function<bool(const TokenTruth&)>& holds) const {
  if (from > to) return false;
  if (holds(At(token, from))) return true;
  auto found = tokens_.find(token);
  if (found == tokens_.end()) return false;
  for (auto it = found->second.upper_bound(from); it != found->second.end() && it->first <= to;
       ++it) {
    if (holds(it->second)) return true;
  }
  return false;
}

std::shared_ptr<History> Oracle::NewHistory(std::string epoch) {
  auto history = std::make_shared<History>(std::move(epoch));
  histories_.push_back(history);
  return history;
}

bool Oracle::OnReceipt(const std::shared_ptr<History>& history,
                       const tollgate::v1::Receipt& receipt) {
  if (receipt.epoch() != history->epoch()) {
    world_->Break("I1", "a receipt names another epoch than its store's");
  }
  if (receipt.state() != tollgate::v1::ENFORCEMENT_STATE_ENFORCED) return false;
  if (receipt.revision() > history->head()) {
    world_->Break("I1",
                  absl::StrCat("revision ", receipt.revision(),
                               " is declared enforced, the durable head is ", history->head()));
  }
  ++world_->receipts_judged;
  history->enforced = std::max(history->enforced, receipt.revision());
  std::set<std::string> open(receipt.not_covered().begin(), receipt.not_covered().end());
  history->not_covered[receipt.revision()] = std::move(open);
  return true;
}

std::string Oracle::Tell(const Judged& d) const {
  std::string told =
      absl::StrCat(d.who, " says ", tollgate::v1::VerdictReason_Name(d.reason),
                   d.verdict == tollgate::v1::VERDICT_ADMIT ? " (ADMIT)" : "", " of token ",
                   d.token, d.scope.empty() ? "" : " for ", d.scope, ", applied ", d.applied);
  if (d.following == nullptr) return told;
  absl::StrAppend(&told, ", head ", d.following->head(), ", enforced ", d.following->enforced,
                  "; [");
  auto versions = d.following->tokens().find(d.token);
  if (versions != d.following->tokens().end()) {
    for (const auto& [at, truth] : versions->second) {
      absl::StrAppend(&told, " ", at, ":",
                      truth.end != TokenTruth::End::kNone ? "ended"
                      : truth.suspended                   ? "suspended"
                                                          : "good",
                      truth.scopes.empty() ? "" : "/", absl::StrJoin(truth.scopes, ","));
    }
  }
  return told + " ]";
}

void Oracle::Judge(const Judged& d) {
  if (d.said_goodbye && d.verdict == tollgate::v1::VERDICT_ADMIT) {
    return world_->Break("I1", absl::StrCat(Tell(d), " after its goodbye (R4)"));
  }
  switch (d.verdict) {
    case tollgate::v1::VERDICT_ADMIT:
      return JudgeAdmit(d);
    case tollgate::v1::VERDICT_DENY:
      return JudgeDenial(d);
    default:
      return;
  }
}

void Oracle::JudgeAdmit(const Judged& d) {
  ++world_->admits_judged;
  if (d.following == nullptr) {
    return world_->Break("I2", absl::StrCat(Tell(d), ", though it follows nothing"));
  }
  const auto admits = [&d](const TokenTruth& truth) {
    return truth.exists && !truth.Off() && (d.scope.empty() || truth.scopes.count(d.scope) > 0);
  };
  const History& own = *d.following;
  if (!own.SomeRevision(d.token, d.applied, own.head(), admits)) {
    // Whatever else the decision breaks: the entry held was not true at any revision that it may
    // stand for.
    const bool promised =
        !d.fail_open && !own.SomeRevision(d.token, own.enforced, own.head(), admits);
    return world_->Break(promised ? "I1" : "I2", Tell(d));
  }
  if (!own.SomeRevision(d.token, d.applied, own.head(), [&](const TokenTruth& truth) {
        return admits(truth) && truth.told == d.told;
      })) {
    return world_->Break("I2", absl::StrCat(Tell(d), ", and tells of annotations (",
                                            absl::StrJoin(d.told, ",", absl::PairFormatter("=")),
                                            ") as they never were told; last (",
                                            absl::StrJoin(own.At(d.token, own.head()).told, ",",
                                                          absl::PairFormatter("=")),
                                            ")"));
  }
  // The edge judges expiry by the service's clock, at most a lease old.
  const int64_t end_us = [&] {
    const TokenTruth& truth = own.At(d.token, d.applied);
    if (truth.expire_us == 0 || truth.retire_us == 0) {
      return std::max(truth.expire_us, truth.retire_us);
    }
    return std::min(truth.expire_us, truth.retire_us);
  }();
  const absl::Time wall = NodeClock::WallAt(world_->now());
  if (!d.fail_open && end_us != 0 && admits(own.At(d.token, d.applied)) &&
      absl::FromUnixMicros(end_us) + longest_lease_ * (1 + 2 * drift_) + longest_doubt_lag_ <
          wall) {
    return world_->Break("I2", absl::StrCat(Tell(d), ", more than a lease after its time (R18)"));
  }
  if (d.fail_open) {
    // Not covered, and the receipt must have said so.
    auto covering = own.not_covered.lower_bound(own.enforced);
    if (own.enforced > 0 && covering != own.not_covered.end() &&
        covering->second.count(d.who) == 0 &&
        !own.SomeRevision(d.token, own.enforced, own.head(), admits)) {
      world_->Break("I1", absl::StrCat(Tell(d), " failing open, and no receipt names it"));
    }
    return;
  }
  for (const auto& promised : histories_) {
    if (promised->enforced == 0) continue;
    bool ok = promised->SomeRevision(d.token, promised->enforced, promised->head(), admits);
    if (!ok && promised.get() != &own) {
      // A history that never knew the token promises nothing about it.
      ok = promised->SomeRevision(d.token, promised->enforced, promised->head(),
                                  [](const TokenTruth& t) { return !t.exists || !t.Off(); });
    }
    if (!ok && promised.get() != &own) {
      // Changes after the fork are promised only where the history knows them: an older backup
      // without its journal has lost them, and both histories bind a validator of the old one.
      int64_t fork = std::min(own.head(), promised->head());
      bool descends = false;
      for (const History* h = &own; h != nullptr; h = h->parent().get()) {
        if (h == promised.get()) {
          descends = true;
          break;
        }
        fork = std::min(fork, h->forked_at());
      }
      if (descends) {
        ok = own.SomeRevision(d.token, std::min(promised->enforced, fork), own.head(), admits);
      } else {
        fork = std::min(own.head(), promised->head());
        for (const History* h = promised.get(); h != nullptr && h != &own; h = h->parent().get()) {
          fork = std::min(fork, h->forked_at());
        }
        ok = promised->enforced <= fork &&
             own.SomeRevision(d.token, promised->enforced, own.head(), admits);
      }
    }
    if (!ok) {
      return world_->Break(
          "I1", absl::StrCat(Tell(d), ", yet revision ", promised->enforced, " of epoch ",
                             promised->epoch().substr(0, 4), " was declared enforced"));
    }
  }
}

void Oracle::JudgeDenial(const Judged& d) {
  ++world_->denials_judged;
  if (d.following == nullptr) {
    return world_->Break("I7", absl::StrCat(Tell(d), ", though it follows nothing"));
  }
  const History& own = *d.following;
  const absl::Time wall = NodeClock::WallAt(world_->now());
  const auto passed = [wall](int64_t us) { return us != 0 && absl::FromUnixMicros(us) <= wall; };
  int64_t from = d.applied;
  std::function<bool(const TokenTruth&)> proof;
  switch (d.reason) {
    case tollgate::v1::VERDICT_REASON_REVOKED:
    case tollgate::v1::VERDICT_REASON_EXPIRED:
      from = 0;  // final is final
      proof = [&](const TokenTruth& t) {
        return t.exists &&
               (t.end != TokenTruth::End::kNone || passed(t.expire_us) || passed(t.retire_us));
      };
      break;
    case tollgate::v1::VERDICT_REASON_SUSPENDED:
      proof = [](const TokenTruth& t) { return t.exists && t.suspended; };
      break;
    case tollgate::v1::VERDICT_REASON_UNKNOWN:
      proof = [](const TokenTruth& t) { return !t.exists; };
      break;
    case tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE:
      proof = [&](const TokenTruth& t) { return t.exists && t.scopes.count(d.scope) == 0; };
      break;
    default:
      return world_->Break("I7", absl::StrCat(Tell(d), ", of a well-formed token"));
  }
  if (!own.SomeRevision(d.token, from, own.head(), proof)) {
    world_->Break(d.reason == tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE ? "I2" : "I7",
                  absl::StrCat(Tell(d), ", which was never so"));
  }
}

void Oracle::OnAdmitted(const Judged& d, int64_t lag) {
  Admissions& admissions = admissions_[{d.token, d.who}];
  admissions.last_any = world_->now();
  if (d.fail_open) return;
  admissions.last = world_->now();
  admissions.lag = lag;
}

void Oracle::JudgeLastAdmits(int token, const tollgate::v1::Receipt& receipt, const Heard& heard) {
  const auto wrong = [&](const std::string& edge, absl::string_view how) {
    world_->Break("last admissions", absl::StrCat("the receipt of revision ", receipt.revision(),
                                                  " of token ", token, how, edge));
  };
  std::map<std::string, absl::Time> told;
  std::set<std::string> unknown;
  for (const auto& admit : receipt.last_admits()) {
    if (admit.unknown()) unknown.insert(admit.edge());
    if (!admit.has_last_admit_time()) continue;
    const absl::Time at = absl::FromUnixSeconds(admit.last_admit_time().seconds()) +
                          absl::Nanoseconds(admit.last_admit_time().nanos());
    told[admit.edge()] = at;
    const auto found = admissions_.find({token, admit.edge()});
    if (found == admissions_.end() ||
        at > NodeClock::WallAt(found->second.last_any) + absl::Milliseconds(100)) {
      return wrong(admit.edge(), " tells of an admission that was not, at ");
    }
  }
  for (const service::EdgeUseRow& row : heard.rows) {
    absl::Time& last = told.try_emplace(row.edge, absl::InfinitePast()).first->second;
    last = std::max(last, row.last_used);
  }
  // What was known of its use went with its record; the receipt then says so (last_admits.cc).
  if (heard.purged) return;
  for (auto it = admissions_.lower_bound({token, ""});
       it != admissions_.end() && it->first.first == token; ++it) {
    const auto& [edge, admissions] = std::make_pair(it->first.second, it->second);
    // The next process may have lost what one process has heard (docs/enforcement.md).
    if (admissions.last <= heard.since || unknown.contains(edge)) continue;
    // A service that falls behind after an edge has heard the time from it takes nothing for later
    // than its own.
    const absl::Time least =
        NodeClock::WallAt(admissions.last) - absl::Nanoseconds(admissions.lag) - longest_doubt_lag_;
    const auto known = told.find(edge);
    if (known != told.end() && known->second >= least) continue;
    const bool gap = std::any_of(heard.gaps.begin(), heard.gaps.end(),
                                 [&, name = edge](const service::SilenceEvidence::Gap& gap) {
                                   return gap.edge == name && gap.until >= least;
                                 });
    if (gap) continue;
    const absl::Duration late =
        known == told.end() ? absl::InfiniteDuration() : least - known->second;
    return wrong(edge, absl::StrCat(" misses the last admission (told of one ",
                                    absl::FormatDuration(late), " earlier) at "));
  }
}

void Oracle::OnServiceTime(const std::string& service, absl::Time told) {
  const absl::Duration behind = NodeClock::WallAt(world_->now()) - told;
  longest_doubt_lag_ = std::max(longest_doubt_lag_, behind);
  if (behind < absl::ZeroDuration()) {
    world_->Break("R20", absl::StrCat(service, " tells edges a time that has not come: ",
                                      absl::FormatDuration(-behind), " ahead"));
  }
}

void Oracle::OnEndedByTime(int token, const TokenTruth& truth) {
  const absl::Time wall = NodeClock::WallAt(world_->now());
  const auto passed = [wall](int64_t us) { return us != 0 && absl::FromUnixMicros(us) <= wall; };
  if (!passed(truth.expire_us) && !passed(truth.retire_us)) {
    world_->Break("R20", absl::StrCat("token ", token, " is ended in the store before its time"));
  }
}

void Oracle::CheckBytes(absl::string_view bytes, absl::string_view where) {
  if (bytes.find(secret_) != absl::string_view::npos) {
    world_->Break("I6", absl::StrCat("a token string in ", where));
  }
}

}  // namespace tollgate::simulation
