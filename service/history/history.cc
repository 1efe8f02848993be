#include "service/history/history.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "base/mutation.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using store::v1::MetaRecord;
using store::v1::TermRecord;
using v1::Hello;
using v1::Proof;

absl::string_view History::TermOf(int64_t revision) const {
  const auto after = std::upper_bound(
      terms.begin(), terms.end(), revision,
      [](int64_t at, const TermRecord& term) { return at < term.from_revision(); });
  if (after == terms.begin()) return {};
  return std::prev(after)->term();
}

bool History::HadEpoch(absl::string_view other) const {
  return std::find(past_epochs.begin(), past_epochs.end(), other) != past_epochs.end();
}

bool History::PredecessorsDead(base::BootTime now, absl::Duration longest) const {
  if (terms.size() < 2 || terms.back().boot_id().empty()) return false;
  // The first of the unbroken run of terms on this boot of this machine.
  size_t first = terms.size() - 1;
  while (first > 0 && terms[first - 1].boot_id() == terms.back().boot_id()) --first;
  if (first == 0 && terms[0].from_revision() == 1) return true;  // nobody served it before the run
  if (first == terms.size() - 1) return false;                   // the one before was elsewhere
  const int64_t began_us = terms[first].start_boot_us();
  if (began_us <= 0) return false;
  // Before the run there may have been somebody else, or a program older than terms.
  return now - base::BootTime() >= absl::Microseconds(began_us) + longest;
}

absl::StatusOr<History> ReadHistory(const storage::View& view) {
  ASSIGN_OR_RETURN(const absl::optional<MetaRecord> meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  History history;
  history.store_id = meta->store_id();
  history.epoch = meta->epoch();
  history.past_epochs.assign(meta->past_epochs().begin(), meta->past_epochs().end());
  ASSIGN_OR_RETURN(history.terms, storage::ReadTerms(view));
  return history;
}

namespace {

// How the proof of a revision of this epoch, not above the head, agrees.
Agreement JudgeProof(const Proof& proof, const History& history, const KnownFingerprint& known) {
  switch (known.state) {
    case KnownFingerprint::State::kNotAtHand:
      return Agreement::kNeedsFingerprint;
    case KnownFingerprint::State::kKept:
      // It tells a process that was resumed with its memory too, whose term is ours.
      return known.value == proof.fingerprint() ? Agreement::kSame : Agreement::kContradiction;
    case KnownFingerprint::State::kNotKept:
      return proof.term() == history.TermOf(proof.revision()) ? Agreement::kSame
                                                              : Agreement::kContradiction;
  }
  return Agreement::kContradiction;
}

}  // namespace

Agreement JudgeHello(const Hello& hello, const History& history, int64_t head,
                     const KnownFingerprint& known) {
  const bool proven = hello.has_proof();
  const Proof& proof = hello.proof();
  if (proven && proof.store_id() != history.store_id) return Agreement::kElsewhere;
  const std::string& epoch = proven ? proof.epoch() : hello.epoch();
  if (epoch.empty()) return Agreement::kFresh;
  if (epoch != history.epoch) {
    return history.HadEpoch(epoch) ? Agreement::kElsewhere : Agreement::kUnknownEpoch;
  }
  if (!proven) {
    if (hello.applied_revision() > head) return Agreement::kUnprovenFuture;
    return hello.applied_revision() == 0 ? Agreement::kFresh : Agreement::kUnproven;
  }
  if (!TOLLGATE_MUTATED("r19_numbers_alone")) {
    if (proof.revision() > head) return Agreement::kContradiction;
    const Agreement agreement = JudgeProof(proof, history, known);
    if (agreement != Agreement::kSame) return agreement;
  }
  // No proof that agrees vouches for what is above our head.
  if (hello.epoch() == epoch && hello.applied_revision() > head) return Agreement::kUnprovenFuture;
  // The proof speaks for what is up to its revision. A life that goes on at just that point
  // resumes; a new one (no epoch of its own), or one that the proof does not reach, begins anew.
  if (hello.epoch() != epoch || hello.applied_revision() == 0) return Agreement::kFresh;
  if (hello.applied_revision() != proof.revision()) return Agreement::kUnproven;
  // What it holds of a later revision is true here only where that revision is the same one.
  const int64_t answered = hello.answered_revision();
  if (answered > hello.applied_revision() &&
      (answered > head || history.TermOf(answered) != hello.answered_term())) {
    return Agreement::kUnproven;
  }
  return Agreement::kSame;
}

}  // namespace tollgate::service
